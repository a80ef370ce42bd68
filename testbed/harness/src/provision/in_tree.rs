// SPDX-License-Identifier: GPL-2.0
//! The driver as part of a kernel: a copy of the kernel's source with the driver, and kernels and
//! configurations that are built from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt::Store;
use super::arch::Arch;
use super::build::Build;
use super::kernel::{Kernel, begin, changed};
use super::source;
use super::toolchain::Toolchain;
use crate::exec::{Log, capture};
use crate::lock::Lock;
use crate::paths::Paths;
use crate::tree::{self, Author, Tree};
use crate::ui::Step;

/// Symbols of a kernel's configuration, with their values.
pub type Changes = &'static [(&'static str, &'static str)];

/// A configuration to build the driver in.
pub struct Config {
    /// The name of the row.
    pub name: &'static str,
    pub arch: Arch,
    /// Differences from the testbed's configuration.
    pub changes: Changes,
    /// Whether the kernel is built and linked, too.
    pub is_linked: bool,
}

/// Options that build the driver in the tree; the C driver excludes it.
const WITH_DRIVER: [(&str, &str); 2] = [("IPMMU_VMSA", "n"), ("IPMMU_VMSA_RUST", "y")];
const AS_MODULE: [(&str, &str); 2] = [("IPMMU_VMSA", "n"), ("IPMMU_VMSA_RUST", "m")];

/// The build directories of the kernels that boot.
const BUILT_IN: &str = "built-in";
const MODULE: &str = "module";

/// The paths of one kernel's source, configuration and build.
struct Site {
    arch: Arch,
    tree: PathBuf,
    config: PathBuf,
    out: PathBuf,
}

/// A kernel source with the driver, and the builds from it.
///
/// The source stays in one place, and files are only rewritten when the driver changes. Builds
/// therefore rebuild only what has changed.
pub struct InTree<'a> {
    paths: &'a Paths,
    toolchain: Toolchain,
    top: PathBuf,
    _lock: Lock,
}

impl<'a> InTree<'a> {
    /// Makes the copy of the source, or updates the driver in it.
    ///
    /// Locks the copy, and not the whole cache, as builds take long.
    pub fn prepare(paths: &'a Paths) -> Result<Self> {
        let original = source::linux(&mut Store::open(paths)?)?;
        let this = Self {
            _lock: Lock::take(&paths.cache.join("in-tree.lock"))?,
            paths,
            toolchain: Toolchain::prepare(paths)?,
            top: paths.cache.join("in-tree"),
        };
        this.copy(&original)?;
        Tree::open(&this.source())?.install(&paths.repo, &Author::find(&paths.repo)?)?;
        Ok(this)
    }

    fn source(&self) -> PathBuf {
        self.top.join("linux")
    }

    /// Copies the source as hard links. [`Tree`] replaces files instead of writing to links.
    fn copy(&self, original: &Path) -> Result<()> {
        let note = self.top.join("copied");
        let wanted = original.to_string_lossy();
        if fs::read_to_string(&note).is_ok_and(|name| name == wanted) {
            return Ok(());
        }
        if self.top.exists() {
            fs::remove_dir_all(&self.top)?;
        }
        fs::create_dir_all(&self.top)?;
        capture(
            Command::new("cp")
                .arg("-al")
                .arg(original)
                .arg(self.source()),
        )?;
        fs::write(note, wanted.as_bytes())?;
        Ok(())
    }

    /// Builds a kernel with the driver built in.
    pub fn built_in(&self) -> Result<Kernel> {
        let site = self.site(BUILT_IN, Arch::Arm64, &WITH_DRIVER)?;
        let log = self.build(&site, "kernel-in-tree").run(&site.out)?;
        log.expect_no_warning()?;
        self.kernel(site)
    }

    /// Builds a kernel with the driver among its modules. Also returns the directory in which the
    /// modules are installed.
    pub fn module(&self) -> Result<(Kernel, PathBuf)> {
        let site = self.site(MODULE, Arch::Arm64, &AS_MODULE)?;
        let build = self.build(&site, "kernel-in-tree-module");
        build.run(&site.out)?.expect_no_warning()?;
        let installed = self.top.join(MODULE).join("installed");
        if installed.exists() {
            fs::remove_dir_all(&installed)?;
        }
        let step = Step::new("Installing the modules of the kernel's tree");
        let mut log = Log::create(self.paths, "modules-install-in-tree")?;
        let mut make = build.make(&site.out, &["modules_install"]);
        make.arg(format!("INSTALL_MOD_PATH={}", installed.display()));
        log.run(&step, "make modules_install", &mut make)?;
        step.done();
        let kernel = self.kernel(site)?;
        // The link points to the build directory, which is not on the board.
        let release = installed.join("lib/modules").join(&kernel.release);
        fs::remove_file(release.join("build"))?;
        Ok((kernel, installed))
    }

