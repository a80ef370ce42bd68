// SPDX-License-Identifier: GPL-2.0
//! A benefit of an IOMMU. The MMC hosts' DMAC takes one address and one length: scattered memory is
//! one transfer with translation, and many transfers without.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::feature::{C, Feature, Pair, Part};
use super::{Bench, Fixture};
use crate::board::cards::MMC_HOSTS;
use crate::board::{Board, Driver, Setup};

/// The offset at which the program writes to the card, which is not mounted.
const OFFSET: u32 = 128 << 20;
/// The number of pages that the program writes.
const PAGES: u64 = 128;

/// Switches translation off, and limits memory to addresses of 32 bits.
const IDENTITY: &str = "iommu.passthrough=1 mem=512M";

const ONE_TRANSFER: Feature = Feature {
    id: "scattered_write_is_one_transfer",
    part: Part::Clients,
    says: "512 KiB of scattered memory are written to an SD card in one transfer.",
    c: C::Works,
};

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("scattered", Driver::Rust).cards();
    let pair = Pair::new(bench, setup, |b| b.load_driver(&[])).feature(ONE_TRANSFER, |b| {
        let transfers = transfers(b)?;
        ensure!(transfers == 1, "{transfers} transfers instead of one");
        Ok(())
    });
    let setup = Setup::new("scattered-identity", Driver::Rust).append(IDENTITY);
    let identity = Fixture::new(bench, setup.cards(), |b| b.load_driver(&[]));
    let identity = identity.row("is_many_transfers", |b| {
        let transfers = transfers(b)?;
        ensure!(transfers > PAGES / 2, "{transfers} transfers");
        Ok(())
    });
    pair.rows().chain([identity]).collect()
}

/// Returns how many transfers the host of the first card needs to write scattered memory.
fn transfers(board: &mut Board) -> Result<u64> {
    let host = &MMC_HOSTS[0];
    let write = format!(
        ". /tests/storage-lib.sh; /tests/scattered /dev/$(block_device {}) {OFFSET}",
        host.device
    );
    // After a first write the kernel no longer reads the card to identify its contents.
    board.sh(&write)?;
    let before = board.count(host.label, "dma-transfers")?;
    let blocks = board.count(host.label, "dma-blocks")?;
    board.sh(&write)?;
    let blocks = board.count(host.label, "dma-blocks")? - blocks;
    ensure!(blocks == PAGES * 8, "{blocks} blocks were moved");
    Ok(board.count(host.label, "dma-transfers")? - before)
}
