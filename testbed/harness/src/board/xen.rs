// SPDX-License-Identifier: GPL-2.0
//! A board that runs Xen: the images that its domains boot, and their addresses.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::dtb::Dtb;
use super::setup::{Driver, Setup, System};
use crate::paths::Paths;
use crate::provision::{Provision, Xen};

/// The addresses at which `testbed/guest/xen.dtsi` expects the kernels.
const KERNELS: [u64; 2] = [0x5800_0000, 0x5a00_0000];
const INITRAMFSES: [u64; 2] = [0x5900_0000, 0x5b00_0000];
const GUEST: u64 = 0x5c00_0000;

/// Describes a board with two domains. Its device tree is `original` with additions for Xen.
pub fn setup(paths: &Paths, original: &Path, name: &str) -> Result<Setup> {
    let guest = paths.testbed().join("guest");
    let more = std::fs::read_to_string(guest.join("xen.dtsi"))?;
    let dtb = Dtb::copy(paths, original, name)?.add(&more)?;
    let of_guest = Dtb::compile(paths, &guest.join("xen-guest.dts"), "xen-guest")?;
    Ok(Setup::new(name, Driver::C)
        .system(System::Xen)
        // Linux sees no IPMMU.
        .autosuspend()
        .unkind("")
        .dtb(dtb.into_path())
        .options(&load(&of_guest.into_path(), GUEST)))
}

/// Adds QEMU's options that load Xen, and the kernels and initramfses of its domains.
pub(super) fn boot(command: &mut Command, xen: &Xen, provision: &Provision) {
    command.arg("-kernel").arg(&xen.binary);
    for address in KERNELS {
        command.args(load(&provision.kernel.image(), address));
    }
    for address in INITRAMFSES {
        command.args(load(&provision.initramfs, address));
    }
}

fn load(file: &Path, address: u64) -> [String; 2] {
    let file = file.display();
    [
        "-device".into(),
        format!("loader,file={file},addr={address:#x},force-raw=on"),
    ]
}
