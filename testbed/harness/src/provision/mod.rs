// SPDX-License-Identifier: GPL-2.0
//! Builds and fetches everything that a board needs to boot.

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
pub mod python;
mod qemu;
mod qemu_tree;
mod root;
mod source;
mod toolchain;
mod userspace;
mod xen;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::paths::Paths;

use apt::Store;
pub use arch::{Arch, Purpose};
pub use guest::{overlay, with_file};
pub use herd::Herd;
use in_tree::InTree;
pub use in_tree::{Changes, Config};
pub use kernel::Kernel;
pub use plugin::Plugins;
pub use qemu::Qemu;
pub use userspace::{BUILD_STD, RUST_TARGET, SELFTESTS, UAPI};
pub use xen::Xen;

/// The kernel and the emulator of the user, which replace those of the testbed.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `KDIR=`
    pub kdir: Option<PathBuf>,
    /// `QEMU=`
    pub qemu: Option<PathBuf>,
}

/// The parts that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A board that boots.
    Board,
    /// As `Board`, with the programs that some tests need in the guest, and with the tests of the
    /// device models.
    Programs,
    /// A board with a kernel that does not check for errors of its own.
    Bare,
    /// As `Bare`, with the kernel's benchmark of mapping for DMA.
    Bench,
}

/// A board that is ready to boot.
pub struct Provision {
    /// The paths for logs and results.
    pub paths: Paths,
    /// The emulator.
    pub qemu: Qemu,
    /// The plugins of the emulator, unless it is the user's.
    pub plugins: Option<Plugins>,
    /// The guest's kernel.
    pub kernel: Kernel,
    /// The guest's initramfs.
    pub initramfs: PathBuf,
    /// The error of the module's build, if the module is missing for that reason.
    pub no_module: Option<String>,
    /// Xen, if the kernel runs on it.
    pub xen: Option<Xen>,
}

impl Provision {
    /// Returns a board with the given parts, and no others.
    fn plain(paths: &Paths, qemu: &Qemu, kernel: Kernel, initramfs: PathBuf) -> Self {
        Self {
            paths: paths.clone(),
            qemu: qemu.clone(),
            plugins: None,
            kernel,
            initramfs,
            no_module: None,
            xen: None,
        }
    }

    /// Makes all parts, or finds them in the cache.
    ///
    /// A module that does not build is no error here, as some rows do not need it.
    pub fn prepare(paths: &Paths, given: &Given, extent: Extent) -> Result<Self> {
        let store = &mut Store::open(paths)?;
        let purpose = match extent {
            Extent::Board | Extent::Programs => Purpose::of_rows()?,
            Extent::Bare | Extent::Bench => Purpose::Bench,
        };
        let kernel = kernel_of(store, given, purpose)?;
        let (qemu, plugins) = match &given.qemu {
            Some(binary) => (Qemu::given(binary)?, None),
            None => {
                let plugins = Plugins::prepare(store)?;
                let qemu = match extent {
                    Extent::Programs => Qemu::with_tests(store)?,
                    Extent::Board | Extent::Bare | Extent::Bench => Qemu::provided(store)?,
                };
                (qemu, Some(plugins))
            }
        };
        let tests = match extent {
            Extent::Board | Extent::Bare | Extent::Bench => None,
            Extent::Programs => Some(userspace::programs(store, &kernel)?),
        };
        let witness = match extent {
            Extent::Bench => Some(userspace::dma_map_benchmark(store, &kernel)?),
            Extent::Board | Extent::Bare | Extent::Programs => None,
        };
        let board = Self::complete(store, &qemu, kernel, tests.as_deref(), witness)?;
        Ok(Self { plugins, ..board })
    }

    /// Makes or finds a board with another kernel and the same QEMU.
    pub fn prepare_other(&self, arch: Arch, purpose: Purpose) -> Result<Self> {
        let store = &mut Store::open(&self.paths)?;
        let kernel = Kernel::provided(store, arch, purpose)?;
        let programs = match purpose {
            Purpose::Kvm => Some(userspace::programs(store, &kernel)?),
            _ => None,
        };
        let board = Self::complete(store, &self.qemu, kernel, programs.as_deref(), None)?;
        let plugins = self.plugins.clone();
        Ok(Self { plugins, ..board })
    }