    fn kernel(&self, site: Site) -> Result<Kernel> {
        let toolchain = Toolchain::prepare(self.paths)?;
        Kernel::at(site.out, site.arch, Some(toolchain))
    }

    /// Prepares the site of a kernel with the testbed's configuration and `changes`.
    fn site(&self, name: &str, arch: Arch, changes: &[(&str, &str)]) -> Result<Site> {
        let dir = self.top.join(name);
        if arch == Arch::Arm64 {
            begin(&self.top.join(BUILT_IN), &dir)?;
        }
        fs::create_dir_all(&dir)?;
        let site = Site {
            arch,
            tree: self.source(),
            config: dir.join("wanted.config"),
            out: dir.join("build"),
        };
        fs::write(&site.config, self.config(arch, changes)?)?;
        Ok(site)
    }

    fn build<'b>(&'b self, site: &'b Site, name: &'b str) -> Build<'b> {
        Build {
            paths: self.paths,
            toolchain: &self.toolchain,
            arch: site.arch,
            tree: &site.tree,
            config: &site.config,
            name,
        }
    }

    /// Builds the driver in the configuration `config`, and links the kernel if `config` says so.
    /// Fails on any warning.
    pub fn driver(&self, config: &Config) -> Result<()> {
        let &Config {
            name,
            arch,
            changes,
            is_linked,
        } = config;
        let step = Step::new(format!("Building the driver in the tree: {name}"));
        let mut log = Log::create(self.paths, &format!("config-{name}"))?;
        let is_changed = |symbol: &str| changes.iter().any(|(s, _)| *s == symbol);
        let usual = WITH_DRIVER.iter().filter(|(symbol, _)| !is_changed(symbol));
        let all: Vec<_> = usual.chain(changes).copied().collect();
        // A linked kernel has its own directory: a change of configuration would rebuild nearly all
        // of it.
        let dir = match is_linked {
            true => name.to_owned(),
            false => format!("configs{}", arch.suffix()),
        };
        let site = self.site(&dir, arch, &all)?;
        let (build, out) = (self.build(&site, ""), &site.out);
        build.configure(out, &step, &mut log)?;
        expect(&out.join(".config"), &all)?;
        log.run(
            &step,
            "preparing the kernel",
            &mut build.make(out, &["prepare"]),
        )?;
        let object = out.join(tree::HOME).join("ipmmu_vmsa.o");
        if object.exists() {
            fs::remove_file(&object)?;
        }
        let target = format!("{}/", tree::HOME);
        log.run(
            &step,
            "building the driver",
            &mut build.make(out, &[&target]),
        )?;
        ensure!(object.exists(), "the driver was not built");
        if is_linked {
            let mut vmlinux = build.make(out, &["vmlinux"]);
            log.run(&step, "linking the kernel", &mut vmlinux)?;
        }
        log.expect_no_warning()?;
        step.done();
        Ok(())
    }

    /// Returns the testbed's configuration with `changes`.
    fn config(&self, arch: Arch, changes: &[(&str, &str)]) -> Result<String> {
        let path = self.paths.testbed().join(arch.config());
        let text = fs::read_to_string(&path).context("the kernel's configuration")?;
        let line = |(symbol, value): &(&str, &str)| format!("CONFIG_{symbol}={value}\n");
        let lines: String = changes.iter().map(line).collect();
        Ok(changed(&text, &lines))
    }
}

/// Fails unless the kernel's configuration contains `changes`.
fn expect(config: &Path, changes: &[(&str, &str)]) -> Result<()> {
    let text = fs::read_to_string(config)?;
    for (symbol, value) in changes {
        let set = text
            .lines()
            .find_map(|l| l.strip_prefix(&format!("CONFIG_{symbol}=")));
        ensure!(
            set.unwrap_or("n") == *value,
            "the kernel does not take CONFIG_{symbol}={value}: {set:?}"
        );
    }
    Ok(())
}
