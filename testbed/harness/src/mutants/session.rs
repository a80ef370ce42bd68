// SPDX-License-Identifier: GPL-2.0
//! Runs a session on a board, which shows whether something is wrong with a driver.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::board::groups::change_type;
use crate::board::guest::DMACS;
use crate::board::ktap::Ktap;
use crate::board::{Board, Driver, Setup};
use crate::check::{common, control};
use crate::provision::Provision;

/// The address of IMUASID of a micro-TLB in use. The driver writes 0 to it, as a reset does.
const IMUASID: &str = "0xe6740318";

const CHANNELS: [&str; 2] = [DMACS[0], DMACS[1]];

/// Returns the names of the checks that fail with the module in `initramfs`.
pub fn notice(provision: &Provision, initramfs: Option<PathBuf>) -> Vec<String> {
    let mut noticed = Vec::new();
    if let Err(e) = try_out(provision, initramfs.as_deref(), &mut noticed) {
        let error = format!("{e:#}");
        let first = error.lines().next().unwrap_or_default();
        noticed.push(format!("the board ({first})"));
    }
    noticed
}

fn try_out(
    provision: &Provision,
    initramfs: Option<&Path>,
    noticed: &mut Vec<String>,
) -> Result<()> {
    let mut setup = Setup::new("mutant", Driver::Rust)
        .unkind("all")
        .append("kunit.enable=1 kunit.autorun=1");
    setup.initramfs = initramfs.map(Path::to_owned);
    let mut board = Board::boot(provision, &setup)?;
    control::be_firmware(&mut board)?;
    board.load_driver(&DMACS)?;
    if control::expect_kept(&mut board).is_err() {
        noticed.push("what firmware left".into());
    }
    let suites = board.try_sh("/tests/kunit.sh")?;
    if Ktap::parse(&suites.text).judge().is_err() {
        noticed.push("KUnit".into());
    }
    board.dma_briefly(&CHANNELS)?;
    board.sh(&format!("devmem {IMUASID} 32 5"))?;
    control::change(&mut board)?;
    let before = board.registers()?;
    board.suspend(|_| Ok(()))?;
    if !before.differences(&board.registers()?).is_empty() {
        noticed.push("registers".into());
    }
    if board.new_messages()?.contains("after resume") {
        noticed.push("the driver".into());
    }
    if board.dma_briefly(&CHANNELS).is_err() {
        noticed.push("DMA".into());
    }
    if !noticed.is_empty() {
        return Ok(());
    }
    if move_about(&mut board).is_err() {
        noticed.push("another type".into());
    }
    if common::unmapped_access_faults(&mut board).is_err() {
        noticed.push("a fault".into());
    }
    board.expect_clean()
}

/// Attaches a client to the identity domain, and to a new one.
fn move_about(board: &mut Board) -> Result<()> {
    for to in ["identity", "DMA"] {
        change_type(board, DMACS[0], to)?;
        board.dma_briefly(&CHANNELS)?;
    }
    Ok(())
}
