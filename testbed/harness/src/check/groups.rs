// SPDX-License-Identifier: GPL-2.0
//! Groups and domains as user space sees them: types, reserved regions, contexts.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::Bench;
use super::c_driver::UNKNOWN_SOC;
use super::common::mapped;
use super::feature::{C, Feature, Pair, Part};
use crate::board::dtb::Dtb;
use crate::board::groups::type_of;
use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, PARKING};
use crate::board::{Board, Driver, Setup};

pub use crate::board::groups::{change_type, number, path};

/// Devices behind an IPMMU that would occupy contexts that rows need: audio DMA, Ethernet, SATA,
/// PCIe, video.
pub const OTHERS: [(&str, &str); 15] = [
    ("dma-controller@ec700000", "iommus"),
    ("dma-controller@ec720000", "iommus"),
    ("ethernet@e6800000", "iommus"),
    ("sata@ee300000", "iommus"),
    ("pcie@fe000000", "iommu-map"),
    ("pcie@ee800000", "iommu-map"),
    ("fcp@fe950000", "iommus"),
    ("fcp@fe951000", "iommus"),
    ("fcp@fe96f000", "iommus"),
    ("fcp@fe92f000", "iommus"),
    ("fcp@fe9af000", "iommus"),
    ("fcp@fe9bf000", "iommus"),
    ("fcp@fea27000", "iommus"),
    ("fcp@fea2f000", "iommus"),
    ("fcp@fea37000", "iommus"),
];

/// Reserves IOVAs that the first DMA controller must not get. Without the reservation they would be
/// the first to be allocated.
const RESERVED: &str = "
/ {
    reserved-memory {
        not_for_dmac0: not-for-dmac0 {
            iommu-addresses = <&dmac0 0x0 0xf0000000 0x0 0x10000000>;
        };
    };
};

dmac0: &{/soc/dma-controller@e6700000} {
    memory-region = <&not_for_dmac0>;
};
";
const RESERVED_FROM: u64 = 0xf000_0000;
const RESERVED_LINE: &str = "0x00000000f0000000 0x00000000ffffffff";

/// More rounds than a root has contexts.
const ROUNDS: u32 = 16;

/// Returns a board with free contexts for more domains. Both drivers translate the same devices on
/// it, as their policies do not cover its SoC.
pub fn roomy(bench: &Arc<Bench>, name: &str) -> Result<Setup> {
    let original = bench.provision.kernel.dtb();
    let mut dtb = Dtb::copy(&bench.paths, &original, name)?;
    for (node, property) in OTHERS {
        dtb = dtb.delete(&format!("/soc/{node}"), property)?;
    }
    let dtb = dtb.add(RESERVED)?;
    Ok(Setup::new(name, Driver::Rust)
        .prr(UNKNOWN_SOC)
        .dtb(dtb.into_path()))
}

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let strict = Pair::new(bench, roomy(bench, "groups")?, |b| b.load_driver(&[]))
        .feature(GROUPS_OF_THEIR_OWN, groups_of_their_own)
        .feature(IDENTITY_AND_BACK, identity_and_back)
        .feature(LAZY_AND_BACK, lazy_and_back)
        .feature(CONTEXTS_COME_BACK, contexts_come_back)
        .feature(RESERVED_REGIONS, reserved_regions);
    let lazy = roomy(bench, "lazy")?.append("iommu.strict=0");
    let lazy = Pair::new(bench, lazy, |b| b.load_driver(&[]))
        .feature(LAZY_FROM_THE_START, lazy_from_the_start);
    Ok(strict.rows().chain(lazy.rows()).collect())
}

const GROUPS_OF_THEIR_OWN: Feature = Feature {
    id: "groups_of_their_own",
    part: Part::Translation,
    says: "Devices without a common micro-TLB are in different groups, also behind one cache.",
    c: C::Fails("are in one group"),
};

const IDENTITY_AND_BACK: Feature = Feature {
    id: "group_type_identity_and_back",
    part: Part::Translation,
    says: "A group's type changes from DMA to identity and back through sysfs, and DMA works.",
    c: C::Works,
};

const LAZY_AND_BACK: Feature = Feature {
    id: "group_type_lazy_and_back",
    part: Part::Translation,
    says: "A group's type changes to DMA-FQ and back through sysfs, and DMA works.",
    c: C::Fails("is DMA instead of DMA-FQ"),
};

const LAZY_FROM_THE_START: Feature = Feature {
    id: "group_is_lazy_from_the_start",
    part: Part::Translation,
    says: "With iommu.strict=0 groups are of type DMA-FQ.",
    c: C::Fails("DMA instead of DMA-FQ"),
};

const CONTEXTS_COME_BACK: Feature = Feature {
    id: "contexts_come_back",
    part: Part::Defects,
    says: "A group that moves from its domain to identity many times frees its context each time.",
    c: C::Works,
};

