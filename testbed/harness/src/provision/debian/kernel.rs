// SPDX-License-Identifier: GPL-2.0
//! The parts of Debian's kernel for arm64 that a module in Rust needs.
//!
//! Debian's headers contain all parts but the crates. The crates are built again, from the same
//! source with the same configuration and the same compilers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::symbols::{self, Agreement};
use crate::exec::{Log, capture};
use crate::paths::{Paths, driver_sources};
use crate::provision::apt::{Download, Store, Wanted};
use crate::provision::artifact::{Key, keyed};
use crate::provision::build::jobs;
use crate::provision::kernel::MODULE;
use crate::provision::root::Root;
use crate::provision::source;
use crate::ui::Step;

/// The directories of the build, inside the system with the compilers.
const SOURCE: &str = "/src";
const OUT: &str = "/out";
const REPO: &str = "/repo";
const MODULE_OUT: &str = "/mod";

/// A release of Debian's kernel.
#[derive(Clone, Debug)]
pub struct Release {
    /// The name, as in `uname -r`.
    pub name: String,
    /// The version of the packages.
    pub version: String,
}

impl Release {
    /// Returns the release that Debian has built from the testbed's kernel source.
    pub fn find(store: &mut Store) -> Result<Self> {
        let files = store.choose(source::LINUX)?;
        let file = files.first().context("linux-source has no file")?;
        Self::built_from(file).with_context(|| format!("{} says no version", file.name))
    }

    /// Returns the release that is built from a source package, such as `7.3.4+deb13-arm64` from
    /// `linux-source-7.3_7.3.4-1~bpo13+1_all.deb`.
    fn built_from(source: &Download) -> Option<Self> {
        let version = source.name.split('_').nth(1)?;
        let (upstream, _) = version.rsplit_once('-')?;
        Some(Self {
            name: format!("{upstream}+deb13-arm64"),
            version: version.into(),
        })
    }

    /// Returns the name of the package with the headers.
    fn headers(&self) -> String {
        format!("linux-headers-{}:arm64", self.name)
    }
}

/// Debian's headers, and a build of the kernel's crates.
pub struct DebianKernel<'a> {
    paths: &'a Paths,
    pub root: &'a Root,
    pub release: Release,
    source: PathBuf,
    dir: PathBuf,
}

impl<'a> DebianKernel<'a> {
    /// Builds the crates, unless the cache has them.
    pub fn prepare(store: &mut Store<'a>, root: &'a Root) -> Result<Self> {
        let paths = store.paths;
        let release = Release::find(store)?;
        let name = release.headers();
        let headers = Wanted::Package(&name);
        let chosen = source::version(&store.choose(headers).with_context(|| {
            format!(
                "the kernel's source was chosen earlier and is {}; without dl/chosen.json in \
                 the cache the newest is",
                release.version
            )
        })?);
        ensure!(
            chosen.contains(&release.version),
            "the Debian mirror has {chosen}, and the kernel's source is {}",
            release.version
        );
        let source = source::linux(store)?;
        let key = Key::new("debian kernel 1")
            .text("source", &source.to_string_lossy())
            .text("headers", &chosen)
            .text("root", &root.key());
        let mut this = Self {
            paths,
            root,
            release,
            source,
            dir: PathBuf::new(),
        };
        this.dir = keyed(&paths.cache, "debian-kernel", key, |dir| {
            let headers = store.fetch(headers)?;
            this.build(headers.first().context("no headers")?, dir)
        })?;
        Ok(this)
    }

    /// Returns the directory with the build of the crates.
    pub fn build_dir(&self) -> PathBuf {
        self.dir.join("build")
    }

    fn headers_dir(&self) -> PathBuf {
        let name = &self.release.name;
        self.dir
            .join(format!("headers/usr/src/linux-headers-{name}"))
    }

    /// Returns a `make` command with the variables of Debian and of this build.
    fn make(&self, mounts: &[(&Path, &str)]) -> Command {
        let build = self.build_dir();
        let mut all = vec![(self.source.as_path(), SOURCE), (build.as_path(), OUT)];
        all.extend(mounts);
        let mut make = self.root.command(&all, "make");
        make.args(["-C", SOURCE, &format!("O={OUT}"), &jobs()]);
        make.args([
            "ARCH=arm64",
            "CROSS_COMPILE=aarch64-linux-gnu-",
            "CC=aarch64-linux-gnu-gcc-14",
            "HOSTCC=gcc-14",
        ]);
        make.arg(format!("KERNELRELEASE={}", self.release.name));
        make
    }

