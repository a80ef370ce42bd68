// SPDX-License-Identifier: GPL-2.0
//! Another kernel takes over while masters that nobody knows go on: after a panic, and by kexec. A
//! master that was translated must not go on untranslated, nor by somebody else's mappings. Needs
//! the module testbed/guest/modules/bus_master.c.

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

/// What goes on is a channel of the first DMA controller, which is behind this IPMMU.
const MASTER: &str = DMACS[0];
const IPMMU: &str = "ipmmu_ds0";

/// The hardware's number of a channel, and that of its micro-TLB.
#[derive(Clone, Copy)]
struct Channel(u32);

/// One that Linux leaves alone, also when it ends.
const UNKNOWN: Channel = Channel(0);
/// One that its driver brings to rest when it begins and when it ends, but not when it dies.
const KNOWN: Channel = Channel(15);

impl Channel {
    fn registers(self) -> u64 {
        0xe670_8000 + 0x80 * u64::from(self.0)
    }

    /// What it is doing.
    fn state(self, board: &mut Board) -> Result<String> {
        let state = board.sh(&format!("/tests/master.sh state e6700000 {}", self.0))?;
        Ok(state.trim().to_owned())
    }

    /// Whether it goes on, and by way of the IPMMU.
    fn is_copying(self, board: &mut Board) -> Result<bool> {
        let before = board.count(IPMMU, "translations")?;
        let state = self.state(board)?;
        let after = board.count(IPMMU, "translations")?;
        Ok(state == "copying" && after > before)
    }

    /// The context that its micro-TLB is pointed to.
    fn context(self, board: &mut Board) -> Result<Option<u32>> {
        Ok(board.registers()?.context_of(IPMMU, self.0))
    }

    /// Has it go on whenever it was refused something. It was not brought to rest.
    fn insist(self, board: &mut Board) -> Result<()> {
        ensure!(self.state(board)? != "idle", "the channel is at rest");
        let command = format!("echo insist {:#x} > {RUN}", self.registers());
        board
            .sh(&format!("modprobe bus_master && {command}"))
            .map(drop)
    }
}

const RUN: &str = "/sys/module/bus_master/parameters/run";
/// Where the channel copies: an IOVA at which there is RAM, too, which no kernel uses.
const IOVA: u64 = 0x5000_0000;
const WORDS: usize = 4096;
const RESERVED: &str = "
/ {
    reserved-memory {
        #address-cells = <2>;
        #size-cells = <2>;
        ranges;
        nobody@50000000 {
            reg = <0x0 0x50000000 0x0 0x10000>;
            no-map;
        };
    };
};
";

/// Another device behind that IPMMU, which no driver of the board is for.
const OTHER: &str = "e6800000.ethernet";

/// The next kernel has no driver that would stop the channel.
const NO_DMAC_DRIVER: &str =
    "sed s/initcall_blacklist=/initcall_blacklist=rcar_dmac_driver_init,/ /proc/cmdline";

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let provision = &bench.provision;
    let dtb = Dtb::copy(&bench.paths, &provision.kernel.dtb(), "crash")?.add(RESERVED)?;
    let dtb = dtb.into_path();
    // Each row ends in another kernel.
    let board = |name: &str, allow: &'static [&'static str]| {
        let setup = Setup::new(name, Driver::Rust)
            // With more CPUs some may not have stopped when the next kernel begins: the master
            // without end leaves little of QEMU to them, and the kernel waits for a second at most.
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

/// The channel copies without end, and the next kernel is there to be booted.
fn prepare(board: &mut Board, channel: Channel) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board.sh(&format!(
        "set -e; . /tests/lib.sh; . /tests/storage-lib.sh; dir=$(mounted {host}); \
         cp $dir/Image $dir/initramfs.cpio.gz /tmp"
    ))?;
    board.sh(&format!(
        "echo on > /sys/bus/platform/devices/{MASTER}/power/control"
    ))?;
    // What it would copy if it were not translated.
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

/// Puts what the channel is told to do where it would find it if it reached these pages.
fn describe(board: &mut Board, pages: u64) -> Result<()> {
    for (offset, word) in [(0x2000, IOVA), (0x2004, IOVA + 0x1000), (0x2008, 1024)] {
        board.sh(&format!("devmem {:#x} 32 {word:#x}", pages + offset))?;
    }
    Ok(())
}

/// Has `device` see memory at [`IOVA`].
fn map(board: &mut Board, device: &str) -> Result<()> {
    board
        .sh(&format!(
            "modprobe bus_master && echo map {device} {IOVA:#x} > {RUN}"
        ))
        .map(drop)
}

/// The memory that has the IOVA for its physical address.
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

/// Boots the next kernel in the middle of it. The channel is refused what it asks for, and does not
/// give up.
fn kexec(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    board.console.start(&format!(
        "/tests/kexec /tmp/Image /tmp/initramfs.cpio.gz \"$({NO_DMAC_DRIVER})\""
    ))?;
    board.console.wait_ready(LIMIT)?;
    board.new_messages()?;
    Ok(())
}

/// What happens between the kernels is left out: then it is relied upon that a context that is off
/// refuses.
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

/// The master has no driver any more, and is behind no IPMMU that anybody knows of; the context
/// that it had is another one's.
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
    ensure!(owner == OTHER, "context {old} is that of {owner} now");
    map(board, OTHER)?;
    let pages = board.sh("cat /sys/module/bus_master/parameters/memory")?;
    let pages: u64 = pages.trim().parse()?;
    describe(board, pages)?;
    board.sh(&format!("devmem {:#x} 32 0", pages + 0x1000))?;
    UNKNOWN.insist(board)?;
    // The channel has had its chance when it was refused this often.
    for _ in 0..100 {
        UNKNOWN.state(board)?;
    }
    expect_unchanged(board, &before)?;
    let theirs = board.qmp.memory(pages + 0x1000, 1)?[0];
    ensure!(theirs == 0, "it wrote to memory of {OTHER}: {theirs:#x}");
    relax(board)
}

/// Brings the channel to rest.
fn relax(board: &mut Board) -> Result<()> {
    board.sh(&format!("echo relax > {RUN}")).map(drop)
}

/// The device that `context` is now in use for.
fn owner(board: &mut Board, context: u32) -> Result<String> {
    let text = board.sh("cat /sys/kernel/debug/ipmmu/e67b0000.iommu/contexts")?;
    let line = format!("context {context}: ");
    let after = text.split_once(&line).map(|(_, after)| after);
    let own = after.and_then(|after| after.split("context ").next());
    let device = own.and_then(|own| own.lines().nth(1));
    let device = device.and_then(|line| line.split([':', ' ']).find(|word| !word.is_empty()));
    device
        .map(str::to_owned)
        .with_context(|| format!("context {context} is nobody's: {text}"))
}
