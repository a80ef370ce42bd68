// SPDX-License-Identifier: GPL-2.0
//! Features of a driver for the IPMMU, and the results of the rows that show them.
//!
//! `build/report/features.json` and `features.md` contain only these results. No entry is written
//! by hand.
//!
//! This driver must have every feature. Features also say how the C driver is known to behave, so
//! that a row fails when this changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;

use anyhow::{Error, Result, bail, ensure};
use libtest_mimic::Trial;
use serde::Serialize;

use crate::paths::Paths;

/// The page that describes the features in words.
pub const PAGE: &str = "Documentation/differences.rst";

/// The area that a feature belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Part {
    #[serde(rename = "translation and domains")]
    Translation,
    #[serde(rename = "SoC generations")]
    Generations,
    #[serde(rename = "faults")]
    Faults,
    #[serde(rename = "clients on the board")]
    Clients,
    #[serde(rename = "what a person can look at")]
    Looking,
    #[serde(rename = "defects that must not return")]
    Defects,
    #[serde(rename = "suspend and resume")]
    Sleep,
}

/// The known behaviour of the C driver.
#[derive(Clone, Copy, Debug)]
pub enum C {
    /// The C driver has the feature.
    Works,
    /// The C driver fails, with an error that contains this text.
    Fails(&'static str),
    /// The feature does not apply to the C driver, for this reason.
    NotApplicable(&'static str),
}

/// A behaviour that a driver may have.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The name in the report, and of rows that `feature.rs` creates.
    pub id: &'static str,
    /// The area that the feature belongs to.
    pub part: Part,
    /// A sentence that is true for a driver with the feature.
    pub says: &'static str,
    /// The known behaviour of the C driver.
    pub c: C,
}

/// A feature, with the names of the rows that show it for each driver.
struct Entry {
    feature: Feature,
    rust: Vec<String>,
    c: Vec<String>,
}

/// The results of this run, by feature.
#[derive(Default)]
pub struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    features: Vec<Entry>,
    /// The results so far by row, expected or not.
    seen: BTreeMap<String, Result<(), String>>,
}

/// One line of the report.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    id: &'static str,
    part: Part,
    says: &'static str,
    rust: &'static str,
    c: &'static str,
    /// The failure of the C driver, or why the feature does not apply to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    c_because: Option<String>,
    rust_rows: Vec<String>,
    c_rows: Vec<String>,
}

impl Ledger {
    /// Enters a feature, with the rows that are its evidence for each driver.
    pub fn enter(&self, feature: Feature, rust: &[&str], c: &[&str]) {
        let own = |rows: &[&str]| rows.iter().map(|&r| r.to_owned()).collect();
        self.pages().features.push(Entry {
            feature,
            rust: own(rust),
            c: own(c),
        });
    }

    /// Records the result of a row.
    pub fn note(&self, row: &str, seen: &Result<()>) {
        let seen = seen.as_ref().copied().map_err(|e| format!("{e:#}"));
        self.pages().seen.insert(row.to_owned(), seen);
    }

    /// Fails if two features share a name, or if a feature's rows are missing, unknown or too many.
    pub fn check_names(&self, rows: &[Trial]) -> Result<()> {
        let pages = self.pages();
        let known: Vec<&str> = rows.iter().map(Trial::name).collect();
        for entry in &pages.features {
            let id = entry.feature.id;
            let twice = pages.features.iter().filter(|e| e.feature.id == id);
            ensure!(twice.count() == 1, "two features are called {id}");
            let asked = !matches!(entry.feature.c, C::NotApplicable(_));
            ensure!(
                !entry.rust.is_empty() && entry.c.is_empty() != asked,
                "the feature {id} has no evidence, or too much"
            );
            for row in entry.rust.iter().chain(&entry.c) {
                ensure!(
                    known.contains(&row.as_str()),
                    "the feature {id} names the row {row}, which does not exist"
                );
            }
        }
        Ok(())
    }

