// SPDX-License-Identifier: GPL-2.0
//! This driver across suspend and resume.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::TWO_IPMMUS;
use super::{Bench, Fixture};
use crate::board::console::Output;
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};
use crate::soak;

const CYCLES: u32 = 100;
const LIMIT: Duration = Duration::from_secs(60);

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let idle = Fixture::new(bench, Setup::new("sleep-idle", Driver::Rust), |b| {
        b.load_driver(&[])
    });
    let board = Fixture::new(bench, Setup::new("sleep", Driver::Rust), |b| {
        b.load_driver(&DMACS)?;
        b.wait_for_channels(&DMACS)
    });
    let setup = soak::setup(&bench.paths, &bench.provision.kernel.dtb())?;
    let busy = Fixture::new(bench, setup, |b| b.load_driver(&DMACS));
    Ok(vec![
        busy.row("a_hundred_cycles_under_load", |b| {
            soak::soak(b, CYCLES, &mut soak::Report::default(), |_| Ok(()))
        }),
        idle.row("suspend_without_channels", sleep_and_compare),
        board.row("suspend_before_any_dma", sleep_and_compare),
        board.row("suspend_with_channels", |b| {
            b.dma(&TWO_IPMMUS)?;
            sleep_and_compare(b)
        }),
        board.row("suspend_to_idle", suspend_to_idle),
        board.row("every_other_state_on_offer", every_other_state),
        board.row("abort_at_each_stage", abort_at_each_stage),
        board.row("abort_by_pending_wakeup", abort_by_pending_wakeup),
        board.row("a_hundred_cycles", a_hundred_cycles),
    ])
}

/// The SoC loses its registers in a suspend, and the driver restores every one.
pub fn sleep_and_compare(board: &mut Board) -> Result<()> {
    let before = board.registers()?;
    board.suspend_and_compare()?;
    board.dma(&TWO_IPMMUS)?;
    board.expect_registers(&before)
}

/// In suspend-to-idle the power stays on: the registers are still there at resume.
fn suspend_to_idle(board: &mut Board) -> Result<()> {
    let before = board.registers()?;
    board.sh("echo s2idle > /sys/power/mem_sleep")?;
    let output = sleep_until_typing(board, "mem", Duration::from_secs(1))?;
    board.sh("echo deep > /sys/power/mem_sleep")?;
    ensure!(output.code == 0, "the suspend failed: {}", output.text);
    board.expect_registers(&before)?;
    board.dma(&TWO_IPMMUS).map(drop)
}

/// All states except `mem` and hibernation, which have rows of their own: `freeze`, and `standby`
/// where the firmware supports it.
fn every_other_state(board: &mut Board) -> Result<()> {
    let offered = board.sh("cat /sys/power/state")?;
    let others: Vec<&str> = offered
        .split_whitespace()
        .filter(|state| !["mem", "disk"].contains(state))
        .collect();
    ensure!(others.contains(&"freeze"), "the kernel offers {offered}");
    for state in others {
        let before = board.registers()?;
        let output = sleep_until_typing(board, state, Duration::from_secs(1))?;
        ensure!(output.code == 0, "{state} failed: {}", output.text);
        board.expect_registers(&before).context(state.to_owned())?;
        board.dma(&TWO_IPMMUS)?;
    }
    Ok(())
}

/// Suspends with the console as a wakeup source, and types after `patience` without output.
fn sleep_until_typing(board: &mut Board, state: &str, patience: Duration) -> Result<Output> {
    let wakeup = "/sys/class/tty/ttySC0/power/wakeup";
    board.sh(&format!("echo enabled > {wakeup}"))?;
    let number = board
        .console
        .start(&format!("echo {state} > /sys/power/state"))?;
    let output = board.console.finish_while_typing(number, patience, LIMIT)?;
    board.sh(&format!("echo disabled > {wakeup}"))?;
    Ok(output)
}

/// Suspends up to one of the kernel's test stages, and resumes from there.
fn pm_test(board: &mut Board, stage: &str) -> Result<()> {
    board.sh("echo 0 > /sys/module/suspend/parameters/pm_test_delay")?;
    board.sh(&format!("echo {stage} > /sys/power/pm_test"))?;
    let output = board.try_sh("echo mem > /sys/power/state")?;
    board.sh("echo none > /sys/power/pm_test")?;
    ensure!(output.code == 0, "stage {stage}: {}", output.text);
    Ok(())
}

fn abort_at_each_stage(board: &mut Board) -> Result<()> {
    board.sh("echo deep > /sys/power/mem_sleep")?;
    for stage in ["freezer", "devices", "platform", "processors", "core"] {
        let before = board.registers()?;
        pm_test(board, stage)?;
        board
            .expect_registers(&before)
            .with_context(|| format!("turned around at stage {stage}"))?;
        board.dma(&TWO_IPMMUS)?;
    }
    Ok(())
}

/// Keys are pressed all the time. The console's interrupt aborts the suspend after the IPMMUs have
/// saved their registers.
fn abort_by_pending_wakeup(board: &mut Board) -> Result<()> {
    let before = board.registers()?;
    board.sh("echo deep > /sys/power/mem_sleep")?;
    let output = sleep_until_typing(board, "mem", Duration::from_millis(1))?;
    ensure!(output.code != 0, "the board was not kept from sleeping");
    board.expect_registers(&before)?;
    board.dma(&TWO_IPMMUS)?;
    // The next suspend is not aborted.
    sleep_and_compare(board)
}

fn a_hundred_cycles(board: &mut Board) -> Result<()> {
    board.sh("echo deep > /sys/power/mem_sleep")?;
    let before = board.registers()?;
    board.qmp.forget_events()?;
    let number = board.console.start(&format!("/tests/cycles.sh {CYCLES}"))?;
    for cycle in 1..=CYCLES {
        if let Err(e) = board.wait_suspend(LIMIT) {
            let said = board.console.finish(number, Duration::from_secs(5));
            bail!("cycle {cycle}: {e:#} ({said:?})");
        }
        board.qmp.wake()?;
    }
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "{}", output.text);
    board.expect_registers(&before)?;
    board.dma(&TWO_IPMMUS).map(drop)
}
