// SPDX-License-Identifier: GPL-2.0
//! Page tables of stage 2, as in Xen's driver, with IOVAs of 40 bits.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::common::{TWO_IPMMUS, UNMAPPED, faults, mapped};
use super::generations::{self, EXTRA_CHANNELS, EXTRA_DMAC, GENERATIONS, Generation};
use super::{Bench, Fixture, faulty, sleep, vfio};
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::registers::{PARKING, Registers};
use crate::board::{Board, Driver, Setup};
use crate::board::{groups, pcie};

/// Xen's values of IMTTBCR and IMCTR of the root.
const WRITTEN: [(&str, u32); 2] = [("IMTTBCR", 0xc000_0058), ("IMCTR", 0x2000_0005)];
/// The bit in the root's IMSAUXCTLR that selects stage 2. The other bits are the firmware's.
pub const S2PTE: u32 = 0x8;

/// The device of [`vfio::EDU`] with 40 address bits.
const WIDE_EDU: &str = "edu,id=edu,dma_mask=0xffffffffff,dma_delay=0";
/// The cell of `dma-ranges` with the size in units of 4 GiB.
const SIZE_ABOVE_4_GIB: usize = 5;
/// The sizes of leaves, a bit each: 4 KiB, 2 MiB, 1 GiB.
const LEAVES: u64 = 1 << 12 | 1 << 21 | 1 << 30;

/// The first IOVA beyond those of stage 1.
const FOUR_GIB: u64 = 1 << 32;

/// A DMA controller, with the IPMMUs that it goes through.
#[derive(Clone, Copy)]
struct Place {
    root: &'static str,
    /// The context of the root for parking.
    parking: u32,
    /// The IPMMU with the controller's micro-TLB, which has number 1.
    cache: &'static str,
    dmac: &'static str,
    channels: &'static [&'static str],
}

const H3: Place = Place {
    root: "ipmmu_mm",
    parking: PARKING,
    cache: "ipmmu_ds0",
    dmac: DMACS[0],
    channels: &TWO_IPMMUS,
};

impl Place {
    fn of(generation: &Generation) -> Self {
        Self {
            root: "ipmmu_extra",
            parking: generation.contexts,
            cache: generation.masters_at,
            dmac: EXTRA_DMAC,
            channels: &EXTRA_CHANNELS,
        }
    }
}

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = Vec::new();
    for (name, words) in [("stage2", None), ("stage2-unkind", Some("all"))] {
        let setup = Setup::new(name, Driver::Rust).stage2();
        let setup = words.map_or(setup.clone(), |words| setup.unkind(words));
        let board = Fixture::new(bench, setup, prepare);
        rows.extend(board_rows(&board, H3));
        rows.push(board.row("suspend", |b| {
            sleep::sleep_and_compare(b)?;
            expect_on(b, H3)
        }));
    }
    // The IPMMUs are kind: a register that cannot be written must hold 0.
    let setup = Setup::new("stage2-lost", Driver::Rust).stage2().unkind("");
    let board = Fixture::new(bench, setup, prepare);
    rows.push(board.row("no_table_is_walked_as_of_stage_1", lost_stage));
    for generation in &GENERATIONS[1..] {
        let mut setup = generations::setup(bench, generation)?.stage2_of_gen3();
        setup.name += "-stage2";
        let board = Fixture::new(bench, setup, |b| b.load_driver(&[]));
        let place = Place::of(generation);
        rows.extend(board_rows(&board, place));
        rows.push(board.row("suspend", move |b| {
            generations::sleep(b, generation)?;
            expect_on(b, place)
        }));
    }
    let unknown = Fixture::new(bench, unknown(bench)?, |b| b.load_driver(&[]));
    rows.push(unknown.row("stage_1_is_used", stage_1));
    let pci = Setup::new("stage2-pci", Driver::Rust)
        .stage2()
        .append("iommu.forcedac=1")
        .dtb(wide(bench)?)
        .pcie(&[pcie::NVME]);
    let pci = Fixture::new(bench, pci, |b| b.load_driver(&[]));
    rows.push(pci.row("dma_above_4_gib", |b| above_4_gib(b, super::pcie::files)));
    let board = Fixture::new(bench, vfio_setup(bench, "vfio-stage2")?, vfio::take);
    rows.extend(vfio::board_rows(&board));
    rows.push(board.row("six_gib_above_4_gib", |b| vfio::same_as_before(b, six_gib)));
    Ok(rows)
}

