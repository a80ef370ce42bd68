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

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let flush = Fixture::new(bench, Setup::new("stuck-flush", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    let discard = Fixture::new(bench, Setup::new("lost-table", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    vec![
        flush.row("gives_one_message", stuck_flush),
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