    /// Makes or finds a board with Xen, built from Debian's source or from the tree `given`.
    pub fn prepare_xen(paths: &Paths, qemu: &Qemu, given: Option<&Path>) -> Result<Self> {
        let store = &mut Store::open(paths)?;
        let xen = Some(Xen::prepare(store, given)?);
        let kernel = Kernel::provided(store, Arch::Arm64, Purpose::Xen)?;
        let contents = guest::Contents {
            modules: &kernel.test_modules(paths)?,
            ..guest::Contents::of(&kernel)
        };
        let initramfs = guest::image(store, &contents)?;
        Ok(Self {
            xen,
            ..Self::plain(paths, qemu, kernel, initramfs)
        })
    }

    /// Makes or finds a board with the driver built into the kernel.
    pub fn prepare_built_in(&self) -> Result<Self> {
        let paths = &self.paths;
        let kernel = InTree::prepare(paths)?.built_in()?;
        let contents = guest::Contents::of(&kernel);
        let initramfs = guest::image(&mut Store::open(paths)?, &contents)?;
        Ok(Self::plain(&self.paths, &self.qemu, kernel, initramfs))
    }

    /// Makes or finds a board with the driver among the kernel's own modules.
    pub fn prepare_in_tree(&self) -> Result<Self> {
        let paths = &self.paths;
        let (kernel, installed) = InTree::prepare(paths)?.module()?;
        let store = &mut Store::open(paths)?;
        let contents = guest::Contents {
            modules: &kernel.test_modules(paths)?,
            installed: Some(&installed),
            ..guest::Contents::of(&kernel)
        };
        let initramfs = guest::image(store, &contents)?;
        Ok(Self::plain(&self.paths, &self.qemu, kernel, initramfs))
    }

    /// Builds the driver in a kernel's tree with the configuration `config`.
    pub fn try_config(paths: &Paths, config: &Config) -> Result<()> {
        InTree::prepare(paths)?.driver(config)
    }

    /// Returns a board with `kernel`, its modules, and an initramfs.
    fn complete(
        store: &mut Store,
        qemu: &Qemu,
        kernel: Kernel,
        tests: Option<&Path>,
        witness: Option<PathBuf>,
    ) -> Result<Self> {
        let mut modules = kernel.test_modules(store.paths)?;
        let no_module = match kernel.module(store.paths) {
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
        let initramfs = guest::image(store, &contents)?;
        Ok(Self {
            no_module,
            ..Self::plain(store.paths, qemu, kernel, initramfs)
        })
    }

    /// Makes or finds the emulator alone.
    pub fn qemu(paths: &Paths, given: &Given) -> Result<Qemu> {
        match &given.qemu {
            Some(binary) => Qemu::given(binary),
            None => Qemu::provided(&mut Store::open(paths)?),
        }
    }

    /// Makes or finds the guest's programs alone, for `kernel`.
    pub fn programs(paths: &Paths, kernel: &Kernel) -> Result<PathBuf> {
        userspace::programs(&mut Store::open(paths)?, kernel)
    }

    /// Packs the tests for real boards, and returns the archive.
    pub fn board_tests(paths: &Paths, kernel: &Kernel) -> Result<PathBuf> {
        board_tests::archive(&mut Store::open(paths)?, kernel)
    }

    /// Fetches or finds the schema of LAVA's jobs, as Python modules.
    pub fn lava(paths: &Paths) -> Result<PathBuf> {
        board_tests::lava(&mut Store::open(paths)?)
    }

    /// Fetches or finds herd7, which runs litmus tests.
    pub fn herd(paths: &Paths) -> Result<Herd> {
        Herd::prepare(&mut Store::open(paths)?)
    }

    /// Fetches or finds the kernel's source.
    pub fn linux_source(paths: &Paths) -> Result<PathBuf> {
        source::linux(&mut Store::open(paths)?)
    }

    /// Makes or finds the kernel alone.
    pub fn kernel(paths: &Paths, given: &Given) -> Result<Kernel> {
        kernel_of(&mut Store::open(paths)?, given, Purpose::Tests)
    }
}

fn kernel_of(store: &mut Store, given: &Given, purpose: Purpose) -> Result<Kernel> {
    match &given.kdir {
        Some(kdir) => Kernel::given(kdir),
        None => Kernel::provided(store, Arch::Arm64, purpose),
    }
}
