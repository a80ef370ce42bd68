// SPDX-License-Identifier: GPL-2.0
//! One of two functions of a PCIe card that share a micro-TLB is removed.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::Bench;
use super::feature::{C, Feature, Pair, Part};
use crate::board::pcie::{self, FUNCTIONS, IPMMU, NVME};
use crate::board::{Board, Driver, Setup};

/// The micro-TLB of the first slot.
const UTLB: u32 = 0;

const REMOVAL: Feature = Feature {
    id: "shared_utlb_survives_removal",
    part: Part::Defects,
    says: "Removal of a device does not disable a micro-TLB that another device uses.",
    c: C::Fails("was switched off"),
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let dtb = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let setup = Setup::new("pcie-shared", Driver::Rust)
        .dtb(dtb)
        .pcie(&[NVME, "edu"]);
    let pair = Pair::new(bench, setup, |b| b.load_driver(&[])).feature(REMOVAL, removal);
    Ok(pair.rows().collect())
}

/// The disk goes on working after the other function is removed.
fn removal(board: &mut Board) -> Result<()> {
    let [disk, other] = FUNCTIONS;
    board.test(&format!("storage.sh {disk}"))?;
    board
        .registers()?
        .context_of(IPMMU, UTLB)
        .with_context(|| format!("uTLB {UTLB} of {IPMMU} is not enabled"))?;
    board.sh(&format!("echo 1 > /sys/bus/pci/devices/{other}/remove"))?;
    // Checked before the disk is used: without translation the disk takes minutes to give up.
    ensure!(
        board.registers()?.context_of(IPMMU, UTLB).is_some(),
        "uTLB {UTLB} of {IPMMU} was switched off with {other}"
    );
    let faults = board.count("ipmmu_mm", "faults")?;
    board.test(&format!("storage.sh {disk}"))?;
    ensure!(
        board.count("ipmmu_mm", "faults")? == faults,
        "there were faults"
    );
    Ok(())
}
