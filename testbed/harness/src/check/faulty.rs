// SPDX-License-Identifier: GPL-2.0
//! This driver on hardware that misbehaves.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::common::{TWO_IPMMUS, complaints};
use super::groups::change_type;
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::registers::{PARKING, device_of};
use crate::board::{Board, Driver, Setup};

/// The cache of the first DMA controller, the controller's micro-TLBs, and one that Linux uses.
const CACHE: &str = "ipmmu_ds0";
const UTLBS: Range<u32> = 0..16;
const UTLB: u32 = 1;
const ROOT: &str = "ipmmu_mm";

/// Distances between contexts and between micro-TLBs, and offsets of registers.
const CONTEXT_STRIDE: u32 = 0x40;
const IMTTLBR0: u32 = 0x10;
const IMUCTR: u32 = 0x300;
const IMUASID: u32 = 0x308;
const UTLB_STRIDE: u32 = 0x10;
const IMSCTLR: u32 = 0x500;
pub(super) const IMSAUXCTLR: u32 = 0x504;

/// The part of an IPMMU that a register belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The context of the first controller's group.
    Context,
    /// The micro-TLB [`UTLB`].
    Utlb,
    Control,
}

/// A register that the hardware loses at resume.
struct Loss {
    ipmmu: &'static str,
    register: &'static str,
    part: Part,
    /// If the driver leaves 0 in the register, as a reset does: its offset in the first context or
    /// micro-TLB, and a value that is written before the loss.
    before: Option<(u32, u32)>,
}

const fn loss(
    ipmmu: &'static str,
    register: &'static str,
    part: Part,
    before: Option<(u32, u32)>,
) -> Loss {
    Loss {
        ipmmu,
        register,
        part,
        before,
    }
}

/// A register that holds 0, as tables are below 4 GiB on this board.
const HOLDS_ZERO: &str = "IMTTUBR0";