fn prepare(board: &mut Board) -> Result<()> {
    board.load_driver(&DMACS)?;
    board.wait_for_channels(&DMACS)
}

fn board_rows(board: &Arc<Fixture>, place: Place) -> Vec<Trial> {
    vec![
        board.row("dma_above_4_gib", move |b| dma_above_4_gib(b, place)),
        board.row("a_fault_above_4_gib", move |b| fault(b, place)),
        board.row("lazy", move |b| as_type(b, place, "DMA-FQ")),
        board.row("identity", move |b| as_type(b, place, "identity")),
    ]
}

/// Returns a board with a SoC that is not known to have stage 2, and with a second root, of Gen2.
fn unknown(bench: &Bench) -> Result<Setup> {
    let (name, gen2) = ("stage2-unknown", &GENERATIONS[0]);
    let dtb = Dtb::copy(&bench.paths, &bench.provision.kernel.dtb(), name)?;
    let dtb = dtb.add(&generations::extra_nodes(gen2.compatible, false))?;
    Ok(Setup::new(name, Driver::Rust)
        .stage2()
        .prr(UNKNOWN_SOC)
        .extra_ipmmu(gen2.name)
        .dtb(dtb.into_path()))
}

/// Returns a board with a device for user space, which has IOVAs above 4 GiB.
pub fn vfio_setup(bench: &Bench, name: &str) -> Result<Setup> {
    let setup = vfio::setup(bench, name)?.stage2();
    Ok(setup.dtb(wide(bench)?).pcie(&[WIDE_EDU]))
}

/// Returns a device tree with 12 GiB in the `dma-ranges` of the first PCIe host, instead of 4 GiB.
fn wide(bench: &Bench) -> Result<PathBuf> {
    let dtb = Dtb::copy(&bench.paths, &vfio::device_tree(bench)?, "vfio-wide")?;
    Ok(dtb
        .set_cell(pcie::HOSTS[0], "dma-ranges", SIZE_ABOVE_4_GIB, 3)?
        .into_path())
}

/// User space maps 6 GiB above 4 GiB, in leaves of all sizes, and nothing beyond 40 bits.
fn six_gib(board: &mut Board) -> Result<()> {
    board.set_ipmmu("ipmmu_mm", "leaves", 0.into())?;
    vfio::run(board, "wide")?;
    let leaves = board.count("ipmmu_mm", "leaves")?;
    ensure!(leaves == LEAVES, "walks ended at leaves of {leaves:#x}");
    Ok(())
}

/// Fails unless context `context` of `root` holds Xen's values.
pub fn expect_values(registers: &Registers, root: &str, context: u32) -> Result<()> {
    for (name, value) in WRITTEN {
        let register = format!("{name}({context})");
        let found = registers.get(root, &register);
        ensure!(
            found == value,
            "{register} of {root} is {found:#x}, not {value:#x}"
        );
    }
    let control = registers.get(root, "IMSAUXCTLR");
    ensure!(control & S2PTE != 0, "IMSAUXCTLR of {root} is {control:#x}");
    Ok(())
}

/// Fails unless the controller's context has Xen's values, and parking Xen's IMTTBCR.
fn expect_on(board: &mut Board, place: Place) -> Result<()> {
    let registers = board.registers()?;
    let context = registers.context_of(place.cache, 1);
    expect_values(&registers, place.root, context.context("uTLB 1 is off")?)?;
    let parking = registers.get(place.root, &format!("IMTTBCR({})", place.parking));
    ensure!(parking == WRITTEN[0].1, "parking has {parking:#x}");
    Ok(())
}

