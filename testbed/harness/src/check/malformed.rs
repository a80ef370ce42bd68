// SPDX-License-Identifier: GPL-2.0
//! This driver on device trees with one mistake. Expects one clear message and no oops. Everything
//! that does not depend on the broken part works.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::common::complaints;
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

const ROOT: &str = "/soc/iommu@e67b0000";
const CACHE: &str = "/soc/iommu@e6740000";
const CACHE_DEVICE: &str = "e6740000.iommu";
const OTHER_CACHE: &str = "/soc/iommu@e7740000";
const CLIENT: &str = "/soc/dma-controller@e6700000";

/// The part that still works.
#[derive(Clone, Copy)]
enum Rest {
    /// All IPMMUs, and all clients but one.
    AllBound,
    /// All but the broken cache.
    AllButCache,
    /// Nothing, as all caches wait for their root.
    Nothing,
}

/// A device tree with one mistake.
struct Case {
    name: &'static str,
    damage: fn(Dtb) -> Result<Dtb>,
    /// A part of the message.
    word: &'static str,
    rest: Rest,
}

const CASES: [Case; 6] = [
    Case {
        name: "no_root_phandle",
        damage: |d| d.delete(CACHE, "renesas,ipmmu-main"),
        word: "renesas,ipmmu-main",
        rest: Rest::AllButCache,
    },
    Case {
        name: "dangling_root_phandle",
        damage: |d| d.set_cell(CACHE, "renesas,ipmmu-main", 0, 0xdead),
        word: "renesas,ipmmu-main",
        rest: Rest::AllButCache,
    },
    Case {
        name: "utlb_out_of_range",
        damage: |d| d.set_cell(CLIENT, "iommus", 1, 48),
        word: "uTLB 48",
        rest: Rest::AllBound,
    },
    Case {
        name: "two_ipmmus",
        damage: |d| {
            let other = d.cell(OTHER_CACHE, "phandle", 0)?;
            d.set_cell(CLIENT, "iommus", 2, other)
        },
        word: "one IPMMU expected",
        rest: Rest::AllBound,
    },
    Case {
        name: "no_reg",
        damage: |d| d.delete(CACHE, "reg"),
        word: "reg",
        rest: Rest::AllButCache,
    },
    Case {
        name: "no_interrupt_on_the_root",
        damage: |d| d.delete(ROOT, "interrupts"),
        word: "interrupt",
        rest: Rest::Nothing,
    },
];

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    CASES.iter().map(|case| row(bench, case)).collect()
}

fn row(bench: &Arc<Bench>, case: &'static Case) -> Result<Trial> {
    let original = bench.provision.kernel.dtb();
    let dtb = (case.damage)(Dtb::copy(&bench.paths, &original, case.name)?)?;
    let setup = Setup::new(&format!("dt-{}", case.name), Driver::Rust).dtb(dtb.into_path());
    let board = Fixture::new(bench, setup, |b| b.load_driver(&DMACS));
    Ok(board.row("one_message", |b| one_message(b, case)))
}

fn one_message(board: &mut Board, case: &Case) -> Result<()> {
    let messages = board.new_messages()?;
    let complaints = complaints(&messages);
    ensure!(
        complaints.len() == 1 && complaints[0].contains(case.word),
        "expected one message with {:?}, not {complaints:#?}",
        case.word
    );
    match case.rest {
        Rest::AllBound => board.expect_bound_except(&[])?,
        Rest::AllButCache => board.expect_bound_except(&[CACHE_DEVICE])?,
        Rest::Nothing => {
            let all: Vec<&str> = IPMMUS.iter().map(|(_, device)| *device).collect();
            return board.expect_bound_except(&all);
        }
    }
    board.dma(&DMACS[1..]).map(drop)
}
