// SPDX-License-Identifier: GPL-2.0
//! `make mutants`: checks whether a test notices the loss of each register access, comparison,
//! statement, barrier and flag in the files that deal with registers.
//!
//! Each is changed by itself. A read becomes a zero; a write, a statement or a barrier is left out;
//! a comparison or a flag is inverted. The module is built again, and a short session on a board
//! shows whether something notices. If nothing does, rows of `make check` follow. Places are found
//! by their form, not by a list. A change that does not build does not count.

mod places;
mod reasons;
mod session;
mod tokens;
pub mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::exec::Log;
use crate::paths::Paths;
use crate::provision::Provision;
use crate::robustness::{self, Run};
use crate::ui::Step;
use places::{Kind, Place};
use work::Work;

/// The files that deal with registers, and with data that the hardware reads. With each, rows for
/// code that the session does not reach, by parts of their names.
const FILES: [(&str, &[&str]); 11] = [
    (
        "context.rs",
        &[
            "traffic::all",
            "stuck-flush::",
            "gen2::",
            "lost-table::",
            "faults::",
            "leftovers",
        ],
    ),
    (
        "hardware.rs",
        &["traffic::all", "stuck-flush::", "gen2::", "gen4::", "arm::"],
    ),
    (
        "saved.rs",
        &["stage2-lost::", "lost-table::", "gen3-stage2::", "gen2::"],
    ),
    (
        "suspend.rs",
        &[
            "traffic::all",
            "gen2::",
            "lost-table::",
            "asleep",
            "power::",
        ],
    ),
    (
        "group.rs",
        &[
            "groups::",
            "ats::",
            "pcie::",
            "pcie-shared::",
            "use-count",
            "arm::",
        ],
    ),
    ("ipmmu.rs", &["leftovers", "crash::", "driver-alone"]),
    ("wants.rs", &["ats::", "groups::", "vfio::"]),
    (
        "parking.rs",
        &[
            "leftovers",
            "lost-table::",
            "vfio::",
            "ats::",
            "idle-flush::",
            "crash::",
            "kexec-reused::",
        ],
    ),
    ("domain.rs", &["traffic::all"]),
    (
        "pm.rs",
        &[
            "leave::",
            "leftovers",
            "control::",
            "stage2-lost::",
            "lost-table::",
            "asleep",
            "power::",
            "hibernate::",
            "crash::",
        ],
    ),
    ("table.rs", &["gen3-stage2::", "gen2::"]),
];

/// The length at which the code of a mutant is cut in the output.
const LONGEST: usize = 100;

/// The result of one mutant.
#[derive(Debug, Serialize)]
struct Verdict {
    file: &'static str,
    line: usize,
    kind: Kind,
    code: String,
    caught_by: Vec<String>,
    /// The reason why nothing can notice it.
    #[serde(skip_serializing_if = "Option::is_none")]
    survives_because: Option<&'static str>,
}

/// The number of mutants of a kind, and of those that were caught.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Score {
    mutants: usize,
    caught: usize,
}

/// `build/report/mutants.json`
#[derive(Debug, Default, Serialize)]
struct Report {
    scores: BTreeMap<Kind, Score>,
    verdicts: Vec<Verdict>,
}

