// SPDX-License-Identifier: GPL-2.0
//! The guest's initramfs: busybox, our scripts, programs, and modules.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType};
use flate2::Compression;
use flate2::write::GzEncoder;
use walkdir::WalkDir;

use super::apt::Apt;
use super::artifact::{Key, keyed};
use super::kernel::Kernel;
use super::source;
use super::userspace::{OURS, SELFTESTS};
use crate::exec::Log;
use crate::paths::{Paths, copy_tree};
use crate::ui::Step;

/// Mount points, and places that scripts expect.
const DIRECTORIES: [&str; 9] = [
    "bin", "dev", "etc", "lib", "proc", "root", "run", "sys", "tmp",
];

/// What goes into the initramfs besides busybox and the scripts.
pub struct Contents<'a> {
    /// What it runs on, and what the modules are for.
    pub kernel: &'a Kernel,
    /// What `make modules_install` wrote for it.
    pub installed: Option<&'a Path>,
    /// Modules from outside its tree.
    pub modules: &'a [PathBuf],
    /// Programs for `/bin`.
    pub programs: &'a [PathBuf],
    /// The directory of the compiled tests, where they are wanted.
    pub tests: Option<&'a Path>,
}

impl<'a> Contents<'a> {
    /// Scripts alone, for this kernel.
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

/// What runs before anything else.
const SCRIPTS: [&str; 2] = ["init", "agent"];

/// Builds the initramfs; returns the image.
pub fn image(paths: &Paths, apt: &mut Apt, contents: &Contents<'_>) -> Result<PathBuf> {
    let busybox = contents.kernel.arch.busybox();
    let scripts = paths.testbed().join("guest");
    let mut key = Key::new("guest 3")
        .text("busybox", &source::version(&apt.choose(busybox)?))
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
        let deb = apt.fetch(busybox)?;
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
    // The shell by name, for `#!`; init lets busybox install its other names.
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

/// Puts the compiled tests where the scripts are, to be called like them.
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

/// Puts the modules where `modprobe` looks.
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
        // Added to, if it is there.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(name))?;
    }
    let mut depmod = Command::new("/sbin/depmod");
    depmod.arg("-b").arg(root).arg(release);
    log.run(step, "indexing the modules", &mut depmod)
}

/// Writes `image`: `base` with `module` in the place of the driver.
pub fn overlay(base: &Path, release: &str, module: &Path, image: &Path) -> Result<()> {
    let dir = Path::new("lib/modules").join(release).join("extra");
    with_file(base, module, &dir.join("ipmmu_vmsa.ko"), image)
}

/// Writes `image`: `base` with `file` as `name`.
pub fn with_file(base: &Path, file: &Path, name: &Path, image: &Path) -> Result<()> {
    let stage = tempfile::tempdir()?;
    let target = stage.path().join(name);
    fs::create_dir_all(target.parent().context("a file is in a directory")?)?;
    fs::copy(file, target)?;
    pack(stage.path(), image)?;
    // The kernel unpacks one archive after the other.
    let over = fs::read(image)?;
    fs::write(image, [fs::read(base)?, over].concat())?;
    Ok(())
}

/// Packs `root` the way the kernel unpacks it; needs no privileges, as all
/// device nodes come from devtmpfs.
fn pack(root: &Path, image: &Path) -> Result<()> {
    let mut out = GzEncoder::new(File::create(image)?, Compression::fast());
    for (inode, entry) in WalkDir::new(root)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .enumerate()
    {
        let entry = entry?;
        let name = entry
            .path()
            .strip_prefix(root)?
            .to_string_lossy()
            .into_owned();
        let kind = entry.file_type();
        let header = Builder::new(&name).ino(inode as u32 + 1);
        let (header, content) = if kind.is_dir() {
            (
                header
                    .mode(0o755)
                    .set_mode_file_type(ModeFileType::Directory),
                Vec::new(),
            )
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path())?;
            let header = header.mode(0o777).set_mode_file_type(ModeFileType::Symlink);
            (header, target.to_string_lossy().into_owned().into_bytes())
        } else {
            let mode = entry.metadata()?.permissions().mode() & 0o777;
            let header = header.mode(mode).set_mode_file_type(ModeFileType::Regular);
            (header, fs::read(entry.path())?)
        };
        let mut file = header.write(&mut out, content.len() as u32);
        file.write_all(&content)?;
        file.finish()?;
    }
    cpio::newc::trailer(&mut out)?;
    out.finish()?;
    Ok(())
}
