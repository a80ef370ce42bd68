// SPDX-License-Identifier: GPL-2.0
//! The guest's initramfs: busybox, scripts, programs, and modules.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::Store;
use super::artifact::{Key, keyed};
use super::kernel::Kernel;
use super::source;
use super::userspace::{OURS, SELFTESTS};
use crate::exec::{Log, capture};
use crate::paths::copy_tree;
use crate::ui::Step;

/// The mount points, and the directories that scripts expect.
const DIRECTORIES: [&str; 9] = [
    "bin", "dev", "etc", "lib", "proc", "root", "run", "sys", "tmp",
];

/// The contents of the initramfs besides busybox and the scripts.
pub struct Contents<'a> {
    /// The kernel that the initramfs is for.
    pub kernel: &'a Kernel,
    /// The directory that the kernel's `make modules_install` has filled.
    pub installed: Option<&'a Path>,
    /// Modules from outside the kernel's tree.
    pub modules: &'a [PathBuf],
    /// Programs for `/bin`.
    pub programs: &'a [PathBuf],
    /// The directory of compiled tests, if they are wanted.
    pub tests: Option<&'a Path>,
}

impl<'a> Contents<'a> {
    /// Returns contents without additions to busybox and the scripts.
    pub fn of(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            installed: None,
            modules: &[],
            programs: &[],
            tests: None,
        }
    }
}

/// Packs the current directory, with root as the owner of all files.
const PACK: &str = "find . -mindepth 1 -printf '%P\\0' | LC_ALL=C sort -z |
cpio --quiet --null --create --format=newc --owner=0:0 | gzip -1n >\"$1\"";

/// The scripts that run first.
const SCRIPTS: [&str; 2] = ["init", "agent"];

/// Builds the initramfs, unless the cache has it. Returns the path of the image.
pub fn image(store: &mut Store, contents: &Contents<'_>) -> Result<PathBuf> {
    let paths = store.paths;
    let busybox = contents.kernel.arch.busybox();
    let scripts = paths.testbed().join("guest");
    let mut key = Key::new("guest 3")
        .text("busybox", &source::version(&store.choose(busybox)?))
        .text("release", &contents.kernel.release)
        .tree(&scripts.join("tests"))?;
    for script in SCRIPTS {
        key = key.file(&scripts.join(script))?;
    }
    for file in contents.modules.iter().chain(contents.programs) {
        key = key.file(file)?;
    }
    if let Some(installed) = contents.installed {
        key = key.tree(installed)?;
    }
    if let Some(tests) = contents.tests {
        key = key.text("tests", &tests.to_string_lossy());
    }
    let name = contents.kernel.named("guest");
    let dir = keyed(&paths.cache, &name, key, |dir| {
        let deb = store.fetch(busybox)?;
        let step = Step::new("Packing the guest image");
        let mut log = Log::create(paths, "guest")?;
        let stage = tempfile::tempdir_in(&paths.cache)?;
        let root = stage.path().join("root");
        let unpacked = stage.path().join("deb");
        let deb = deb.first().context("busybox has no file")?;
        let busybox = source::busybox(deb, &unpacked, &mut log, &step)?;
        lay_out(&root, &busybox, &scripts)?;
        for program in contents.programs {
            let name = program.file_name().context("a program is a file")?;
            executable(program, &root.join("bin").join(name))?;
        }
        if let Some(tests) = contents.tests {
            install_tests(tests, &root)?;
        }
        install_modules(&root, contents, &mut log, &step)?;
        pack(&root, &dir.join("initramfs.cpio.gz"))?;
        step.done();
        Ok(())
    })?;
    Ok(dir.join("initramfs.cpio.gz"))
}

fn lay_out(root: &Path, busybox: &Path, scripts: &Path) -> Result<()> {
    for dir in DIRECTORIES {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    // Only the shell needs its name now, for `#!`. init makes busybox install the other commands.
    symlink("busybox", root.join("bin/sh"))?;
    for name in SCRIPTS {
        executable(&scripts.join(name), &root.join(name))?;
    }
    fs::create_dir_all(root.join("tests"))?;
    for entry in fs::read_dir(scripts.join("tests"))? {
        let entry = entry?;
        executable(&entry.path(), &root.join("tests").join(entry.file_name()))?;
    }
    Ok(())
}

/// Installs the compiled tests beside the scripts, so that they are called alike.
fn install_tests(tests: &Path, root: &Path) -> Result<()> {
    for name in SELFTESTS.into_iter().chain(OURS) {
        executable(&tests.join(name), &root.join("tests").join(name))?;
    }
    Ok(())
}

fn executable(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot read {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Installs the modules in the directory of `modprobe`, and indexes them.
fn install_modules(root: &Path, contents: &Contents<'_>, log: &mut Log, step: &Step) -> Result<()> {
    let release = &contents.kernel.release;
    if let Some(installed) = contents.installed {
        copy_tree(installed, root)?;
    }
    let dir = root.join("lib/modules").join(release);
    fs::create_dir_all(dir.join("extra"))?;
    for module in contents.modules {
        let name = module.file_name().context("a module is a file")?;
        fs::copy(module, dir.join("extra").join(name))?;
    }
    for name in ["modules.order", "modules.builtin"] {
        // Created if missing, otherwise unchanged.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(name))?;
    }
    let mut depmod = Command::new("/sbin/depmod");
    depmod.arg("-b").arg(root).arg(release);
    log.run(step, "indexing the modules", &mut depmod)
}

/// Writes `image`, a copy of `base` with `module` in place of the driver's module.
pub fn overlay(base: &Path, release: &str, module: &Path, image: &Path) -> Result<()> {
    let dir = Path::new("lib/modules").join(release).join("extra");
    with_file(base, module, &dir.join("ipmmu_vmsa.ko"), image)
}

/// Writes `image`, a copy of `base` with `file` as `name`.
pub fn with_file(base: &Path, file: &Path, name: &Path, image: &Path) -> Result<()> {
    let stage = tempfile::tempdir()?;
    let target = stage.path().join(name);
    fs::create_dir_all(target.parent().context("a file is in a directory")?)?;
    fs::copy(file, target)?;
    pack(stage.path(), image)?;
    // The kernel unpacks concatenated archives in order, and the last file of a name counts.
    let over = fs::read(image)?;
    fs::write(image, [fs::read(base)?, over].concat())?;
    Ok(())
}

/// Packs `root` as an initramfs. This needs no privileges, as all device nodes come from devtmpfs.
fn pack(root: &Path, image: &Path) -> Result<()> {
    let mut pack = Command::new("bash");
    pack.args(["-o", "pipefail", "-c", PACK, "bash"]).arg(image);
    capture(pack.current_dir(root)).map(drop)
}
