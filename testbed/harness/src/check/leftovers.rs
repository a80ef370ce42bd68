// SPDX-License-Identifier: GPL-2.0
//! Fault status and enabled interrupts in unused contexts, left by a former user of the IPMMU, or
//! set during a suspend. The interrupt handler does not read these contexts.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::asleep_faults::turn_around;
use super::common::UNMAPPED;
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

/// Addresses of the registers of the root and of IPMMU-DS0.
const ROOT: u64 = 0xe67b_0000;
const CACHE: u64 = 0xe674_0000;
/// The address of the registers of channel 0 of the first DMA controller, which is behind micro-TLB
/// 0 of IPMMU-DS0.
const CHANNEL: u64 = 0xe670_8000;
/// `IMCTR.INTEN`.
const INTEN: u32 = 4;
/// A context that is not in use with so few clients.
const UNUSED: u32 = 6;
/// The limit for the number of interrupts. An unhandled one would recur a hundred thousand times
/// before the kernel disables it.
const FEW: u64 = 10;

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let fresh = Fixture::new(bench, Setup::new("leftovers", Driver::Rust), |_| Ok(()));
    let asleep = Fixture::new(bench, Setup::new("leftovers-asleep", Driver::Rust), |b| {
        // The first controller has no IOMMU, and its micro-TLBs are off.
        b.load_driver(&DMACS[1..])?;
        b.wait_for_channels(&DMACS)?;
        let root = IPMMUS[0].1;
        b.sh(&format!(
            "modprobe pm_trouble supplier_of={root} channel={CHANNEL:#x}"
        ))
        .map(drop)
    });
    vec![
        fresh.row("no_interrupts_after_probe", after_probe),
        asleep.row("no_interrupts_after_resume", after_resume),
    ]
}

/// Returns how many interrupts the IPMMUs have caused.
fn interrupts(board: &mut Board) -> Result<u64> {
    let text = board.sh("cat /proc/interrupts")?;
    let ours = text
        .lines()
        .filter(|line| line.contains("ipmmu") || line.contains(IPMMUS[0].1));
    let counts = ours.flat_map(|line| {
        let (_, counts) = line.split_once(':').unwrap_or_default();
        counts
            .split_whitespace()
            .map_while(|word| word.parse::<u64>().ok())
    });
    Ok(counts.sum())
}

fn imctr(context: u32) -> u64 {
    ROOT + 0x40 * u64::from(context)
}

/// Points the first controller's micro-TLB to a context that is off, with interrupts enabled.
fn point(board: &mut Board, context: u32) -> Result<()> {
    board.sh(&format!("devmem {:#x} 32 {INTEN}", imctr(context)))?;
    let imuctr = 1 | context << 4;
    board
        .sh(&format!("devmem {:#x} 32 {imuctr:#x}", CACHE + 0x300))
        .map(drop)
}

fn status(board: &mut Board, context: u32) -> Result<(u32, u32)> {
    let registers = board.registers()?;
    let of = |name| registers.get("ipmmu_mm", &format!("{name}({context})"));
    Ok((of("IMSTR"), of("IMCTR") & INTEN))
}

/// Loads the module when contexts 1 to 7 have old faults, which it must clear without a report.
fn after_probe(board: &mut Board) -> Result<()> {
    for context in 1..8 {
        point(board, context)?;
        let copied = board.sh(&format!(
            "/tests/master.sh copy e6700000 0 {UNMAPPED:#x} {UNMAPPED:#x}"
        ))?;
        ensure!(copied.trim() == "refused", "the access was {copied}");
        let (status, inten) = status(board, context)?;
        ensure!(status != 0 && inten != 0, "nothing is left: {status:#x}");
    }
    board.sh(&format!("devmem {:#x} 32 0", CACHE + 0x300))?;
    board.new_messages()?;

    board.load_driver(&DMACS)?;
    board.expect_bound_except(&[])?;
    let told = board.new_messages()?;
    let count = interrupts(board)?;
    ensure!(count < FEW, "there were {count} interrupts");
    let fault = told.lines().find(|l| l.to_lowercase().contains("fault"));
    ensure!(
        fault.is_none(),
        "what was left is told of as the driver's own: {}",
        fault.unwrap_or_default()
    );
    for context in 1..8 {
        let (status, _) = status(board, context)?;
        ensure!(status == 0, "IMSTR({context}) is {status:#x}");
    }
    board.dma(&DMACS).map(drop)
}

/// Makes a master fault while all devices sleep, in a context that is not in use.
fn after_resume(board: &mut Board) -> Result<()> {
    let used = board
        .registers()?
        .get("ipmmu_mm", &format!("IMCTR({UNUSED})"));
    ensure!(used & 1 == 0, "context {UNUSED} is in use");
    let before = interrupts(board)?;
    let parameters = "/sys/module/pm_trouble/parameters";
    board.sh(&format!(
        "/tests/fault.sh {} 0 {UNMAPPED:#x} later",
        DMACS[0]
    ))?;
    board.sh(&format!("echo last:suspend_noirq > {parameters}/start"))?;
    point(board, UNUSED)?;
    let faults = board.count("ipmmu_mm", "faults")?;

    turn_around(board)?;
    ensure!(
        board.count("ipmmu_mm", "faults")? > faults,
        "nothing happened while it slept"
    );
    board.sh(&format!(
        "echo > {parameters}/start; devmem {:#x} 32 0; \
         echo auto > /sys/bus/platform/devices/{}/power/control",
        CACHE + 0x300,
        DMACS[0]
    ))?;
    let count = interrupts(board)? - before;
    ensure!(count < FEW, "there were {count} interrupts");
    let (status, inten) = status(board, UNUSED)?;
    ensure!(
        status == 0 && inten == 0,
        "IMSTR({UNUSED}) is {status:#x}, and INTEN {inten}"
    );
    board.dma(&DMACS).context("after the resume").map(drop)
}