fn dma_above_4_gib(board: &mut Board, place: Place) -> Result<()> {
    expect_on(board, place)?;
    let before = board.count(place.cache, "translations")?;
    above_4_gib(board, |b| b.dma(place.channels).map(drop))?;
    let after = board.count(place.cache, "translations")?;
    ensure!(after > before, "nothing was translated");
    Ok(())
}

/// Fails if the DMA API maps an IOVA of stage 1 during `work`.
pub fn above_4_gib(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
    let mapped = mapped(board, work)?;
    let low = mapped.iter().find(|&&iova| iova < FOUR_GIB);
    ensure!(low.is_none(), "{low:#x?} is below 4 GiB");
    Ok(())
}

/// An access beyond 32 bits is refused, and reported with all bits of its address.
fn fault(board: &mut Board, place: Place) -> Result<()> {
    board.new_messages()?;
    let wanted = 0x12 << 32 | u64::from(UNMAPPED);
    board.test(&format!("fault.sh {} 0 {wanted:#x}", place.dmac))?;
    let messages = board.new_messages()?;
    let faults = faults(&messages);
    ensure!(
        faults.len() == 1 && faults[0].iova == wanted,
        "reported {faults:?}, not one fault at {wanted:#x}"
    );
    Ok(())
}

/// The root loses S2PTE at resume. Neither resume nor an attach then switches a context on. What is
/// lost while awake comes back at the next resume.
fn lost_stage(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    board.suspend(|b| b.set_ipmmu(H3.root, "discard-writes", "IMSAUXCTLR".into()))?;
    expect_off(board, "after resume")?;
    groups::change_type(board, H3.dmac, "identity")?;
    groups::change_type(board, H3.dmac, "DMA")?;
    expect_off(board, "after attach")?;
    board.set_ipmmu(H3.root, "discard-writes", "".into())?;
    board.suspend(|_| Ok(()))?;
    board.wait_for_channels(&DMACS)?;
    expect_on(board, H3)?;

    let register = faulty::base_of(H3.root)? + faulty::IMSAUXCTLR;
    board.sh(&format!("devmem {register:#x} 32 0"))?;
    board.suspend(|_| Ok(()))?;
    expect_on(board, H3)?;
    board.dma(H3.channels).map(drop)
}

/// Fails unless all contexts of groups are off in the root, and one message says why.
fn expect_off(board: &mut Board, when: &str) -> Result<()> {
    let messages = board.new_messages()?;
    let named = messages
        .lines()
        .filter(|line| line.contains("control: IMSAUXCTLR is 0x") && line.contains(when))
        .count();
    ensure!(named == 1, "the driver said {messages}");
    let registers = board.registers()?;
    for context in 1..PARKING {
        let imctr = registers.get(H3.root, &format!("IMCTR({context})"));
        ensure!(imctr & 1 == 0, "context {context} is on {when}");
    }
    Ok(())
}

/// DMA works after the group's type has changed to `name`, and after it has changed back.
fn as_type(board: &mut Board, place: Place, name: &str) -> Result<()> {
    for name in [name, "DMA"] {
        groups::change_type(board, place.dmac, name)?;
        board.dma(place.channels)?;
    }
    expect_on(board, place)
}

/// On a SoC not known to have stage 2 the driver says so, once for all roots, and uses stage 1.
fn stage_1(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    board.new_messages()?;
    let roots = board.klog.matches(": root, ").count();
    ensure!(roots == 2, "there are {roots} roots");
    let said = board.klog.matches("stage2: not known to work").count();
    ensure!(said == 1, "it was said {said} times");
    let registers = board.registers()?;
    for (root, register, wanted) in [
        ("ipmmu_mm", format!("IMTTBCR({PARKING})"), 0x8000_0080),
        ("ipmmu_extra", "IMTTBCR(0)".into(), 0x8000_3510),
    ] {
        let format = registers.get(root, &register);
        ensure!(format == wanted, "{register} of {root} is {format:#x}");
    }
    Ok(())
}
