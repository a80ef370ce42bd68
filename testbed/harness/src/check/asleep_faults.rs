// SPDX-License-Identifier: GPL-2.0
//! Faults during a suspend, when interrupts are no longer delivered. The guest's module
//! testbed/guest/modules/pm_trouble.c starts the DMA channel that causes them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::common::UNMAPPED;
use super::faults::CONTEXTS;
use super::{Bench, Fixture, vfio};
use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, PARKING};
use crate::board::{Board, Driver, Setup};

/// Callbacks (device and phase) before the first IPMMU is suspended, and after the last one.
const BEFORE: &str = "first:suspend_noirq";
const AFTER: &str = "last:suspend_noirq";

const CHANNEL: u64 = 0xe670_8000;
const PARAMETERS: &str = "/sys/module/pm_trouble/parameters";

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let board = Fixture::new(bench, Setup::new("asleep-faults", Driver::Rust), |b| {
        b.load_driver(&DMACS)?;
        trouble(b)
    });
    let blocked = Fixture::new(bench, vfio::setup(bench, "asleep-blocked")?, |b| {
        b.load_driver(&DMACS)?;
        b.expect_bound_except(&[])?;
        b.test(&format!("userdma {} take", vfio::DEVICE))?;
        trouble(b)
    });
    Ok(vec![
        board.row("pending_when_it_falls_asleep", |b| {
            let told = faults_in(b, BEFORE, |b| b.suspend(|_| Ok(())).map(drop))?;
            expect_one(&told, "Unhandled fault", DMACS[0])
        }),
        board.row("told_apart_if_it_comes_later", |b| {
            let told = faults_in(b, AFTER, turn_around)?;
            expect_one(&told, "Fault during sleep", DMACS[0])
        }),
        board.row("lost_with_the_power", |b| {
            let told = faults_in(b, AFTER, |b| b.suspend(|_| Ok(())).map(drop))?;
            ensure!(told.is_empty(), "{told:?}");
            Ok(())
        }),
        blocked.row("pending_in_parking", pending_in_parking),
    ])
}

/// Loads the module that starts the channel, and waits until the channels can be used.
fn trouble(board: &mut Board) -> Result<()> {
    board.wait_for_channels(&DMACS)?;
    let root = IPMMUS[0].1;
    let load = format!("modprobe pm_trouble supplier_of={root} channel={CHANNEL:#x}");
    board.sh(&load).map(drop)
}

/// A parked master faults before its root falls asleep. The fault is told with the name of the only
/// client that is blocked, though power is lost. The master is parked as its table was lost.
fn pending_in_parking(board: &mut Board) -> Result<()> {
    board.sh(&format!(
        "/tests/userdma {} blocked > /tmp/blocked & \
         until grep -q holding /tmp/blocked; do usleep 1000; done",
        vfio::DEVICE
    ))?;
    let utlb = board.registers()?.context_of("ipmmu_ds0", 0);
    let table = format!("IMTTLBR0({})", utlb.context("uTLB 0 is off")?);
    board.suspend(|b| b.set_ipmmu("ipmmu_mm", "discard-writes", json!(table)))?;
    board.set_ipmmu("ipmmu_mm", "discard-writes", json!(""))?;
    let parked = board.registers()?.context_of("ipmmu_ds0", 0);
    ensure!(parked == Some(PARKING), "uTLB 0 points to {parked:?}");

    let told = start_in(board, BEFORE, |b| b.suspend(|_| Ok(())).map(drop))?;
    board.sh("kill $(pidof userdma)")?;
    expect_one(&told, "Unhandled fault", vfio::DEVICE)?;
    board.dma_briefly(&DMACS)
}

/// Makes a master fault in `callback` during a suspend. Returns the messages about faults. Fails
/// unless the fault is counted if it is told, and registers and DMA are as before.
fn faults_in(
    board: &mut Board,
    callback: &str,
    sleep: impl FnOnce(&mut Board) -> Result<()>,
) -> Result<Vec<String>> {
    let before = board.registers()?.in_use();
    let count = counted(board)?;
    let told = start_in(board, callback, sleep)?;
    let count = counted(board)? - count;
    ensure!(count == told.len() as u64, "{count} were counted: {told:?}");
    board.expect_in_use(&before)?;
    board.dma_briefly(&DMACS)?;
    Ok(told)
}

/// Returns the number of faults of all contexts that debugfs shows, parking's among them.
fn counted(board: &mut Board) -> Result<u64> {
    let count =
        format!(r"grep -o '[0-9]* faults' {CONTEXTS} | awk '{{ n += $1 }} END {{ print n }}'");
    Ok(board.sh(&count)?.trim().parse()?)
}

/// Starts a DMA channel that faults in `callback`. Returns the messages about faults.
fn start_in(
    board: &mut Board,
    callback: &str,
    sleep: impl FnOnce(&mut Board) -> Result<()>,
) -> Result<Vec<String>> {
    let faults = board.count("ipmmu_mm", "faults")?;
    let prepare = format!("/tests/fault.sh {} 0 {UNMAPPED:#x} later", DMACS[0]);
    board.sh(&format!("{prepare}; echo {callback} > {PARAMETERS}/start"))?;
    board.new_messages()?;
    sleep(board)?;
    let messages = board.new_messages()?;
    board.sh(&format!(
        "echo > {PARAMETERS}/start; echo auto > /sys/bus/platform/devices/{}/power/control",
        DMACS[0]
    ))?;
    let raised = board.count("ipmmu_mm", "faults")? - faults;
    ensure!(raised == 1, "{raised} faults were raised: {messages}");
    let of_fault = |line: &&str| line.to_lowercase().contains("fault");
    Ok(messages.lines().filter(of_fault).map(Into::into).collect())
}

/// Suspends until all devices sleep but still have power, and resumes.
pub(super) fn turn_around(board: &mut Board) -> Result<()> {
    board.sh("echo 0 > /sys/module/suspend/parameters/pm_test_delay")?;
    board.sh("echo deep > /sys/power/mem_sleep; echo core > /sys/power/pm_test")?;
    let slept = board.sh("echo mem > /sys/power/state");
    board.sh("echo none > /sys/power/pm_test")?;
    slept.map(drop)
}

fn expect_one(told: &[String], says: &str, client: &str) -> Result<()> {
    let [line] = told else {
        anyhow::bail!("not one line: {told:#?}");
    };
    let context = || format!("the line is {line}");
    for part in [says, client, &format!("{UNMAPPED:x}")] {
        line.contains(part).then_some(()).with_context(context)?;
    }
    Ok(())
}
