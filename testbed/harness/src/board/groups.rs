// SPDX-License-Identifier: GPL-2.0
//! IOMMU groups of devices in sysfs.

use anyhow::{Context, Result, ensure};

use super::Board;

/// Returns the path of the group of `device` in sysfs.
pub fn path(device: &str) -> String {
    format!("/sys/bus/platform/devices/{device}/iommu_group")
}

/// Returns the number of the group of `device`.
pub fn number(board: &mut Board, device: &str) -> Result<String> {
    let number = board.sh(&format!("basename $(readlink {})", path(device)))?;
    Ok(number.trim().to_owned())
}

/// Returns the type of the group of `device`.
pub fn type_of(board: &mut Board, device: &str) -> Result<String> {
    let text = board.sh(&format!("cat {}/type", path(device)))?;
    Ok(text.trim().to_owned())
}

/// Changes the type of a DMA controller's group. The controller is unbound meanwhile.
pub fn change_type(board: &mut Board, device: &str, to: &str) -> Result<()> {
    board.client("unbind", device)?;
    let changed = board.sh(&format!("echo {to} > {}/type", path(device)));
    board.client("bind", device)?;
    changed.with_context(|| format!("making {device} {to}"))?;
    let now = type_of(board, device)?;
    ensure!(now == to, "{device} is {now} instead of {to}");
    Ok(())
}