    /// Fails unless the page names all features that the C driver lacks, and no unknown ones.
    pub fn check_page(&self, page: &str) -> Result<()> {
        let named = features_named(page);
        let pages = self.pages();
        for Feature { id, c, .. } in pages.features.iter().map(|e| e.feature) {
            ensure!(
                !matches!(c, C::Fails(_)) || named.contains(&id),
                "{PAGE} does not name the feature {id}, which the C driver lacks"
            );
        }
        for name in named {
            let known = pages.features.iter().any(|e| e.feature.id == name);
            ensure!(known, "{PAGE} names {name}, which is no feature");
        }
        Ok(())
    }

    /// Writes the report about the features whose rows have all run. Returns a summary in one line.
    pub fn report(&self, paths: &Paths) -> Result<String> {
        let pages = self.pages();
        let mut lines: Vec<Line> = pages
            .features
            .iter()
            .filter_map(|e| line(e, &pages.seen))
            .collect();
        lines.sort_by_key(|l| l.part);
        let dir = paths.report();
        let json = serde_json::to_string_pretty(&lines)? + "\n";
        fs::write(dir.join("features.json"), json)?;
        fs::write(dir.join("features.md"), page(&lines, pages.features.len()))?;
        Ok(sum(&lines, pages.features.len()))
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().expect("rows do not share a panic")
    }
}

/// Returns the names that a page has in brackets, as in ``[``one``, ``two``]``.
fn features_named(page: &str) -> Vec<&str> {
    let bracketed = page
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']'));
    bracketed
        .flat_map(|(inside, _)| inside.split("``").skip(1).step_by(2))
        .collect()
}

/// Returns the first failure of these rows, or success; none if one of them has not run.
fn verdict(
    rows: &[String],
    seen: &BTreeMap<String, Result<(), String>>,
) -> Option<Result<(), String>> {
    let mut verdict = Ok(());
    for row in rows {
        verdict = verdict.and(seen.get(row)?.clone());
    }
    Some(verdict)
}

fn word(verdict: &Result<(), String>) -> &'static str {
    match verdict {
        Ok(()) => "works",
        Err(_) => "fails",
    }
}

fn line(entry: &Entry, seen: &BTreeMap<String, Result<(), String>>) -> Option<Line> {
    let Feature { id, part, says, c } = entry.feature;
    let rust = verdict(&entry.rust, seen)?;
    let (c, c_because) = match c {
        C::NotApplicable(why) => ("n/a", Some(why.to_owned())),
        _ => {
            let c = verdict(&entry.c, seen)?;
            let first = |e: String| e.lines().next().unwrap_or_default().to_owned();
            (word(&c), c.err().map(first))
        }
    };
    Some(Line {
        id,
        part,
        says,
        rust: word(&rust),
        c,
        c_because,
        rust_rows: entry.rust.clone(),
        c_rows: entry.c.clone(),
    })
}

fn sum(lines: &[Line], all: usize) -> String {
    let count = |of: fn(&Line) -> &str, is| lines.iter().filter(|&l| of(l) == is).count();
    let mut text = format!(
        "{} features: Rust {} works, {} fails; C {} works, {} fails, {} n/a",
        lines.len(),
        count(|l| l.rust, "works"),
        count(|l| l.rust, "fails"),
        count(|l| l.c, "works"),
        count(|l| l.c, "fails"),
        count(|l| l.c, "n/a"),
    );
    if lines.len() < all {
        let _ = write!(text, "; {} were not run", all - lines.len());
    }
    text
}

/// Returns the report as Markdown, for human readers.
fn page(lines: &[Line], all: usize) -> String {
    let mut text = format!("# What the drivers can do\n\n{}.\n", sum(lines, all));
    text +=
        "Both ran on the same kernel and the same emulated board; each line is what was seen.\n";
    let mut part = None;
    for line in lines {
        if part.replace(line.part) != Some(line.part) {
            let name = serde_json::to_value(line.part).unwrap_or_default();
            let _ = write!(text, "\n## {}\n\n", name.as_str().unwrap_or_default());
            text += "| | Rust | C | of C |\n|---|---|---|---|\n";
        }
        let because = line.c_because.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} (`{}`) | {} | {} | {} |",
            line.says,
            line.id,
            line.rust,
            line.c,
            because.replace('|', "\\|")
        );
    }
    text
}

