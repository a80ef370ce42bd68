// SPDX-License-Identifier: GPL-2.0
//! An SD card for the board's slot, and its eMMC.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::exec::capture;
use crate::paths::Paths;

/// The MMC hosts of the board, with their names in QEMU, the number of the drive behind each, and
/// the micro-TLB of IPMMU-DS1 that their DMA goes through.
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

/// The host with the eMMC.
pub const EMMC: &MmcHost = &MMC_HOSTS[1];

/// The size of a card is a power of two; a file of zeroes takes no space.
const SIZE: u64 = 256 << 20;

/// One of the board's MMC hosts.
pub struct MmcHost {
    /// Its name in Linux.
    pub device: &'static str,
    /// Its name in QEMU.
    pub label: &'static str,
    drive: u32,
    /// The micro-TLB of IPMMU-DS1.
    pub utlb: u32,
}

impl MmcHost {
    /// Returns whether its card is part of the board.
    pub fn is_emmc(&self) -> bool {
        self.label == EMMC.label
    }

    /// Returns the image of its card on the board that is named `board`.
    pub fn image(&self, paths: &Paths, board: &str) -> PathBuf {
        let name = format!("{board}-{}.img", self.label);
        paths.build().join("images").join(name)
    }

    /// Returns QEMU's option for a card with this image.
    pub fn option(&self, image: &Path) -> String {
        let (drive, image) = (self.drive, image.display());
        format!("if=sd,index={drive},{IMAGE},file={image}")
    }
}

/// How QEMU treats images. Flushes of the guest need not reach this machine's disk: that takes
/// seconds when others write to the disk, and the guest stands still meanwhile. No test switches
/// this machine off.
pub const IMAGE: &str = "format=raw,cache=unsafe";

/// Makes a new card with an ext4 file system that contains `files`.
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

/// Copies a card, as sparse as the original.
pub fn copy(original: &Path, image: &Path) -> Result<()> {
    fs::create_dir_all(image.parent().context("an image is in a directory")?)?;
    capture(
        Command::new("cp")
            .arg("--sparse=always")
            .args([original, image]),
    )
    .map(drop)
}

/// Copies a file out of the file system.
pub fn extract(image: &Path, file: &str, to: &Path) -> Result<()> {
    let request = format!("dump {file} {}", to.display());
    let mut debugfs = e2fsprogs("debugfs");
    capture(debugfs.args(["-R", &request]).arg(image))?;
    // debugfs prints what went wrong, and exits with 0.
    ensure!(
        fs::metadata(to).is_ok_and(|f| f.len() > 0),
        "there is no {file} on {}",
        image.display()
    );
    Ok(())
}

/// Fails unless the file system is clean and without errors.
pub fn check(image: &Path) -> Result<()> {
    capture(e2fsprogs("e2fsck").arg("-fn").arg(image)).map(drop)
}

/// Returns the command for a tool of e2fsprogs, which not every PATH has.
fn e2fsprogs(tool: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let mut command = Command::new("env");
    command.arg("--").arg(tool).env("PATH", path);
    command
}
