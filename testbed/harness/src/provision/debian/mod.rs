// SPDX-License-Identifier: GPL-2.0
//! Packages of the module for Debian's own kernel, and a Debian for the board.

mod disk;
mod kernel;
mod package;
mod root;
mod symbols;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::apt::Apt;
use super::guest::{self, Contents};
use super::{Provision, Qemu};
use crate::exec::capture;
use crate::lock::Lock;
use crate::paths::Paths;

use disk::Disk;
use kernel::{DebianKernel, Release};
use root::Root;

pub use package::INITRAMFS;
pub use symbols::Agreement;

/// Builds the packages; returns where they are.
pub fn packages(paths: &Paths) -> Result<Vec<PathBuf>> {
    let _lock = Lock::take(&paths.cache.join("lock"))?;
    let mut apt = Apt::open(paths)?;
    let root = Root::compilers(paths, &mut apt)?;
    package::build(paths, &DebianKernel::prepare(paths, &mut apt, &root)?)
}

/// Fails if Debian's lintian has a word to say about a package.
pub fn lintian(paths: &Paths, packages: &[PathBuf]) -> Result<()> {
    let _lock = Lock::take(&paths.cache.join("lock"))?;
    let root = Root::lintian(paths, &mut Apt::open(paths)?)?;
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

/// Fails unless the module fits Debian's kernel: its exports, its configuration,
/// and what a module of Debian's own says that it is for.
pub fn agreement(paths: &Paths) -> Result<Agreement> {
    let _lock = Lock::take(&paths.cache.join("lock"))?;
    let mut apt = Apt::open(paths)?;
    let root = Root::compilers(paths, &mut apt)?;
    let kernel = DebianKernel::prepare(paths, &mut apt, &root)?;
    let found = kernel.agreement(&kernel.module()?)?;
    let disk = Disk::prepare(paths, &mut apt, &kernel.release)?;
    for module in disk.modules() {
        let theirs = kernel::vermagic(&module)?;
        ensure!(
            theirs == found.vermagic,
            "{} is for \"{theirs}\", and ours for \"{}\"",
            module.display(),
            found.vermagic
        );
    }
    Ok(found)
}

/// What the board boots before anything of ours is installed.
pub struct Bare {
    /// Debian's kernel, with an initramfs of ours that can mount the eMMC.
    pub provision: Provision,
    /// What is on the eMMC.
    pub emmc: PathBuf,
}

impl Bare {
    /// Makes or finds it, for this emulator.
    pub fn prepare(paths: &Paths, qemu: &Qemu) -> Result<Self> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        let mut apt = Apt::open(paths)?;
        let release = Release::find(&mut apt)?;
        let disk = Disk::prepare(paths, &mut apt, &release)?;
        let contents = Contents {
            modules: &disk.modules(),
            ..Contents::of(&disk.kernel)
        };
        let initramfs = guest::image(paths, &mut apt, &contents)?;
        Ok(Self {
            emmc: disk.image(),
            provision: Provision {
                qemu: qemu.clone(),
                plugin: None,
                kernel: disk.kernel,
                initramfs,
                no_module: None,
            },
        })
    }
}
