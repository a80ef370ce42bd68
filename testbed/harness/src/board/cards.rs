// SPDX-License-Identifier: GPL-2.0
//! The SD card in the board's slot, and the eMMC on the board.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::exec::capture;
use crate::paths::Paths;

/// The MMC hosts of the board.
pub const MMC_HOSTS: [MmcHost; 2] = [
    MmcHost {
        device: "ee100000.mmc",
        label: "sdhi0",
        drive: 0,
        utlb: 32,
    },
    MmcHost {
        device: "ee140000.mmc",
        label: "sdhi2",
        drive: 2,
        utlb: 34,
    },
];

/// The MMC host with the eMMC.
pub const EMMC: &MmcHost = &MMC_HOSTS[1];

/// The size of a card, which must be a power of two. Zeroes take no space in the sparse image.
const SIZE: u64 = 256 << 20;

/// One of the board's MMC hosts.
pub struct MmcHost {
    /// The device name in Linux.
    pub device: &'static str,
    /// The name in QEMU.
    pub label: &'static str,
    /// The index of the drive in QEMU.
    drive: u32,
    /// The micro-TLB of IPMMU-DS1 that the DMA goes through.
    pub utlb: u32,
}

impl MmcHost {
    /// Returns whether the card behind this host is the eMMC.
    pub fn is_emmc(&self) -> bool {
        self.label == EMMC.label
    }

    /// Returns the path of the card's image, on the board called `board`.
    pub fn image(&self, paths: &Paths, board: &str) -> PathBuf {
        let name = format!("{board}-{}.img", self.label);
        paths.build().join("images").join(name)
    }

    /// Returns QEMU's option for a card with the image `image`.
    pub fn option(&self, image: &Path) -> String {
        let (drive, image) = (self.drive, image.display());
        format!("if=sd,index={drive},{IMAGE},file={image}")
    }
}

/// QEMU's options for images. Flushes of the guest do not reach the disk of the host: that can take
/// seconds while others write to it, during which the guest stands still. No test cuts the power of
/// the host.
pub const IMAGE: &str = "format=raw,cache=unsafe";

/// Creates a card with an ext4 file system that contains `files`.
pub fn create(image: &Path, files: &[PathBuf]) -> Result<()> {
    let dir = image.parent().context("an image is in a directory")?;
    fs::create_dir_all(dir)?;
    File::create(image)?.set_len(SIZE)?;
    let root = tempfile::tempdir_in(dir)?;
    for file in files {
        let name = file.file_name().context("a directory cannot be copied")?;
        fs::copy(file, root.path().join(name))?;
    }
    let mut format = e2fsprogs("mkfs.ext4");
    capture(format.args(["-q", "-d"]).arg(root.path()).arg(image)).map(drop)
}

/// Copies a card's image as a sparse file.
pub fn copy(original: &Path, image: &Path) -> Result<()> {
    fs::create_dir_all(image.parent().context("an image is in a directory")?)?;
    capture(
        Command::new("cp")
            .arg("--sparse=always")
            .args([original, image]),
    )
    .map(drop)
}

/// Copies `file` from the card's file system to `to`.
pub fn extract(image: &Path, file: &str, to: &Path) -> Result<()> {
    let request = format!("dump {file} {}", to.display());
    let mut debugfs = e2fsprogs("debugfs");
    capture(debugfs.args(["-R", &request]).arg(image))?;
    // On errors, debugfs prints a message and exits with 0.
    ensure!(
        fs::metadata(to).is_ok_and(|f| f.len() > 0),
        "there is no {file} on {}",
        image.display()
    );
    Ok(())
}

/// Fails unless the card's file system is clean and without errors.
pub fn check(image: &Path) -> Result<()> {
    capture(e2fsprogs("e2fsck").arg("-fn").arg(image)).map(drop)
}

/// Returns the command for a tool of e2fsprogs, which may be in a directory that PATH lacks.
fn e2fsprogs(tool: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let mut command = Command::new("env");
    command.arg("--").arg(tool).env("PATH", path);
    command
}
