// SPDX-License-Identifier: GPL-2.0
//! Unmaps pages while a cache sleeps with its power on, and thus retains its translations. The rows
//! need the guest's module testbed/guest/modules/bus_master.c.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::common::wait_until;
use super::generations::{EXTRA_DMAC, extra_nodes};
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::{Board, Driver, Setup};

const ROOT: &str = "e8000000.iommu";
const CACHE: &str = "e8100000.iommu";

const RUN: &str = "/sys/module/bus_master/parameters/run";
/// The IOVAs of a page that the channel reads, and of the next one, which it writes.
const SOURCE: u64 = 0x5000_0000;
const DESTINATION: u64 = SOURCE + 0x1000;
/// The contents of the page to write, after it was unmapped.
const KEPT: u32 = 0x600d_600d;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    // Linux switches off the power area of the cache. The machine leaves it on, as if another
    // device needed it.
    let nodes = extra_nodes(&["r8a77965"], true);
    let dtb = Dtb::copy(&bench.paths, &bench.provision.kernel.dtb(), "idle-flush")?.add(&nodes)?;
    let setup = Setup::new("idle-flush", Driver::Rust)
        .autosuspend()
        .prr(UNKNOWN_SOC)
        .extra_ipmmu("gen3")
        .dtb(dtb.into_path());
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.wait_for_channels(&[EXTRA_DMAC])
    });
    Ok(vec![
        board.row("unmapped_while_the_cache_sleeps", |b| unmapped(b, "auto")),
        board.row("unmapped_while_only_the_cache_sleeps", |b| {
            unmapped(b, "on")
        }),
    ])
}

fn power(device: &str) -> String {
    format!("/sys/bus/platform/devices/{device}/power")
}

/// Starts a copy by a channel that Linux does not use, and returns whether it succeeded.
fn copies(board: &mut Board) -> Result<bool> {
    let verdict = board.sh(&format!(
        "/tests/master.sh copy e8200000 0 {SOURCE:#x} {DESTINATION:#x}"
    ))?;
    Ok(verdict.trim() == "copied")
}

/// Fails unless the channel is refused, and does not write to the page at physical `address`.
fn reaches_nothing(board: &mut Board, address: u64) -> Result<()> {
    let copied = copies(board)?;
    let found = board.qmp.memory(address, 1)?[0];
    ensure!(found == KEPT, "unmapped memory was written: {found:#x}");
    ensure!(!copied, "it is not refused");
    Ok(())
}

/// Unmaps the pages while the cache sleeps. The root stays awake if its `control` is "on".
fn unmapped(board: &mut Board, control: &str) -> Result<()> {
    board.sh(&format!("echo {control} > {}/control", power(ROOT)))?;
    board.sh("modprobe bus_master")?;
    let memory = board.sh("cat /sys/module/bus_master/parameters/memory")?;
    let destination = memory.trim().parse::<u64>().context(memory)? + 0x1000;
    board.sh(&format!("echo map {EXTRA_DMAC} {SOURCE:#x} > {RUN}"))?;

    board.sh(&format!("echo on > {}/control", power(EXTRA_DMAC)))?;
    ensure!(copies(board)?, "it does not reach what is mapped");
    board.sh(&format!("echo auto > {}/control", power(EXTRA_DMAC)))?;
    wait_until(board, "the cache does not sleep", |b| {
        let status = b.sh(&format!("cat {}/runtime_status", power(CACHE)))?;
        Ok(status.trim() == "suspended")
    })?;
    board.sh(&format!(
        "echo unmap > {RUN}; devmem {destination:#x} 32 {KEPT:#x}"
    ))?;
    reaches_nothing(board, destination).context("while the cache sleeps")?;

    board.sh(&format!("echo on > {}/control", power(CACHE)))?;
    reaches_nothing(board, destination).context("after it woke")?;
    board.sh(&format!("echo auto > {}/control", power(CACHE)))?;
    board.sh("rmmod bus_master")?;
    board.sh(&format!("echo auto > {}/control", power(ROOT)))?;
    board.dma(&[EXTRA_DMAC]).map(drop)
}
