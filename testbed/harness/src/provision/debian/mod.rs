// SPDX-License-Identifier: GPL-2.0
//! Packages of the module for Debian's own kernel, and a Debian system for the board.

mod disk;
mod kernel;
mod package;
mod symbols;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::apt::Store;
use super::guest::{self, Contents};
use super::root::Root;
use super::{Provision, Qemu};
use crate::exec::capture;
use crate::paths::Paths;

use disk::Disk;
use kernel::{DebianKernel, Release};

pub use package::INITRAMFS;
pub use symbols::Agreement;

/// Builds the Debian packages, and returns their paths.
pub fn packages(paths: &Paths) -> Result<Vec<PathBuf>> {
    let store = &mut Store::open(paths)?;
    let root = Root::compilers(store)?;
    package::build(paths, &DebianKernel::prepare(store, &root)?)
}

/// Fails if Debian's lintian complains about a package.
pub fn lintian(paths: &Paths, packages: &[PathBuf]) -> Result<()> {
    let root = Root::lintian(&mut Store::open(paths)?)?;
    let dir = packages.first().and_then(|p| p.parent());
    let dir = dir.context("there is no package")?;
    let mut lintian = root.command(&[(dir, "/deb")], "lintian");
    lintian.args([
        "--allow-root",
        "--fail-on",
        "none",
        "--display-experimental",
    ]);
    lintian.args(["--display-level", ">=pedantic"]);
    for package in packages {
        let name = package.file_name().context("a package is a file")?;
        lintian.arg(Path::new("/deb").join(name));
    }
    let said = capture(&mut lintian)?;
    ensure!(said.is_empty(), "lintian says:\n{said}");
    Ok(())
}

/// Fails unless the module fits the exports and the configuration of Debian's kernel, and has the
/// vermagic of Debian's own modules.
pub fn agreement(paths: &Paths) -> Result<Agreement> {
    let store = &mut Store::open(paths)?;
    let root = Root::compilers(store)?;
    let kernel = DebianKernel::prepare(store, &root)?;
    let found = kernel.agreement(&kernel.module()?)?;
    let disk = Disk::prepare(store, &kernel.release)?;
    for module in disk.modules() {
        let theirs = kernel::vermagic(&module)?;
        ensure!(
            theirs == found.vermagic,
            "{} is for \"{theirs}\", and the driver for \"{}\"",
            module.display(),
            found.vermagic
        );
    }
    Ok(found)
}

/// A board with Debian, before the driver is installed.
pub struct Bare {
    /// Debian's kernel, with the testbed's initramfs, which can mount the eMMC.
    pub provision: Provision,
    /// The path of the eMMC's image.
    pub emmc: PathBuf,
}

impl Bare {
    /// Makes the board for this emulator, or finds it in the cache.
    pub fn prepare(paths: &Paths, qemu: &Qemu) -> Result<Self> {
        let store = &mut Store::open(paths)?;
        let release = Release::find(store)?;
        let disk = Disk::prepare(store, &release)?;
        let contents = Contents {
            modules: &disk.modules(),
            ..Contents::of(&disk.kernel)
        };
        let initramfs = guest::image(store, &contents)?;
        Ok(Self {
            emmc: disk.image(),
            provision: Provision::plain(paths, qemu, disk.kernel, initramfs),
        })
    }
}
