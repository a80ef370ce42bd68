// SPDX-License-Identifier: GPL-2.0
//! An IPMMU in a power area that is cut when the masters behind it are idle.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::Bench;
use super::c_driver::UNKNOWN_SOC;
use super::common::wait_until;
use super::feature::{C, Feature, Pair, Part};
use super::generations::{EXTRA_DMAC, extra_nodes};
use super::groups::change_type;
use crate::board::dtb::Dtb;
use crate::board::{Board, Driver, Setup};

/// The power area of the extra IPMMU: of the SYSC, and a bit there.
const AREA: &str =
    "&{/soc/iommu@e8100000} { power-domains = <&{/soc/system-controller@e6180000} 14>; };\n";
const AREA_BIT: u64 = 1 << 14;
const CACHE: &str = "e8100000.iommu";

/// The areas of the H3 that can be cut under these IPMMUs, as bits of the SYSC:
/// A3VP and A3VC. Nobody is behind them.
const OWN: [(u64, &str); 2] = [(1 << 9, "fe990000.iommu"), (1 << 14, "fe6b0000.iommu")];

const IDLE: Feature = Feature {
    id: "idle_ipmmu_loses_its_power",
    part: Part::Sleep,
    says: "An IPMMU whose masters are idle lets its power area be cut, and DMA works again after.",
    c: C::Fails("stays on"),
};

const CHANGED: Feature = Feature {
    id: "attach_without_power",
    part: Part::Sleep,
    says: "Domains are attached and detached while the IPMMU has no power, and nothing wakes it.",
    c: C::NotApplicable("its power is never cut"),
};

const FLUSHED: Feature = Feature {
    id: "unmap_without_power",
    part: Part::Sleep,
    says: "Pages are unmapped while the IPMMU has no power, and its registers are left alone.",
    c: C::NotApplicable("its power is never cut"),
};

const UNUSED: Feature = Feature {
    id: "unused_ipmmus_lose_their_power",
    part: Part::Sleep,
    says: "IPMMUs behind which nobody is let their power areas be cut, and come back with them.",
    c: C::Fails("stays on"),
};

const ASLEEP: Feature = Feature {
    id: "suspend_without_power",
    part: Part::Sleep,
    says: "The system sleeps and wakes up while an IPMMU has no power.",
    c: C::NotApplicable("its power is never cut"),
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let original = bench.provision.kernel.dtb();
    let nodes = extra_nodes(&["r8a77965"], true) + AREA;
    let dtb = Dtb::copy(&bench.paths, &original, "power")?.add(&nodes)?;
    let setup = Setup::new("power", Driver::Rust)
        .prr(UNKNOWN_SOC)
        .extra_ipmmu("gen3")
        .power_areas()
        .dtb(dtb.into_path());
    let pair = Pair::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.wait_for_channels(&[EXTRA_DMAC])
    })
    .feature(UNUSED, unused)
    .feature(IDLE, idle)
    .feature(CHANGED, changed)
    .feature(FLUSHED, flushed)
    .feature(ASLEEP, asleep);
    Ok(pair.rows().collect())
}

/// Waits until the IPMMU has no power; then every register is lost.
fn wait_until_off(board: &mut Board) -> Result<()> {
    wait_until_cut(board, AREA_BIT)?;
    let kept = board.registers()?.of("ipmmu_extra0");
    ensure!(
        kept == 0,
        "{kept} registers survived: the machine is at fault"
    );
    expect_saved(board, CACHE, "asleep")
}

fn wait_until_cut(board: &mut Board, area: u64) -> Result<()> {
    wait_until(board, "the power area stays on", |b| {
        Ok(b.count("sysc", "on")? & area == 0)
    })
}

/// What the driver says of itself begins with `state`.
fn expect_saved(board: &mut Board, ipmmu: &str, state: &str) -> Result<()> {
    let saved = board.sh(&format!("cat /sys/kernel/debug/ipmmu/{ipmmu}/saved"))?;
    ensure!(
        saved.trim_start().starts_with(state),
        "debugfs says of {ipmmu}: {saved}"
    );
    Ok(())
}

/// DMA that must find the registers as they were in `before`.
fn works(board: &mut Board) -> Result<()> {
    let before = board.count("ipmmu_extra0", "translations")?;
    board.dma(&[EXTRA_DMAC])?;
    let after = board.count("ipmmu_extra0", "translations")?;
    ensure!(after > before, "nothing was translated");
    Ok(())
}

/// Calls `f` while the IPMMU may not sleep.
fn awake<R>(board: &mut Board, f: impl FnOnce(&mut Board) -> Result<R>) -> Result<R> {
    kept_awake(board, CACHE, f)
}

fn kept_awake<R>(
    board: &mut Board,
    ipmmu: &str,
    f: impl FnOnce(&mut Board) -> Result<R>,
) -> Result<R> {
    let control = format!("/sys/bus/platform/devices/{ipmmu}/power/control");
    board.sh(&format!("echo on > {control}"))?;
    let result = f(board);
    board.sh(&format!("echo auto > {control}"))?;
    result
}

fn unused(board: &mut Board) -> Result<()> {
    for (area, ipmmu) in OWN {
        wait_until_cut(board, area)?;
        expect_saved(board, ipmmu, "asleep")?;
        kept_awake(board, ipmmu, |b| {
            ensure!(b.count("sysc", "on")? & area != 0, "{ipmmu} has no power");
            expect_saved(b, ipmmu, "awake")
        })?;
        wait_until_cut(board, area)?;
    }
    Ok(())
}

fn idle(board: &mut Board) -> Result<()> {
    works(board)?;
    let before = awake(board, Board::registers)?;
    ensure!(before.of("ipmmu_extra0") > 0, "nothing is set up");
    wait_until_off(board)?;
    awake(board, |b| b.expect_registers(&before))?;
    wait_until_off(board)?;
    works(board)?;
    wait_until_off(board)
}

fn changed(board: &mut Board) -> Result<()> {
    let before = awake(board, Board::registers)?;
    wait_until_off(board)?;
    change_type(board, EXTRA_DMAC, "identity")?;
    wait_until_off(board)?;
    let off = awake(board, Board::registers)?;
    ensure!(
        off.context_of("ipmmu_extra0", 1).is_none(),
        "identity is translated"
    );
    wait_until_off(board)?;
    change_type(board, EXTRA_DMAC, "DMA")?;
    works(board)?;
    // The context may be another, and the table is.
    let after = awake(board, Board::registers)?;
    ensure!(
        after.of("ipmmu_extra0") == before.of("ipmmu_extra0"),
        "{} registers instead of {}",
        after.of("ipmmu_extra0"),
        before.of("ipmmu_extra0")
    );
    Ok(())
}

fn flushed(board: &mut Board) -> Result<()> {
    let unmap = format!("echo map 4096 4 {EXTRA_DMAC} > /sys/module/iommu_bench/parameters/run");
    board.sh("modprobe iommu_bench")?;
    works(board)?;
    wait_until_off(board)?;
    board.sh(&unmap)?;
    // A flush would have left IMCTR set.
    wait_until_off(board)?;
    // Afterwards it is flushed again: what was cached of these pages is gone.
    for _ in 0..2 {
        works(board)?;
        board.sh(&unmap)?;
    }
    works(board)
}

fn asleep(board: &mut Board) -> Result<()> {
    let before = awake(board, Board::registers)?;
    wait_until_off(board)?;
    board.suspend(|_| Ok(()))?;
    awake(board, |b| b.expect_registers(&before))?;
    works(board)
}
