// SPDX-License-Identifier: GPL-2.0
//! PCI Express: the SoC's host bridges, and the cards in their slots.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cards::{self, IMAGE};
use super::dtb::Dtb;
use crate::paths::Paths;

/// The number of host bridges, each with a slot for one card.
pub const SLOTS: usize = 2;

/// The IPMMU of all host bridges. The number of a slot is also the number of its micro-TLB.
pub const IPMMU: &str = "ipmmu_hc";

/// The root port of the first slot, by its name in Linux.
pub const ROOT_PORT: &str = "0000:00:00.0";
/// The first two functions of the card in the first slot.
pub const FUNCTIONS: [&str; 2] = ["0000:01:00.0", "0000:01:00.1"];
/// The first function of the card in the second slot.
pub const OTHER_CARD: &str = "0001:01:00.0";

/// The paths of the host bridges in the device tree.
pub const HOSTS: [&str; SLOTS] = ["/soc/pcie@fe000000", "/soc/pcie@ee800000"];

/// Writes the board's device tree with the host bridges enabled. In `original` they are disabled,
/// as the slots are on an extension board.
pub fn device_tree(paths: &Paths, original: &Path) -> Result<PathBuf> {
    let mut dtb = Dtb::copy(paths, original, "pcie")?;
    for host in HOSTS {
        dtb = dtb.set_text(host, "status", "okay")?;
    }
    let dtb = dtb.set_cell("/pcie_bus", "clock-frequency", 0, 100_000_000)?;
    Ok(dtb.into_path())
}

/// Returns QEMU's options for a card in slot `slot`. Each function is a device in the notation of
/// QEMU's `-device`.
pub fn options(slot: usize, functions: &[String]) -> Vec<String> {
    let multi = if functions.len() > 1 { "on" } else { "off" };
    functions
        .iter()
        .enumerate()
        .flat_map(|(n, device)| {
            let place = format!("bus=pciec{slot},addr=0.{n},multifunction={multi}");
            ["-device".to_owned(), format!("{device},{place}")]
        })
        .collect()
}

/// Returns the path of the NVMe disk's image, on the board called `board`.
pub fn disk_image(paths: &Paths, board: &str) -> PathBuf {
    let name = format!("{board}-nvme.img");
    paths.build().join("images").join(name)
}

/// Creates a disk with an empty ext4 file system. Returns QEMU's options for it.
pub fn new_disk(paths: &Paths, board: &str) -> Result<[String; 2]> {
    let image = disk_image(paths, board);
    cards::create(&image, &[])?;
    let file = format!("if=none,id=disk,{IMAGE},file={}", image.display());
    Ok(["-drive".to_owned(), file])
}

/// The NVMe controller with the disk of [`new_disk`].
pub const NVME: &str = "nvme,drive=disk,serial=testbed";
