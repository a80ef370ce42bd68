// SPDX-License-Identifier: GPL-2.0
//! What else happens on a board while it sleeps and wakes: devices come and go,
//! contexts with them, and so does the driver.

use anyhow::{Context, Result, ensure};

use crate::board::Board;
use crate::board::groups::change_type;
use crate::board::guest::DMACS;

/// What is not under load.
const SPARE: &str = DMACS[2];
/// The IPMMU of its first channel, and that one's micro-TLB.
const SPARE_UTLB: (&str, u32) = ("ipmmu_ds1", 16);

/// What its group is made in turns. Each time its driver leaves it and comes
/// again, which gives its context back and takes another.
const TYPES: [&str; 4] = ["identity", "DMA", "DMA-FQ", "DMA"];

/// The `number`th change, with everything else under load.
pub fn make(board: &mut Board, number: u32) -> Result<()> {
    let to = TYPES[number as usize % TYPES.len()];
    change_type(board, SPARE, to)?;
    let (ipmmu, utlb) = SPARE_UTLB;
    let context = board.registers()?.context_of(ipmmu, utlb);
    ensure!(
        context.is_some() == (to != "identity"),
        "{SPARE} is {to}, and its context is {context:?}"
    );
    Ok(())
}

/// The driver goes, with nothing under load, and comes again.
pub fn reload(board: &mut Board, mounted: &[&str]) -> Result<()> {
    for host in mounted {
        board.sh(&format!("umount /tmp/storage/{host}"))?;
    }
    board.unload_driver().context("unloading the driver")?;
    board.reload_driver().context("loading the driver again")?;
    board.wait_for_channels(&DMACS)
}
