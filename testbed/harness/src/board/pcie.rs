// SPDX-License-Identifier: GPL-2.0
//! PCI Express: the board's first host, and what can be put into its slot.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cards;
use super::dtb::Dtb;
use crate::paths::Paths;

/// The IPMMU that the host's DMA goes through, and the micro-TLB of it.
pub const IPMMU: &str = "ipmmu_hc";
/// See [`IPMMU`].
pub const UTLB: u32 = 0;

/// What Linux calls the root port, and the first two functions in the slot.
pub const ROOT_PORT: &str = "0000:00:00.0";
/// See [`ROOT_PORT`].
pub const FUNCTIONS: [&str; 2] = ["0000:01:00.0", "0000:01:00.1"];

const HOST: &str = "/soc/pcie@fe000000";

/// Writes the board's device tree with the host enabled: the board alone has
/// no slot, only its extension board does.
pub fn device_tree(paths: &Paths, original: &Path) -> Result<PathBuf> {
    let dtb = Dtb::copy(paths, original, "pcie")?
        .set_text(HOST, "status", "okay")?
        .set_cell("/pcie_bus", "clock-frequency", 0, 100_000_000)?;
    Ok(dtb.into_path())
}

/// QEMU's options for devices that are the functions of one card in the slot,
/// each as QEMU's `-device` describes it.
pub fn options(functions: &[String]) -> Vec<String> {
    let multi = if functions.len() > 1 { "on" } else { "off" };
    functions
        .iter()
        .enumerate()
        .flat_map(|(n, device)| {
            let place = format!("bus=pciec0,addr=0.{n},multifunction={multi}");
            ["-device".to_owned(), format!("{device},{place}")]
        })
        .collect()
}

/// The image of the NVMe disk on the board that is named `board`.
pub fn disk_image(paths: &Paths, board: &str) -> PathBuf {
    let name = format!("{board}-nvme.img");
    paths.build().join("images").join(name)
}

/// Makes a new disk with an empty ext4 file system, and says how QEMU gets it.
pub fn new_disk(paths: &Paths, board: &str) -> Result<[String; 2]> {
    let image = disk_image(paths, board);
    cards::create(&image)?;
    let file = format!("if=none,id=disk,format=raw,file={}", image.display());
    Ok(["-drive".to_owned(), file])
}

/// The NVMe controller with the disk of [`new_disk`].
pub const NVME: &str = "nvme,drive=disk,serial=testbed";
