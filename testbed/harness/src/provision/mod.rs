// SPDX-License-Identifier: GPL-2.0
//! Everything that must be there before the board can boot.

mod apt;
mod arch;
mod artifact;
mod board_tests;
mod build;
pub mod debian;
mod guest;
mod herd;
mod in_tree;
mod kernel;
mod plugin;
mod qemu;
mod qemu_tree;
mod source;
mod toolchain;
mod userspace;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::lock::Lock;
use crate::paths::Paths;

use arch::Purpose;

pub use arch::Arch;
pub use guest::{overlay, with_file};
pub use herd::Herd;
use in_tree::InTree;
pub use in_tree::{Changes, Config};
pub use kernel::Kernel;
pub use qemu::Qemu;
pub use userspace::{SELFTESTS, UAPI};

/// What the user brings along instead of what we would build.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `KDIR=`
    pub kdir: Option<PathBuf>,
    /// `QEMU=`
    pub qemu: Option<PathBuf>,
}

/// How much is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What boots.
    Board,
    /// Also the programs that some tests need in the guest.
    Programs,
    /// What boots, with a kernel that does not look after its own errors.
    Bare,
    /// The same, with what measures it.
    Bench,
}

/// A board ready to boot.
pub struct Provision {
    /// The emulator.
    pub qemu: Qemu,
    /// What counts instructions in it, unless the emulator is the user's.
    pub plugin: Option<PathBuf>,
    /// The guest's kernel.
    pub kernel: Kernel,
    /// The guest's initramfs.
    pub initramfs: PathBuf,
    /// Why there is no module in it, if there is none.
    pub no_module: Option<String>,
}

