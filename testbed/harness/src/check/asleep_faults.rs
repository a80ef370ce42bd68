// SPDX-License-Identifier: GPL-2.0
//! Faults during a suspend, when interrupts are no longer delivered. The guest's module
//! testbed/guest/modules/pm_trouble.c starts the DMA channel that causes them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::UNMAPPED;
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

/// Callbacks (device and phase) before the first IPMMU is suspended, and after the last one.
const BEFORE: &str = "first:suspend_noirq";
const AFTER: &str = "last:suspend_noirq";

const CHANNEL: u64 = 0xe670_8000;
const PARAMETERS: &str = "/sys/module/pm_trouble/parameters";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let board = Fixture::new(bench, Setup::new("asleep-faults", Driver::Rust), |b| {
        b.load_driver(&DMACS)?;
        b.wait_for_channels(&DMACS)?;
        let root = IPMMUS[0].1;
        b.sh(&format!(
            "modprobe pm_trouble supplier_of={root} channel={CHANNEL:#x}"
        ))
        .map(drop)
    });
    vec![
        board.row("pending_when_it_falls_asleep", |b| {
            let told = faults_in(b, BEFORE, |b| b.suspend(|_| Ok(())).map(drop))?;
            expect_one(&told, "Unhandled fault")
        }),
        board.row("told_apart_if_it_comes_later", |b| {
            let told = faults_in(b, AFTER, turn_around)?;
            expect_one(&told, "Fault during sleep")
        }),
        board.row("lost_with_the_power", |b| {
            let told = faults_in(b, AFTER, |b| b.suspend(|_| Ok(())).map(drop))?;
            ensure!(told.is_empty(), "{told:?}");
            Ok(())
        }),
    ]
}

/// Makes a master fault in `callback` during a suspend. Returns the messages about faults. Fails
/// unless registers and DMA are as before.
fn faults_in(
    board: &mut Board,
    callback: &str,
    sleep: impl FnOnce(&mut Board) -> Result<()>,
) -> Result<Vec<String>> {
    let before = board.registers()?.in_use();
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
    board.expect_in_use(&before)?;
    board.dma_briefly(&DMACS)?;
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

fn expect_one(told: &[String], says: &str) -> Result<()> {
    let [line] = told else {
        anyhow::bail!("not one line: {told:#?}");
    };
    let context = || format!("the line is {line}");
    for part in [says, DMACS[0], &format!("{UNMAPPED:x}")] {
        line.contains(part).then_some(()).with_context(context)?;
    }
    Ok(())
}
