// SPDX-License-Identifier: GPL-2.0
//! Installs the driver's Debian packages on a board that runs Debian's kernel.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::board::cards::{self, EMMC, MMC_HOSTS};
use crate::board::dtb::{Dtb, node_of};
use crate::board::{Board, Driver, Setup, System};
use crate::paths::Paths;
use crate::provision::debian::{self, Bare};
use crate::provision::{Provision, Qemu};
use crate::ui::Step;

/// Devices that Debian has drivers for, and that the emulated board lacks.
const NOT_THERE: [&str; 4] = [
    "e6800000.ethernet",
    "ee0a0000.usb",
    "ee0a0100.usb",
    "ee0a0200.usb-phy",
];

/// The name of the board on which the packages are installed.
pub const INSTALLER: &str = "debian-install";

/// Limit for the installation. The emulated CPUs build the initramfs in about four minutes.
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Installs the packages on a board that runs Debian's kernel. Returns a system that boots with the
/// initramfs that Debian's tools build there.
pub fn install(paths: &Paths, qemu: &Qemu) -> Result<Provision> {
    let packages = debian::packages(paths)?;
    let Bare {
        mut provision,
        emmc,
    } = Bare::prepare(paths, qemu)?;
    let mut dtb = Dtb::copy(paths, &provision.kernel.dtb(), "debian")?;
    for device in NOT_THERE {
        dtb = dtb.set_text(&node_of(device), "status", "disabled")?;
    }
    let step = Step::new("Installing the packages in Debian, on the board (about 5 minutes)");
    let setup = Setup::new(INSTALLER, Driver::Rust)
        .system(System::Debian)
        .append("maxcpus=4")
        .dtb(dtb.into_path())
        .cards()
        .files(packages.as_slice())
        .emmc(emmc);
    let mut board = Board::boot(&provision, &setup)?;
    let number = board.console.start(&format!(
        "/tests/debian-install.sh {} {}",
        EMMC.device, MMC_HOSTS[0].device
    ))?;
    let output = board.console.finish(number, INSTALL_LIMIT)?;
    ensure!(output.code == 0, "dpkg said:\n{}", output.text);
    board.expect_clean()?;
    board.power_off()?;
    let disk = EMMC.image(paths, INSTALLER);
    cards::check(&disk).context("after the installation")?;
    provision.initramfs = paths.build().join("images/debian-initrd.img");
    let initramfs = format!("/boot/initrd.img-{}", provision.kernel.release);
    cards::extract(&disk, &initramfs, &provision.initramfs)?;
    step.done();
    Ok(provision)
}
