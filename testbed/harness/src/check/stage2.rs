// SPDX-License-Identifier: GPL-2.0
//! Page tables of stage 2, as Xen's driver has them: IOVAs of 40 bits.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::common::{UNMAPPED, dma_through_two_ipmmus, faults};
use super::{Bench, Fixture, sleep, vfio};
use crate::board::groups;
use crate::board::guest::DMACS;
use crate::board::registers::{PARKING, Registers};
use crate::board::{Board, Driver, Setup};

/// What Xen's driver writes to IMTTBCR and IMCTR of the root.
const WRITTEN: [(&str, u32); 2] = [("IMTTBCR", 0xc000_0058), ("IMCTR", 0x2000_0005)];
/// In IMSAUXCTLR of the root, whose other bits are the firmware's.
const S2PTE: u32 = 0x8;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = Setup::new("stage2", Driver::Rust)
        .stage2()
        .append("iommu.forcedac=1");
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&DMACS)?;
        b.wait_for_channels(&DMACS)
    });
    let unknown = Setup::new("stage2-unknown", Driver::Rust)
        .stage2()
        .prr(UNKNOWN_SOC);
    let unknown = Fixture::new(bench, unknown, |b| b.load_driver(&[]));
    let mut rows = vec![
        board.row("dma_above_4_gib", |b| {
            expect_on(b)?;
            dma_through_two_ipmmus(b)
        }),
        board.row("a_fault_above_4_gib", fault),
        board.row("lazy", |b| as_type(b, "DMA-FQ")),
        board.row("identity", |b| as_type(b, "identity")),
        board.row("suspend", |b| {
            sleep::sleep_and_compare(b)?;
            expect_on(b)
        }),
        unknown.row("stage_1_is_used", stage_1),
    ];
    let setup = vfio::setup(bench, "vfio-stage2")?.stage2();
    let board = Fixture::new(bench, setup, vfio::take);
    rows.extend(vfio::board_rows(&board));
    Ok(rows)
}

/// Context `context` of `root` holds what Xen's driver writes.
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

fn expect_on(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    let context = registers.context_of("ipmmu_ds0", 1);
    expect_values(&registers, "ipmmu_mm", context.context("uTLB 1 is off")?)?;
    let parking = registers.get("ipmmu_mm", &format!("IMTTBCR({PARKING})"));
    ensure!(parking == WRITTEN[0].1, "parking has {parking:#x}");
    Ok(())
}

/// An address above 32 bits is stopped, and reported with all of its bits.
fn fault(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let wanted = 0x12 << 32 | u64::from(UNMAPPED);
    board.test(&format!("fault.sh {} 0 {wanted:#x}", DMACS[0]))?;
    let messages = board.new_messages()?;
    let faults = faults(&messages);
    ensure!(
        faults.len() == 1 && faults[0].iova == wanted,
        "reported {faults:?}, not one fault at {wanted:#x}"
    );
    Ok(())
}

/// DMA works with a group of another type, and as it was after that.
fn as_type(board: &mut Board, name: &str) -> Result<()> {
    for name in [name, "DMA"] {
        groups::change_type(board, DMACS[1], name)?;
        board.dma(&DMACS)?;
    }
    expect_on(board)
}

/// A SoC of which that is not known says so, once, and works as before.
fn stage_1(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let said = board.klog.matches("stage2 is not known to work").count();
    ensure!(said == 1, "it was said {said} times");
    let registers = board.registers()?;
    let format = registers.get("ipmmu_mm", &format!("IMTTBCR({PARKING})"));
    ensure!(format == 0x8000_0080, "IMTTBCR of parking is {format:#x}");
    Ok(())
}
