// SPDX-License-Identifier: GPL-2.0
//! Each SoC with upstream's unchanged device tree of one of its boards, on a machine that is built
//! from that tree.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::{UNMAPPED, faults};
use super::stage2::above_4_gib;
use super::{Bench, Fixture};
use crate::board::wiring::{Client, Ipmmu, Kind};
use crate::board::{Board, Setup, groups};

/// A board, by its name in the kernel's sources, with its SoC, by the compatible string.
pub struct SocBoard {
    pub soc: &'static str,
    pub name: &'static str,
    /// Whether upstream's policy translates anything on the SoC.
    pub is_translated: bool,
    /// Whether the device tree has PSCI. Without it the kernel offers no deep sleep.
    sleeps: bool,
    /// Whether the SoC walks tables of stage 2.
    has_stage_2: bool,
}

const fn translated(soc: &'static str, name: &'static str) -> SocBoard {
    SocBoard {
        soc,
        name,
        is_translated: true,
        sleeps: true,
        has_stage_2: false,
    }
}

const fn stage_2(soc: &'static str, name: &'static str) -> SocBoard {
    SocBoard {
        has_stage_2: true,
        ..translated(soc, name)
    }
}

const fn refused(soc: &'static str, name: &'static str) -> SocBoard {
    SocBoard {
        is_translated: false,
        ..translated(soc, name)
    }
}

const V3U: SocBoard = SocBoard {
    sleeps: false,
    ..translated("r8a779a0", "r8a779a0-falcon")
};

pub const BOARDS: [SocBoard; 16] = [
    refused("r8a774a1", "r8a774a1-hihope-rzg2m"),
    translated("r8a774b1", "r8a774b1-hihope-rzg2n"),
    translated("r8a774c0", "r8a774c0-ek874"),
    translated("r8a774e1", "r8a774e1-hihope-rzg2h"),
    stage_2("r8a7795", "r8a77951-salvator-xs"),
    refused("r8a7796", "r8a77960-salvator-xs"),
    stage_2("r8a77961", "r8a77961-salvator-xs"),
    stage_2("r8a77965", "r8a77965-salvator-xs"),
    translated("r8a77970", "r8a77970-eagle"),
    translated("r8a77980", "r8a77980-condor"),
    translated("r8a77990", "r8a77990-ebisu"),
    translated("r8a77995", "r8a77995-draak"),
    V3U,
    stage_2("r8a779f0", "r8a779f0-spider"),
    stage_2("r8a779g0", "r8a779g0-white-hawk"),
    translated("r8a779h0", "r8a779h0-gray-hawk-single"),
];

/// Masters that are translated by default.
const VERIFIED: [&str; 4] = [
    "ee100000.mmc",
    "ee120000.mmc",
    "ee140000.mmc",
    "ee160000.mmc",
];

/// Reasons why a master is not translated.
const NOT_VERIFIED: &str = "not verified on this SoC, see the module parameter allow=";
const UNUSABLE: &str = "the IPMMU of this SoC revision cannot be used";

/// The number of groups that a root has contexts for, and of micro-TLBs of a cache.
const GEN3: (usize, u32) = (6, 48);
const GEN4: (usize, u32) = (14, 64);

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let rows = BOARDS.iter().map(|board| rows_of(bench, board));
    rows.flatten().collect()
}

fn rows_of(bench: &Arc<Bench>, board: &SocBoard) -> Vec<Trial> {
    let setup = Setup::of_tree(&format!("soc-{}", board.soc), board.name);
    let fixture = Fixture::new(bench, setup, load_driver);
    let mut rows = vec![fixture.row("ipmmus_bind", ipmmus_bind)];
    if board.is_translated {
        rows.push(fixture.row("clients", clients));
        rows.push(fixture.row("dma", dma));
        rows.push(fixture.row("fault", fault));
        if board.sleeps {
            rows.push(fixture.row("suspend", suspend));
        }
        rows.extend(stage_2_rows(bench, board));
    } else {
        rows.push(fixture.row("clients", all_refused));
    }
    rows
}

/// Returns the row of a board on which the driver is to use stage 2.
fn stage_2_rows(bench: &Arc<Bench>, board: &SocBoard) -> Option<Trial> {
    let name = format!("soc-{}-stage2", board.soc);
    let setup = Setup::of_tree(&name, board.name).stage2();
    let fixture = Fixture::new(bench, setup, load_driver);
    if !board.has_stage_2 {
        return Some(fixture.row("stage_1_is_used", stage_1));
    }
    let sleeps = board.sleeps;
    Some(fixture.row("iovas_have_40_bits", move |b| {
        dma_above_4_gib(b)?;
        if sleeps {
            b.suspend_and_compare()?;
            dma_above_4_gib(b)?;
        }
        Ok(())
    }))
}

/// Loads the driver with all DMA controllers translated that contexts are left for.
fn load_driver(board: &mut Board) -> Result<()> {
    let allowed: Vec<String> = dmacs(board).into_iter().map(|dmac| dmac.device).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    board.load_driver(&allowed)
}

/// Returns the number of groups and of micro-TLBs for the IPMMU's generation.
fn limits(ipmmu: &Ipmmu) -> (usize, u32) {
    match ipmmu.is_gen4 {
        true => GEN4,
        false => GEN3,
    }
}

fn is_verified(client: &Client) -> bool {
    VERIFIED.contains(&client.device.as_str())
}

