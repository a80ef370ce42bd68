// SPDX-License-Identifier: GPL-2.0
//! What else happens on a board while it sleeps and wakes: devices change what they
//! are attached to, and their drivers come and go.

use anyhow::{Context, Result, ensure};

use crate::board::Board;
use crate::board::groups::change_type;
use crate::board::guest::DMACS;

/// What is not under load.
const SPARE: &str = DMACS[2];
/// The IPMMU of its first channel, and that one's micro-TLB.
const SPARE_UTLB: (&str, u32) = ("ipmmu_ds1", 16);

/// What its group is made in turns. Each time its driver leaves it and comes
/// again.
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

/// The clients' drivers leave them, with nothing under load, and come again.
pub fn leave_and_come(board: &mut Board, mounted: &[&str]) -> Result<()> {
    for host in mounted {
        board.sh(&format!("umount /tmp/storage/{host}"))?;
    }
    board.clients_leave().context("unbinding the clients")?;
    board.clients_come().context("binding the clients again")?;
    board.wait_for_channels(&DMACS)
}
