// SPDX-License-Identifier: GPL-2.0
//! The guest's kernel, and modules that are built against it.

use std::env::{self, consts::ARCH};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::Store;
use super::arch::{Arch, Purpose};
use super::artifact::{Key, keyed};
use super::build::{Build, jobs};
use super::source;
use super::toolchain::Toolchain;
use crate::exec::{Log, capture};
use crate::lock::Lock;
use crate::paths::{Paths, driver_sources};
use crate::ui::Step;

/// The directory of device trees in the kernel's tree.
const DEVICE_TREES: &str = "arch/arm64/boot/dts/renesas";

/// The device tree blob of the emulated board in the kernel's tree.
pub(super) const DTB: &str = "arch/arm64/boot/dts/renesas/r8a77951-ulcb.dtb";

/// The file name of the driver's module.
pub(super) const MODULE: &str = "ipmmu_vmsa.ko";

/// A built kernel: that of the testbed, of the user, or of Debian.
pub struct Kernel {
    /// The build directory, which modules are built against.
    pub kdir: PathBuf,
    /// The architecture.
    pub arch: Arch,
    purpose: Purpose,
    /// The release, as in `uname -r`.
    pub release: String,
    /// The testbed's tools; none if the testbed has not built this kernel.
    toolchain: Option<Toolchain>,
}

impl Kernel {
    /// Returns the user's own kernel. Fails unless it is complete, and built with Rust.
    pub fn given(kdir: &Path) -> Result<Self> {
        let kdir = fs::canonicalize(kdir)
            .with_context(|| format!("KDIR={} does not exist", kdir.display()))?;
        for (file, what) in [
            (".config", "is not a kernel build directory"),
            ("Module.symvers", "is not completely built"),
            (Arch::Arm64.image(), "has no arm64 Image to boot"),
            (DTB, "has no dtb of the board (make dtbs)"),
        ] {
            if !kdir.join(file).exists() {
                bail!("KDIR={} {what}: {file} is missing", kdir.display());
            }
        }
        if !fs::read_to_string(kdir.join(".config"))?.contains("CONFIG_RUST=y") {
            bail!("KDIR={} was built without CONFIG_RUST", kdir.display());
        }
        Self::at(kdir, Arch::Arm64, None)
    }

    /// Builds the testbed's kernel, unless the cache has it.
    pub fn provided(store: &mut Store, arch: Arch, purpose: Purpose) -> Result<Self> {
        let paths = store.paths;
        let toolchain = Toolchain::prepare(paths)?;
        let config = paths.testbed().join(purpose.config(arch));
        let mut key = Key::new("kernel 1")
            .text("source", &source::version(&store.choose(source::LINUX)?))
            .text("tools", &toolchain.versions()?)
            .file(&config)?;
        let mut config = fs::read_to_string(&config)?;
        if let Some(changes) = purpose.changes() {
            let changes = paths.testbed().join(changes);
            key = key.file(&changes)?;
            config = changed(&config, &fs::read_to_string(&changes)?);
        }
        let model = match purpose.model() {
            Some(model) => Some(Self::provided(store, arch, model)?.kdir),
            None => None,
        };
        let name = named("kernel", arch, purpose);
        let dir = keyed(&paths.cache, &name, key, |dir| {
            let tree = source::linux(store)?;
            fs::create_dir_all(dir)?;
            if let Some(model) = &model {
                begin(model, &dir.join("build"))?;
            }
            let wanted = dir.join("wanted.config");
            fs::write(&wanted, &config)?;
            let build = Build {
                paths,
                toolchain: &toolchain,
                arch,
                tree: &tree,
                config: &wanted,
                name: &name,
            };
            build.run(&dir.join("build")).map(drop)
        })?;
        let kernel = Self {
            purpose,
            ..Self::at(dir.join("build"), arch, Some(toolchain))?
        };
        kernel.write_note(paths)?;
        Ok(kernel)
    }

    /// Returns the kernel that was built in `kdir`.
    pub(super) fn at(kdir: PathBuf, arch: Arch, toolchain: Option<Toolchain>) -> Result<Self> {
        let release = fs::read_to_string(kdir.join("include/config/kernel.release"))
            .with_context(|| format!("{} is not a kernel build directory", kdir.display()))?
            .trim()
            .to_owned();
        Ok(Self {
            kdir,
            arch,
            purpose: Purpose::Tests,
            release,
            toolchain,
        })
    }

    /// Returns the source tree, which may also be the build directory.
    pub fn tree(&self) -> PathBuf {
        let source = self.kdir.join("source");
        if source.exists() {
            source
        } else {
            self.kdir.clone()
        }
    }

