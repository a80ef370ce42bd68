// SPDX-License-Identifier: GPL-2.0
//! Two masters share a micro-TLB. The hardware cannot tell them apart.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};

/// The second DMA controller behind IPMMU-DS1, and the cell of its `iommus` with the micro-TLB of
/// channel 0. Linux does not use this channel.
const SECOND: &str = "/soc/dma-controller@e7310000";
const ITS_FIRST_UTLB: usize = 1;
/// The micro-TLB of channel 0 of the first DMA controller behind IPMMU-DS1.
const SHARED_UTLB: u32 = 0;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let original = bench.provision.kernel.dtb();
    let dtb = Dtb::copy(&bench.paths, &original, "shared_utlb")?.set_cell(
        SECOND,
        "iommus",
        ITS_FIRST_UTLB,
        SHARED_UTLB,
    )?;
    let setup = Setup::new("dt-shared_utlb", Driver::Rust).dtb(dtb.into_path());
    let board = Fixture::new(bench, setup, |b| b.load_driver(&DMACS));
    Ok(vec![board.row("one_group", one_group)])
}

fn one_group(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    let mut groups = Vec::new();
    for device in DMACS {
        groups.push(board.sh(&format!(
            "basename $(readlink /sys/bus/platform/devices/{device}/iommu_group)"
        ))?);
    }
    ensure!(
        groups[1] == groups[2] && groups[0] != groups[1],
        "the groups of {DMACS:?} are {groups:?}"
    );
    board.dma(&DMACS)?;
    let before = board.registers()?;
    board.suspend(|_| Ok(()))?;
    board.expect_registers(&before)?;
    board.dma(&DMACS).map(drop)
}
