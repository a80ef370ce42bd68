// SPDX-License-Identifier: GPL-2.0
//! The testbed of the IPMMU driver: an emulated R-Car H3 board, from sources
//! to verdicts. Called by the Makefile at the top of the checkout.

mod bench;
mod board;
mod check;
mod circles;
mod compare;
mod demo;
mod doc;
mod documented;
mod dt_check;
mod exec;
mod lint;
mod litmus;
mod lock;
mod mutants;
mod paths;
mod provision;
mod races;
mod random;
mod robustness;
mod shell;
mod soak;
mod tree;
mod trees;
mod ui;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

use check::run::{Rows, Wanted};
use lock::Lock;
use paths::Paths;
use provision::{Extent, Given, Provision};

#[derive(Parser)]
#[command(name = "ipmmu-testbed", about)]
struct Arguments {
    /// The checkout
    #[arg(long, default_value = ".")]
    repo: PathBuf,
    /// A Rust-enabled kernel build to use instead of the testbed's
    #[arg(long)]
    kdir: Option<PathBuf>,
    /// A QEMU with the rcar-h3 machine to use instead of the testbed's
    #[arg(long)]
    qemu: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows DMA continuing across a suspend that loses every register
    Demo,
    /// Runs the tests
    Check(Wanted),
    /// Runs the tests, including those that take long
    CheckFull(Wanted),
    /// Runs Xen on the board, with Xen's IPMMU driver
    Xen {
        /// Xen's source tree; by default Debian's
        xen_src: Option<PathBuf>,
    },
    /// Opens the board's console
    Shell,
    /// Sleeps very often, with file and DMA traffic
    Soak {
        /// The number of sleeps
        #[arg(default_value_t = 10_000)]
        cycles: u32,
    },
    /// Measures the costs of both drivers
    Bench,
    /// Shows the functions that cause the costs
    BenchProfile,
    /// Compares the hardware accesses of both drivers
    Compare,
    /// Breaks the driver in many ways, and lists what no test detects
    Mutants {
        /// Only changes to code that contains this, or to the file of this name
        filter: Option<String>,
        /// Skips the rows of `make check` that follow if the session on the board detects nothing
        #[arg(long)]
        quick: bool,
    },
    /// Boots device trees with mistakes about IPMMUs
    Trees {
        /// The number of trees
        #[arg(default_value_t = 100)]
        trees: u64,
        /// The seed of the first one
        #[arg(default_value_t = 1)]
        seed: u64,
    },
    /// Stops CPUs in the driver, and checks that nothing gets through meanwhile
    Races(races::Wanted),
    /// Checks the code without running it
    Lint,
    /// Packs the tests for real boards
    BoardTests,
    /// Builds the documentation
    Doc,
    /// Packs the module for Debian's kernel
    Deb,
    /// Validates device trees against the kernel's bindings
    DtCheck,
    /// Builds everything and runs nothing
    Provision,
    /// Adds the driver to a kernel's source tree
    InstallTree { ksrc: PathBuf },
    /// Takes the driver out of a kernel's source tree
    UninstallTree { ksrc: PathBuf },
    /// Writes the driver as a series of patches
    Patches {
        /// The tree that they are for; by default the testbed's
        ksrc: Option<PathBuf>,
    },
}

fn run(arguments: Arguments) -> Result<bool> {
    let begun = Instant::now();
    let given = Given {
        kdir: arguments.kdir,
        qemu: arguments.qemu,
    };
    let paths = Paths::new(&arguments.repo)?;
    let _lock = Lock::take(&paths.build().join("lock"))?;
    let prepare = |extent| Provision::prepare(&paths, &given, extent);
    match arguments.action {
        Action::Deb => {
            for package in provision::debian::packages(&paths)? {
                println!("{}", paths.short(&package).display());
            }
        }
        Action::DtCheck => return dt_check::run(&paths),
        Action::BoardTests => {
            let kernel = Provision::kernel(&paths, &given)?;
            let archive = Provision::board_tests(&paths, &kernel)?;
            println!("{}", paths.short(&archive).display());
        }
        Action::Doc => doc::run(&paths, &given)?,
        Action::Lint => return lint::run(&paths, &given),
        Action::InstallTree { ksrc } => tree::install(&paths.repo, &ksrc)?,
        Action::UninstallTree { ksrc } => tree::uninstall(&ksrc)?,
        Action::Patches { ksrc } => {
            let ksrc = ksrc.map_or_else(|| Provision::linux_source(&paths), Ok)?;
            tree::patches(&paths, &ksrc)?;
        }
        Action::Demo => demo::run(&prepare(Extent::Board)?)?,
        Action::Shell => shell::run(&prepare(Extent::Board)?)?,
        Action::Provision => drop(prepare(Extent::Programs)?),
        Action::Soak { cycles } => soak::run(&prepare(Extent::Bare)?, cycles)?,
        Action::Bench => bench::run(&prepare(Extent::Bench)?)?,
        Action::BenchProfile => bench::profile::run(&prepare(Extent::Bench)?)?,
        Action::Compare => compare::run(&prepare(Extent::Bench)?)?,
        Action::Mutants { filter, quick } => {
            return mutants::run(&prepare(Extent::Board)?, filter.as_deref(), quick);
        }
        Action::Trees { trees, seed } => {
            return trees::run(&prepare(Extent::Board)?, trees, seed);
        }
        Action::Races(wanted) => return races::run(&prepare(Extent::Board)?, &wanted),
        Action::Xen { xen_src } => {
            let qemu = Provision::qemu(&paths, &given)?;
            let provision = Provision::prepare_xen(&paths, &qemu, xen_src.as_deref())?;
            return check::run::run(provision, &Wanted::named("xen::"), Rows::Full, begun);
        }
        Action::Check(wanted) => {
            return check::run::run(prepare(Extent::Programs)?, &wanted, Rows::Usual, begun);
        }
        Action::CheckFull(wanted) => {
            return check::run::run(prepare(Extent::Programs)?, &wanted, Rows::Full, begun);
        }
    }
    Ok(true)
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