/// Tries all mutants with `filter` in their code, or in the file of this name. If `quick`, no rows
/// follow. Returns whether each was caught, or has a reason why it is not.
pub fn run(provision: &Provision, filter: Option<&str>, quick: bool) -> Result<bool> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let noticed = session::notice(provision, None);
    ensure!(
        noticed.is_empty(),
        "without a change this fails: {}",
        noticed.join(", ")
    );
    let work = Work::new(paths, "mutants")?;
    let mut wanted = Vec::new();
    for (file, rows) in FILES {
        let source = fs::read_to_string(paths.repo.join(file)).with_context(|| file)?;
        let mut places = places::find(&source).with_context(|| file)?;
        places.retain(|place| filter.is_none_or(|f| f == file || place.code.contains(f)));
        if !places.is_empty() {
            wanted.push((file, if quick { &[] } else { rows }, source, places));
        }
    }
    let all_rows: BTreeSet<&str> = wanted
        .iter()
        .flat_map(|(_, rows, ..)| rows.iter().copied())
        .collect();
    let failed = rows_that_fail(&work, paths, &Vec::from_iter(all_rows))?;
    ensure!(
        failed.is_empty(),
        "without a change these rows fail: {}",
        failed.join(", ")
    );
    let (begun, mut report) = (Instant::now(), Report::default());
    for (file, rows, source, places) in wanted {
        for place in places {
            work.write(file, &place.mutated(&source))?;
            let Ok(initramfs) = work.initramfs(provision) else {
                continue;
            };
            let mut caught_by = session::notice(provision, Some(initramfs));
            if caught_by.is_empty() {
                caught_by = rows_that_fail(&work, paths, rows)?;
            }
            report.note(file, place, caught_by);
            report.write(paths)?;
        }
        work.write(file, &source)?;
    }
    robustness::enter(
        paths,
        Run {
            instrument: "mutants".into(),
            planted: None,
            tried: format!("{} mutants", report.verdicts.len()),
            findings: report.survivors() as u64,
            seconds: begun.elapsed().as_secs(),
        },
    )?;
    report.sum_up()
}

impl Report {
    fn note(&mut self, file: &'static str, place: Place, caught_by: Vec<String>) {
        let Place {
            line, code, kind, ..
        } = place;
        let code: String = code.chars().take(LONGEST).collect();
        let survives_because = match caught_by.is_empty() {
            true => reasons::of(file, kind, &code),
            false => None,
        };
        let found = match (caught_by.is_empty(), survives_because) {
            (false, _) => caught_by.join(", "),
            (true, Some(why)) => format!("survives: {why}"),
            (true, None) => "NOT CAUGHT".to_owned(),
        };
        println!("{file}:{line:<4} {code:<60} {found}");
        let score = self.scores.entry(kind).or_default();
        score.mutants += 1;
        score.caught += usize::from(!caught_by.is_empty());
        self.verdicts.push(Verdict {
            file,
            line,
            kind,
            code,
            caught_by,
            survives_because,
        });
    }

    /// Writes the report. Called after each mutant, as all of them take hours.
    fn write(&self, paths: &Paths) -> Result<()> {
        let path = paths.report().join("mutants.json");
        Ok(fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Prints the scores. Returns whether every survivor has a reason.
    fn sum_up(&self) -> Result<bool> {
        ensure!(!self.verdicts.is_empty(), "there was nothing to change");
        for (kind, score) in &self.scores {
            println!("{kind}: {} of {} caught", score.caught, score.mutants);
        }
        Ok(self.survivors() == 0)
    }

    /// Returns the number of mutants that nothing caught, without a known reason.
    fn survivors(&self) -> usize {
        let survives = |v: &&Verdict| v.caught_by.is_empty() && v.survives_because.is_none();
        self.verdicts.iter().filter(survives).count()
    }
}

/// Runs `rows` until some fail, and returns those. One failure is enough, and all of the rows take
/// minutes.
fn rows_that_fail(work: &Work, paths: &Paths, rows: &[&str]) -> Result<Vec<String>> {
    let step = Step::new("Running rows of `make check`");
    for rows in rows {
        let mut harness = Command::new(env::current_exe()?);
        harness.arg("--repo").arg(work.source());
        let mut log = Log::create(paths, "mutants.check")?;
        if log.run(&step, rows, harness.args(["check", rows])).is_err() {
            let failed = failed_rows(&log.text()?);
            return Ok(match failed.is_empty() {
                true => vec![format!("`make check ONLY={rows}`")],
                false => failed,
            });
        }
        ensure!(
            !log.text()?.contains("running 0 tests"),
            "there are no rows with {rows}"
        );
    }
    Ok(Vec::new())
}

/// Returns the rows that failed, from the output of `make check`.
fn failed_rows(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix("FAILED"))
        .map(|row| row.trim_end().trim_end_matches('.').trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_failed_are_named() {
        let text = "running 2 tests\ntest a::b ... ok\ntest c::d   ... FAILED\n";
        assert_eq!(failed_rows(text), ["c::d"]);
    }
}
