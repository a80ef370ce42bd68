// SPDX-License-Identifier: GPL-2.0
//! The driver's KUnit suites, run in the guest.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::ktap::Ktap;
use crate::board::{Board, Driver, Setup};

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("kunit", Driver::Rust).append("kunit.enable=1 kunit.autorun=1");
    let board = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    vec![board.row("suites", suites)]
}

pub fn suites(board: &mut Board) -> Result<()> {
    let output = board.try_sh("/tests/kunit.sh")?;
    let ktap = Ktap::parse(&output.text).judge()?;
    // If no suite was built, nothing would fail.
    ensure!(
        ktap.passed.len() >= 3,
        "only {} cases ran: {}",
        ktap.passed.len(),
        ktap.passed.join(", ")
    );
    Ok(())
}
