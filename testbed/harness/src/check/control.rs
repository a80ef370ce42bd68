// SPDX-License-Identifier: GPL-2.0
//! The registers that are an instance's, not a context's or a micro-TLB's: what
//! firmware left in them stays, across a sleep as well, but for USE_SECGRP.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};

/// What firmware leaves in IMSCTLR, and in IMSAUXCTLR after it, of the root and of
/// a cache. The root walks tables of another format with S2PTE, which a cache may have.
const KEPT: [(u64, [u32; 2]); 2] = [(0xe67b_0500, [0x5, 0x30]), (0xe674_0500, [0x2, 0x8])];
const USE_SECGRP: u32 = 1 << 28;

/// IMSAUXCTLR of another cache, in which firmware leaves nothing.
const CHANGED: (u64, u32) = (0xe774_0504, 0x8);

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
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
    ]
}

/// Leaves something in the registers, before the driver is loaded.
pub fn be_firmware(board: &mut Board) -> Result<()> {
    for (register, [control, auxiliary]) in KEPT {
        let value = control | USE_SECGRP;
        board.sh(&format!("devmem {register:#x} 32 {value:#x}"))?;
        board.sh(&format!("devmem {:#x} 32 {auxiliary:#x}", register + 4))?;
    }
    Ok(())
}

/// Fails unless the registers are what [`be_firmware`] left there, as far as it stays.
pub fn expect_kept(board: &mut Board) -> Result<()> {
    for (register, kept) in KEPT {
        for (address, value) in [register, register + 4].into_iter().zip(kept) {
            expect_value(board, address, value)?;
        }
    }
    Ok(())
}

/// Has a register hold something else than what the driver found at probe.
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
