// SPDX-License-Identifier: GPL-2.0
//! `make bench`: measures the costs of both drivers in one run on the same machine. Writes
//! `bench.json` and prints which targets are met.

pub mod board;
mod measure;
pub mod profile;
mod report;
mod targets;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::board::{Board, Driver, Setup};
use crate::exec::capture;
use crate::paths::Paths;
use crate::provision::{Kernel, Provision};
use measure::{Costs, Witness};
use report::{Crowd, Part, Report};

/// The number of times that each driver is measured, in turns.
const ROUNDS: usize = 2;
/// The difference between rounds that is allowed, in percent.
const TOLERANCE: f64 = 1.0;

/// A CPU for each thread, each as fast as the machine allows.
const FOUR_CPUS: &str = "maxcpus=4";

/// Measures both drivers and writes the report. A missed target is no error.
pub fn run(provision: &Provision) -> Result<()> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("there is no module to measure: {why}");
    }
    let (mut rust, mut c, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    let mut witnesses = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        for driver in [Driver::C, Driver::Rust] {
            println!("round {round} of {ROUNDS}: {driver:?}");
            let ask = round == ROUNDS;
            let (costs, limit, heard) = measure_one(provision, driver, ask, |s| s)
                .with_context(|| format!("measuring the {driver:?} driver"))?;
            match driver {
                Driver::C => {
                    c.push(costs);
                    witnesses[1] = heard;
                }
                Driver::Rust => {
                    rust.push(costs);
                    witnesses[0] = heard;
                }
            }
            limits.push(limit);
        }
    }
    println!("stage 2");
    let (stage2, ..) = measure_one(provision, Driver::Rust, false, Setup::stage2_of_gen3)?;
    let spreads = [&rust, &c, &limits].map(|rounds| spread(rounds));
    let (spread, widest) = spreads
        .into_iter()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or_default();
    let [of_rust, of_c] = witnesses;
    let part = |mut rounds: Vec<Costs>, object: &Path, heard| -> Result<Part> {
        Ok(Part {
            costs: rounds.swap_remove(0),
            text_bytes: text_bytes(&provision.kernel, object)?,
            dma_map_benchmark: heard,
        })
    };
    let kdir = &provision.kernel.kdir;
    let crowds = crowds(provision)?;
    let mut report = Report {
        commit: commit(paths)?,
        rust: part(
            rust,
            &provision.kernel.lock_and_find_module(paths)?,
            of_rust,
        )?,
        c: part(c, &kdir.join("drivers/iommu/ipmmu-vmsa.o"), of_c)?,
        limit: part(
            limits,
            &kdir.join("drivers/iommu/io-pgtable-arm.o"),
            Vec::new(),
        )?,
        spread_percent: spread,
        crowds,
        stage2,
        targets: Vec::new(),
    };
    report.targets = targets::judge(&report);
    let path = paths.report().join("bench.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    print!("{}", report::page(&report));
    ensure!(
        spread <= TOLERANCE,
        "rounds differ by {spread:.2} %: {widest}"
    );
    Ok(())
}

fn measure_one(
    provision: &Provision,
    driver: Driver,
    ask: bool,
    change: impl Fn(Setup) -> Setup,
) -> Result<(Costs, Costs, Vec<Witness>)> {
    let (mut board, calls) = board::boot(provision, driver, None, |setup| {
        change(setup.counted_time())
    })?;
    let costs = measure::all(&mut board, &calls)?;
    let limit = measure::limit(&mut board, &calls)?;
    let heard = match ask {
        true => measure::witnesses(&mut board, &[1, 4])?,
        false => Vec::new(),
    };
    board.expect_clean()?;
    board.power_off()?;
    Ok((costs, limit, heard))
}

/// Runs the kernel's benchmark on four CPUs at once, with both drivers in turns. Its time depends
/// on the emulating machine, so that there is no target for it.
fn crowds(provision: &Provision) -> Result<Vec<Crowd>> {
    let mut crowds = Vec::new();
    for round in 1..=ROUNDS {
        for driver in [Driver::C, Driver::Rust] {
            println!("four CPUs, round {round} of {ROUNDS}: {driver:?}");
            let name = format!("bench-crowd-{driver:?}").to_lowercase();
            let setup = board::setup(provision, driver, &name, Ok)?.append(FOUR_CPUS);
            let mut board = Board::boot(provision, &setup)?;
            board.load_driver(&[])?;
            board.expect_bound_except(&[])?;
            let witness = measure::witnesses(&mut board, &[4])?.swap_remove(0);
            board.expect_clean()?;
            board.power_off()?;
            let driver = board::name_of(driver);
            crowds.push(Crowd { driver, witness });
        }
    }
    Ok(crowds)
}

/// Returns the checkout's commit, with a plus if files differ from it.
fn commit(paths: &Paths) -> Result<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(&paths.repo);
    git.args(["describe", "--always", "--dirty=+", "--exclude=*"]);
    Ok(capture(&mut git)?.trim().to_owned())
}

/// Returns the largest difference of instructions between rounds, in percent, and where it is.
fn spread(rounds: &[Costs]) -> (f64, String) {
    let first = &rounds[0];
    let others = rounds.iter().skip(1).flatten();
    others
        .map(|(name, cost)| {
            let (one, other) = (first[name].insns, cost.insns);
            let percent = match one == other {
                true => 0.0,
                false => (one - other).abs() * 100.0 / one,
            };
            (percent, format!("{one} and {other} for {name}"))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or_default()
}

/// Returns the size of an object's `.text` sections: the code that stays after initialisation.
fn text_bytes(kernel: &Kernel, object: &Path) -> Result<u64> {
    let mut size = Command::new("llvm-size");
    size.arg("-A").arg(object);
    kernel.with_tools(&mut size);
    let listed = capture(&mut size)?;
    let sections = listed.lines().filter(|line| line.starts_with(".text"));
    sections
        .map(|line| {
            let size = line.split_whitespace().nth(1).context("no size")?;
            Ok(size.parse::<u64>()?)
        })
        .sum()
}
