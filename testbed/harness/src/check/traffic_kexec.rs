// SPDX-License-Identifier: GPL-2.0
//! Scenarios in which another kernel takes over while the masters never stop.

use anyhow::{Context, Result, ensure};

use super::traffic_scenarios::{LIMIT, MASTERS, Master, Scenario, run, scenario};
use crate::board::Board;
use crate::board::cards::MMC_HOSTS;

/// The offset of the register that marks a page, by its number, as lost to the master.
const FORBID: u32 = 0x14;
/// The offset of the register that counts the pages that are marked.
const MARKS: u32 = 0x34;
/// The number of pages at the start of a master's memory among which scenarios map.
const HELD_PAGES: u64 = 16;

pub const KEXEC: Scenario = scenario("kexec", kexec).sequence(
    "Pages were mapped, and reached; the last IPMMU was shut down for the next kernel; the pages, or \
     memory with the same addresses, were reached.",
);
pub const PANIC: Scenario = scenario("panic", panic).sequence(
    "Pages were mapped, and reached; the kernel died, and the next one loaded the driver; the pages \
     were reached.",
);

/// Copies the next kernel and its initramfs from the card to /tmp.
fn load_next(board: &mut Board) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board
        .sh(&format!(
            "set -e; . /tests/lib.sh; . /tests/storage-lib.sh; dir=$(mounted {host}); \
             cp $dir/Image $dir/initramfs.cpio.gz /tmp"
        ))
        .map(drop)
}

/// Boots another kernel by kexec while the masters go on. Once the last IPMMU is shut down they
/// reach nothing: neither their former memory, nor memory with the same addresses untranslated.
fn kexec(board: &mut Board) -> Result<()> {
    load_next(board)?;
    run(board, "hold-mapped")?;
    run(board, "last")?;
    board.new_messages()?;
    board
        .console
        .start("/tests/kexec /tmp/Image /tmp/initramfs.cpio.gz \"$(cat /proc/cmdline)\"")?;
    board.console.wait_ready(LIMIT)?;
    still_judged(board)?;
    board.load_driver(&[])?;
    still_judged(board)?;
    still_marked(board)
}

/// Makes the kernel panic, so that nothing shuts down. Once the next kernel has loaded the driver,
/// no access reaches the former mappings, which belong to no domain.
fn panic(board: &mut Board) -> Result<()> {
    load_next(board)?;
    board.sh("/tests/kexec -p /tmp/Image /tmp/initramfs.cpio.gz \
         \"$(sed 's/crashkernel=[^ ]*/nr_cpus=1/' /proc/cmdline)\"")?;
    run(board, "hold-mapped")?;
    let memory = board.sh("cat /sys/module/traffic/parameters/memory")?;
    board.new_messages()?;
    board
        .console
        .start("echo panic > /sys/module/traffic/parameters/run")?;
    board.console.wait_ready_after_panic(LIMIT)?;
    still_judged(board)?;
    board.load_driver(&[])?;
    for (master, memory) in MASTERS.iter().zip(memory.trim().split(',')) {
        let first: u64 = memory.parse()?;
        for page in 0..HELD_PAGES {
            let page = (first >> 12) + page;
            board.sh(&format!(
                "devmem {} 32 {page:#x}",
                register(master, FORBID)?
            ))?;
        }
    }
    still_judged(board)?;
    still_marked(board)
}

/// Returns where a register of a master is, for the guest's shell.
fn register(master: &Master, offset: u32) -> Result<String> {
    let (base, _) = master.device.split_once('.').context("no address")?;
    Ok(format!("$((0x{base} + {offset:#x}))"))
}

/// Fails unless the masters know which pages they have lost.
fn still_marked(board: &mut Board) -> Result<()> {
    for master in &MASTERS {
        let marks = board.sh(&format!("devmem {}", register(master, MARKS)?))?;
        let name = master.name;
        ensure!(marks.trim() != "0x00000000", "{name} has lost no page");
    }
    Ok(())
}

/// Fails unless all masters go on: only then does the count of violations say something.
fn still_judged(board: &mut Board) -> Result<()> {
    for master in &MASTERS {
        let rounds = board.count(master.name, "rounds")?;
        board.sh("true")?;
        ensure!(
            board.count(master.name, "rounds")? > rounds,
            "{} stands still",
            master.name
        );
    }
    Ok(())
}
