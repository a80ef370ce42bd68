// SPDX-License-Identifier: GPL-2.0
//! Our driver on hardware that does not do what it should.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::common::{TWO_IPMMUS, complaints, faults};
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};

/// What the hardware can lose at resume, and where it would. IMTTUBR0 is not
/// among them: the board's page tables are below 4 GiB, where it is 0.
const LOSSES: [(&str, &str, &str); 6] = [
    ("ipmmu_mm", "IMTTLBR0(1)", "context 1: IMTTLBR0 is"),
    ("ipmmu_mm", "IMTTBCR(1)", "context 1: IMTTBCR is"),
    ("ipmmu_mm", "IMMAIR0(1)", "context 1: IMMAIR0 is"),
    ("ipmmu_mm", "IMCTR(1)", "context 1: IMCTR is"),
    ("ipmmu_ds0", "IMUASID(1)", "uTLB 1: IMUASID is"),
    ("ipmmu_ds0", "IMUCTR(1)", "uTLB 1: IMUCTR is"),
];

/// IMUASID of micro-TLB 1 of IPMMU-DS0. The driver has no use for it and writes
/// 0, which a reset does, too.
const IMUASID_OF_DS0_1: &str = "0xe6740318";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let flush = Fixture::new(bench, Setup::new("stuck-flush", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    let discard = Fixture::new(bench, Setup::new("lost-table", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    vec![
        flush.row("gives_one_message", stuck_flush),
        discard.row("every_register_that_is_lost_is_named", lost_registers),
        discard.row("dma_fails_and_the_fault_is_reported", lost_table),
    ]
}

/// FLUSH never completes: said once, not once a flush, and nothing hangs.
fn stuck_flush(board: &mut Board) -> Result<()> {
    board.dma(&[DMACS[0]])?;
    board.new_messages()?;
    board.set_ipmmu("ipmmu_mm", "flush-stuck", json!(true))?;
    // Stale translations may well spoil it: what matters is that it ends.
    board.try_dma(DMACS[0], 4)?;
    board.set_ipmmu("ipmmu_mm", "flush-stuck", json!(false))?;
    let messages = board.new_messages()?;
    let about_flush: Vec<&str> = complaints(&messages)
        .into_iter()
        .filter(|line| line.to_lowercase().contains("flush"))
        .collect();
    ensure!(
        about_flush.len() == 1,
        "expected one message about the flush, not {about_flush:#?}"
    );
    board.dma(&TWO_IPMMUS).map(drop)
}

/// The write that restores the page table's address is lost: this is what a
/// driver that forgot it would look like, and it must not go unnoticed.
fn lost_table(board: &mut Board) -> Result<()> {
    board.dma(&[DMACS[0]])?;
    let before = board.registers()?;
    board.suspend(|b| b.set_ipmmu("ipmmu_mm", "discard-writes", json!("IMTTLBR0")))?;
    let differing = before.differences(&board.registers()?);
    ensure!(
        !differing.is_empty() && differing.iter().all(|d| d.name.contains("IMTTLBR0")),
        "registers that differ: {differing:?}"
    );
    board.new_messages()?;
    let ktap = board.try_dma(DMACS[0], 1)?;
    ensure!(!ktap.failed.is_empty(), "DMA works without a page table");
    let messages = board.new_messages()?;
    ensure!(!faults(&messages).is_empty(), "no fault was reported");
    Ok(())
}

/// The driver reads back what it restored, and says what is missing.
fn lost_registers(board: &mut Board) -> Result<()> {
    for (ipmmu, register, message) in LOSSES {
        board.sh(&format!("devmem {IMUASID_OF_DS0_1} 32 5"))?;
        board.new_messages()?;
        board.suspend(|b| b.set_ipmmu(ipmmu, "discard-writes", json!(register)))?;
        let messages = board.new_messages()?;
        let named: Vec<&str> = messages
            .lines()
            .filter(|line| line.contains("after resume"))
            .collect();
        ensure!(
            named.len() == 1 && named[0].contains(message),
            "{register} of {ipmmu} was lost, and the driver said {named:#?}"
        );

        // Sleeping once more, on hardware in order, does not bring back what is
        // lost: what was saved is what the hardware held. A new attach would.
        board.set_ipmmu(ipmmu, "discard-writes", json!(""))?;
        board.unload_driver()?;
        board.reload_driver()?;
    }
    board.dma(&TWO_IPMMUS).map(drop)
}
