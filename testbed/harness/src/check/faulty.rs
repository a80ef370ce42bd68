// SPDX-License-Identifier: GPL-2.0
//! Our driver on hardware that does not do what it should.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::common::{TWO_IPMMUS, complaints, faults};
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::registers::device_of;
use crate::board::{Board, Driver, Setup};

/// A register that the hardware can lose at resume.
struct Loss {
    ipmmu: &'static str,
    register: &'static str,
    /// Of what it is, as the driver puts it.
    part: &'static str,
    /// Where it is and what to write there before, if the driver leaves a 0 in it:
    /// a reset does, too.
    before: Option<(u32, u32)>,
}

const fn loss(
    ipmmu: &'static str,
    register: &'static str,
    part: &'static str,
    before: Option<(u32, u32)>,
) -> Loss {
    Loss {
        ipmmu,
        register,
        part,
        before,
    }
}

/// One of each that an H3 has. Nobody uses context 1 while its table is elsewhere.
const LOSSES: [Loss; 10] = [
    loss("ipmmu_mm", "IMTTLBR0(1)", "context 1", None),
    loss(
        "ipmmu_mm",
        "IMTTUBR0(1)",
        "context 1",
        Some((0xe67b_0054, 1)),
    ),
    loss("ipmmu_mm", "IMTTBCR(1)", "context 1", None),
    loss("ipmmu_mm", "IMMAIR0(1)", "context 1", None),
    loss("ipmmu_mm", "IMCTR(1)", "context 1", None),
    loss("ipmmu_ds0", "IMCTR(1)", "context 1", None),
    loss("ipmmu_ds0", "IMUASID(1)", "uTLB 1", Some((0xe674_0318, 5))),
    loss("ipmmu_ds0", "IMUCTR(1)", "uTLB 1", None),
    loss("ipmmu_ds0", "IMSCTLR", "control", Some((0xe674_0500, 2))),
    loss("ipmmu_ds0", "IMSAUXCTLR", "control", Some((0xe674_0504, 8))),
];

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let flush = Fixture::new(bench, Setup::new("stuck-flush", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    let discard = Fixture::new(bench, Setup::new("lost-table", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    vec![
        flush.row("gives_one_message", stuck_flush),
        flush.row("is_noticed_at_resume", stuck_at_resume),
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

/// What is restored is flushed, and that is waited for: once per context, and not
/// for ever.
fn stuck_at_resume(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    board.suspend(|b| b.set_ipmmu("ipmmu_mm", "flush-stuck", json!(true)))?;
    let messages = board.new_messages()?;
    board.set_ipmmu("ipmmu_mm", "flush-stuck", json!(false))?;
    let stuck: Vec<&str> = messages
        .lines()
        .filter(|line| line.contains("TLB flush does not complete"))
        .collect();
    for context in 1..=DMACS.len() {
        let of_it = format!("context {context}:");
        let times = stuck.iter().filter(|line| line.contains(&of_it)).count();
        ensure!(times == 1, "{of_it} {times} times in {stuck:#?}");
    }
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

/// The driver reads back what it restored, says what is missing, counts it, and
/// has the resume of the device fail.
fn lost_registers(board: &mut Board) -> Result<()> {
    for loss in &LOSSES {
        lost_register(board, loss)
            .with_context(|| format!("{} of {} was lost", loss.register, loss.ipmmu))?;

        // Sleeping once more, on hardware in order, does not bring back what is
        // lost: what was saved is what the hardware held. A new attach would.
        board.set_ipmmu(loss.ipmmu, "discard-writes", json!(""))?;
        board.unload_driver()?;
        board.reload_driver()?;
    }
    board.dma(&TWO_IPMMUS).map(drop)
}

fn lost_register(board: &mut Board, loss: &Loss) -> Result<()> {
    let device = device_of(loss.ipmmu)?;
    if let Some((address, value)) = loss.before {
        board.sh(&format!("devmem {address:#x} 32 {value}"))?;
    }
    let failed = failed_resumes(board)?;
    board.new_messages()?;
    board.suspend(|b| b.set_ipmmu(loss.ipmmu, "discard-writes", json!(loss.register)))?;
    let messages = board.new_messages()?;
    let named: Vec<&str> = messages
        .lines()
        .filter(|line| line.contains("after resume"))
        .collect();
    let register = loss.register.split('(').next().unwrap_or_default();
    let wanted = format!("{device}: {}: {register} is", loss.part);
    ensure!(
        named.len() == 1 && named[0].contains(&wanted),
        "the driver said {named:#?}"
    );
    let counted = board.sh(&format!("cat /sys/kernel/debug/ipmmu/{device}/saved"))?;
    ensure!(counted.contains(" 1 registers lost"), "counted: {counted}");
    let failed = failed_resumes(board)? - failed;
    let last = board.sh(&format!("cat {STATS}/last_failed_dev"))?;
    ensure!(
        failed == 1 && last.trim() == device,
        "{failed} devices failed to resume, the last is {last}"
    );
    Ok(())
}

/// What the PM core says of how devices slept.
const STATS: &str = "/sys/power/suspend_stats";

fn failed_resumes(board: &mut Board) -> Result<u32> {
    let count = board.sh(&format!("cat {STATS}/failed_resume_noirq"))?;
    Ok(count.trim().parse()?)
}
