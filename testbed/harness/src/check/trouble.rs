// SPDX-License-Identifier: GPL-2.0
//! Transitions to sleep that another device aborts, in each phase. Afterwards the system works as
//! before. Needs the module testbed/guest/modules/pm_trouble.c.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::{TWO_IPMMUS, complaints, wait_until};
use super::{Bench, Fixture};
use crate::board::cards::MMC_HOSTS;
use crate::board::dtb::{Dtb, node_of};
use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, device_of};
use crate::board::{Board, Driver, Setup};

const SUSPEND: [&str; 4] = ["prepare", "suspend", "suspend_late", "suspend_noirq"];
const FREEZE: [&str; 4] = ["prepare", "freeze", "freeze_late", "freeze_noirq"];

/// The cache of the first DMA controller.
const CACHE: &str = "ipmmu_ds0";

/// Devices of the module: "first" is suspended before all IPMMUs, and "last" after them.
const DEVICES: [&str; 2] = ["first", "last"];

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let board = Fixture::new(bench, Setup::new("trouble", Driver::Rust), |b| {
        b.load_driver(&DMACS)?;
        let root = IPMMUS[0].1;
        b.sh(&format!("modprobe pm_trouble supplier_of={root}"))?;
        b.dma(&TWO_IPMMUS).map(drop)
    });
    // Only devices that sleep when idle stay behind the IPMMUs. "last" is suspended after the cache
    // and before the root.
    let mut dtb = Dtb::copy(
        &bench.paths,
        &bench.provision.kernel.dtb(),
        "trouble-asleep",
    )?;
    for host in MMC_HOSTS {
        dtb = dtb.delete(&node_of(host.device), "iommus")?;
    }
    let setup = Setup::new("trouble-asleep", Driver::Rust)
        .autosuspend()
        .dtb(dtb.into_path());
    let asleep = Fixture::new(bench, setup, |b| {
        b.load_driver(&DMACS)?;
        b.sh(&format!(
            "modprobe pm_trouble supplier_of={}",
            device_of(CACHE)?
        ))?;
        b.dma(&TWO_IPMMUS).map(drop)
    });
    Ok(vec![
        board.row("suspend_fails_in_each_phase", |b| {
            each_phase(b, "fail", "mem", &SUSPEND)
        }),
        board.row("hibernation_fails_in_each_phase", |b| {
            each_phase(b, "fail", "disk", &FREEZE)
        }),
        board.row("wakeup_arrives_in_each_phase", |b| {
            each_phase(b, "wake", "mem", &SUSPEND)
        }),
        asleep.row("suspend_fails_between_cache_and_root", while_asleep),
        board.row("next_suspend_is_an_ordinary_one", |b| {
            let before = b.registers()?;
            b.suspend(|_| Ok(()))?;
            b.expect_registers(&before)?;
            b.dma(&TWO_IPMMUS).map(drop)
        }),
    ])
}

/// Lets `what` happen in each of `callbacks` of each device, in a transition of its own.
fn each_phase(board: &mut Board, what: &str, state: &str, callbacks: &[&str]) -> Result<()> {
    board.sh("echo deep > /sys/power/mem_sleep")?;
    for device in DEVICES {
        for callback in callbacks {
            spoiled(board, what, state, device, callback)
                .with_context(|| format!("{what} in {callback} of {device}"))?;
        }
    }
    Ok(())
}

fn spoiled(board: &mut Board, what: &str, state: &str, device: &str, callback: &str) -> Result<()> {
    let parameter = format!("/sys/module/pm_trouble/parameters/{what}");
    board.new_messages()?;
    let before = board.registers()?;
    board.sh(&format!("echo {device}:{callback} > {parameter}"))?;
    let output = board.try_sh(&format!("echo {state} > /sys/power/state"))?;
    board.sh(&format!("echo > {parameter}"))?;
    ensure!(output.code != 0, "the transition went through");
    if what == "fail" && callback != "prepare" {
        let failed = board.sh("cat /sys/power/suspend_stats/last_failed_dev")?;
        ensure!(failed.trim() == device, "{failed:?} failed");
    }
    board.expect_registers(&before)?;
    let messages = board.new_messages()?;
    let complaints = complaints(&messages);
    ensure!(complaints.is_empty(), "{complaints:#?}");
    board.dma_briefly(&TWO_IPMMUS)?;
    board.expect_registers(&before)
}

/// A suspend that began while the IPMMUs slept fails. DMA works at once.
fn while_asleep(board: &mut Board) -> Result<()> {
    let power = |ipmmu| Ok::<_, anyhow::Error>(power_of(device_of(ipmmu)?));
    let (cache, root) = (power(CACHE)?, power("ipmmu_mm")?);
    wait_until(board, "the IPMMUs do not sleep", |b| {
        let status = b.sh(&format!("cat {cache}/runtime_status {root}/runtime_status"))?;
        Ok(status.trim() == "suspended\nsuspended")
    })?;
    // The delay outlasts the row: a runtime suspend of both would hide a defect.
    board.sh(&format!("echo 60000 > {cache}/autosuspend_delay_ms"))?;
    board.sh("echo deep > /sys/power/mem_sleep")?;
    board.sh("echo last:suspend_noirq > /sys/module/pm_trouble/parameters/fail")?;
    let output = board.try_sh("echo mem > /sys/power/state")?;
    ensure!(output.code != 0, "the transition went through");
    board.dma_briefly(&DMACS[..1])
}

fn power_of(device: &str) -> String {
    format!("/sys/bus/platform/devices/{device}/power")
}
