// SPDX-License-Identifier: GPL-2.0
//! Control registers, which belong to an instance rather than to a context or micro-TLB. The driver
//! preserves the firmware's values, also across a suspend, but clears USE_SECGRP.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};

/// The addresses of IMSCTLR of the root and of a cache; the firmware's values there, apart from
/// USE_SECGRP, and in IMSAUXCTLR, which follows. S2PTE (8) in a root changes the table format.
const KEPT: [(u64, [u32; 2]); 2] = [(0xe67b_0500, [0x5, 0x30]), (0xe674_0500, [0x2, 0x8])];
const USE_SECGRP: u32 = 1 << 28;

/// IMSAUXCTLR of another cache, which the firmware does not set, and a value for it.
const CHANGED: (u64, u32) = (0xe774_0504, 0x8);

/// The uppermost bits of IMSCTLR with caching off, of the root and of a cache in A3VC.
const CACHES_OFF: [(u64, u32); 2] = [(0xe67b_0500, 0xc000_0000), (0xfe6b_0500, 0xe000_0000)];

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let soc = Setup::new("restricted", Driver::Rust).prr(UNKNOWN_SOC);
    // An M3-N, on which the caching of IPMMUs must be switched off.
    let restricted = Fixture::new(bench, soc, |b| {
        b.sh("modprobe other_soc soc_id=r8a77965 revision=ES1.1")?;
        b.load_driver(&[])
    });
    let board = Fixture::new(bench, Setup::new("control", Driver::Rust), |b| {
        be_firmware(b)?;
        b.load_driver(&DMACS)
    });
    vec![
        board.row("security_groups_are_switched_off", expect_kept),
        board.row("the_rest_survives_a_suspend", |b| {
            b.suspend(|_| Ok(()))?;
            expect_kept(b)
        }),
        board.row("what_was_changed_since_survives_too", |b| {
            change(b)?;
            b.suspend(|_| Ok(()))?;
            expect_kept(b)?;
            let (register, value) = CHANGED;
            expect_value(b, register, value)
        }),
        restricted.row("caches_are_off_where_they_must_be", |b| {
            expect_caches_off(b)?;
            b.suspend(|_| Ok(()))?;
            expect_caches_off(b)
        }),
    ]
}

/// Fails unless the four uppermost bits match [`CACHES_OFF`]. The firmware may set the other bits.
fn expect_caches_off(board: &mut Board) -> Result<()> {
    for (address, value) in CACHES_OFF {
        let read = board.sh(&format!("echo $(($(devmem {address:#x} 32) & 0xf0000000))"))?;
        ensure!(
            read.trim().parse() == Ok(value),
            "{address:#x} has {read} in its uppermost bits, not {value:#x}"
        );
    }
    Ok(())
}

/// Writes [`KEPT`] and USE_SECGRP to the registers before the driver is loaded, as firmware does.
pub fn be_firmware(board: &mut Board) -> Result<()> {
    for (register, [control, auxiliary]) in KEPT {
        let value = control | USE_SECGRP;
        board.sh(&format!("devmem {register:#x} 32 {value:#x}"))?;
        board.sh(&format!("devmem {:#x} 32 {auxiliary:#x}", register + 4))?;
    }
    Ok(())
}

/// Fails unless the registers hold what [`be_firmware`] wrote, except the bits that the driver
/// changes.
pub fn expect_kept(board: &mut Board) -> Result<()> {
    for (register, kept) in KEPT {
        for (address, value) in [register, register + 4].into_iter().zip(kept) {
            expect_value(board, address, value)?;
        }
    }
    Ok(())
}

/// Writes [`CHANGED`] after the driver's probe.
pub fn change(board: &mut Board) -> Result<()> {
    let (register, value) = CHANGED;
    board
        .sh(&format!("devmem {register:#x} 32 {value:#x}"))
        .map(drop)
}

fn expect_value(board: &mut Board, address: u64, value: u32) -> Result<()> {
    let found = board.sh(&format!("devmem {address:#x} 32"))?;
    let wanted = format!("0x{value:08X}");
    ensure!(
        found.trim() == wanted,
        "{address:#x} is {found}, not {wanted}"
    );
    Ok(())
}