impl Provision {
    /// Makes or finds everything.
    ///
    /// A module that does not build is no reason to stop here: the rows that
    /// need none still have something to say.
    pub fn prepare(paths: &Paths, given: &Given, extent: Extent) -> Result<Self> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        let mut apt = apt::Apt::open(paths)?;
        let purpose = match extent {
            Extent::Board | Extent::Programs => Purpose::Tests,
            Extent::Bare | Extent::Bench => Purpose::Bench,
        };
        let kernel = kernel_of(paths, given, &mut apt, purpose)?;
        let (qemu, plugin) = match &given.qemu {
            Some(binary) => (Qemu::given(binary)?, None),
            None => {
                let plugin = plugin::calls(paths, &mut apt)?;
                (Qemu::provided(paths, &mut apt)?, Some(plugin))
            }
        };
        let tests = match extent {
            Extent::Board | Extent::Bare | Extent::Bench => None,
            Extent::Programs => Some(userspace::programs(paths, &mut apt, &kernel)?),
        };
        let witness = match extent {
            Extent::Bench => Some(userspace::dma_map_benchmark(paths, &mut apt, &kernel)?),
            Extent::Board | Extent::Bare | Extent::Programs => None,
        };
        let tests = tests.as_deref();
        Self::complete(paths, &mut apt, qemu, plugin, kernel, tests, witness)
    }

    /// Makes or finds what boots on the same QEMU with 32 bits.
    pub fn prepare_arm(&self, paths: &Paths) -> Result<Self> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        let mut apt = apt::Apt::open(paths)?;
        let kernel = Kernel::provided(paths, &mut apt, Arch::Arm, Purpose::Tests)?;
        let (qemu, plugin) = (self.qemu.clone(), self.plugin.clone());
        Self::complete(paths, &mut apt, qemu, plugin, kernel, None, None)
    }

    /// Makes or finds what boots with serial ports that use DMA.
    pub fn prepare_serial(&self, paths: &Paths) -> Result<Self> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        let mut apt = apt::Apt::open(paths)?;
        let kernel = Kernel::provided(paths, &mut apt, Arch::Arm64, Purpose::Serial)?;
        let (qemu, plugin) = (self.qemu.clone(), self.plugin.clone());
        Self::complete(paths, &mut apt, qemu, plugin, kernel, None, None)
    }

    /// Makes or finds what boots with the driver built into the kernel.
    pub fn prepare_built_in(&self, paths: &Paths) -> Result<Self> {
        let kernel = InTree::prepare(paths)?.built_in()?;
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        let contents = guest::Contents::of(&kernel);
        let initramfs = guest::image(paths, &mut apt::Apt::open(paths)?, &contents)?;
        Ok(self.with(kernel, initramfs))
    }

    /// Makes or finds what boots with the driver among the kernel's own modules.
    pub fn prepare_in_tree(&self, paths: &Paths) -> Result<Self> {
        let (kernel, installed) = InTree::prepare(paths)?.module()?;
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        let contents = guest::Contents {
            modules: &kernel.test_modules(paths)?,
            installed: Some(&installed),
            ..guest::Contents::of(&kernel)
        };
        let initramfs = guest::image(paths, &mut apt::Apt::open(paths)?, &contents)?;
        Ok(self.with(kernel, initramfs))
    }

    /// The same board with another kernel.
    fn with(&self, kernel: Kernel, initramfs: PathBuf) -> Self {
        Self {
            qemu: self.qemu.clone(),
            plugin: None,
            kernel,
            initramfs,
            no_module: None,
        }
    }

    /// Builds the driver in the tree for a kernel like this.
    pub fn try_config(paths: &Paths, config: &Config) -> Result<()> {
        InTree::prepare(paths)?.driver(config)
    }

    /// Adds modules and the guest to a kernel.
    fn complete(
        paths: &Paths,
        apt: &mut apt::Apt,
        qemu: Qemu,
        plugin: Option<PathBuf>,
        kernel: Kernel,
        tests: Option<&Path>,
        witness: Option<PathBuf>,
    ) -> Result<Self> {
        let mut modules = kernel.test_modules(paths)?;
        let no_module = match kernel.module(paths) {
            Ok(module) => {
                modules.push(module);
                None
            }
            Err(e) => Some(format!("{e:#}")),
        };
        let programs: Vec<PathBuf> = witness.into_iter().collect();
        let contents = guest::Contents {
            modules: &modules,
            programs: &programs,
            tests,
            ..guest::Contents::of(&kernel)
        };
        let initramfs = guest::image(paths, apt, &contents)?;
        Ok(Self {
            qemu,
            plugin,
            kernel,
            initramfs,
            no_module,
        })
    }

    /// Makes or finds the guest's programs for `kernel` alone.
    pub fn programs(paths: &Paths, kernel: &Kernel) -> Result<PathBuf> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        userspace::programs(paths, &mut apt::Apt::open(paths)?, kernel)
    }

    /// Packs the tests for real boards; returns the archive.
    pub fn board_tests(paths: &Paths, kernel: &Kernel) -> Result<PathBuf> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        board_tests::archive(paths, &mut apt::Apt::open(paths)?, kernel)
    }

    /// Fetches or finds LAVA's schema of jobs, as Python modules.
    pub fn lava(paths: &Paths) -> Result<PathBuf> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        board_tests::lava(paths, &mut apt::Apt::open(paths)?)
    }

    /// Fetches or finds what judges litmus tests.
    pub fn herd(paths: &Paths) -> Result<Herd> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        Herd::prepare(paths, &mut apt::Apt::open(paths)?)
    }

    /// Fetches or finds the kernel's source.
    pub fn linux_source(paths: &Paths) -> Result<PathBuf> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        source::linux(paths, &mut apt::Apt::open(paths)?)
    }

    /// Makes or finds the kernel alone.
    pub fn kernel(paths: &Paths, given: &Given) -> Result<Kernel> {
        let _lock = Lock::take(&paths.cache.join("lock"))?;
        kernel_of(paths, given, &mut apt::Apt::open(paths)?, Purpose::Tests)
    }
}

fn kernel_of(paths: &Paths, given: &Given, apt: &mut apt::Apt, purpose: Purpose) -> Result<Kernel> {
    match &given.kdir {
        Some(kdir) => Kernel::given(kdir),
        None => Kernel::provided(paths, apt, Arch::Arm64, purpose),
    }
}
