// SPDX-License-Identifier: GPL-2.0
//! `make mutants`: is there a test for each register access, each comparison, each
//! statement and each barrier of the files that deal with registers?
//!
//! Each is changed by itself: a read becomes a zero, a write, a statement or a barrier
//! is left out, a comparison is turned round. The module is built anew, and a short
//! session on a board tells whether something notices; if nothing does, rows of `make
//! check` follow. What to change is found by its form, not by a list. What does not build
//! is not counted.

mod places;
mod reasons;
mod session;
mod tokens;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::exec::Log;
use crate::paths::{Paths, driver_sources};
use crate::provision::{Provision, overlay};
use crate::ui::Step;
use places::{Kind, Place};

/// What deals with registers.
const FILES: [&str; 9] = [
    "context.rs",
    "hardware.rs",
    "saved.rs",
    "suspend.rs",
    "group.rs",
    "wants.rs",
    "parking.rs",
    "domain.rs",
    "pm.rs",
];

/// Rows for what the session does not need: parts of their names.
const ROWS: [&str; 15] = [
    "groups::",
    "faults::",
    "stuck-flush::",
    "lost-table::",
    "leave::",
    "crash::",
    "kexec-reused::",
    "leftovers",
    "ats::",
    "pcie::",
    "pcie-shared::",
    "power::",
    "idle-flush::",
    "vfio::",
    "hibernate::resumed_by_a_kernel_that_translates_more",
];

/// How much of the code of a mutant is shown.
const LONGEST: usize = 100;

/// What became of one mutant.
#[derive(Debug, Serialize)]
struct Verdict {
    file: &'static str,
    line: usize,
    kind: Kind,
    code: String,
    caught_by: Vec<String>,
    /// Why nothing can notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    survives_because: Option<&'static str>,
}

/// How many mutants there were of a kind, and how many of them were caught.
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

/// Tries all mutants whose line contains `filter`; true if each was caught, or has a
/// reason why it is not.
pub fn run(paths: &Paths, provision: &Provision, filter: Option<&str>) -> Result<bool> {
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let noticed = session::notice(paths, provision, None);
    ensure!(
        noticed.is_empty(),
        "without a change this fails: {}",
        noticed.join(", ")
    );
    let work = Work::new(paths)?;
    let failed = work.rows_that_fail(paths)?;
    ensure!(
        failed.is_empty(),
        "without a change these rows fail: {}",
        failed.join(", ")
    );
    let mut report = Report::default();
    for file in FILES {
        let source = fs::read_to_string(paths.repo.join(file)).with_context(|| file)?;
        for place in places::find(&source).with_context(|| file)? {
            if filter.is_some_and(|filter| !place.code.contains(filter) && filter != file) {
                continue;
            }
            work.write(file, &place.mutated(&source))?;
            let Ok(initramfs) = work.initramfs(paths, provision) else {
                continue;
            };
            let mut caught_by = session::notice(paths, provision, Some(initramfs));
            if caught_by.is_empty() {
                caught_by = work.rows_that_fail(paths)?;
            }
            report.note(file, place, caught_by);
            report.write(paths)?;
        }
        work.write(file, &source)?;
    }
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

    /// After each mutant: all of them take hours.
    fn write(&self, paths: &Paths) -> Result<()> {
        let path = paths.report().join("mutants.json");
        Ok(fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Prints the scores; returns whether there is nothing to explain.
    fn sum_up(&self) -> Result<bool> {
        ensure!(!self.verdicts.is_empty(), "there was nothing to change");
        for (kind, score) in &self.scores {
            println!("{kind}: {} of {} caught", score.caught, score.mutants);
        }
        let is_explained = |v: &Verdict| !v.caught_by.is_empty() || v.survives_because.is_some();
        Ok(self.verdicts.iter().all(is_explained))
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

    /// Those of [`ROWS`] that do not pass.
    fn rows_that_fail(&self, paths: &Paths) -> Result<Vec<String>> {
        let step = Step::new("Running rows of `make check`");
        let mut harness = Command::new(env::current_exe()?);
        harness.arg("--repo").arg(self.dir.join("source"));
        let mut log = Log::create(paths, "mutants.check")?;
        if log
            .run(&step, "the rows", harness.arg("check").args(ROWS))
            .is_ok()
        {
            return Ok(Vec::new());
        }
        let failed = failed_rows(&log.text()?);
        Ok(match failed.is_empty() {
            true => vec!["`make check`".into()],
            false => failed,
        })
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

/// The rows that failed, in the words of what runs them.
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
