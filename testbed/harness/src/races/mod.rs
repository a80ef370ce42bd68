// SPDX-License-Identifier: GPL-2.0
//! `make races`: holds CPUs in the driver by a seed, while masters never stop and judge it. Races
//! of nanoseconds then last up to milliseconds.
//!
//! A seed chooses the scenario, what goes on beside it, and where CPUs are held. Threads of QEMU
//! run freely between two holds, so that a seed that found something usually finds it again.

mod holds;
mod plants;
mod scenarios;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::board::unkind::ALL;
use crate::board::{Board, Driver, Setup};
use crate::check::traffic;
use crate::check::traffic_scenarios::device_tree;
use crate::paths::Paths;
use crate::provision::Provision;
use crate::robustness::{self, Run};
use holds::Holds;
use scenarios::{BESIDE, LAZY, OTHER, SCENARIOS, beside};

/// The number of seeds on one board. The last of them leaves it with lazy mappings.
const SEEDS_OF_BOARD: u64 = 100;

/// The longest time that a CPU is held, in microseconds, for each round of scenarios in turn.
const LONGEST: [u64; 4] = [300, 100, 3000, 1000];

/// The number of seeds between two messages about progress.
const PROGRESS: u64 = 10;

/// The wishes of the caller.
#[derive(clap::Args, Clone, Debug)]
pub struct Wanted {
    /// The number of seeds
    #[arg(long, default_value_t = 200)]
    pub seeds: u64,
    /// The first seed, from 1
    #[arg(long, default_value_t = 1)]
    pub first: u64,
    /// A fault to plant in the driver, which the run must find
    #[arg(long)]
    pub plant: Option<String>,
}

/// A problem that a seed found.
#[derive(Debug, Serialize)]
struct Finding {
    seed: u64,
    scenario: &'static str,
    beside: &'static str,
    what: String,
}

/// `build/report/races.json`
#[derive(Debug, Default, Serialize)]
struct Report {
    plant: Option<String>,
    first: u64,
    seeds: u64,
    holds: u64,
    seconds: u64,
    findings: Vec<Finding>,
}

/// Returns whether nothing was found or, with a planted fault, whether something was.
pub fn run(provision: &Provision, wanted: &Wanted) -> Result<bool> {
    let paths = &provision.paths;
    let begun = Instant::now();
    let plugins = provision.plugins.as_ref();
    let plugins = plugins.context("holding CPUs needs the testbed's QEMU, not that of QEMU=")?;
    let holds = Holds::new(paths)?;
    let changed = match &wanted.plant {
        Some(name) => Some(plants::plant(provision, name)?),
        None => None,
    };
    let setup = setup(provision, changed)?.plugin(holds.argument(&plugins.holds()));
    let mut report = Report {
        plant: wanted.plant.clone(),
        first: wanted.first,
        ..Report::default()
    };
    let mut board: Option<Board> = None;
    for seed in wanted.first..wanted.first + wanted.seeds {
        let mut this = match board.take() {
            Some(board) if seed % SEEDS_OF_BOARD != 0 => board,
            _ => boot(provision, &setup, &holds)?,
        };
        let held = holds.count()?;
        let finding = try_seed(&mut this, &holds, seed)?;
        report.seeds += 1;
        if report.seeds % PROGRESS == 0 {
            println!("{} seeds, {} findings", report.seeds, report.findings.len());
        }
        report.holds += holds.count()? - held;
        report.seconds = begun.elapsed().as_secs();
        match finding {
            None => board = Some(this),
            Some(finding) => {
                println!(
                    "seed {seed}: {}, while {}: {}",
                    finding.scenario, finding.beside, finding.what
                );
                report.findings.push(finding);
            }
        }
        write(paths, &report)?;
        if wanted.plant.is_some() && !report.findings.is_empty() {
            break;
        }
    }
    robustness::enter(
        paths,
        Run {
            instrument: "races".into(),
            planted: report.plant.clone(),
            tried: format!("{} seeds, {} holds", report.seeds, report.holds),
            findings: report.findings.len() as u64,
            seconds: report.seconds,
        },
    )?;
    Ok(sum_up(&report))
}

fn write(paths: &Paths, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    Ok(fs::write(paths.report().join("races.json"), text + "\n")?)
}

fn sum_up(report: &Report) -> bool {
    let found = report.findings.len();
    println!(
        "{} seeds, CPUs held {} times, {} s: {found} findings",
        report.seeds, report.holds, report.seconds
    );
    match &report.plant {
        Some(name) if found == 0 => println!("{name} was not found"),
        Some(name) => println!("{name} was found after {} seeds", report.seeds),
        None => {}
    }
    (found == 0) == report.plant.is_none()
}

fn setup(provision: &Provision, changed: Option<PathBuf>) -> Result<Setup> {
    let dtb = device_tree(provision)?;
    let mut setup = traffic::setup("races", Driver::Rust, ALL)
        .dtb(dtb)
        .power_areas();
    setup.initramfs = changed;
    Ok(setup)
}

fn boot(provision: &Provision, setup: &Setup, holds: &Holds) -> Result<Board> {
    let mut board = Board::boot(provision, setup)?;
    board.load_driver(&[OTHER])?;
    traffic::prepare(&mut board)?;
    // IPMMUs fall asleep at once with their masters.
    board.sh(
        "for file in /sys/bus/platform/devices/*.iommu/power/autosuspend_delay_ms; do \
             echo 0 > $file; done",
    )?;
    holds.find_driver(&mut board)?;
    Ok(board)
}

/// Tries a seed. Returns the problem that it found, if any; the board is not used after that.
fn try_seed(board: &mut Board, holds: &Holds, seed: u64) -> Result<Option<Finding>> {
    let number = seed as usize;
    let scenario = match (seed + 1) % SEEDS_OF_BOARD {
        0 => &LAZY,
        _ => &SCENARIOS[number % SCENARIOS.len()],
    };
    let round = number / SCENARIOS.len();
    let (name, command) = BESIDE[round % BESIDE.len()];
    let longest = LONGEST[round % LONGEST.len()];
    let before = traffic::violations(board)?;
    let done = holds.during(seed, longest, || beside(board, command, scenario.work))?;
    let judged = done.and_then(|()| judge(board, before));
    Ok(judged.err().map(|e| {
        let what = format!("{e:#}");
        let what = what.lines().next().unwrap_or_default().to_owned();
        Finding {
            seed,
            scenario: scenario.name,
            beside: name,
            what,
        }
    }))
}

fn judge(board: &mut Board, before: u64) -> Result<()> {
    let through = traffic::violations(board)? - before;
    ensure!(through == 0, "{through} accesses got through");
    board.expect_clean()
}
