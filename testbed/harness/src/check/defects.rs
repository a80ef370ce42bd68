// SPDX-License-Identifier: GPL-2.0
//! Known defects of the C driver. For each, a row would show it in this driver.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::feature::{C, Feature, Pair, Part};
use super::generations::{EXTRA_DMAC, extra_nodes};
use super::{Bench, groups};
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

const FIRST: &str = "/soc/dma-controller@e6700000";
const THIRD: &str = "/soc/dma-controller@e7310000";
/// The index of the cell in `iommus` with the micro-TLB of channel 0, which Linux does not use.
const UTLB_OF_CHANNEL_0: usize = 1;
/// A micro-TLB beyond the 48 of Gen3, but within the 64 of the C driver's array.
const BEYOND_THE_SOC: u32 = 50;
const BEYOND_THE_ARRAY: u32 = 300;
/// The micro-TLB of a channel of the second DMA controller that Linux uses.
const SHARED_UTLB: u32 = 1;

const UTLB_BEYOND_THE_SOC: Feature = Feature {
    id: "utlb_beyond_the_soc",
    part: Part::Defects,
    says: "A micro-TLB beyond those of the SoC is not written to; its device works untranslated.",
    c: C::Fails("registers that do not exist"),
};

const UTLB_BEYOND_THE_ARRAY: Feature = Feature {
    id: "utlb_far_beyond",
    part: Part::Defects,
    says: "A number far beyond them writes to no memory outside of the driver.",
    c: C::Fails("the kernel died"),
};

const TWO_ROOTS: Feature = Feature {
    id: "two_roots",
    part: Part::Defects,
    says: "With two roots in the device tree, each cache uses the root that it names.",
    c: C::Fails("which is off in its root"),
};

const UNBINDING_A_ROOT: Feature = Feature {
    id: "unbinding_a_root",
    part: Part::Defects,
    says: "Unbinding a root through sysfs does no harm.",
    c: C::Fails("the kernel died"),
};

// The C driver works here, as it has one group for all devices behind an IPMMU.
const SHARED_UTLB_WORKS: Feature = Feature {
    id: "shared_utlb",
    part: Part::Defects,
    says: "Masters that share a micro-TLB are in one group, and both work.",
    c: C::Works,
};

const SHARED_UTLB_STAYS_ON: Feature = Feature {
    id: "shared_utlb_stays_on",
    part: Part::Defects,
    says: "A master unbound from its driver does not disable a micro-TLB that another uses.",
    c: C::Works,
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let load = |b: &mut Board| b.load_driver(&[]);
    let near = with_utlb(bench, "utlb-beyond", FIRST, BEYOND_THE_SOC)?;
    let near = Pair::new(bench, near, load).feature(UTLB_BEYOND_THE_SOC, untranslated);
    let far = with_utlb(bench, "utlb-far-beyond", FIRST, BEYOND_THE_ARRAY)?;
    let far = Pair::new(bench, far, load).feature(UTLB_BEYOND_THE_ARRAY, untranslated);
    let shared = with_utlb(bench, "utlb-shared", THIRD, SHARED_UTLB)?;
    let shared = Pair::new(bench, shared, load)
        .feature(SHARED_UTLB_WORKS, one_group)
        .feature(SHARED_UTLB_STAYS_ON, stays_on);
    let roots = Pair::new(bench, two_root_setup(bench)?, load)
        .feature(TWO_ROOTS, two_roots)
        .feature(UNBINDING_A_ROOT, unbinding_a_root);
    Ok(near
        .rows()
        .chain(far.rows())
        .chain(shared.rows())
        .chain(roots.rows())
        .collect())
}

/// Returns a board whose device tree puts channel 0 of a DMA controller behind `utlb`.
fn with_utlb(bench: &Arc<Bench>, name: &str, controller: &str, utlb: u32) -> Result<Setup> {
    let setup = groups::roomy(bench, name)?;
    let dtb = setup.dtb.clone().context("no device tree")?;
    let dtb = Dtb::open(dtb).set_cell(controller, "iommus", UTLB_OF_CHANNEL_0, utlb)?;
    Ok(setup.dtb(dtb.into_path()))
}

fn two_root_setup(bench: &Arc<Bench>) -> Result<Setup> {
    let setup = groups::roomy(bench, "two-roots")?;
    let dtb = setup.dtb.clone().context("no device tree")?;
    let dtb = Dtb::open(dtb).add(&extra_nodes(&["r8a7795"], true))?;
    Ok(Setup::new("two-roots", Driver::Rust)
        .prr(UNKNOWN_SOC)
        .extra_ipmmu("gen3")
        .dtb(dtb.into_path()))
}

/// Expects DMA of all controllers to work: the first one untranslated, the second one translated.
fn untranslated(board: &mut Board) -> Result<()> {
    board.dma(&DMACS)?;
    board.expect_clean()?;
    let on = board.open_utlbs("ipmmu_ds0")?;
    ensure!(on.is_empty(), "the micro-TLBs {on:?} are on");
    board
        .registers()?
        .context_of("ipmmu_ds1", 1)
        .context("the other ones are not translated")
        .map(drop)
}

fn one_group(board: &mut Board) -> Result<()> {
    board.dma(&DMACS)?;
    let (second, third) = (
        groups::number(board, DMACS[1])?,
        groups::number(board, DMACS[2])?,
    );
    ensure!(second == third, "two groups, {second} and {third}");
    let before = board.registers()?;
    board.suspend(|_| Ok(()))?;
    board.expect_registers(&before)?;
    board.dma(&DMACS).map(drop)
}

/// Unbinds the third controller, and tries to move its group to identity. Expects that this is
/// refused, or does no harm to the second controller.
fn stays_on(board: &mut Board) -> Result<()> {
    board.client("unbind", DMACS[2])?;
    let group = groups::path(DMACS[2]);
    board.try_sh(&format!("echo identity > {group}/type"))?;
    let used = board.registers()?.context_of("ipmmu_ds1", SHARED_UTLB);
    ensure!(used.is_some(), "uTLB {SHARED_UTLB} is off");
    board.dma(&[DMACS[1]])?;
    board.client("bind", DMACS[2])?;
    board.dma(&DMACS).map(drop)
}

fn two_roots(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    for (root, cache) in [("ipmmu_mm", "ipmmu_ds0"), ("ipmmu_extra", "ipmmu_extra0")] {
        let context = registers
            .context_of(cache, 1)
            .with_context(|| format!("uTLB 1 of {cache} is not enabled"))?;
        let imctr = registers.get(root, &format!("IMCTR({context})"));
        ensure!(
            imctr & 1 != 0,
            "{cache} uses context {context}, which is off in its root {root}"
        );
    }
    board.dma(&[DMACS[0], DMACS[1], DMACS[2], EXTRA_DMAC])?;
    board.suspend(|_| Ok(()))?;
    board.expect_registers(&registers)?;
    board.dma(&[DMACS[0], EXTRA_DMAC]).map(drop)
}

fn unbinding_a_root(board: &mut Board) -> Result<()> {
    let (_, root) = IPMMUS[0];
    board.try_sh(&format!(
        "echo {root} > /sys/bus/platform/drivers/ipmmu-vmsa/unbind"
    ))?;
    board.dma(&DMACS).map(drop)
}