    fn build(&mut self, headers: &Path, dir: &Path) -> Result<()> {
        self.dir = dir.to_owned();
        let step =
            Step::new("Building the Rust crates of Debian's kernel (about 3 minutes on two cores)");
        let mut log = Log::create(self.paths, "debian-kernel")?;
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(self.build_dir())?;
        let mut extract = Command::new("dpkg-deb");
        extract.arg("-x").arg(headers).arg(dir.join("headers"));
        log.run(&step, "unpacking Debian's headers", &mut extract)?;
        let from = self.headers_dir();
        // The last two are the exports of Debian's kernel, and its types for BTF.
        for file in [".config", "Module.symvers", "vmlinux"] {
            fs::copy(from.join(file), self.build_dir().join(file))
                .with_context(|| format!("Debian's headers have no {file}"))?;
        }
        let mut make = self.make(&[]);
        log.run(&step, "configuring", make.arg("olddefconfig"))?;
        self.expect_configuration()?;
        let mut make = self.make(&[]);
        log.run(
            &step,
            "building the Rust crates of Debian's kernel",
            make.arg("modules_prepare"),
        )?;
        self.rust_exports()?;
        step.done();
        Ok(())
    }

    fn expect_configuration(&self) -> Result<()> {
        let read = |dir: PathBuf| fs::read_to_string(dir.join(".config"));
        symbols::same_configuration(&read(self.build_dir())?, &read(self.headers_dir())?)
    }

    /// Fails unless Debian's crates and these export equal Rust symbols. Returns their number.
    fn rust_exports(&self) -> Result<usize> {
        let ours = symbols::exports_of_crates(&self.build_dir())?;
        symbols::same_crates(&ours, &self.exports()?)
    }

    /// Returns the names of the symbols that Debian's kernel exports.
    fn exports(&self) -> Result<BTreeSet<String>> {
        symbols::exports(&self.headers_dir().join("Module.symvers"))
    }

    /// Builds the module, unless the cache has it. Returns the path of the `.ko` file.
    pub fn module(&self) -> Result<PathBuf> {
        let mut key = Key::new("debian module 1").text("kernel", &self.dir.to_string_lossy());
        for file in driver_sources(&self.paths.repo)? {
            key = key.file(&file)?;
        }
        let dir = keyed(&self.paths.cache, "debian-module", key, |dir| {
            let step = Step::new(format!("Building {MODULE} for {}", self.release.name));
            let mut log = Log::create(self.paths, "debian-module")?;
            let mut make = self.make(&[(&self.paths.repo, REPO), (dir, MODULE_OUT)]);
            make.arg(format!("M={REPO}"));
            make.arg(format!("MO={MODULE_OUT}")).arg("modules");
            log.run(&step, "building the module", &mut make)?;
            if !dir.join(MODULE).exists() {
                bail!("the build gave no {MODULE}; see {}", log.shown().display());
            }
            self.agreement(&dir.join(MODULE))?;
            step.done();
            Ok(())
        })?;
        Ok(dir.join(MODULE))
    }

    /// Fails unless the module fits Debian's kernel. Returns the result of the comparison.
    pub fn agreement(&self, module: &Path) -> Result<Agreement> {
        self.expect_configuration()?;
        let dir = module.parent().context("the module is in no directory")?;
        let mut nm = self
            .root
            .command(&[(dir, MODULE_OUT)], "aarch64-linux-gnu-nm");
        let text = capture(nm.args(["-u", &format!("{MODULE_OUT}/{MODULE}")]))?;
        let undefined = text.lines().filter_map(|l| l.trim().strip_prefix("U "));
        let imports: BTreeSet<String> = undefined.map(str::to_owned).collect();
        symbols::resolved(&imports, &self.exports()?)?;
        Ok(Agreement {
            rust_exports: self.rust_exports()?,
            imports: imports.len(),
            rust_imports: imports.iter().filter(|n| symbols::is_rust(n)).count(),
            vermagic: vermagic(module)?,
        })
    }
}

/// Returns the vermagic of a module, which says for which kernel it was built.
pub fn vermagic(module: &Path) -> Result<String> {
    let mut modinfo = Command::new("/sbin/modinfo");
    let text = capture(modinfo.args(["-F", "vermagic"]).arg(module))?;
    Ok(text.trim().to_owned())
}
