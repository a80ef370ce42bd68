// SPDX-License-Identifier: GPL-2.0
//! The IPMMUs at the end of a kernel. They must stop translating through page tables, as the next
//! kernel reuses the memory of the tables.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::{TWO_IPMMUS, complaints};
use super::stage2::S2PTE;
use super::{Bench, Fixture};
use crate::board::cards::MMC_HOSTS;
use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, PARKING};
use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;

const LIMIT: Duration = Duration::from_secs(120);

const ROOT: &str = IPMMUS[0].0;

/// The largest numbers of micro-TLBs and contexts in an IPMMU.
const UTLBS: u32 = 48;
const CONTEXTS: u32 = PARKING + 1;
const MMC_IPMMU: &str = "ipmmu_ds1";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let provision = &bench.provision;
    let setup = Setup::new("leave", Driver::Rust)
        .refuses_when_off()
        .cards()
        .files(&[provision.kernel.image(), provision.initramfs.clone()]);
    let board = Fixture::new(bench, setup.clone(), |b| b.load_driver(&DMACS));
    // `-n` omits the sync, which would delay the end for as long as data is written.
    let ends = ["reboot -f -n", "poweroff -f -n"];
    let ends = ends.map(|command| (bench.clone(), setup.clone(), command));
    let [reboot, poweroff] = ends.map(|(bench, setup, command)| {
        move |board: &mut Board| {
            end_with(board, command, &bench.paths)?;
            // Makes the board ready for the next row.
            board.power_cycle(&bench.provision, &setup)?;
            board.load_driver(&DMACS)
        }
    });
    // With stage 2, the driver has to leave the root as a driver for stage 1 expects it.
    let mut stage2 = setup.stage2();
    stage2.name += "-stage2";
    let stage2 = Fixture::new(bench, stage2, |b| b.load_driver(&DMACS));
    vec![
        stage2.row("kexec_finds_all_off", kexec),
        stage2.row("kexec_to_the_c_driver", kexec_to_c),
        board.row("kexec_finds_all_off", kexec),
        board.row("reboot_leaves_all_off", reboot),
        board.row("poweroff_leaves_all_off", poweroff),
    ]
}

/// Starts endless DMA through two IPMMUs and on both cards. Nothing stops it at shutdown.
fn keep_busy(board: &mut Board) -> Result<()> {
    let hosts = MMC_HOSTS.map(|host| host.device).join(" ");
    let channels = TWO_IPMMUS.join(" ");
    board
        .test(&format!("soak.sh start {hosts} -- {channels}"))
        .map(drop)
}

/// Boots the same kernel by kexec, in the middle of DMA, with the command line that `command`
/// prints.
fn next_kernel(board: &mut Board, command: &str) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board.test(&format!("storage.sh {host}"))?;
    board.sh(&format!(
        "cp /tmp/storage/{host}/Image /tmp/storage/{host}/initramfs.cpio.gz /tmp"
    ))?;
    keep_busy(board)?;
    board.new_messages()?;
    board.console.start(&format!(
        "/tests/kexec /tmp/Image /tmp/initramfs.cpio.gz \"$({command})\""
    ))?;
    board.console.wait_ready(LIMIT)
}

fn kexec(board: &mut Board) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    let control = board.registers()?.get(ROOT, "IMSAUXCTLR");
    next_kernel(board, "cat /proc/cmdline")?;
    // The driver is not loaded yet: the registers are as the old kernel left them.
    expect_all_off(board)?;
    expect_parked(board)?;
    let left = board.registers()?.get(ROOT, "IMSAUXCTLR");
    ensure!(
        left == control & !S2PTE,
        "IMSAUXCTLR of the root is {left:#x}"
    );
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

/// Boots a kernel with the C driver, which knows stage 1 only. Expects the MMC hosts translated.
fn kexec_to_c(board: &mut Board) -> Result<()> {
    next_kernel(board, "sed 's/initcall_blacklist=[^ ]*//' /proc/cmdline")?;
    board.driver = Driver::C;
    board.expect_bound_except(&[])?;
    let before = board.count(MMC_IPMMU, "translations")?;
    for _ in 0..2 {
        board.test(&format!("storage.sh {}", MMC_HOSTS[0].device))?;
        board.suspend(|_| Ok(()))?;
    }
    let translations = board.count(MMC_IPMMU, "translations")? - before;
    ensure!(translations > 0, "nothing is translated");
    Ok(())
}

/// Ends the kernel by `command` in the middle of DMA, and checks the hardware before it is reset.
/// If the kernel does not end, the state of the CPUs is written to `leave.cpus.log`.
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
    // Untranslated DMA with an IOVA would reach an address without a device.
    ensure!(board.guest_errors()? == 0, "there were guest errors");
    expect_all_off(board)?;
    expect_parked(board)
}

/// Fails if a context is on.
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

/// Fails if a micro-TLB points to another context than parking, or if no micro-TLB is on.
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

/// Fails if a micro-TLB points to a context that is off.
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
