// SPDX-License-Identifier: GPL-2.0
//! An IPMMU in a power area that is cut while the masters behind the IPMMU are idle.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::common::wait_until;
use super::feature::{C, Feature, Pair, Part};
use super::generations::{EXTRA_DMAC, GENERATIONS, Generation, extra_nodes};
use super::groups::change_type;
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::registers::Registers;
use crate::board::{Board, Driver, Setup};

const ROOT: &str = "e8000000.iommu";
const CACHE: &str = "e8100000.iommu";

/// The power areas of the extra root and of its cache, as bits of the SYSC.
const A3VP: u64 = 1 << 9;
const A3VC: u64 = 1 << 14;

/// The H3's own IPMMUs in these areas. No devices are behind them.
const OWN: [(u64, &str); 2] = [(A3VP, "fe990000.iommu"), (A3VC, "fe6b0000.iommu")];

const IDLE: Feature = Feature {
    id: "idle_ipmmu_loses_its_power",
    part: Part::Sleep,
    says: "An IPMMU with idle masters loses power with its power area, and DMA works afterwards.",
    c: C::Fails("stays on"),
};

const CHANGED: Feature = Feature {
    id: "attach_without_power",
    part: Part::Sleep,
    says: "Domains are attached and detached while the IPMMU has no power, and nothing is lost.",
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
    says: "IPMMUs without clients lose power with their power areas, and come back with them.",
    c: C::Fails("stays on"),
};

const PATIENT: Feature = Feature {
    id: "power_stays_for_a_moment",
    part: Part::Sleep,
    says: "The delay before an IPMMU sleeps begins when its last master falls asleep.",
    c: C::NotApplicable("its power is never cut"),
};

const ASLEEP: Feature = Feature {
    id: "suspend_without_power",
    part: Part::Sleep,
    says: "The system sleeps and wakes up while an IPMMU has no power.",
    c: C::NotApplicable("its power is never cut"),
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let prepare = |b: &mut Board| {
        b.load_driver(&[])?;
        b.wait_for_channels(&[EXTRA_DMAC])
    };
    let pair = Pair::new(bench, setup(bench, &GENERATIONS[1], "power")?, prepare)
        .feature(UNUSED, unused)
        .feature(IDLE, |b| with_and_without_root(b, idle))
        .feature(CHANGED, |b| with_and_without_root(b, changed))
        .feature(FLUSHED, |b| with_and_without_root(b, flushed))
        .feature(PATIENT, patient)
        .feature(ASLEEP, |b| with_and_without_root(b, asleep));
    let mut rows: Vec<Trial> = pair.rows().collect();
    for generation in &GENERATIONS[1..] {
        let name = format!("power-{}-stage2", generation.name);
        let setup = setup(bench, generation, &name)?.stage2_of_gen3();
        let board = Fixture::new(bench, setup, prepare);
        rows.push(board.row(IDLE.id, |b| with_and_without_root(b, idle)));
        rows.push(board.row(CHANGED.id, |b| with_and_without_root(b, changed)));
        rows.push(board.row(FLUSHED.id, |b| with_and_without_root(b, flushed)));
    }
    Ok(rows)
}

/// Returns a board with a root and a cache of this generation, in power areas that are cut.
fn setup(bench: &Bench, generation: &Generation, name: &str) -> Result<Setup> {
    let original = bench.provision.kernel.dtb();
    let nodes = extra_nodes(generation.compatible, true);
    let dtb = Dtb::copy(&bench.paths, &original, name)?.add(&nodes)?;
    Ok(Setup::new(name, Driver::Rust)
        .prr(UNKNOWN_SOC)
        .extra_ipmmu(generation.name)
        .power_areas()
        .dtb(dtb.into_path()))
}

/// Calls `work` while both root and cache may lose their power, then while only the cache may.
/// Passes it the areas concerned.
fn with_and_without_root(board: &mut Board, work: fn(&mut Board, u64) -> Result<()>) -> Result<()> {
    work(board, A3VP | A3VC)?;
    kept_awake(board, ROOT, |b| work(b, A3VC)).context("with the root kept awake")
}

/// Waits until the IPMMUs in these areas have no power. Checks that they have lost every register,
/// and that they are runtime-suspended.
fn wait_until_off(board: &mut Board, areas: u64) -> Result<()> {
    wait_until_cut(board, areas)?;
    for (area, name, ipmmu) in [(A3VP, "ipmmu_extra", ROOT), (A3VC, "ipmmu_extra0", CACHE)] {
        if areas & area == 0 {
            continue;
        }
        let kept = board.registers()?.of(name);
        ensure!(
            kept == 0,
            "{kept} registers survived: the machine is at fault"
        );
        expect_status(board, ipmmu, "suspended")?;
    }
    Ok(())
}

fn wait_until_cut(board: &mut Board, areas: u64) -> Result<()> {
    wait_until(board, "the power area stays on", |b| {
        Ok(b.count("sysc", "on")? & areas == 0)
    })
}

/// Fails unless the IPMMU has this runtime PM status.
fn expect_status(board: &mut Board, ipmmu: &str, expected: &str) -> Result<()> {
    let file = format!("/sys/bus/platform/devices/{ipmmu}/power/runtime_status");
    let status = board.sh(&format!("cat {file}"))?;
    ensure!(status.trim() == expected, "{ipmmu} is {status}");
    Ok(())
}