    /// Returns the purpose of the kernel.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns whether the kernel finds errors that leave no trace otherwise.
    pub fn is_sanitised(&self) -> bool {
        self.purpose == Purpose::Sanitised
    }

    /// Returns the path of the image that boots.
    pub fn image(&self) -> PathBuf {
        self.kdir.join(self.arch.image())
    }

    /// Returns the path of the emulated board's device tree blob.
    pub fn dtb(&self) -> PathBuf {
        self.kdir.join(DTB)
    }

    /// Returns the path of a board's device tree blob, by the board's name in the kernel's sources.
    pub fn dtb_of(&self, board: &str) -> PathBuf {
        self.kdir.join(DEVICE_TREES).join(format!("{board}.dtb"))
    }

    /// Returns a `make` command in the build directory, with the tools that built this kernel.
    pub fn make(&self) -> Command {
        let mut make = Command::new("make");
        make.arg("-C").arg(&self.kdir).arg(jobs());
        make.args(self.make_variables());
        match &self.toolchain {
            Some(toolchain) => {
                toolchain.apply(&mut make);
            }
            None => {
                for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
                    make.env_remove(name);
                }
            }
        }
        make
    }

    /// Returns the variables of make that select the tools that built this kernel.
    fn make_variables(&self) -> Vec<String> {
        match &self.toolchain {
            Some(_) => Toolchain::make_variables(self.arch),
            None => {
                let config = fs::read_to_string(self.kdir.join(".config")).unwrap_or_default();
                vec![format!("ARCH={}", self.arch.name()), compiler_of(&config)]
            }
        }
    }

    /// Makes `command` use the testbed's tools, if they built this kernel.
    pub fn with_tools(&self, command: &mut Command) {
        if let Some(toolchain) = &self.toolchain {
            toolchain.apply(command);
        }
    }

    /// Returns `make` as a user calls it in the checkout, with the module in `built`.
    pub fn user_make(&self, paths: &Paths, built: &Path) -> Command {
        let mut make = Command::new("make");
        make.arg("-C").arg(&paths.repo);
        make.arg(format!("KDIR={}", self.kdir.display()));
        self.with_tools(&mut make);
        make.arg(format!(
            "KBUILD_VARIABLES={} MO={}",
            self.make_variables().join(" "),
            built.display()
        ));
        make
    }

    /// Writes a file with this kernel and its tools, for use by `make` without the testbed.
    fn write_note(&self, paths: &Paths) -> Result<()> {
        let Some(toolchain) = &self.toolchain else {
            return Ok(());
        };
        let name = self.named("kernel");
        let note = format!(
            "# The kernel that the testbed built, for `make` without KDIR=.\n\
             KDIR ?= {}\nKBUILD_VARIABLES := {}\nexport PATH := {}\n",
            self.kdir.display(),
            Toolchain::make_variables(self.arch).join(" "),
            toolchain.path(),
        );
        fs::write(paths.build().join(format!("{name}.mk")), note)?;
        let link = paths.build().join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&self.kdir, link)?;
        Ok(())
    }

    /// Locks the cache, and does what [`Self::module`] does.
    pub fn lock_and_find_module(&self, paths: &Paths) -> Result<PathBuf> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        self.module(paths)
    }

    /// Builds the module from the checkout, unless the cache has it. Returns the `.ko` file. The
    /// cache must be locked.
    pub fn module(&self, paths: &Paths) -> Result<PathBuf> {
        let key = self.module_key(paths)?;
        let name = self.named("module");
        let dir = keyed(&paths.cache, &name, key, |dir| {
            self.build_module(paths, &paths.repo, dir, &name).map(drop)
        })?;
        Ok(dir.join(MODULE))
    }

    /// Builds the module from `source` in `out`. Returns the `.ko` file.
    pub fn build_module(
        &self,
        paths: &Paths,
        source: &Path,
        out: &Path,
        log: &str,
    ) -> Result<PathBuf> {
        let step = Step::new(format!("Building {MODULE} for {}", self.arch.name()));
        let mut log = Log::create(paths, log)?;
        let mut make = self.make();
        make.arg(format!("M={}", source.display()))
            .arg(format!("MO={}", out.display()))
            .arg("modules");
        log.run(&step, "building the module", &mut make)?;
        step.done();
        let module = out.join(MODULE);
        if !module.exists() {
            bail!("the build gave no {MODULE}; see {}", log.shown().display());
        }
        Ok(module)
    }

    /// Builds the modules that tests need besides the driver. Returns the `.ko` files.
    pub fn test_modules(&self, paths: &Paths) -> Result<Vec<PathBuf>> {
        let sources = paths.testbed().join("guest/modules");
        let key = Key::new("test modules 1")
            .text("kdir", &self.kdir.to_string_lossy())
            .file(&self.kdir.join(".config"))?
            .file(&self.kdir.join("Module.symvers"))?
            .tree(&sources)?;
        let name = self.named("test-modules");
        let dir = keyed(&paths.cache, &name, key, |dir| {
            let step = Step::new("Building the tests' modules");
            let mut log = Log::create(paths, &name)?;
            let mut make = self.make();
            make.arg(format!("M={}", sources.display()))
                .arg(format!("MO={}", dir.display()))
                .arg("modules");
            log.run(&step, "building the tests' modules", &mut make)?;
            step.done();
            Ok(())
        })?;
        let mut modules: Vec<PathBuf> = fs::read_dir(&dir)?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "ko"))
            .collect();
        modules.sort();
        Ok(modules)
    }

    /// Returns the name in the cache of a result `what` for this kernel.
    pub fn named(&self, what: &str) -> String {
        named(what, self.arch, self.purpose)
    }

    fn module_key(&self, paths: &Paths) -> Result<Key> {
        let mut key = Key::new("module 1")
            .text("repo", &paths.repo.to_string_lossy())
            .text("kdir", &self.kdir.to_string_lossy())
            .file(&self.kdir.join(".config"))?
            .file(&self.kdir.join("Module.symvers"))?;
        for file in driver_sources(&paths.repo)? {
            key = key.file(&file)?;
        }
        Ok(key)
    }
}

