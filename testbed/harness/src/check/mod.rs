// SPDX-License-Identifier: GPL-2.0
//! `make check`: every scenario is one named row.

mod c_driver;
mod common;
mod faulty;
mod kunit;
mod malformed;
mod model;
mod rust_driver;
mod shared;
mod sleep;
mod storage;

use std::fs;
use std::io::{IsTerminal, stdout};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Result, bail};
use libtest_mimic::{Arguments, ColorSetting, Failed, Trial};

use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;
use crate::provision::Provision;

/// What the scenarios share.
pub struct Bench {
    paths: Paths,
    provision: Provision,
}

/// Runs all rows whose name contains `filter`; true if none failed.
pub fn run(paths: Paths, provision: Provision, filter: Option<String>) -> Result<bool> {
    let begun = Instant::now();
    let report = paths.report().join("check.txt");
    let bench = Arc::new(Bench { paths, provision });
    let mut rows = model::rows(&bench)?;
    rows.extend(c_driver::rows(&bench));
    rows.extend(kunit::rows(&bench));
    rows.extend(rust_driver::rows(&bench));
    rows.extend(sleep::rows(&bench));
    rows.extend(storage::rows(&bench));
    rows.extend(faulty::rows(&bench));
    rows.extend(malformed::rows(&bench)?);
    rows.extend(shared::rows(&bench)?);
    let arguments = Arguments {
        filter,
        // The rows of one board share it, and two cores are soon busy.
        test_threads: Some(1),
        color: Some(if stdout().is_terminal() {
            ColorSetting::Auto
        } else {
            ColorSetting::Never
        }),
        ..Arguments::default()
    };
    let conclusion = libtest_mimic::run(&arguments, rows);
    println!("took {} s", begun.elapsed().as_secs());
    let mut last = format!(
        "{} passed, {} failed",
        conclusion.num_passed, conclusion.num_failed
    );
    if conclusion.num_ignored > 0 {
        last += &format!(", {} skipped", conclusion.num_ignored);
    }
    fs::write(report, format!("{last}\n"))?;
    println!("{last}");
    Ok(conclusion.num_failed == 0)
}

type Prepare = Box<dyn Fn(&mut Board) -> Result<()> + Send + Sync>;

/// A board that several rows use one after the other, booted for the first of
/// them, and again after a row that failed.
pub struct Fixture {
    bench: Arc<Bench>,
    setup: Setup,
    prepare: Prepare,
    board: Mutex<Option<Board>>,
}

impl Fixture {
    /// A board set up by `setup`, and by `prepare` once it runs.
    pub fn new(
        bench: &Arc<Bench>,
        setup: Setup,
        prepare: impl Fn(&mut Board) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            bench: bench.clone(),
            setup,
            prepare: Box::new(prepare),
            board: Mutex::new(None),
        })
    }

    /// A row that does `work` on this board and leaves it fit for the next.
    pub fn row(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        let this = self.clone();
        Trial::test(format!("{}::{name}", self.setup.name), move || {
            this.with_board(work).map_err(|e| {
                let log = this.bench.paths.log();
                let logs = this.bench.paths.short(&log).join(&this.setup.name);
                Failed::from(format!("{e:#}\n(logs: {}.*.log)", logs.display()))
            })
        })
    }

    fn with_board(&self, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
        let mut slot = self.board.lock().expect("rows do not share a panic");
        let mut board = match slot.take() {
            Some(board) => board,
            None => self.boot()?,
        };
        let verdict = work(&mut board).and_then(|()| board.expect_clean());
        // Also after a failure: then it is the first thing that one looks at.
        let _ = board.new_messages();
        let path = self
            .bench
            .paths
            .log()
            .join(format!("{}.dmesg.log", self.setup.name));
        fs::write(path, &board.klog)?;
        if verdict.is_ok() {
            *slot = Some(board);
        }
        verdict
    }

    fn boot(&self) -> Result<Board> {
        if let (Driver::Rust, Some(why)) = (self.setup.driver, &self.bench.provision.no_module) {
            bail!("there is no module to load: {why}");
        }
        let mut board = Board::boot(&self.bench.paths, &self.bench.provision, &self.setup)?;
        (self.prepare)(&mut board)?;
        Ok(board)
    }
}