/// Returns the DMA controllers to translate: as many as there are contexts left by the masters that
/// are translated by default.
fn dmacs(board: &Board) -> Vec<Client> {
    let enabled = || board.wiring.clients.iter().filter(|c| c.is_enabled);
    let (groups, _) = board.wiring.ipmmus.first().map_or(GEN3, limits);
    let others = enabled().filter(|c| is_verified(c)).count();
    let dmacs = enabled().filter(|c| matches!(c.kind, Kind::Dmac { .. }));
    dmacs.take(groups - others).cloned().collect()
}

/// Each IPMMU of the tree is bound, and announced as the root or cache that the tree describes.
fn ipmmus_bind(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let mut bound = board.bound_ipmmus()?;
    let ipmmus = board.wiring.ipmmus.clone();
    let mut wanted: Vec<&str> = ipmmus.iter().map(|i| i.device.as_str()).collect();
    bound.sort();
    wanted.sort_unstable();
    ensure!(bound == wanted, "bound: {bound:?}");
    for ipmmu in &ipmmus {
        let (groups, utlbs) = limits(ipmmu);
        let role = match &ipmmu.root {
            Some(root) => format!("cache of {root}, {utlbs} uTLBs"),
            None => format!("root, {groups} contexts, "),
        };
        let said = format!("ipmmu-vmsa {}: {role}", ipmmu.device);
        ensure!(board.klog.contains(&said), "not said: {said}");
    }
    Ok(())
}

/// Each master of the tree is translated, or refused for the right reason.
fn clients(board: &mut Board) -> Result<()> {
    let allowed = dmacs(board);
    let may = |client: &Client| is_verified(client) || allowed.contains(client);
    each_client(board, may, NOT_VERIFIED)
}

/// Each master of the tree is refused, as the IPMMU of the SoC cannot be used.
fn all_refused(board: &mut Board) -> Result<()> {
    each_client(board, |_| false, UNUSABLE)
}

/// Fails unless the masters that `may` selects are translated, and the others refused for `why`.
fn each_client(board: &mut Board, may: impl Fn(&Client) -> bool, why: &str) -> Result<()> {
    board.new_messages()?;
    let registers = board.registers()?;
    let clients = board.wiring.clients.clone();
    for client in clients.iter().filter(|c| c.is_enabled) {
        let device = &client.device;
        let group = format!("[ -e {} ]", groups::path(device));
        let is_grouped = board.try_sh(&group)?.code == 0;
        let refusal = format!("{device}: not translated: ");
        let lines = board.klog.lines();
        let told: Vec<&str> = lines.filter(|line| line.contains(&refusal)).collect();
        if may(client) {
            ensure!(is_grouped && told.is_empty(), "{device}: {told:?}");
            for (ipmmu, utlb) in &client.ports {
                registers
                    .context_of(ipmmu, *utlb)
                    .with_context(|| format!("{device}: uTLB {utlb} of {ipmmu} is off"))?;
            }
        } else {
            let is_right = told.len() == 1 && told[0].ends_with(&format!("{refusal}{why}"));
            ensure!(!is_grouped && is_right, "{device}: {told:?}");
        }
    }
    Ok(())
}

/// Each translated DMA controller copies through its IPMMU.
fn dma(board: &mut Board) -> Result<()> {
    for dmac in dmacs(board) {
        let (ipmmu, _) = &dmac.ports[0];
        let before = board.count(ipmmu, "translations")?;
        board.dma(&[&dmac.device])?;
        let after = board.count(ipmmu, "translations")?;
        ensure!(after > before, "{}: nothing was translated", dmac.device);
    }
    Ok(())
}

/// An access to an unmapped address is stopped, and reported once.
fn fault(board: &mut Board) -> Result<()> {
    for dmac in dmacs(board) {
        let Kind::Dmac { channels, stride } = dmac.kind else {
            continue;
        };
        board.new_messages()?;
        let environment = format!("CHANNELS={channels:#x} STRIDE={stride:#x}");
        let command = format!("fault.sh {} 0 {UNMAPPED:#x}", dmac.device);
        let output = board.try_sh(&format!("{environment} /tests/{command}"))?;
        ensure!(output.code == 0, "{command}: {}", output.text);
        let faults = faults(&board.new_messages()?);
        ensure!(
            faults.len() == 1 && faults[0].iova == u64::from(UNMAPPED),
            "{}: reported {faults:?}",
            dmac.device
        );
    }
    dma(board)
}

/// All registers are lost in a suspend, and restored.
fn suspend(board: &mut Board) -> Result<()> {
    dma(board)?;
    board.suspend_and_compare()?;
    dma(board)
}

/// The DMA controllers copy at IOVAs beyond those of stage 1.
fn dma_above_4_gib(board: &mut Board) -> Result<()> {
    expect_roots(board, "40-bit IOVAs")?;
    above_4_gib(board, dma)
}

/// The driver says once that the SoC is not known to have stage 2, and uses stage 1.
fn stage_1(board: &mut Board) -> Result<()> {
    expect_roots(board, "32-bit IOVAs")?;
    let said = board.klog.matches("stage2: not known to work").count();
    ensure!(said == 1, "it was said {said} times");
    dma(board)
}

/// Fails unless each root was announced with `iovas`.
fn expect_roots(board: &mut Board, iovas: &str) -> Result<()> {
    board.new_messages()?;
    let lines = board.klog.lines();
    let roots: Vec<&str> = lines.filter(|l| l.contains(": root, ")).collect();
    let is_right = !roots.is_empty() && roots.iter().all(|l| l.ends_with(iovas));
    ensure!(is_right, "announced: {roots:?}");
    Ok(())
}
