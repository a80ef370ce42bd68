// SPDX-License-Identifier: GPL-2.0
//! The guest's kernel, and the module built against it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use super::apt::Apt;
use super::artifact::{Key, keyed};
use super::source;
use super::toolchain::Toolchain;
use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// What the emulated board is in the kernel's tree.
const DTB: &str = "arch/arm64/boot/dts/renesas/r8a77951-ulcb.dtb";
const IMAGE: &str = "arch/arm64/boot/Image";

/// A built kernel, ours or the user's.
pub struct Kernel {
    /// Its build directory, which modules are built against.
    pub kdir: PathBuf,
    /// Its release, as `uname -r` says it.
    pub release: String,
    /// Our tools, unless the user's kernel asks for the user's tools.
    toolchain: Option<Toolchain>,
}

impl Kernel {
    /// The user's own build.
    pub fn given(kdir: &Path) -> Result<Self> {
        let kdir = fs::canonicalize(kdir)
            .with_context(|| format!("KDIR={} does not exist", kdir.display()))?;
        for (file, what) in [
            (".config", "is not a kernel build directory"),
            ("Module.symvers", "is not completely built"),
            (IMAGE, "has no arm64 Image to boot"),
            (DTB, "has no dtb of the board (make dtbs)"),
        ] {
            if !kdir.join(file).exists() {
                bail!("KDIR={} {what}: {file} is missing", kdir.display());
            }
        }
        if !fs::read_to_string(kdir.join(".config"))?.contains("CONFIG_RUST=y") {
            bail!("KDIR={} was built without CONFIG_RUST", kdir.display());
        }
        Self::at(kdir, None)
    }

    /// Our own build, made unless the cache has it.
    pub fn provided(paths: &Paths, apt: &mut Apt) -> Result<Self> {
        let toolchain = Toolchain::prepare(paths)?;
        let config = paths.testbed().join("guest/kernel.config");
        let key = Key::new("kernel 1")
            .text("source", &source::version(&apt.choose(source::LINUX)?))
            .text("tools", &toolchain.versions()?)
            .file(&config)?;
        let dir = keyed(&paths.cache, "kernel", key, |dir| {
            let tree = source::linux(paths, apt)?;
            build(paths, &toolchain, &tree, &config, &dir.join("build"))
        })?;
        let kernel = Self::at(dir.join("build"), Some(toolchain))?;
        kernel.write_note(paths)?;
        Ok(kernel)
    }

    fn at(kdir: PathBuf, toolchain: Option<Toolchain>) -> Result<Self> {
        let release = fs::read_to_string(kdir.join("include/config/kernel.release"))
            .with_context(|| format!("{} is not a kernel build directory", kdir.display()))?
            .trim()
            .to_owned();
        Ok(Self {
            kdir,
            release,
            toolchain,
        })
    }

    /// What boots.
    pub fn image(&self) -> PathBuf {
        self.kdir.join(IMAGE)
    }

    /// What describes the board.
    pub fn dtb(&self) -> PathBuf {
        self.kdir.join(DTB)
    }

    /// `make` against this kernel, with the tools that it was built with.
    pub fn make(&self) -> Command {
        let mut make = Command::new("make");
        make.arg("-C").arg(&self.kdir).arg(jobs());
        match &self.toolchain {
            Some(toolchain) => {
                make.args(Toolchain::make_variables());
                toolchain.apply(&mut make);
            }
            None => {
                make.args(["ARCH=arm64", "LLVM=1"]);
                for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
                    make.env_remove(name);
                }
            }
        }
        make
    }

    /// Leaves a note from which `make` alone knows this kernel and its tools.
    fn write_note(&self, paths: &Paths) -> Result<()> {
        let Some(toolchain) = &self.toolchain else {
            return Ok(());
        };
        let note = format!(
            "# The kernel that the testbed built, for `make` without KDIR=.\n\
             KDIR ?= {}\nKBUILD_VARIABLES := {}\nexport PATH := {}\n",
            self.kdir.display(),
            Toolchain::make_variables().join(" "),
            toolchain.path(),
        );
        fs::write(paths.build().join("kernel.mk"), note)?;
        let link = paths.build().join("kernel");
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&self.kdir, link)?;
        Ok(())
    }

    /// Builds the module from the checkout; returns the `.ko`.
    pub fn module(&self, paths: &Paths) -> Result<PathBuf> {
        let key = self.module_key(paths)?;
        let dir = keyed(&paths.cache, "module", key, |dir| {
            let step = Step::new("Building ipmmu_vmsa.ko");
            let mut log = Log::create(paths, "module")?;
            let mut make = self.make();
            make.arg(format!("M={}", paths.repo.display()))
                .arg(format!("MO={}", dir.display()))
                .arg("modules");
            log.run(&step, "building the module", &mut make)?;
            step.done();
            Ok(())
        })?;
        let module = dir.join("ipmmu_vmsa.ko");
        if !module.exists() {
            bail!("the build gave no ipmmu_vmsa.ko; see build/log/module.log");
        }
        Ok(module)
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

/// The files that the module is built from.
pub fn driver_sources(repo: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let top = WalkDir::new(repo).max_depth(1);
    let below = WalkDir::new(repo.join("abstractions"));
    for entry in top.into_iter().chain(below) {
        let path = entry?.into_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = name == "Kbuild" || name.ends_with(".rs") || is_c(&name);
        if path.is_file() && ours {
            files.push(path);
        }
    }
    files.sort();
    if !files.iter().any(|f| f.ends_with("Kbuild")) {
        bail!("there is no Kbuild in {}", repo.display());
    }
    Ok(files)
}

/// C sources, without what the kernel build generates beside them.
fn is_c(name: &str) -> bool {
    (name.ends_with(".c") && !name.ends_with(".mod.c")) || name.ends_with(".h")
}

fn jobs() -> String {
    format!("-j{}", available_parallelism().map_or(2, usize::from))
}

/// Builds the kernel; picks up where an interrupted build stopped.
fn build(
    paths: &Paths,
    toolchain: &Toolchain,
    tree: &Path,
    config: &Path,
    out: &Path,
) -> Result<()> {
    let step = Step::new("Building the kernel (about 11 minutes on two cores)");
    let mut log = Log::create(paths, "kernel")?;
    fs::create_dir_all(out)?;
    let make = |target: &[&str]| {
        let mut make = Command::new("make");
        make.arg("-C").arg(tree).arg(format!("O={}", out.display()));
        make.arg(jobs()).args(Toolchain::make_variables());
        if Path::new("/usr/bin/ccache").exists() {
            make.arg("CC=ccache clang");
        }
        make.args(target);
        toolchain.apply(&mut make);
        make.env("CCACHE_BASEDIR", &paths.cache);
        make
    };
    let mut configure = make(&["allnoconfig"]);
    configure.env("KCONFIG_ALLCONFIG", config);
    log.run(&step, "configuring the kernel", &mut configure)?;
    check_config(config, &out.join(".config"))?;
    log.run(
        &step,
        "building the kernel",
        &mut make(&["Image", "modules", "dtbs"]),
    )?;
    step.done();
    Ok(())
}

/// Kconfig drops what it cannot satisfy without a word: this is the word.
fn check_config(wanted: &Path, got: &Path) -> Result<()> {
    let got = fs::read_to_string(got)?;
    for line in fs::read_to_string(wanted)?.lines() {
        let lost =
            line.starts_with("CONFIG_") && !line.ends_with("=n") && !got.lines().any(|l| l == line);
        if lost {
            bail!("the kernel configuration does not take {line}");
        }
    }
    Ok(())
}
