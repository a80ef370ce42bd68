// SPDX-License-Identifier: GPL-2.0
//! Faults: reports in the log and as trace events, counts, and storms.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::common::{UNMAPPED, faults, unmapped_access_faults, wait_until};
use super::feature::{C, Feature, Pair, Part};
use super::{Bench, groups};
use crate::board::Board;
use crate::board::guest::DMACS;

const STORM: u64 = 100_000;
/// Enough faults that the log shows only a few of them.
const SQUALL: u64 = 1_000;

/// The largest number of log lines for a storm. The rate limit lets ten reports through in five
/// seconds, of one or two lines each.
const LINES_PER_STORM: usize = 200;

pub(super) const CONTEXTS: &str = "/sys/kernel/debug/ipmmu/e67b0000.iommu/contexts";
const TRACING: &str = "/sys/kernel/tracing";

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = groups::roomy(bench, "faults")?;
    let pair = Pair::new(bench, setup, |b| b.load_driver(&[]))
        .feature(ONE_FAULT, unmapped_access_faults)
        .feature(DEVICE_IS_NAMED, device_is_named)
        .feature(TRACE_NAMES_DEVICE, trace_names_device)
        .feature(STORM_IS_SURVIVED, storm_is_survived)
        .feature(EVERY_FAULT_COUNTS, every_fault_counts);
    Ok(pair.rows().collect())
}

const ONE_FAULT: Feature = Feature {
    id: "fault_is_reported",
    part: Part::Faults,
    says: "An access to an address that is not mapped is stopped and reported, with its IOVA.",
    c: C::Works,
};

const DEVICE_IS_NAMED: Feature = Feature {
    id: "fault_names_device",
    part: Part::Faults,
    says: "The report says which device, which context, and why, in words.",
    c: C::Fails("is not named"),
};

const TRACE_NAMES_DEVICE: Feature = Feature {
    id: "trace_names_device",
    part: Part::Faults,
    says: "The trace event io_page_fault names the device.",
    c: C::Fails("does not name"),
};

const STORM_IS_SURVIVED: Feature = Feature {
    id: "fault_storm",
    part: Part::Faults,
    says: "A storm of 100,000 faults neither locks up the machine nor floods the log.",
    c: C::Works,
};

const EVERY_FAULT_COUNTS: Feature = Feature {
    id: "faults_are_counted",
    part: Part::Faults,
    says: "debugfs has the number of faults of each context, also of those not shown in the log.",
    c: C::Fails(CONTEXTS),
};

/// Makes the first DMA controller fault once, and returns the new messages.
fn fault(board: &mut Board) -> Result<String> {
    board.new_messages()?;
    board.test(&format!("fault.sh {} 0 {UNMAPPED:#x}", DMACS[0]))?;
    board.new_messages()
}

fn device_is_named(board: &mut Board) -> Result<()> {
    let messages = fault(board)?;
    let mut lines = messages.lines().filter(|l| l.contains("Unhandled fault"));
    let line = lines.next().context("no fault was reported")?;
    for part in [DMACS[0], "context ", "not mapped"] {
        ensure!(line.contains(part), "{part:?} is not named: {line}");
    }
    let other = DMACS[1..].iter().find(|d| line.contains(**d));
    ensure!(other.is_none(), "{other:?} did nothing, and is named");
    Ok(())
}

fn trace_names_device(board: &mut Board) -> Result<()> {
    let event = format!("{TRACING}/events/iommu/io_page_fault/enable");
    board.sh(&format!("echo > {TRACING}/trace; echo 1 > {event}"))?;
    fault(board)?;
    board.sh(&format!("echo 0 > {event}"))?;
    let trace = board.sh(&format!("cat {TRACING}/trace"))?;
    let lines: Vec<&str> = trace
        .lines()
        .filter(|l| l.contains("io_page_fault:"))
        .collect();
    ensure!(lines.len() == 1, "one fault gave {} events", lines.len());
    let iova = format!("iova=0x{UNMAPPED:016x}");
    ensure!(lines[0].contains(&iova), "not {iova}: {}", lines[0]);
    ensure!(
        lines[0].contains(DMACS[0]),
        "the event does not name {}: {}",
        DMACS[0],
        lines[0].trim()
    );
    Ok(())
}

/// Causes a fault that recurs `times` times, upon each acknowledgement. Returns the messages.
fn storm(board: &mut Board, times: u64) -> Result<String> {
    let before = board.count("ipmmu_mm", "faults")?;
    board.set_ipmmu("ipmmu_mm", "storm", json!(times))?;
    let mut messages = fault(board)?;
    // The device has reported its error by now, but the storm may go on.
    wait_until(board, "the storm is not acknowledged", |b| {
        Ok(b.count("ipmmu_mm", "storm")? == 0)
    })?;
    messages += &board.new_messages()?;
    let raised = board.count("ipmmu_mm", "faults")? - before;
    ensure!(raised == times + 1, "{raised} faults were raised");
    Ok(messages)
}

fn storm_is_survived(board: &mut Board) -> Result<()> {
    let messages = storm(board, STORM)?;
    let lines = messages.lines().count();
    ensure!(lines <= LINES_PER_STORM, "{lines} lines were logged");
    ensure!(!faults(&messages).is_empty(), "none was reported");
    for sign in ["stall", "lockup", "nobody cared"] {
        ensure!(!messages.contains(sign), "there was a {sign}");
    }
    let registers = board.registers()?;
    board.dma(&DMACS)?;
    board.expect_registers(&registers)?;
    board.suspend(|_| Ok(()))?;
    board.expect_registers(&registers)?;
    board.dma(&DMACS).map(drop)
}

/// Returns the number of faults that debugfs shows for the first DMA controller's context.
fn counted(board: &mut Board) -> Result<u64> {
    let contexts = board.sh(&format!("cat {CONTEXTS}"))?;
    // The lines after a context's own list its devices.
    let of_device = contexts.split("context ").find(|c| c.contains(DMACS[0]));
    let line = of_device
        .and_then(|context| context.lines().next())
        .with_context(|| format!("{} is not in {contexts}", DMACS[0]))?;
    let words: Vec<&str> = line.split([' ', ',']).collect();
    let at = words.iter().position(|w| *w == "faults");
    at.and_then(|at| words[at.checked_sub(1)?].parse().ok())
        .with_context(|| format!("no number of faults in {line:?}"))
}

fn every_fault_counts(board: &mut Board) -> Result<()> {
    let before = counted(board)?;
    storm(board, SQUALL)?;
    let counted = counted(board)? - before;
    ensure!(counted == SQUALL + 1, "{counted} faults were counted");
    Ok(())
}
