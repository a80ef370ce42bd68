// SPDX-License-Identifier: GPL-2.0
//! Runs rows, and reports their results.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use libtest_mimic::{Conclusion, Trial};

use super::{
    Bench, evidence, execute, junit, ledger, long, on_other_kernels, traffic, unkind, usual,
};
use crate::provision::{Provision, Purpose};
use crate::robustness::{self, Run};

/// The sets of rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The rows of `make check`.
    Usual,
    /// Also rows that take long or build more kernels, and a second round on unkind IPMMUs.
    Full,
}

/// The rows to run.
#[derive(Args, Clone)]
pub struct Wanted {
    /// Only rows whose name contains one of these
    #[arg(id = "WORD")]
    words: Vec<String>,
    /// Begin no row later than this, and no kernel that may take longer
    #[arg(long)]
    minutes: Option<u64>,
}

impl Wanted {
    /// Selects all rows whose names contain `word`.
    pub fn named(word: &str) -> Self {
        Self {
            words: vec![word.to_owned()],
            minutes: None,
        }
    }
}

/// Runs the `wanted` rows for a program started at `begun`. Returns whether none has failed.
pub fn run(provision: Provision, wanted: &Wanted, extent: Rows, begun: Instant) -> Result<bool> {
    let words = &wanted.words;
    let until = wanted.minutes.map(|n| begun + Duration::from_secs(n * 60));
    let report = |stem: &str, extension: &str| {
        let name = provision.kernel.named(stem);
        let report = provision.paths.report();
        report.join(name).with_extension(extension)
    };
    let (report, junit) = (report("check", "txt"), report("junit", "xml"));
    let purpose = provision.kernel.purpose();
    let is_usual = purpose == Purpose::Tests;
    let provision = Arc::new(provision);
    let bench = Arc::new(Bench::new(provision.clone(), until));
    let is_wanted = |row: &Trial| {
        (words.is_empty() || words.iter().any(|w| row.name().contains(w)))
            && (is_usual || is_about_driver(row.name()))
    };
    let mut rows = usual(&bench)?;
    rows.extend(traffic::rows(&bench, extent == Rows::Full)?);
    rows.extend(on_other_kernels(&bench)?);
    if extent == Rows::Full {
        rows.extend(long(&bench)?);
    }
    evidence::enter(&bench.ledger);
    bench.ledger.check_names(&rows)?;
    let page = fs::read_to_string(bench.paths.repo.join(ledger::PAGE))?;
    bench.ledger.check_page(&page)?;
    rows.retain(is_wanted);
    let mut conclusions = vec![execute(rows)];
    let mut suites = vec![bench.cases.suite("check", begun)];
    println!("{}", bench.ledger.report(&bench.paths)?);
    if extent == Rows::Full {
        let (conclusion, suite) = unkind::run(provision, is_wanted, until)?;
        conclusions.push(conclusion);
        suites.push(suite);
    }
    println!("took {} s", begun.elapsed().as_secs());
    let sum = |of: fn(&Conclusion) -> u64| conclusions.iter().map(of).sum::<u64>();
    let (failed, ignored) = (sum(|c| c.num_failed), sum(|c| c.num_ignored));
    let mut last = format!("{} passed, {failed} failed", sum(|c| c.num_passed));
    if ignored > 0 {
        last += &format!(", {ignored} skipped");
    }
    if !is_usual {
        robustness::enter(
            &bench.paths,
            Run {
                instrument: format!("check, kernel{}", purpose.suffix()),
                planted: None,
                tried: format!("{} rows", sum(|c| c.num_passed) + failed),
                findings: failed,
                seconds: begun.elapsed().as_secs(),
            },
        )?;
    }
    junit::write(&junit, suites)?;
    fs::write(report, format!("{last}\n"))?;
    println!("{last}");
    Ok(failed == 0)
}

/// Returns whether a row can show more about this driver on another kernel. Rows of the model, of
/// the C driver and of the 32-bit board cannot.
fn is_about_driver(row: &str) -> bool {
    !row.starts_with("model::") && !row.starts_with("arm") && !row.contains("c-driver")
}
