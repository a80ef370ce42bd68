// SPDX-License-Identifier: GPL-2.0
//! `make mutants`: is there a test for every register access of the files that
//! keep registers across a loss of power?
//!
//! Each read of a register is replaced by a zero, each write removed, and so is
//! each call of a function that does nothing but such, and each entry of a list
//! of registers to be kept, one at a time; the module is built anew, and the KUnit
//! suites and a suspend tell whether they notice, or rows of `make check` for what
//! happens otherwise only. What to change is found by its form, not by a list.

mod places;

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::board::guest::DMACS;
use crate::board::ktap::Ktap;
use crate::board::{Board, Driver, Setup};
use crate::check::control;
use crate::exec::Log;
use crate::paths::{Paths, driver_sources};
use crate::provision::{Provision, overlay};
use crate::ui::Step;
use places::Place;

/// What keeps registers across a loss of power.
const FILES: [&str; 3] = ["pm.rs", "backup.rs", "kept.rs"];

/// What an ordinary suspend has no need of, and the rows that have.
const ROWS: [(&str, &str); 4] = [
    (".look(", "asleep-faults"),
    (".wait_flushed_in(", "stuck-flush"),
    (
        ".reset(",
        "hibernate::resumed_by_a_kernel_that_translates_more",
    ),
    (".reset_contexts(", "leave"),
];

/// IMUASID of a micro-TLB in use, where the driver writes 0, as a reset does.
const IMUASID: &str = "0xe6740318";

const CHANNELS: [&str; 2] = [DMACS[0], DMACS[1]];

/// What became of one mutant.
#[derive(Debug, Serialize)]
struct Verdict {
    file: &'static str,
    line: usize,
    code: String,
    caught_by: Vec<String>,
}

/// `build/report/mutants.json`
#[derive(Debug, Default, Serialize)]
struct Report {
    mutants: usize,
    caught: usize,
    verdicts: Vec<Verdict>,
}

/// Tries all mutants whose line contains `filter`; true if each was caught.
pub fn run(paths: &Paths, provision: &Provision, filter: Option<&str>) -> Result<bool> {
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let noticed = notice(paths, provision, None);
    ensure!(
        noticed.is_empty(),
        "without a change this fails: {}",
        noticed.join(", ")
    );
    let work = Work::new(paths)?;
    for (call, rows) in ROWS {
        let is_wanted = filter.is_none_or(|filter| call.contains(filter));
        ensure!(
            !is_wanted || work.pass(paths, rows)?,
            "without a change {rows} fails"
        );
    }
    let mut report = Report::default();
    for file in FILES {
        let source = fs::read_to_string(paths.repo.join(file))?;
        for place in places::find(&source) {
            if filter.is_some_and(|filter| !place.code.contains(filter)) {
                continue;
            }
            work.write(file, &place.mutated(&source))?;
            let rows = ROWS.iter().find(|(call, _)| place.code.contains(call));
            let caught_by = match (rows, work.initramfs(paths, provision)) {
                (_, Err(e)) => return Err(e.context(format!("without {}", place.code))),
                (None, Ok(initramfs)) => notice(paths, provision, Some(initramfs)),
                (Some((_, rows)), Ok(_)) if work.pass(paths, rows)? => Vec::new(),
                (Some((_, rows)), Ok(_)) => vec![(*rows).to_owned()],
            };
            report.note(file, &place, caught_by);
        }
        work.write(file, &source)?;
    }
    ensure!(report.mutants > 0, "no register access was found");
    println!("{} of {} caught", report.caught, report.mutants);
    let path = paths.report().join("mutants.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(report.caught == report.mutants)
}

impl Report {
    fn note(&mut self, file: &'static str, place: &Place, caught_by: Vec<String>) {
        let found = match caught_by.is_empty() {
            true => "NOT CAUGHT".to_owned(),
            false => caught_by.join(", "),
        };
        println!("{file}:{:<4} {:<60} {found}", place.line, place.code);
        self.mutants += 1;
        self.caught += usize::from(!caught_by.is_empty());
        self.verdicts.push(Verdict {
            file,
            line: place.line,
            code: place.code.clone(),
            caught_by,
        });
    }
}

/// Where mutants are built: a checkout of its own, as far as it differs.
struct Work {
    dir: PathBuf,
}

impl Work {
    fn new(paths: &Paths) -> Result<Self> {
        let dir = paths.build().join("mutants");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        for file in driver_sources(&paths.repo)? {
            let to = dir.join("source").join(file.strip_prefix(&paths.repo)?);
            fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
            fs::copy(&file, &to)?;
        }
        for rest in ["testbed", "packaging", "Documentation", "dts", "Makefile"] {
            symlink(paths.repo.join(rest), dir.join("source").join(rest))?;
        }
        Ok(Self { dir })
    }

    /// Whether these rows of `make check` pass.
    fn pass(&self, paths: &Paths, rows: &str) -> Result<bool> {
        let step = Step::new(format!("Running {rows}"));
        let mut harness = Command::new(env::current_exe()?);
        harness.arg("--repo").arg(self.dir.join("source"));
        let mut log = Log::create(paths, "mutants.check")?;
        Ok(log.run(&step, rows, harness.args(["check", rows])).is_ok())
    }

    fn write(&self, file: &str, source: &str) -> Result<()> {
        Ok(fs::write(self.dir.join("source").join(file), source)?)
    }

    /// Builds the module and puts it over the one in the initramfs.
    fn initramfs(&self, paths: &Paths, provision: &Provision) -> Result<PathBuf> {
        let out = self.dir.join("out");
        let module =
            provision
                .kernel
                .build_module(paths, &self.dir.join("source"), &out, "mutant")?;
        let image = self.dir.join("initramfs.cpio.gz");
        let release = &provision.kernel.release;
        overlay(&provision.initramfs, release, &module, &image)?;
        Ok(image)
    }
}

/// What notices that something is wrong, with the module in `initramfs`.
fn notice(paths: &Paths, provision: &Provision, initramfs: Option<PathBuf>) -> Vec<String> {
    let mut noticed = Vec::new();
    if let Err(e) = try_out(paths, provision, initramfs.as_deref(), &mut noticed) {
        noticed.push(format!("the board ({e:#})"));
    }
    noticed
}

fn try_out(
    paths: &Paths,
    provision: &Provision,
    initramfs: Option<&Path>,
    noticed: &mut Vec<String>,
) -> Result<()> {
    let mut setup = Setup::new("mutant", Driver::Rust).append("kunit.enable=1 kunit.autorun=1");
    setup.initramfs = initramfs.map(Path::to_owned);
    let mut board = Board::boot(paths, provision, &setup)?;
    control::be_firmware(&mut board)?;
    board.load_driver(&DMACS)?;
    if control::expect_kept(&mut board).is_err() {
        noticed.push("what firmware left".into());
    }
    let suites = board.try_sh("/tests/kunit.sh")?;
    if Ktap::parse(&suites.text).judge().is_err() {
        noticed.push("KUnit".into());
    }
    board.dma_briefly(&CHANNELS)?;
    board.sh(&format!("devmem {IMUASID} 32 5"))?;
    control::change(&mut board)?;
    let before = board.registers()?;
    board.suspend(|_| Ok(()))?;
    if !before.differences(&board.registers()?).is_empty() {
        noticed.push("registers".into());
    }
    if board.new_messages()?.contains("after resume") {
        noticed.push("the driver".into());
    }
    if board.dma_briefly(&CHANNELS).is_err() {
        noticed.push("DMA".into());
    }
    board.expect_clean()
}
