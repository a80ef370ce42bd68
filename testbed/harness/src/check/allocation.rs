// SPDX-License-Identifier: GPL-2.0
//! Memory is short while user space moves its device from one address space to the next: each
//! allocation of a move fails once.

use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Trial;

use super::vfio::{DEVICE, EDU, TRUSTED, device_tree, run, same_as_before};
use super::{Bench, Fixture};
use crate::board::{Driver, Setup};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = Setup::new("allocation", Driver::Rust)
        .append(TRUSTED)
        .dtb(device_tree(bench)?)
        .pcie(&[EDU]);
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.expect_bound_except(&[])?;
        b.test(&format!("userdma {DEVICE} take")).map(drop)
    });
    Ok(vec![board.row("each_one_fails_once", |b| {
        same_as_before(b, |b| run(b, "failing").map(drop))
    })])
}
