// SPDX-License-Identifier: GPL-2.0
//! Resets of a PCIe function with ATS. During a reset the core attaches the function, but not the
//! rest of its group, to the blocked domain. A busy disk is behind the same micro-TLB.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::vfio::{EDU, TRUSTED, device_tree};
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::pcie::{FUNCTIONS, HOSTS, IPMMU, NVME, OTHER_CARD};
use crate::board::registers::{IPMMUS, device_of};
use crate::board::{Board, Driver, Setup};

/// A function with ATS whose DMA goes through the IPMMU.
const WITH_ATS: &str = "virtio-rng-pci,ats=on,iommu_platform=on";
const DISK: &str = FUNCTIONS[0];
const FUNCTION: &str = FUNCTIONS[1];
/// The number of micro-TLBs of IPMMU-HC.
const UTLBS: u32 = 48;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let dtb = Dtb::copy(&bench.paths, &device_tree(bench)?, "ats")?;
    let dtb = dtb.set_flag(HOSTS[1], "dma-coherent")?.into_path();
    let setup = Setup::new("ats", Driver::Rust)
        .append(TRUSTED)
        .dtb(dtb)
        .pcie(&[NVME, WITH_ATS])
        .pcie_slot(1, &[EDU]);
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.expect_bound_except(&[])?;
        b.sh(&format!(
            ". /tests/storage-lib.sh && [ -n \"$(block_device {DISK})\" ]"
        ))
        .map(drop)
    });
    Ok(vec![
        board.row("a_function_is_reset_beside_a_busy_disk", reset_beside_disk),
        board.row("a_function_is_reset_and_removed", reset_and_removed),
    ])
}

/// Resets the function several times. Expects that no access of the disk is refused.
fn reset_beside_disk(board: &mut Board) -> Result<()> {
    let methods = board.sh(&format!("cat /sys/bus/pci/devices/{FUNCTION}/reset_method"))?;
    ensure!(!methods.trim().is_empty(), "it cannot be reset");
    let faults = board.count("ipmmu_mm", "faults")?;
    board.test(&format!("soak.sh start {DISK} -- {}", DMACS[0]))?;
    for _ in 0..10 {
        board.sh(&format!("echo 1 > /sys/bus/pci/devices/{FUNCTION}/reset"))?;
        let faults = board.count("ipmmu_mm", "faults")? - faults;
        ensure!(faults == 0, "there were {faults} faults");
    }
    board.test(&format!("soak.sh stop {DISK}"))?;
    let faults = board.count("ipmmu_mm", "faults")? - faults;
    ensure!(faults == 0, "there were {faults} faults");
    is_as_told(board)
}

/// The number of resets. During each, another device becomes blocked 10 ms later than before.
const ROUNDS: u32 = 10;

/// Resets the function while user space takes another device and blocks it, then removes the
/// function. The hardware needs 0.1 s for a reset, so the block falls into the middle of some.
fn reset_and_removed(board: &mut Board) -> Result<()> {
    board.test(&format!("userdma {OTHER_CARD} take"))?;
    is_as_told(board).context("before the reset")?;
    for round in 0..ROUNDS {
        board.sh(&format!(
            "rm -f /tmp/blocked; \
             echo 1 > /sys/bus/pci/devices/{FUNCTION}/reset & reset=$!; usleep {}; \
             /tests/userdma {OTHER_CARD} blocked > /tmp/blocked & \
             until grep -q holding /tmp/blocked; do usleep 1000; done; wait $reset",
            round * 10_000
        ))?;
        is_as_told(board).with_context(|| format!("after reset {round}"))?;
        if round + 1 < ROUNDS {
            board.sh("kill $(pidof userdma); while pidof userdma; do usleep 1000; done")?;
        }
    }
    board.sh(&format!("echo 1 > /sys/bus/pci/devices/{FUNCTION}/remove"))?;
    is_as_told(board).context("after the removal")?;
    let contexts = contexts(board)?;
    ensure!(!contexts.contains(FUNCTION), "it is still in {contexts}");
    board.test(&format!("storage.sh {DISK}"))?;
    board.sh("kill $(pidof userdma)").map(drop)
}

fn debugfs(board: &mut Board, ipmmu: &str, file: &str) -> Result<String> {
    let device = device_of(ipmmu)?;
    board.sh(&format!("cat /sys/kernel/debug/ipmmu/{device}/{file}"))
}

fn contexts(board: &mut Board) -> Result<String> {
    debugfs(board, IPMMUS[0].0, "contexts")
}

/// Fails unless debugfs and the registers agree on micro-TLBs and contexts. The disk's context must
/// be on, and debugfs must list the disk there.
fn is_as_told(board: &mut Board) -> Result<()> {
    let (utlbs, contexts) = (debugfs(board, IPMMU, "utlbs")?, contexts(board)?);
    let registers = board.registers()?;
    let found: BTreeSet<String> = (0..UTLBS)
        .filter_map(|n| {
            let context = registers.context_of(IPMMU, n)?;
            Some(format!("uTLB {n}: context {context}"))
        })
        .collect();
    let told = utlbs.lines().filter(|line| !line.is_empty());
    let told: BTreeSet<String> = told.map(str::to_owned).collect();
    ensure!(found == told, "told {told:?}, found {found:?}");

    let own = registers
        .context_of(IPMMU, 0)
        .context("the disk's micro-TLB is off")?;
    ensure!(
        registers.get("ipmmu_mm", &format!("IMCTR({own})")) & 1 != 0,
        "the disk's context {own} is off"
    );
    let line = format!("context {own}: ");
    let of_disk = contexts.split("context ").find(|c| c.contains(DISK));
    let of_disk = of_disk.map(|c| format!("context {c}")).unwrap_or_default();
    ensure!(
        of_disk.starts_with(&line),
        "the disk goes through context {own}, and is told to be in {of_disk}"
    );
    Ok(())
}
