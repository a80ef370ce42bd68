// SPDX-License-Identifier: GPL-2.0
//! IPMMUs of all generations. A board has one extra IPMMU for these tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::Bench;
use super::c_driver::UNKNOWN_SOC;
use super::common::{UNMAPPED, faults};
use super::feature::{C, Feature, Pair, Part};
use crate::board::dtb::Dtb;
use crate::board::registers::{IPMMUS, PARKING, Registers};
use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;

/// The DMA controller behind the extra IPMMU.
pub const EXTRA_DMAC: &str = "e8200000.dma-controller";
pub const EXTRA_CHANNELS: [&str; 2] = [EXTRA_DMAC, "e8200000.dma-controller:13"];

/// The SoCs of the binding: for each, the ends of its compatible strings, most specific first.
const BINDING: [&[&str]; 25] = [
    &["r8a73a4", "vmsa"],
    &["r8a7742", "vmsa"],
    &["r8a7743", "vmsa"],
    &["r8a7744", "vmsa"],
    &["r8a7745", "vmsa"],
    &["r8a7790", "vmsa"],
    &["r8a7791", "vmsa"],
    &["r8a7793", "vmsa"],
    &["r8a7794", "vmsa"],
    &["r8a774a1"],
    &["r8a774b1"],
    &["r8a774c0"],
    &["r8a774e1"],
    &["r8a7795"],
    &["r8a7796"],
    &["r8a77961"],
    &["r8a77965"],
    &["r8a77970"],
    &["r8a77980"],
    &["r8a77990"],
    &["r8a77995"],
    &["r8a779a0", GEN4],
    &["r8a779f0", GEN4],
    &["r8a779g0", GEN4],
    &["r8a779h0", GEN4],
];
/// Stands for the only compatible string with another beginning.
const GEN4: &str = "gen4";

/// SoCs with boards of their own in other rows: the H3, and the SoC of the 32-bit board.
const BOARDS: [&str; 2] = ["r8a7795", "r8a7790"];

/// Returns the SoCs of which a row checks that the driver matches their compatible strings.
pub fn bound() -> impl Iterator<Item = &'static str> {
    BINDING.iter().map(|ends| ends[0])
}

/// Returns the SoCs whose IPMMU is emulated in rows with DMA, faults and suspend.
pub fn emulated() -> impl Iterator<Item = &'static str> {
    let here = GENERATIONS.iter().map(|g| g.compatible[0]);
    here.chain(BOARDS)
}

/// The context in which this driver parks micro-TLBs on Gen4.
const PARKING_GEN4: u32 = 15;

/// A generation, and the properties of its extra IPMMU.
pub struct Generation {
    pub name: &'static str,
    pub compatible: &'static [&'static str],
    /// The IPMMU with the micro-TLBs of the DMA controller.
    pub masters_at: &'static str,
    /// The contexts of groups have numbers below this one.
    pub contexts: u32,
    dma: Feature,
    fault: Feature,
    sleep: Feature,
}

macro_rules! feature {
    ($id:literal, $says:literal, $c:expr) => {
        Feature {
            id: $id,
            part: Part::Generations,
            says: $says,
            c: $c,
        }
    };
}

pub const GENERATIONS: [Generation; 3] = [
    Generation {
        name: "gen2",
        compatible: &["r8a7791", "vmsa"],
        masters_at: "ipmmu_extra",
        contexts: 1,
        dma: feature!("gen2_dma", "Gen2: DMA is translated.", C::Works),
        fault: feature!(
            "gen2_fault",
            "Gen2: a fault is stopped and reported, and only registers that exist are touched.",
            // The C driver reads IMEUAR on any 64-bit kernel.
            C::Fails("registers that do not exist")
        ),
        sleep: feature!(
            "gen2_suspend",
            "Gen2: registers and DMA after a suspend.",
            C::Works
        ),
    },
    Generation {
        name: "gen3",
        compatible: &["r8a77965"],
        masters_at: "ipmmu_extra0",
        contexts: PARKING,
        dma: feature!("gen3_dma", "Gen3: DMA is translated.", C::Works),
        fault: feature!(
            "gen3_fault",
            "Gen3: a fault is stopped and reported.",
            C::Works
        ),
        sleep: feature!(
            "gen3_suspend",
            "Gen3: registers and DMA after a suspend.",
            C::Works
        ),
    },
    Generation {
        name: "gen4",
        compatible: &["r8a779f0", GEN4],
        masters_at: "ipmmu_extra0",
        contexts: PARKING_GEN4,
        dma: feature!("gen4_dma", "Gen4: DMA is translated.", C::Works),
        fault: feature!(
            "gen4_fault",
            "Gen4: a fault is stopped and reported.",
            C::Works
        ),
        sleep: feature!(
            "gen4_suspend",
            "Gen4: registers and DMA after a suspend.",
            C::Works
        ),
    },
];