const RESERVED_REGIONS: Feature = Feature {
    id: "reserved_regions",
    part: Part::Translation,
    says: "Reserved regions of the device tree are reported, and no IOVA is allocated in them.",
    c: C::Fails("is not reported"),
};

fn is_translated(board: &mut Board) -> Result<bool> {
    Ok(board.registers()?.context_of("ipmmu_ds0", 1).is_some())
}

/// Returns how many contexts are on in the root and in each cache, without parking.
fn contexts(board: &mut Board) -> Result<Vec<usize>> {
    let registers = board.registers()?;
    let on = |ipmmu: &str| {
        let is_on = |n: &u32| registers.get(ipmmu, &format!("IMCTR({n})")) & 1 != 0;
        (0..PARKING).filter(is_on).count()
    };
    Ok(IPMMUS.iter().map(|(ipmmu, _)| on(ipmmu)).collect())
}

/// Returns `contexts` minus the first controller's context, in the root and in its cache.
fn one_less(contexts: &[usize]) -> Vec<usize> {
    let of = |(n, (ipmmu, _)): (&usize, &(&str, &str))| {
        n - usize::from(["ipmmu_mm", "ipmmu_ds0"].contains(ipmmu))
    };
    contexts.iter().zip(&IPMMUS).map(of).collect()
}

fn groups_of_their_own(board: &mut Board) -> Result<()> {
    board.dma(&DMACS)?;
    let (second, third) = (number(board, DMACS[1])?, number(board, DMACS[2])?);
    ensure!(
        second != third,
        "{} and {} are in one group",
        DMACS[1],
        DMACS[2]
    );
    let registers = board.registers()?;
    let context = |utlb| registers.context_of("ipmmu_ds1", utlb);
    ensure!(context(1) != context(17), "and use one context");
    Ok(())
}

fn identity_and_back(board: &mut Board) -> Result<()> {
    let device = DMACS[0];
    let before = contexts(board)?;
    change_type(board, device, "identity")?;
    ensure!(!is_translated(board)?, "identity is translated");
    ensure!(
        contexts(board)? == one_less(&before),
        "identity has a context"
    );
    board.dma(&[device])?;
    change_type(board, device, "DMA")?;
    ensure!(is_translated(board)?, "DMA is not translated");
    ensure!(contexts(board)? == before, "contexts were lost or found");
    board.dma(&DMACS).map(drop)
}

fn lazy_and_back(board: &mut Board) -> Result<()> {
    let device = DMACS[0];
    let before = contexts(board)?;
    for to in ["DMA-FQ", "identity", "DMA-FQ", "DMA"] {
        change_type(board, device, to)?;
        let translated = to != "identity";
        ensure!(is_translated(board)? == translated, "{to} is not {to}");
        board.dma(&[device])?;
    }
    ensure!(contexts(board)? == before, "contexts were lost or found");
    Ok(())
}

fn lazy_from_the_start(board: &mut Board) -> Result<()> {
    for device in DMACS {
        let now = type_of(board, device)?;
        ensure!(now == "DMA-FQ", "{device} is {now} instead of DMA-FQ");
    }
    board.dma(&DMACS)?;
    let before = board.registers()?;
    board.suspend(|_| Ok(()))?;
    board.expect_registers(&before)?;
    board.dma(&DMACS).map(drop)
}

fn contexts_come_back(board: &mut Board) -> Result<()> {
    let device = DMACS[0];
    let before = contexts(board)?;
    board.client("unbind", device)?;
    let file = format!("{}/type", path(device));
    let rounds = format!(
        "for round in $(seq {ROUNDS}); do echo identity > {file} && echo DMA > {file} || exit 1; done"
    );
    board.sh(&rounds)?;
    board.client("bind", device)?;
    ensure!(contexts(board)? == before, "contexts were lost or found");
    ensure!(is_translated(board)?, "DMA is not translated");
    board.dma(&[device]).map(drop)
}

fn reserved_regions(board: &mut Board) -> Result<()> {
    let device = DMACS[0];
    let regions = board.sh(&format!("cat {}/reserved_regions", path(device)))?;
    ensure!(
        regions.lines().any(|l| l.starts_with(RESERVED_LINE)),
        "{RESERVED_LINE} is not reported: {regions:?}"
    );
    let other = board.sh(&format!("cat {}/reserved_regions", path(DMACS[1])))?;
    ensure!(!other.contains(RESERVED_LINE), "reported of {}", DMACS[1]);

    let mapped = mapped(board, |b| b.dma(&[device]).map(drop))?;
    let wrong = mapped.iter().find(|&&iova| iova >= RESERVED_FROM);
    ensure!(wrong.is_none(), "{wrong:#x?} was mapped");
    Ok(())
}
