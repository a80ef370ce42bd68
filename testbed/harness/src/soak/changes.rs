// SPDX-License-Identifier: GPL-2.0
//! Changes on a board between its suspends: groups change their types, and drivers are unbound and
//! bound.

use anyhow::{Context, Result, ensure};

use crate::board::Board;
use crate::board::groups::change_type;
use crate::board::guest::DMACS;

/// The DMA controller that is not under load.
const SPARE: &str = DMACS[2];
/// The IPMMU and the micro-TLB of this controller's first channel.
const SPARE_UTLB: (&str, u32) = ("ipmmu_ds1", 16);

/// The types of this controller's group, in turns. Each change rebinds its driver.
const TYPES: [&str; 4] = ["identity", "DMA", "DMA-FQ", "DMA"];

/// Makes change `number`, with everything else under load.
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

/// Unbinds the clients' drivers and binds them again, with nothing under load.
pub fn leave_and_come(board: &mut Board, mounted: &[&str]) -> Result<()> {
    for host in mounted {
        board.sh(&format!("umount /tmp/storage/{host}"))?;
    }
    board.clients_leave().context("unbinding the clients")?;
    board.clients_come().context("binding the clients again")?;
    board.wait_for_channels(&DMACS)
}
