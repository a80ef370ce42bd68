// SPDX-License-Identifier: GPL-2.0
//! What a kernel leaves behind when it ends: nothing may go on translating
//! through page tables that the next one uses as ordinary memory.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::{TWO_IPMMUS, complaints};
use super::{Bench, Fixture};
use crate::board::cards::MMC_HOSTS;
use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, PARKING};
use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;

const LIMIT: Duration = Duration::from_secs(120);

/// Micro-TLBs and contexts of an IPMMU.
const UTLBS: u32 = 48;
const CONTEXTS: u32 = PARKING + 1;

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let provision = &bench.provision;
    let setup = Setup::new("leave", Driver::Rust)
        .cards()
        .files(&[provision.kernel.image(), provision.initramfs.clone()]);
    let board = Fixture::new(bench, setup.clone(), |b| b.load_driver(&DMACS));
    // At once: whoever waits until all is written waits for as long as somebody writes.
    let ends = ["reboot -f -n", "poweroff -f -n"];
    let ends = ends.map(|command| (bench.clone(), setup.clone(), command));
    let [reboot, poweroff] = ends.map(|(bench, setup, command)| {
        move |board: &mut Board| {
            end_with(board, command, &bench.paths)?;
            // Fit for what comes next.
            board.power_cycle(&bench.paths, &bench.provision, &setup)?;
            board.load_driver(&DMACS)
        }
    });
    // Which has to leave the root as a driver of stage 1 expects it.
    let mut stage2 = setup.stage2();
    stage2.name = "leave-stage2".into();
    let stage2 = Fixture::new(bench, stage2, |b| b.load_driver(&DMACS));
    vec![
        stage2.row("kexec_finds_all_off", kexec),
        board.row("kexec_finds_all_off", kexec),
        board.row("reboot_leaves_all_off", reboot),
        board.row("poweroff_leaves_all_off", poweroff),
    ]
}

/// DMA on two IPMMUs and on both cards, without end. Nobody brings it to rest at
/// shutdown.
fn keep_busy(board: &mut Board) -> Result<()> {
    let hosts = MMC_HOSTS.map(|host| host.device).join(" ");
    let channels = TWO_IPMMUS.join(" ");
    board
        .test(&format!("soak.sh start {hosts} -- {channels}"))
        .map(drop)
}

/// The same kernel boots from itself, in the middle of DMA.
fn kexec(board: &mut Board) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board.test(&format!("storage.sh {host}"))?;
    board.sh(&format!(
        "cp /tmp/storage/{host}/Image /tmp/storage/{host}/initramfs.cpio.gz /tmp"
    ))?;
    keep_busy(board)?;
    board.new_messages()?;
    board
        .console
        .start("/tests/kexec /tmp/Image /tmp/initramfs.cpio.gz \"$(cat /proc/cmdline)\"")?;
    board.console.wait_ready(LIMIT)?;
    // The driver is not loaded yet: what is there, the old kernel left.
    expect_all_off(board)?;
    expect_parked(board)?;
    let control = board.registers()?.get(IPMMUS[0].0, "IMSAUXCTLR");
    ensure!(control == 0, "IMSAUXCTLR of the root is {control:#x}");
    let messages = board.new_messages()?;
    ensure!(complaints(&messages).is_empty(), "{messages}");
    board.load_driver(&DMACS)?;
    board.expect_bound_except(&[])?;
    expect_nothing_stale(board)?;
    board.dma_briefly(&TWO_IPMMUS)?;
    board.test(&format!("storage.sh {host}"))?;
    let before = board.registers()?;
    board.suspend(|_| Ok(()))?;
    board.expect_registers(&before)?;
    Ok(())
}

/// Ends the kernel by `command` in the middle of DMA, and looks at the hardware
/// before it is reset. If it does not end, `leave.cpus.log` has what it does.
fn end_with(board: &mut Board, command: &str, paths: &Paths) -> Result<()> {
    board.dma_briefly(&TWO_IPMMUS)?;
    keep_busy(board)?;
    board.qmp.stay_after_shutdown()?;
    board.qmp.forget_events()?;
    let number = board.console.start(command)?;
    if let Err(e) = board.qmp.wait_shutdown(LIMIT) {
        fs::write(paths.log().join("leave.cpus.log"), board.qmp.cpus()?)?;
        let said = board.console.finish(number, Duration::from_secs(5));
        bail!("{e:#} ({said:?})");
    }
    // An address that nobody has: DMA with an IOVA, untranslated.
    ensure!(board.guest_errors()? == 0, "there were guest errors");
    expect_all_off(board)?;
    expect_parked(board)
}

/// Fails if a context is enabled.
fn expect_all_off(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    let mut enabled = Vec::new();
    for (ipmmu, _) in IPMMUS {
        for n in 0..CONTEXTS {
            let register = format!("IMCTR({n})");
            if registers.get(ipmmu, &register) & 1 != 0 {
                enabled.push(format!("{ipmmu}.{register}"));
            }
        }
    }
    ensure!(
        enabled.is_empty(),
        "{} contexts are left enabled, {} first",
        enabled.len(),
        enabled[0]
    );
    Ok(())
}

/// Fails if a micro-TLB points anywhere but to parking, or if none is on.
fn expect_parked(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    let mut parked = 0;
    for (ipmmu, _) in IPMMUS {
        for utlb in 0..UTLBS {
            let Some(context) = registers.context_of(ipmmu, utlb) else {
                continue;
            };
            ensure!(
                context == PARKING,
                "uTLB {utlb} of {ipmmu} points to context {context}"
            );
            parked += 1;
        }
    }
    ensure!(parked > 0, "all micro-TLBs are off");
    Ok(())
}

/// Fails if a micro-TLB is pointed to a context that is off.
fn expect_nothing_stale(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    for (ipmmu, _) in IPMMUS {
        for utlb in 0..UTLBS {
            let Some(context) = registers.context_of(ipmmu, utlb) else {
                continue;
            };
            let imctr = registers.get(ipmmu, &format!("IMCTR({context})"));
            ensure!(imctr & 1 != 0, "uTLB {utlb} of {ipmmu} is left on");
        }
    }
    Ok(())
}