/// Begins the build `build` as a copy of `model`, if that exists, so that `make` builds only the
/// differences.
pub(super) fn begin(model: &Path, build: &Path) -> Result<()> {
    if build.exists() || !model.exists() {
        return Ok(());
    }
    // The copy has another name until it is complete.
    let copy = build.with_extension("copy");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    capture(Command::new("cp").arg("-a").arg(model).arg(&copy))?;
    Ok(fs::rename(copy, build)?)
}

/// Returns the name in the cache of a result `what` for a kernel.
fn named(what: &str, arch: Arch, purpose: Purpose) -> String {
    format!("{what}{}{}", arch.suffix(), purpose.suffix())
}

/// Returns the configuration `base` with `changes`, which replace values of the same symbols.
pub(super) fn changed(base: &str, changes: &str) -> String {
    let symbol = |line: &str| {
        let name = line.trim_start_matches("# ").split(['=', ' ']).next()?;
        name.starts_with("CONFIG_").then(|| name.to_owned())
    };
    let replaced: Vec<String> = changes.lines().filter_map(symbol).collect();
    let kept = base
        .lines()
        .filter(|line| symbol(line).is_none_or(|s| !replaced.contains(&s)));
    kept.chain(changes.lines())
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Returns the variable of make that selects the compiler of a user's kernel. It depends on the
/// kernel's configuration, and on the variables for `make` in the environment.
fn compiler_of(config: &str) -> String {
    let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if config.contains("CONFIG_CC_IS_GCC=y") {
        let native = if ARCH == "aarch64" {
            ""
        } else {
            "aarch64-linux-gnu-"
        };
        let prefix = given("CROSS_COMPILE").unwrap_or_else(|| String::from(native));
        format!("CROSS_COMPILE={prefix}")
    } else {
        format!("LLVM={}", given("LLVM").as_deref().unwrap_or("1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_replace_what_they_name() {
        let base = "# a\nCONFIG_A=y\nCONFIG_AB=y\n# CONFIG_B is not set\n# CONFIG_C is not set\n";
        assert_eq!(
            changed(base, "# why\nCONFIG_A=n\nCONFIG_B=y\n"),
            "# a\nCONFIG_AB=y\n# CONFIG_C is not set\n# why\nCONFIG_A=n\nCONFIG_B=y\n"
        );
    }

    #[test]
    fn a_kernel_of_gccs_is_built_with_gcc() {
        let compiler = compiler_of("CONFIG_CC_IS_GCC=y\nCONFIG_RUST=y\n");
        assert!(compiler.starts_with("CROSS_COMPILE="), "{compiler}");
        let compiler = compiler_of("CONFIG_CC_IS_CLANG=y\nCONFIG_RUST=y\n");
        assert!(compiler.starts_with("LLVM="), "{compiler}");
    }
}