/// Fails unless the result is the behaviour that is `expected` of the C driver.
pub fn judge(expected: C, seen: &Result<()>) -> Result<()> {
    match (expected, seen) {
        (C::Works, Ok(())) => Ok(()),
        (C::Works, Err(e)) => bail!("the C driver does not do that: {e:#}"),
        (C::Fails(how), Ok(())) => bail!("the C driver did not fail (with {how:?})"),
        (C::Fails(how), Err(e)) if says(e, how) => Ok(()),
        (C::Fails(how), Err(e)) => {
            bail!("the C driver failed in another way than with {how:?}: {e:#}")
        }
        (C::NotApplicable(_), _) => bail!("there is nothing to be seen of the C driver"),
    }
}

fn says(error: &Error, part: &str) -> bool {
    format!("{error:#}").contains(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    const LAZY: Feature = Feature {
        id: "lazy",
        part: Part::Translation,
        says: "Flushes can wait.",
        c: C::Fails("type is DMA"),
    };

    fn entered(feature: Feature) -> Ledger {
        let ledger = Ledger::default();
        let c: &[&str] = match feature.c {
            C::NotApplicable(_) => &[],
            _ => &["c::lazy"],
        };
        ledger.enter(feature, &["r::lazy", "r::eager"], c);
        ledger
    }

    fn only_line(ledger: &Ledger) -> Option<Line> {
        let pages = ledger.pages();
        line(&pages.features[0], &pages.seen)
    }

    #[test]
    fn a_verdict_needs_all_rows_to_have_run() {
        let ledger = entered(LAZY);
        ledger.note("r::lazy", &Ok(()));
        ledger.note("c::lazy", &Err(anyhow!("type is DMA\nand more")));
        assert_eq!(only_line(&ledger), None);
        ledger.note("r::eager", &Ok(()));
        let seen = only_line(&ledger).unwrap();
        assert_eq!((seen.rust, seen.c), ("works", "fails"));
        assert_eq!(seen.c_because.as_deref(), Some("type is DMA"));
        ledger.note("r::eager", &Err(anyhow!("no")));
        assert_eq!(only_line(&ledger).unwrap().rust, "fails");
    }

    #[test]
    fn what_does_not_apply_says_why() {
        let ledger = entered(Feature {
            c: C::NotApplicable("built in"),
            ..LAZY
        });
        ledger.note("r::lazy", &Ok(()));
        ledger.note("r::eager", &Ok(()));
        let seen = only_line(&ledger).unwrap();
        assert_eq!(
            (seen.c, seen.c_because.as_deref()),
            ("n/a", Some("built in"))
        );
    }

    #[test]
    fn a_change_of_the_c_driver_is_noticed() {
        let failure = || Err(anyhow!("type is DMA"));
        assert!(judge(C::Works, &Ok(())).is_ok());
        assert!(judge(C::Works, &failure()).is_err());
        assert!(judge(C::Fails("is DMA"), &failure()).is_ok());
        assert!(judge(C::Fails("is DMA"), &Ok(())).is_err());
        assert!(judge(C::Fails("no bus"), &failure()).is_err());
    }

    #[test]
    fn the_page_names_what_differs_and_nothing_else() {
        let ledger = entered(LAZY);
        assert!(ledger.check_page("``lazy`` [``strict``]").is_err());
        assert!(ledger.check_page("Lazy [``lazy``, ``eager``]").is_err());
        assert!(ledger.check_page("``x``\nLazy [``lazy``]").is_ok());
    }

    #[test]
    fn evidence_must_exist() {
        let row = |name: &str| Trial::test(name, || Ok(()));
        let ledger = entered(LAZY);
        let mut rows = vec![row("r::lazy"), row("r::eager")];
        assert!(ledger.check_names(&rows).is_err());
        rows.push(row("c::lazy"));
        assert!(ledger.check_names(&rows).is_ok());
        ledger.enter(LAZY, &["r::lazy"], &["c::lazy"]);
        assert!(ledger.check_names(&rows).is_err());
    }
}
