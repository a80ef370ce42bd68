// SPDX-License-Identifier: GPL-2.0
//! The guest's tests as an archive for real boards, and the schema of LAVA's jobs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Store, Wanted};
use super::kernel::Kernel;
use super::{source, userspace};
use crate::exec::Log;
use crate::paths::copy_tree;
use crate::ui::Step;

/// The only top-level directory of the archive.
const TOP: &str = "ipmmu-tests";

/// Packs the archive, and returns its path.
pub fn archive(store: &mut Store, kernel: &Kernel) -> Result<PathBuf> {
    let paths = store.paths;
    let programs = userspace::programs(store, kernel)?;
    let wanted = kernel.arch.busybox();
    let version = source::version(&store.choose(wanted)?);
    let deb = store.fetch(wanted)?;
    let deb = deb.first().context("busybox has no file")?;

    let step = Step::new("Packing the tests for boards");
    let mut log = Log::create(paths, "board-tests")?;
    let stage = tempfile::tempdir_in(paths.build())?;
    let top = stage.path().join(TOP);
    let guest = paths.testbed().join("guest");
    copy_tree(&guest.join("board"), &top)?;
    copy_tree(&guest.join("tests"), &top.join("tests"))?;
    let bin = top.join("bin");
    fs::create_dir(&bin)?;
    let busybox = source::busybox(deb, &stage.path().join("deb"), &mut log, &step)?;
    fs::copy(busybox, bin.join("busybox"))?;
    fs::copy(programs.join("userdma"), bin.join("userdma"))?;
    fs::write(bin.join("VERSIONS"), format!("{version}\n"))?;

    let name = format!("board-tests-{}.tar.gz", kernel.arch.name());
    let archive = paths.build().join(name);
    let mut tar = Command::new("tar");
    // Equal files give equal archives.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args([
            "--mtime=@0",
            "--mode=go=u-w",
            "--use-compress-program=gzip -n",
        ])
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(stage.path())
        .arg(TOP);
    log.run(&step, "packing the tests", &mut tar)?;
    step.done();
    Ok(archive)
}

/// The package with the schema of LAVA's jobs.
const LAVA: Wanted = Wanted::Package("lava-common");

/// Unpacks the schema of LAVA's jobs. Returns the directory of its Python modules.
pub fn lava(store: &mut Store) -> Result<PathBuf> {
    let dir = source::packages(store, "lava", "LAVA's schema", &[LAVA])?;
    Ok(dir.join("usr/lib/python3/dist-packages"))
}