const ALL_COMPATIBLES: Feature = Feature {
    id: "all_compatibles",
    part: Part::Generations,
    says: "The driver matches all 25 SoCs of the device tree binding.",
    c: C::Works,
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = Vec::new();
    for generation in &GENERATIONS {
        let pair = Pair::new(bench, setup(bench, generation)?, |b| b.load_driver(&[]))
            .feature(generation.dma, |b| dma(b, generation))
            .feature(generation.fault, |b| fault(b, generation))
            .feature(generation.sleep, |b| sleep(b, generation));
        let pair = match generation.name {
            "gen3" => pair.feature(ALL_COMPATIBLES, all_compatibles),
            _ => pair,
        };
        rows.extend(pair.rows());
    }
    Ok(rows)
}

/// Returns a board on which the H3's own IPMMUs are disabled, and only the extra one is enabled.
pub fn setup(bench: &Bench, generation: &Generation) -> Result<Setup> {
    let (paths, original) = (&bench.paths, bench.provision.kernel.dtb());
    let mut dtb = Dtb::open(device_tree(paths, &original, generation)?);
    if generation.name == "gen3" {
        dtb = dtb.add(&nodes_without_registers())?;
    }
    Ok(Setup::new(generation.name, Driver::Rust)
        .prr(UNKNOWN_SOC)
        .extra_ipmmu(generation.name)
        .dtb(dtb.into_path()))
}

fn device_tree(paths: &Paths, original: &Path, generation: &Generation) -> Result<PathBuf> {
    let mut dtb = Dtb::copy(paths, original, generation.name)?;
    for (_, device) in IPMMUS {
        let address = device.trim_end_matches(".iommu");
        dtb = dtb.set_text(&format!("/soc/iommu@{address}"), "status", "disabled")?;
    }
    let split = generation.masters_at != "ipmmu_extra";
    let nodes = extra_nodes(generation.compatible, split);
    Ok(dtb.add(&nodes)?.into_path())
}

/// Creates the device trees for all generations from that of the H3, and returns their paths.
pub fn device_trees(paths: &Paths, original: &Path) -> Result<Vec<PathBuf>> {
    let all = GENERATIONS.iter();
    all.map(|g| device_tree(paths, original, g)).collect()
}

/// Returns the property `compatible` for compatible strings with these ends.
fn compatible(ends: &[&str]) -> String {
    let strings: Vec<String> = ends
        .iter()
        .map(|end| match *end {
            GEN4 => "\"renesas,rcar-gen4-ipmmu-vmsa\"".to_owned(),
            end => format!("\"renesas,ipmmu-{end}\""),
        })
        .collect();
    format!("compatible = {};", strings.join(", "))
}

