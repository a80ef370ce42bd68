// SPDX-License-Identifier: GPL-2.0
//! Boots another kernel, after a panic and by kexec, while a master goes on with DMA. A translated
//! master must not go on untranslated, nor through mappings of another device. The rows need the
//! guest's module testbed/guest/modules/bus_master.c.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::cards::MMC_HOSTS;
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};

const LIMIT: Duration = Duration::from_secs(300);

/// The DMA controller whose channels are the masters, and the IPMMU that it is behind.
const MASTER: &str = DMACS[0];
const IPMMU: &str = "ipmmu_ds0";

/// A channel: the hardware's number of it, which is also the number of its micro-TLB.
#[derive(Clone, Copy)]
struct Channel(u32);

/// A channel that Linux does not use, and does not stop at shutdown.
const UNKNOWN: Channel = Channel(0);
/// A channel that its driver stops at probe and at shutdown, but not at a panic.
const KNOWN: Channel = Channel(15);

impl Channel {
    fn registers(self) -> u64 {
        0xe670_8000 + 0x80 * u64::from(self.0)
    }

    /// Returns the state of the channel.
    fn state(self, board: &mut Board) -> Result<String> {
        let state = board.sh(&format!("/tests/master.sh state e6700000 {}", self.0))?;
        Ok(state.trim().to_owned())
    }

    /// Returns whether the channel is copying, and the IPMMU translates.
    fn is_copying(self, board: &mut Board) -> Result<bool> {
        let before = board.count(IPMMU, "translations")?;
        let state = self.state(board)?;
        let after = board.count(IPMMU, "translations")?;
        Ok(state == "copying" && after > before)
    }

    /// Returns the context that the channel's micro-TLB points to.
    fn context(self, board: &mut Board) -> Result<Option<u32>> {
        Ok(board.registers()?.context_of(IPMMU, self.0))
    }

    /// Starts the channel again after each refusal from now on. Fails if the channel is idle.
    fn insist(self, board: &mut Board) -> Result<()> {
        ensure!(self.state(board)? != "idle", "the channel is at rest");
        let command = format!("echo insist {:#x} > {RUN}", self.registers());
        board
            .sh(&format!("modprobe bus_master && {command}"))
            .map(drop)
    }
}

const RUN: &str = "/sys/module/bus_master/parameters/run";
/// The IOVA of the channel's memory. It is also a physical address of RAM that no kernel uses, nor
/// QEMU when it loads one.
const IOVA: u64 = 0x6000_0000;
const WORDS: usize = 4096;
const RESERVED: &str = "
/ {
    reserved-memory {
        #address-cells = <2>;
        #size-cells = <2>;
        ranges;
        nobody@60000000 {
            reg = <0x0 0x60000000 0x0 0x10000>;
            no-map;
        };
    };
};
";

/// Another device behind that IPMMU, for which the board has no driver.
const OTHER: &str = "e6800000.ethernet";

/// Prints a command line for the next kernel without the driver that would stop the channel.
const NO_DMAC_DRIVER: &str =
    "sed s/initcall_blacklist=/initcall_blacklist=rcar_dmac_driver_init,/ /proc/cmdline";

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let provision = &bench.provision;
    let dtb = Dtb::copy(&bench.paths, &provision.kernel.dtb(), "crash")?.add(RESERVED)?;
    let dtb = dtb.into_path();
    // Each row ends in another kernel, and thus needs a board of its own.
    let board = |name: &str, allow: &'static [&'static str]| {
        let setup = Setup::new(name, Driver::Rust)
            .refuses_when_off()
            // Other CPUs might not have stopped when the next kernel begins: the endless copy
            // leaves them little of QEMU's time, and the kernel waits for one second at most.
            .append("crashkernel=320M maxcpus=1")
            .dtb(dtb.clone())
            .cards()
            .files(&[provision.kernel.image(), provision.initramfs.clone()]);
        Fixture::new(bench, setup, move |b| {
            b.load_driver(allow)?;
            b.wait_for_channels(&DMACS)
        })
    };
    Ok(vec![
        board("crash", &DMACS).row("memory_is_left_alone_after_a_panic", after_a_panic),
        board("kexec", &DMACS).row("memory_is_left_alone_after_kexec", after_kexec),
        board("kexec-reused", &DMACS[..1]).row("an_old_master_reaches_nothing", in_use_again),
    ])
}

/// Puts the next kernel in /tmp, and starts the endless copy.
fn prepare(board: &mut Board, channel: Channel) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board.sh(&format!(
        "set -e; . /tests/lib.sh; . /tests/storage-lib.sh; dir=$(mounted {host}); \
         cp $dir/Image $dir/initramfs.cpio.gz /tmp"
    ))?;
    board.sh(&format!(
        "echo on > /sys/bus/platform/devices/{MASTER}/power/control"
    ))?;
    board
        .sh("! dmesg | grep 'failed to reserve memory'")
        .context("the memory is in use")?;
    // The source of the copy, if the channel is not translated.
    board.sh(&format!("devmem {IOVA:#x} 32 0x5a5a5a5a"))?;
    describe(board, IOVA)?;
    map(board, MASTER)?;
    board.sh(&format!(
        "/tests/master.sh endless e6700000 {} {IOVA:#x} \
         $(cat /sys/module/bus_master/parameters/memory)",
        channel.0
    ))?;
    ensure!(
        channel.is_copying(board)?,
        "the channel was refused at once"
    );
    Ok(())
}