/// One register of each kind that the H3 has.
const LOSSES: [Loss; 10] = [
    loss(ROOT, "IMTTLBR0", Part::Context, None),
    loss(ROOT, "IMTTUBR0", Part::Context, None),
    loss(ROOT, "IMTTBCR", Part::Context, None),
    loss(ROOT, "IMMAIR0", Part::Context, None),
    loss(ROOT, "IMCTR", Part::Context, None),
    loss(CACHE, "IMCTR", Part::Context, None),
    loss(CACHE, "IMUASID", Part::Utlb, Some((IMUASID, 5))),
    loss(CACHE, "IMUCTR", Part::Utlb, None),
    loss(CACHE, "IMSCTLR", Part::Control, Some((IMSCTLR, 2))),
    loss(CACHE, "IMSAUXCTLR", Part::Control, Some((IMSAUXCTLR, 8))),
];

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let flush = Fixture::new(bench, Setup::new("stuck-flush", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    let prepare = |b: &mut Board| {
        b.load_driver(&DMACS)?;
        b.wait_for_channels(&DMACS)
    };
    let discard = Fixture::new(bench, Setup::new("lost-table", Driver::Rust), prepare);
    // Reset values are random here, so that a lost register is also wrong if it must hold 0.
    let setup = Setup::new("lost-zero", Driver::Rust).unkind("reset");
    let random = Fixture::new(bench, setup, prepare);
    vec![
        flush.row("gives_one_message", stuck_flush),
        flush.row("is_noticed_at_resume", stuck_at_resume),
        discard.row("every_register_that_is_lost_is_named", |b| {
            lost_registers(b, |loss| loss.register != HOLDS_ZERO)
        }),
        random.row("every_register_that_is_lost_is_named", |b| {
            lost_registers(b, |loss| loss.part != Part::Control)
        }),
        discard.row("the_rest_of_the_context_stays_off", lost_table),
        discard.row("parking_that_is_lost_is_named_and_off", lost_parking),
        discard.row("an_attach_does_not_open_what_is_lost", attach_lost),
        discard.row("what_was_wrong_before_is_right_after", wrong_before),
        flush.row("keeps_the_next_table_from_being_used", stuck_at_attach),
    ]
}

/// Expects one message, not one for each flush, if FLUSH never completes. Nothing hangs.
fn stuck_flush(board: &mut Board) -> Result<()> {
    board.dma(&[DMACS[0]])?;
    board.new_messages()?;
    board.set_ipmmu("ipmmu_mm", "flush-stuck", json!(true))?;
    // Stale translations may spoil the data: the transfers only have to end.
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

/// Expects resume to wait for the flush of each restored context until one timeout is reported.
fn stuck_at_resume(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    board.suspend(|b| b.set_ipmmu("ipmmu_mm", "flush-stuck", json!(true)))?;
    let messages = board.new_messages()?;
    board.set_ipmmu("ipmmu_mm", "flush-stuck", json!(false))?;
    let stuck: Vec<&str> = messages
        .lines()
        .filter(|line| line.contains("TLB flush") && line.contains("timed out"))
        .collect();
    for context in 1..=DMACS.len() {
        let of_it = format!("context {context} ");
        let times = stuck.iter().filter(|line| line.contains(&of_it)).count();
        ensure!(times == 1, "{of_it} {times} times in {stuck:#?}");
    }
    board.dma(&TWO_IPMMUS).map(drop)
}

/// Returns the context of the first controller's group.
fn context(board: &mut Board) -> Result<u32> {
    let context = board.registers()?.context_of(CACHE, UTLB);
    context.context("the first controller is not translated")
}

/// Discards the write that restores the page table's address, as if the driver had omitted it. The
/// context stays off, its micro-TLBs point to parking, and no other registers change.
fn lost_table(board: &mut Board) -> Result<()> {
    board.dma_briefly(&DMACS)?;
    let context = context(board)?;
    let before = board.registers()?.in_use();
    let register = format!("IMTTLBR0({context})");
    board.suspend(|b| b.set_ipmmu(ROOT, "discard-writes", json!(register)))?;
    let after = board.registers()?.in_use();
    expect_closed(board, context, None)?;
    let is_of_it = |name: &str| {
        let of_utlb = |n| name == format!("{CACHE}.IMUCTR({n})");
        // The cache's micro-TLBs are parked.
        name.ends_with(&format!("({context})")) && !name.contains(".IMU")
            || name == format!("{CACHE}.IMCTR({PARKING})")
            || UTLBS.clone().any(of_utlb)
    };
    let differing = before.differences(&after);
    ensure!(
        differing.iter().all(|d| is_of_it(&d.name)),
        "registers that differ: {differing:?}"
    );
    recover(board, ROOT, Part::Context)
}

/// Discards the table's address at an attach. The attach reports it, and nothing gets through.
fn attach_lost(board: &mut Board) -> Result<()> {
    let context = context(board)?;
    board.new_messages()?;
    change_type(board, DMACS[0], "identity")?;
    // Clears the old address: the new table may have the same one.
    let base = base_of(ROOT)?;
    let register = base + CONTEXT_STRIDE * context + IMTTLBR0;
    board.sh(&format!("devmem {register:#x} 32 0"))?;
    board.set_ipmmu(
        ROOT,
        "discard-writes",
        json!(format!("IMTTLBR0({context})")),
    )?;
    change_type(board, DMACS[0], "DMA")?;
    let messages = board.new_messages()?;
    let named = format!("context {context}: IMTTLBR0 is 0x");
    ensure!(
        messages.contains(&named) && messages.contains("after attach"),
        "the driver said {messages}"
    );
    expect_closed(board, context, None)?;
    recover(board, ROOT, Part::Context)
}

/// Returns the address of an IPMMU, by its label.
pub(super) fn base_of(ipmmu: &str) -> Result<u32> {
    let address = device_of(ipmmu)?.split('.').next().unwrap_or_default();
    Ok(u32::from_str_radix(address, 16)?)
}

/// Clears two registers that control access. Suspend does not save that; resume corrects them.
fn wrong_before(board: &mut Board) -> Result<()> {
    let context = context(board)?;
    // Reports the faults of earlier rows.
    board.suspend(|_| Ok(()))?;
    let before = board.registers()?.in_use();
    let base = base_of(CACHE)?;
    for register in [
        base + CONTEXT_STRIDE * context,
        base + IMUCTR + UTLB_STRIDE * UTLB,
    ] {
        board.sh(&format!("devmem {register:#x} 32 0"))?;
    }
    board.new_messages()?;
    board.suspend(|_| Ok(()))?;
    let messages = board.new_messages()?;
    let named = format!("uTLB {UTLB}: IMUCTR is 0x00000000 at suspend");
    ensure!(messages.contains(&named), "the driver said {messages}");
    let differing = before.differences(&board.registers()?.in_use());
    ensure!(differing.is_empty(), "registers that differ: {differing:?}");
    board.dma_briefly(&DMACS)
}

/// Prevents the flushes of the former table and of the new one from completing. Nothing gets
/// through, as the root may still have translations of the former table.
fn stuck_at_attach(board: &mut Board) -> Result<()> {
    let context = context(board)?;
    board.set_ipmmu(ROOT, "flush-stuck", json!(true))?;
    change_type(board, DMACS[0], "identity")?;
    change_type(board, DMACS[0], "DMA")?;
    board.set_ipmmu(ROOT, "flush-stuck", json!(false))?;
    expect_closed(board, context, None)?;
    board.new_messages()?;
    recover(board, ROOT, Part::Context)
}

/// Discards the write that restores parking's table. Parking stays off, and groups are unaffected.
fn lost_parking(board: &mut Board) -> Result<()> {
    board.dma_briefly(&DMACS)?;
    board.new_messages()?;
    let register = format!("IMTTLBR0({PARKING})");
    board.suspend(|b| b.set_ipmmu(ROOT, "discard-writes", json!(register)))?;
    expect_named(board, ROOT, &format!("context {PARKING}"), "IMTTLBR0")?;
    let imctr = board.registers()?.get(ROOT, &format!("IMCTR({PARKING})"));
    ensure!(imctr & 1 == 0, "parking is on, without its table");
    board.dma_briefly(&DMACS)?;
    // The next resume programs parking without saved registers.
    board.set_ipmmu(ROOT, "discard-writes", json!(""))?;
    board.suspend(|_| Ok(()))?;
    let imctr = board.registers()?.get(ROOT, &format!("IMCTR({PARKING})"));
    ensure!(imctr & 1 != 0, "parking stays off");
    board.dma_briefly(&DMACS)
}

/// Discards, one after the other, writes with which resume restores registers. The driver must name
/// the register and fail the device's resume. Nothing may get through an affected context.
fn lost_registers(board: &mut Board, is_tried: impl Fn(&Loss) -> bool) -> Result<()> {
    for loss in LOSSES.iter().filter(|loss| is_tried(loss)) {
        lost_register(board, loss)
            .with_context(|| format!("{} of {} was lost", loss.register, loss.ipmmu))?;
    }
    board.dma(&TWO_IPMMUS).map(drop)
}

fn lost_register(board: &mut Board, loss: &Loss) -> Result<()> {
    let device = device_of(loss.ipmmu)?;
    let context = context(board)?;
    let (part, register, first) = match loss.part {
        Part::Context => (
            format!("context {context}"),
            format!("{}({context})", loss.register),
            CONTEXT_STRIDE * context,
        ),
        Part::Utlb => (
            format!("uTLB {UTLB}"),
            format!("{}({UTLB})", loss.register),
            UTLB_STRIDE * UTLB,
        ),
        Part::Control => ("control".into(), loss.register.into(), 0),
    };
    if let Some((offset, value)) = loss.before {
        let base = device.split('.').next().unwrap_or_default();
        let address = u32::from_str_radix(base, 16)? + offset + first;
        board.sh(&format!("devmem {address:#x} 32 {value}"))?;
    }
    let failed = failed_resumes(board)?;
    board.new_messages()?;
    board.suspend(|b| b.set_ipmmu(loss.ipmmu, "discard-writes", json!(register)))?;
    expect_named(board, loss.ipmmu, &part, loss.register)?;
    let failed = failed_resumes(board)? - failed;
    let last = board.sh(&format!("cat {STATS}/last_failed_dev"))?;
    ensure!(
        failed == 1 && last.trim() == device,
        "{failed} devices failed to resume, the last is {last}"
    );
    match loss.part {
        // A micro-TLB that cannot be written cannot be parked either.
        Part::Utlb => expect_closed(board, context, Some(UTLB))?,
        Part::Context => expect_closed(board, context, None)?,
        Part::Control => board.dma_briefly(&DMACS)?,
    }
    recover(board, loss.ipmmu, loss.part)
}

/// Fails unless the only message about registers after resume names this one.
fn expect_named(board: &mut Board, ipmmu: &str, part: &str, register: &str) -> Result<()> {
    let messages = board.new_messages()?;
    let named: Vec<&str> = messages
        .lines()
        .filter(|line| line.contains("after resume"))
        .collect();
    let wanted = format!("{}: {part}: {register} is 0x", device_of(ipmmu)?);
    let is_right = |line: &str| line.contains(&wanted) && line.contains(" expected");
    ensure!(
        named.len() == 1 && is_right(named[0]),
        "the driver said {named:#?}"
    );
    Ok(())
}

/// Fails unless the first controller, in `context`, reaches nothing, and DMA of the others works.
/// The micro-TLB `lost` cannot be written: it is not checked, and no DMA is tried.
fn expect_closed(board: &mut Board, context: u32, lost: Option<u32>) -> Result<()> {
    let registers = board.registers()?;
    for ipmmu in [ROOT, CACHE] {
        let imctr = registers.get(ipmmu, &format!("IMCTR({context})"));
        ensure!(imctr & 1 == 0, "context {context} is on in {ipmmu}");
    }
    for utlb in UTLBS.filter(|utlb| Some(*utlb) != lost) {
        let now = registers.context_of(CACHE, utlb);
        ensure!(
            now == Some(PARKING),
            "uTLB {utlb} points to {now:?} instead of parking"
        );
    }
    if lost.is_none() {
        let faults = board.count(ROOT, "faults")?;
        let ktap = board.try_dma(DMACS[0], 1)?;
        ensure!(!ktap.failed.is_empty(), "DMA gets through");
        ensure!(
            board.count(ROOT, "faults")? > faults,
            "it is not the IPMMU that keeps DMA from getting through"
        );
    }
    board.dma_briefly(&DMACS[1..])
}

/// Makes the hardware accept writes again. Changes of the domain reprogram the context.
fn recover(board: &mut Board, ipmmu: &str, part: Part) -> Result<()> {
    board.set_ipmmu(ipmmu, "discard-writes", json!(""))?;
    if part != Part::Control {
        change_type(board, DMACS[0], "identity")?;
        change_type(board, DMACS[0], "DMA")?;
    }
    board.wait_for_channels(&DMACS)?;
    board.dma_briefly(&DMACS)
}

/// Statistics of the PM core about suspends.
const STATS: &str = "/sys/power/suspend_stats";

fn failed_resumes(board: &mut Board) -> Result<u32> {
    let count = board.sh(&format!("cat {STATS}/failed_resume_noirq"))?;
    Ok(count.trim().parse()?)
}