/// Returns nodes for the extra devices of the machine: a root, a cache if the generation has caches
/// (`split`), and a DMA controller whose channel n is behind micro-TLB n.
pub fn extra_nodes(ends: &[&str], split: bool) -> String {
    let compatible = compatible(ends);
    // Gen3 numbers its caches, and Gen4 does not.
    let main = match ends.contains(&GEN4) {
        true => "<&extra_root>",
        false => "<&extra_root 0>",
    };
    // The power areas A3VP and A3VC, as in the machine. The root of Gen2 is in no area.
    let in_area = |area| format!("power-domains = <&{{/soc/system-controller@e6180000}} {area}>;");
    let power = in_area(14);
    let root_power = if split { in_area(9) } else { String::new() };
    let cache = format!(
        "extra_cache: iommu@e8100000 {{
            {compatible}
            reg = <0x0 0xe8100000 0x0 0x20000>;
            renesas,ipmmu-main = {main};
            {power}
            #iommu-cells = <1>;
        }};"
    );
    let (cache, ipmmu) = match split {
        true => (cache.as_str(), "extra_cache"),
        false => ("", "extra_root"),
    };
    let size = if ends.contains(&GEN4) {
        0x20000
    } else {
        0x1000
    };
    let utlbs: Vec<String> = (0..16).map(|n| format!("<&{ipmmu} {n}>")).collect();
    let spis: Vec<String> = (447..464).map(|n| format!("<0 {n} 4>")).collect();
    let names: Vec<String> = (0..16).map(|n| format!("\"ch{n}\"")).collect();
    format!(
        "&{{/soc}} {{
        extra_root: iommu@e8000000 {{
            {compatible}
            reg = <0x0 0xe8000000 0x0 {size:#x}>;
            interrupts = <0 446 4>;
            {root_power}
            #iommu-cells = <1>;
        }};
        {cache}
        dma-controller@e8200000 {{
            compatible = \"renesas,dmac-r8a7795\", \"renesas,rcar-dmac\";
            reg = <0x0 0xe8200000 0x0 0x10000>;
            interrupts = {};
            interrupt-names = \"error\", {};
            #dma-cells = <1>;
            dma-channels = <16>;
            iommus = {};
        }};
        }};\n",
        spis.join(", "),
        names.join(", "),
        utlbs.join(", ")
    )
    .replace("0x0 0x20000>", &format!("0x0 {size:#x}>"))
}

/// Returns one node for each SoC of the binding. The nodes have no registers, so that the driver's
/// probe reports them, and has no other effect.
fn nodes_without_registers() -> String {
    let nodes: Vec<String> = BINDING
        .iter()
        .map(|ends| format!("iommu-{} {{ {} }};", ends[0], compatible(ends)))
        .collect();
    format!("&{{/soc}} {{ {} }};\n", nodes.join("\n"))
}

fn dma(board: &mut Board, generation: &Generation) -> Result<()> {
    let registers = board.registers()?;
    // Channel 13 in Linux, which does not use channel 0, is the hardware's channel 14.
    for utlb in [1, 14] {
        let context = registers
            .context_of(generation.masters_at, utlb)
            .with_context(|| format!("uTLB {utlb} is not enabled"))?;
        ensure!(
            context < generation.contexts || board.driver == Driver::C,
            "context {context}"
        );
        ensure!(
            registers.get("ipmmu_extra", &format!("IMCTR({context})")) & 1 != 0,
            "context {context} is not enabled"
        );
    }
    let before = board.count(generation.masters_at, "translations")?;
    board.dma(&EXTRA_CHANNELS)?;
    let after = board.count(generation.masters_at, "translations")?;
    ensure!(after > before, "nothing was translated");
    Ok(())
}

fn fault(board: &mut Board, generation: &Generation) -> Result<()> {
    board.new_messages()?;
    board.test(&format!("fault.sh {EXTRA_DMAC} 0 {UNMAPPED:#x}"))?;
    let messages = board.new_messages()?;
    let faults = faults(&messages);
    ensure!(
        faults.len() == 1 && faults[0].iova == u64::from(UNMAPPED),
        "reported {faults:?}"
    );
    dma(board, generation)
}

pub fn sleep(board: &mut Board, generation: &Generation) -> Result<()> {
    dma(board, generation)?;
    let before = extra_registers(board)?;
    let slept = board.suspend(|_| Ok(()))?;
    ensure!(slept.asleep.len() == 0, "registers survived the sleep");
    expect_extra(board, &before)?;
    dma(board, generation)?;
    expect_extra(board, &before)
}

/// Fails if a register of the extra IPMMU differs from `before`.
fn expect_extra(board: &mut Board, before: &Registers) -> Result<()> {
    let differ = before.differences(&extra_registers(board)?);
    ensure!(differ.is_empty(), "registers differ: {differ:?}");
    Ok(())
}

/// Returns the registers of the extra IPMMU, and of its cache.
fn extra_registers(board: &mut Board) -> Result<Registers> {
    Ok(board.registers()?.within("ipmmu_extra"))
}

fn all_compatibles(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let missing: Vec<&str> = BINDING
        .iter()
        .map(|ends| ends[0])
        .filter(|soc| {
            let said = format!("ipmmu-vmsa soc:iommu-{soc}: ");
            !board.klog.contains(&said)
        })
        .collect();
    ensure!(missing.is_empty(), "not taken: {missing:?}");
    Ok(())
}
