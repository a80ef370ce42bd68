// SPDX-License-Identifier: GPL-2.0
//! QEMU with the testbed's machine, and the tests of its device models.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail};

use super::apt::Store;
use super::artifact::{Key, keyed};
use super::qemu_tree::Tree;
use super::{python, source};
use crate::exec::{Log, capture};
use crate::paths::Paths;
use crate::ui::Step;

const BINARY: &str = "qemu-system-aarch64";

/// Python packages that QEMU's build needs and Debian's source lacks, in the versions of QEMU's
/// pythondeps.toml.
const PYTHON_TOOLS: [&str; 2] = ["meson==1.5.0", "pycotap==1.3.1"];

/// Options for the testbed's machine alone. All Arm machines would take twice the build steps.
const CONFIGURE: [&str; 13] = [
    "--target-list=aarch64-softmmu",
    "--with-devices-aarch64=rcar",
    "--without-default-features",
    "--without-default-devices",
    "--disable-download",
    "--disable-docs",
    "--disable-install-blobs",
    "--enable-system",
    "--enable-tcg",
    "--enable-plugins",
    "--enable-fdt=system",
    "--enable-trace-backends=log",
    "--disable-werror",
];

/// A QEMU that can be run.
#[derive(Clone)]
pub struct Qemu {
    /// The emulator.
    pub binary: PathBuf,
    /// The tests of the device models, if the testbed has built this QEMU.
    pub qtests: Vec<PathBuf>,
}

impl Qemu {
    /// Returns the user's own QEMU. Fails unless it has the testbed's machine.
    pub fn given(binary: &Path) -> Result<Self> {
        let machines = capture(Command::new(binary).args(["-M", "help"]))
            .with_context(|| format!("QEMU={} does not run", binary.display()))?;
        if !machines.lines().any(|l| l.starts_with("rcar-h3 ")) {
            bail!("QEMU={} has no rcar-h3 machine", binary.display());
        }
        Ok(Self {
            binary: binary.to_owned(),
            qtests: Vec::new(),
        })
    }

    /// Builds the testbed's QEMU, unless the cache has it.
    pub fn provided(store: &mut Store) -> Result<Self> {
        let dir = Self::built(store, "qemu", |build, dir| build.emulator(dir))?;
        Ok(Self {
            binary: dir.join(BINARY),
            qtests: Vec::new(),
        })
    }

    /// Builds the testbed's QEMU with the tests of the device models, unless the cache has them.
    pub fn with_tests(store: &mut Store) -> Result<Self> {
        let qemu = Self::provided(store)?;
        let dir = Self::built(store, "qtests", |build, dir| build.tests(dir))?;
        let files = fs::read_dir(&dir)?.map(|entry| Ok(entry?.path()));
        let mut qtests = files.collect::<Result<Vec<PathBuf>>>()?;
        qtests.retain(|path| path.to_string_lossy().ends_with("-test"));
        qtests.sort();
        Ok(Self { qtests, ..qemu })
    }

    /// Returns the directory `name` in the cache, filled by `work` unless it is there.
    fn built(
        store: &mut Store,
        name: &str,
        work: impl FnOnce(&Build<'_>, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let paths = store.paths;
        let ours = paths.testbed().join("qemu");
        let source = source::version(&store.choose(source::QEMU)?);
        let key = Key::new("qemu 2")
            .text("source", &source)
            .text("configure", &CONFIGURE.join(" "))
            .tree(&ours)?;
        keyed(&paths.cache, name, key, |dir| {
            let original = source::qemu(store)?;
            // All versions of the testbed's files share one tree, so that ninja rebuilds only what
            // has changed.
            let tree_key = Key::new("qemu tree 2")
                .text("source", &source)
                .text("configure", &CONFIGURE.join(" "))
                .finish();
            let tree = Tree {
                original: &original,
                ours: &ours,
                dir: &paths.cache.join(format!("qemu-tree-{tree_key}")),
            };
            work(&Build { paths, tree }, dir)
        })
    }
}

/// One build of the testbed's QEMU.
struct Build<'a> {
    paths: &'a Paths,
    tree: Tree<'a>,
}

impl Build<'_> {
    fn emulator(&self, result: &Path) -> Result<()> {
        let step = Step::new(match self.is_configured() {
            true => "Building what changed in QEMU",
            false => "Building QEMU (about 5 minutes on two cores)",
        });
        self.ninja(&step, &[BINARY.into()], result)?;
        // QEMU looks for firmware beside the binary, as in a build tree.
        let firmware = result.join("pc-bios");
        if !firmware.is_symlink() {
            symlink(self.tree.dir.join("pc-bios"), firmware)?;
        }
        step.done();
        Ok(())
    }

    fn tests(&self, result: &Path) -> Result<()> {
        let step = Step::new("Building the tests of the device models");
        self.ninja(&step, &self.names_of_tests()?, result)?;
        step.done();
        Ok(())
    }

    fn is_configured(&self) -> bool {
        self.tree.dir.join("build/build.ninja").exists()
    }

    /// Builds `targets`, and copies them to `result`.
    fn ninja(&self, step: &Step, targets: &[String], result: &Path) -> Result<()> {
        let mut log = Log::create(self.paths, "qemu")?;
        let is_configured = self.is_configured();
        self.tree.update(step, &mut log)?;
        let build = self.tree.dir.join("build");
        if !is_configured {
            self.configure(step, &mut log)?;
        }
        let jobs = available_parallelism().map_or(2, usize::from);
        let mut ninja = Command::new("ninja");
        ninja.args(targets).arg(format!("-j{jobs}"));
        log.run(
            step,
            "building QEMU",
            self.environment(&mut ninja).current_dir(&build),
        )?;
        for target in targets {
            let built = build.join(target);
            let name = built.file_name().context("a target without a name")?;
            fs::copy(&built, result.join(name))?;
        }
        Ok(())
    }

    /// Returns the targets of the tests of the testbed's device models.
    fn names_of_tests(&self) -> Result<Vec<String>> {
        let dir = self.tree.ours.join("overlay/tests/qtest");
        let mut tests = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("no {}", dir.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(test) = name.strip_suffix(".c").filter(|n| n.ends_with("-test")) {
                tests.push(format!("tests/qtest/{test}"));
            }
        }
        tests.sort();
        Ok(tests)
    }

    fn configure(&self, step: &Step, log: &mut Log) -> Result<()> {
        let build = self.tree.dir.join("build");
        if build.exists() {
            fs::remove_dir_all(&build)?;
        }
        fs::create_dir_all(&build)?;
        let venv = self.paths.cache.join("tools/qemu-python");
        python::environment(&venv, &PYTHON_TOOLS, step, log)?;
        let cc = if Path::new("/usr/bin/ccache").exists() {
            "ccache gcc"
        } else {
            "gcc"
        };
        let mut configure = Command::new(self.tree.dir.join("configure"));
        configure
            .arg(format!("--python={}", venv.join("bin/python3").display()))
            .arg(format!("--cc={cc}"))
            .args(CONFIGURE)
            .current_dir(&build);
        log.run(step, "configuring QEMU", self.environment(&mut configure))
    }

    /// Sets PATH to the distribution's tools, and lets ccache share results between trees.
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CCACHE_BASEDIR", &self.paths.cache)
            .env("CCACHE_NOHASHDIR", "1")
            .env_remove("MAKEFLAGS")
    }
}
