// SPDX-License-Identifier: GPL-2.0
//! The SD card and the eMMC, with file systems, behind an IPMMU.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::cards::{self, MMC_HOSTS};
use crate::board::{Board, Driver, Setup};

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    [
        ("storage", Driver::Rust, ""),
        ("storage-lazy", Driver::Rust, "iommu.strict=0"),
        ("storage-c-driver", Driver::C, ""),
    ]
    .into_iter()
    .flat_map(|(name, driver, append)| board_rows(bench, Setup::new(name, driver).append(append)))
    .collect()
}

/// Returns the rows for a board with this setup and cards.
pub fn board_rows(bench: &Arc<Bench>, setup: Setup) -> Vec<Trial> {
    let group = setup.group_type();
    let name = setup.name.clone();
    let board = Fixture::new(bench, setup.cards(), |b| b.load_driver(&[]));
    let paths = bench.paths.clone();
    vec![
        board.row("cards_are_translated", move |b| translated(b, group)),
        board.row("files_are_what_was_written", files),
        board.row("suspend_while_writing", suspend_while_writing),
        board.row("file_systems_are_clean", move |b| {
            b.test(&format!("storage-load.sh umount {}", hosts()))?;
            for host in &MMC_HOSTS {
                cards::check(&host.image(&paths, &name)).context(host.label)?;
            }
            Ok(())
        }),
    ]
}

fn hosts() -> String {
    MMC_HOSTS.map(|h| h.device).join(" ")
}

/// Both hosts are in groups of this type, and their micro-TLBs are on.
fn translated(board: &mut Board, group: &str) -> Result<()> {
    // The script returns once both cards were found.
    board.test(&format!("storage.sh {}", hosts()))?;
    let registers = board.registers()?;
    for host in &MMC_HOSTS {
        let device = format!("/sys/bus/platform/devices/{}", host.device);
        let found = board.sh(&format!("cat {device}/iommu_group/type"))?;
        ensure!(found.trim() == group, "{}: {found}", host.device);
        registers
            .context_of("ipmmu_ds1", host.utlb)
            .with_context(|| format!("uTLB {} is not enabled", host.utlb))?;
    }
    Ok(())
}

/// Returns how often the cards' IPMMU translated, and how many blocks the hosts' DMACs moved.
fn traffic(board: &mut Board) -> Result<(u64, u64)> {
    let translations = board.count("ipmmu_ds1", "translations")?;
    let mut blocks = 0;
    for host in &MMC_HOSTS {
        blocks += board.count(host.label, "dma-blocks")?;
    }
    Ok((translations, blocks))
}

/// Files are read back from the cards as written, all by DMA, and all DMA through the IPMMU.
fn files(board: &mut Board) -> Result<()> {
    let before = traffic(board)?;
    let ktap = board.test(&format!("storage.sh {}", hosts()))?;
    let after = traffic(board)?;
    let moved = 2 * ktap.sum("bytes") / 512;
    let (translations, blocks) = (after.0 - before.0, after.1 - before.1);
    ensure!(moved > 0, "nothing was written");
    ensure!(blocks >= moved, "{blocks} of {moved} blocks by DMA");
    ensure!(translations >= blocks, "{translations} of {blocks} blocks");
    ensure!(board.count("ipmmu_mm", "faults")? == 0, "there were faults");
    Ok(())
}

fn suspend_while_writing(board: &mut Board) -> Result<()> {
    write_through_suspends(board, &hosts())
}

/// Writes to these hosts' cards go on across suspends, and nothing is lost.
pub fn write_through_suspends(board: &mut Board, hosts: &str) -> Result<()> {
    board.test(&format!("storage-load.sh start {hosts}"))?;
    for _ in 0..3 {
        let before = board.registers()?;
        board.suspend(|_| Ok(()))?;
        board.expect_registers(&before)?;
    }
    let ktap = board.test(&format!("storage-load.sh stop {hosts}"))?;
    ensure!(ktap.sum("rounds") > 0, "nothing was written");
    Ok(())
}