/// Copies by DMA, and fails if the extra cache translated nothing.
fn works(board: &mut Board) -> Result<()> {
    let before = board.count("ipmmu_extra0", "translations")?;
    board.dma(&[EXTRA_DMAC])?;
    let after = board.count("ipmmu_extra0", "translations")?;
    ensure!(after > before, "nothing was translated");
    Ok(())
}

/// Calls `f` while the extra cache, and with it the extra root, may not sleep.
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
        expect_status(board, ipmmu, "suspended")?;
        kept_awake(board, ipmmu, |b| {
            ensure!(b.count("sysc", "on")? & area != 0, "{ipmmu} has no power");
            expect_status(b, ipmmu, "active")
        })?;
        wait_until_cut(board, area)?;
    }
    Ok(())
}

fn idle(board: &mut Board, areas: u64) -> Result<()> {
    works(board)?;
    let before = awake(board, Board::registers)?;
    ensure!(before.of("ipmmu_extra0") > 0, "nothing is set up");
    wait_until_off(board, areas)?;
    awake(board, |b| b.expect_registers(&before))?;
    wait_until_off(board, areas)?;
    works(board)?;
    wait_until_off(board, areas)
}

fn changed(board: &mut Board, areas: u64) -> Result<()> {
    let before = awake(board, Board::registers)?;
    wait_until_off(board, areas)?;
    change_type(board, EXTRA_DMAC, "identity")?;
    wait_until_off(board, areas)?;
    let off = awake(board, Board::registers)?;
    ensure!(
        off.context_of("ipmmu_extra0", 1).is_none(),
        "identity is translated"
    );
    wait_until_off(board, areas)?;
    change_type(board, EXTRA_DMAC, "DMA")?;
    works(board)?;
    // The page table is a new one: only the number of registers is the same.
    let after = awake(board, Board::registers)?;
    ensure!(
        after.of("ipmmu_extra0") == before.of("ipmmu_extra0"),
        "{} registers instead of {}",
        after.of("ipmmu_extra0"),
        before.of("ipmmu_extra0")
    );
    Ok(())
}

fn flushed(board: &mut Board, areas: u64) -> Result<()> {
    let unmap = format!("echo map 4096 4 {EXTRA_DMAC} > /sys/module/iommu_bench/parameters/run");
    board.sh("modprobe iommu_bench")?;
    works(board)?;
    wait_until_off(board, areas)?;
    board.sh(&unmap)?;
    // A flush would have left IMCTR set, and `wait_until_off()` would fail.
    wait_until_off(board, areas)?;
    // Once the IPMMU is awake, unmaps flush it again: cached translations of these pages are gone.
    for _ in 0..2 {
        works(board)?;
        board.sh(&unmap)?;
    }
    works(board)
}

/// An IPMMU that has been awake for longer than its autosuspend delay does not fall asleep with its
/// master: the delay only begins then.
fn patient(board: &mut Board) -> Result<()> {
    const DELAY: u32 = 3000;
    let power_of = |device: &str| format!("/sys/bus/platform/devices/{device}/power");
    let (ipmmu, master) = (power_of(CACHE), power_of(EXTRA_DMAC));
    let delay = format!("{ipmmu}/autosuspend_delay_ms");
    let usual = board.sh(&format!("cat {delay}; echo {DELAY} > {delay}"))?;
    // `slept` prints how long a device has slept in total, in milliseconds. That of the IPMMU is
    // read first: a pause after it makes its share smaller.
    let longer = board.sh(&format!(
        "slept() {{ cat $1/runtime_suspended_time; }}; \
         before=$(cat {ipmmu}/runtime_active_time); echo on > {master}/control; \
         until [ $(($(cat {ipmmu}/runtime_active_time) - before)) -gt {DELAY} ]; \
         do usleep 100000; done; \
         of_ipmmu=$(slept {ipmmu}); of_master=$(slept {master}); \
         echo auto > {master}/control; \
         until [ $(cat {ipmmu}/runtime_status) = suspended ]; do usleep 10000; done; \
         of_ipmmu=$(($(slept {ipmmu}) - of_ipmmu)); \
         echo $(($(slept {master}) - of_master - of_ipmmu))"
    ))?;
    board.sh(&format!("echo {} > {delay}", usual.trim()))?;
    let longer: u32 = longer.trim().parse()?;
    ensure!(
        longer > DELAY / 2,
        "the IPMMU fell asleep {longer} ms after its master"
    );
    wait_until_off(board, A3VC)
}

fn asleep(board: &mut Board, areas: u64) -> Result<()> {
    let before = awake(board, Board::registers)?;
    wait_until_off(board, areas)?;
    board.suspend(|_| Ok(()))?;
    awake(board, |b| expect_restored(b, &before))?;
    works(board)
}

/// Fails if a register of the extra IPMMUs changed. The others are not compared: they slept before,
/// and are awake after the system's sleep.
fn expect_restored(board: &mut Board, before: &Registers) -> Result<()> {
    let mut differing = before.differences(&board.registers()?);
    differing.retain(|d| d.name.starts_with("ipmmu_extra"));
    ensure!(differing.is_empty(), "registers that differ: {differing:?}");
    Ok(())
}
