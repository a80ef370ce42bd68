// SPDX-License-Identifier: GPL-2.0
//! The module's use count: one for each device behind an IPMMU, and one more from the first paging
//! domain on, since user space may have domains that outlive their devices.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::vfio::{DEVICE, EDU, TRUSTED, device_tree};
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::pcie::HOSTS;
use crate::board::{Board, Driver, Setup};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    // The root port gets no micro-TLB. With one it would be in the group, and it is not given to
    // user space.
    let dtb = Dtb::copy(&bench.paths, &device_tree(bench)?, "use-count")?;
    let phandle = dtb.cell(HOSTS[0], "iommu-map", 1)?;
    let dtb = dtb
        .set_cells(HOSTS[0], "iommu-map", &[0x100, phandle, 0, 1])?
        .set_cells(HOSTS[0], "iommu-map-mask", &[0xffff])?;
    let setup = Setup::new("use-count", Driver::Rust)
        .append(TRUSTED)
        .dtb(dtb.into_path())
        .pcie(&[EDU]);
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.expect_bound_except(&[])
    });
    Ok(vec![
        board.row("types_of_a_group_do_not_change_it", types_change),
    ])
}

fn number(board: &mut Board, command: &str) -> Result<usize> {
    let text = board.sh(command)?;
    text.trim().parse().with_context(|| text.clone())
}

fn use_count(board: &mut Board) -> Result<usize> {
    number(board, "cat /sys/module/ipmmu_vmsa/refcnt")
}

/// The use count stays while a group gets one default domain after the other, without kernel DMA.
fn types_change(board: &mut Board) -> Result<()> {
    let devices = number(board, "ls -d /sys/kernel/iommu_groups/*/devices/* | wc -l")?;
    let before = use_count(board)?;
    board.test(&format!("userdma {DEVICE} take"))?;
    let group = format!("/sys/bus/pci/devices/{DEVICE}/iommu_group");
    for _ in 0..3 {
        board.sh(&format!(
            "echo identity > {group}/type && echo DMA > {group}/type"
        ))?;
    }
    board.sh(&format!(
        "echo {DEVICE} > /sys/bus/pci/drivers/vfio-pci/unbind"
    ))?;
    let after = use_count(board)?;
    ensure!(before == after, "a use count of {before} became {after}");
    ensure!(
        after == devices + 1,
        "{devices} devices are behind IPMMUs, and the use count is {after}"
    );
    Ok(())
}