/// Writes the channel's descriptor where the channel finds it if its accesses reach these pages.
fn describe(board: &mut Board, pages: u64) -> Result<()> {
    for (offset, word) in [(0x2000, IOVA), (0x2004, IOVA + 0x1000), (0x2008, 1024)] {
        board.sh(&format!("devmem {:#x} 32 {word:#x}", pages + offset))?;
    }
    Ok(())
}

/// Maps memory at [`IOVA`] for `device`.
fn map(board: &mut Board, device: &str) -> Result<()> {
    board
        .sh(&format!(
            "modprobe bus_master && echo map {device} {IOVA:#x} > {RUN}"
        ))
        .map(drop)
}

/// Returns the memory at the physical address that equals [`IOVA`].
fn memory(board: &mut Board) -> Result<Vec<u32>> {
    board.qmp.memory(IOVA, WORDS)
}

fn expect_unchanged(board: &mut Board, before: &[u32]) -> Result<()> {
    let after = memory(board)?;
    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    ensure!(
        changed == 0,
        "{changed} words were overwritten at the physical address {IOVA:#x}"
    );
    Ok(())
}

fn after_a_panic(board: &mut Board) -> Result<()> {
    prepare(board, KNOWN)?;
    board.sh("/tests/kexec -p /tmp/Image /tmp/initramfs.cpio.gz \
         \"$(sed 's/crashkernel=[^ ]*/nr_cpus=1/' /proc/cmdline)\"")?;
    board.new_messages()?;
    let before = memory(board)?;
    board.console.start(&format!("echo panic > {RUN}"))?;
    board.console.wait_ready_after_panic(LIMIT)?;
    board.new_messages()?;
    ensure!(KNOWN.is_copying(board)?, "the channel stopped by itself");
    KNOWN.insist(board)?;
    board.load_driver(&DMACS)?;
    board.expect_bound_except(&[])?;
    board.wait_for_channels(&DMACS)?;
    relax(board)?;
    expect_unchanged(board, &before)?;
    board.dma(&DMACS).map(drop)
}

/// Boots the next kernel by kexec during the copy. The channel is refused, but not stopped.
fn kexec(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    board.console.start(&format!(
        "/tests/kexec /tmp/Image /tmp/initramfs.cpio.gz \"$({NO_DMAC_DRIVER})\""
    ))?;
    board.console.wait_ready(LIMIT)?;
    board.new_messages()?;
    Ok(())
}

/// Compares the memory only from the boot of the next kernel on, as the driver relies on contexts
/// that refuse accesses while they are off between the kernels.
fn after_kexec(board: &mut Board) -> Result<()> {
    prepare(board, UNKNOWN)?;
    kexec(board)?;
    let before = memory(board)?;
    UNKNOWN.insist(board)?;
    board.load_driver(&DMACS)?;
    board.expect_bound_except(&[])?;
    UNKNOWN
        .context(board)?
        .context("the master is not attached")?;
    relax(board)?;
    expect_unchanged(board, &before)
}

/// Leaves the master without a driver, so the next kernel does not know that it is behind an IPMMU.
/// The master's former context belongs to another device then.
fn in_use_again(board: &mut Board) -> Result<()> {
    prepare(board, UNKNOWN)?;
    let old = UNKNOWN
        .context(board)?
        .context("the master is not translated")?;
    kexec(board)?;
    let before = memory(board)?;

    board.load_driver(&[OTHER])?;
    board.expect_bound_except(&[])?;
    let owner = owner(board, old)?;
    ensure!(owner == OTHER, "context {old} belongs to {owner}");
    map(board, OTHER)?;
    let pages = board.sh("cat /sys/module/bus_master/parameters/memory")?;
    let pages: u64 = pages.trim().parse()?;
    describe(board, pages)?;
    board.sh(&format!("devmem {:#x} 32 0", pages + 0x1000))?;
    UNKNOWN.insist(board)?;
    // Gives the channel time for many attempts.
    for _ in 0..100 {
        UNKNOWN.state(board)?;
    }
    expect_unchanged(board, &before)?;
    let theirs = board.qmp.memory(pages + 0x1000, 1)?[0];
    ensure!(theirs == 0, "it wrote to memory of {OTHER}: {theirs:#x}");
    relax(board)
}

/// Stops the channel, and the restarts that [`Channel::insist`] began.
fn relax(board: &mut Board) -> Result<()> {
    board.sh(&format!("echo relax > {RUN}")).map(drop)
}

/// Returns the first device that debugfs lists in `context`.
fn owner(board: &mut Board, context: u32) -> Result<String> {
    let text = board.sh("cat /sys/kernel/debug/ipmmu/e67b0000.iommu/contexts")?;
    let line = format!("context {context}: ");
    let after = text.split_once(&line).map(|(_, after)| after);
    let own = after.and_then(|after| after.split("context ").next());
    let device = own.and_then(|own| own.lines().nth(1));
    let device = device.and_then(|line| line.split([':', ' ']).find(|word| !word.is_empty()));
    device
        .map(str::to_owned)
        .with_context(|| format!("context {context} belongs to no device: {text}"))
}
