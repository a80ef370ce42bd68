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
mod shell;
mod soak;
mod tree;
mod ui;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use check::Rows;
use lock::Lock;
use paths::Paths;
use provision::{Extent, Given, Provision};

#[derive(Parser)]
#[command(name = "ipmmu-testbed", about)]
struct Arguments {
    /// The checkout
    #[arg(long, default_value = ".")]
    repo: PathBuf,
    /// A Rust-enabled kernel build to use instead of ours
    #[arg(long)]
    kdir: Option<PathBuf>,
    /// A QEMU with the rcar-h3 machine to use instead of ours
    #[arg(long)]
    qemu: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows DMA going on across a suspend that loses every register
    Demo,
    /// Runs all tests
    Check {
        /// Only rows whose name contains one of these
        wanted: Vec<String>,
    },
    /// Runs all tests, also those that take long
    CheckFull {
        /// Only rows whose name contains one of these
        wanted: Vec<String>,
    },
    /// Boots the board and hands over its console
    Shell,
    /// Sleeps very often, with files and DMA going on
    Soak {
        /// How often
        #[arg(default_value_t = 10_000)]
        cycles: u32,
    },
    /// Measures both drivers
    Bench,
    /// Shows which functions the drivers spend it in
    BenchProfile,
    /// Draws what was measured
    BenchPlot,
    /// Shows what both drivers do to the hardware
    Compare,
    /// Breaks the driver, and sees whether the tests notice
    Mutants {
        /// Only changes to code that contains this, or to the file of this name
        filter: Option<String>,
    },
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
        /// The tree that they are for, unless ours
        ksrc: Option<PathBuf>,
    },
}

fn run(arguments: Arguments) -> Result<bool> {
    let given = Given {
        kdir: arguments.kdir,
        qemu: arguments.qemu,
    };
    let paths = Paths::new(&arguments.repo)?;
    let _lock = Lock::take(&paths.build().join("lock"))?;
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
        Action::Demo => demo::run(&paths, &Provision::prepare(&paths, &given, Extent::Board)?)?,
        Action::Shell => shell::run(&paths, &Provision::prepare(&paths, &given, Extent::Board)?)?,
        Action::Provision => drop(Provision::prepare(&paths, &given, Extent::Programs)?),
        Action::Soak { cycles } => {
            let provision = Provision::prepare(&paths, &given, Extent::Bare)?;
            soak::run(&paths, &provision, cycles)?;
        }
        Action::BenchPlot => bench::plot::run(&paths)?,
        Action::Bench => bench::run(&paths, &Provision::prepare(&paths, &given, Extent::Bench)?)?,
        Action::BenchProfile => {
            bench::profile::run(&paths, &Provision::prepare(&paths, &given, Extent::Bench)?)?;
        }
        Action::Compare => {
            compare::run(&paths, &Provision::prepare(&paths, &given, Extent::Bench)?)?;
        }
        Action::Mutants { filter } => {
            let provision = Provision::prepare(&paths, &given, Extent::Board)?;
            return mutants::run(&paths, &provision, filter.as_deref());
        }
        Action::Check { wanted } => {
            let provision = Provision::prepare(&paths, &given, Extent::Programs)?;
            return check::run(paths, provision, &wanted, Rows::Usual);
        }
        Action::CheckFull { wanted } => {
            let provision = Provision::prepare(&paths, &given, Extent::Programs)?;
            return check::run(paths, provision, &wanted, Rows::Full);
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
