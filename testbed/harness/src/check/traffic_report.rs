// SPDX-License-Identifier: GPL-2.0
//! `build/report/unkind.json`, and `unkind.md` for people: the results by word and by driver.

use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde::Serialize;

use crate::paths::Paths;

/// The drivers, by their names in the report.
pub const DRIVERS: [&str; 2] = ["Rust", "C"];

/// The result of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub word: &'static str,
    pub driver: &'static str,
    pub scenario: &'static str,
    /// The sequence in which accesses got through, if any did.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub sequence: &'static str,
    /// The number of accesses to pages that the master had lost.
    pub through: u64,
    /// The first such access of each master.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<String>,
    /// The duration, for information.
    pub milliseconds: u128,
    /// The error of the scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Outcome {
    /// Describes the accesses that got through and the failure, if there are any.
    pub fn trouble(&self) -> Option<String> {
        let through = match self.through {
            0 => None,
            n => Some(format!("{n} got through: {}", self.first.join("; "))),
        };
        let parts: Vec<String> = through.into_iter().chain(self.failed.clone()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The results of this run.
#[derive(Clone, Default)]
pub struct Report(Arc<Mutex<Vec<Outcome>>>);

impl Report {
    /// Adds a result, and rewrites both files.
    pub fn note(&self, outcome: Outcome, paths: &Paths) -> Result<()> {
        let mut outcomes = self.0.lock().expect("rows do not share a panic");
        outcomes.push(outcome);
        let json = serde_json::to_string_pretty(&*outcomes)? + "\n";
        fs::write(paths.report().join("unkind.json"), json)?;
        fs::write(paths.report().join("unkind.md"), page(&outcomes))?;
        Ok(())
    }
}

/// Returns the report for people: what works with each word, then what fails in each scenario.
fn page(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "# Unkind IPMMUs under masters that never stop\n\n\
         Of the scenarios that ran, those that work: nothing got through after a call had returned. \
         With the C driver no IPMMU sleeps at run time, so that there are fewer.\n\n\
         | word | Rust | C |\n|---|---|---|\n",
    );
    for word in names(outcomes, |o| o.word) {
        let [rust, c] = DRIVERS.map(|driver| cell(outcomes, word, driver));
        let _ = writeln!(text, "| `{word}` | {rust} | {c} |");
    }
    for scenario in names(outcomes, |o| o.scenario) {
        text += &troubles(outcomes, scenario);
    }
    text
}

/// Returns each name once, in the order of the outcomes.
fn names(outcomes: &[Outcome], of: fn(&Outcome) -> &'static str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in outcomes.iter().map(of) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn cell(outcomes: &[Outcome], word: &str, driver: &str) -> String {
    let of_cell = |o: &&Outcome| o.word == word && o.driver == driver;
    let all: Vec<&Outcome> = outcomes.iter().filter(of_cell).collect();
    let good = all.iter().filter(|o| o.trouble().is_none()).count();
    let through: u64 = all.iter().map(|o| o.through).sum();
    let ran = all.len();
    match (ran, ran - good, through) {
        (0, ..) => "not run".into(),
        (_, 0, _) => format!("works ({ran} of {ran})"),
        (.., 0) => format!("{good} of {ran}"),
        _ => format!("{good} of {ran}; {through} accesses got through"),
    }
}

/// Returns the section about a scenario that does not work everywhere.
fn troubles(outcomes: &[Outcome], scenario: &str) -> String {
    let of_scenario = |o: &&Outcome| o.scenario == scenario;
    let mut lines = String::new();
    let mut sequence = "";
    for outcome in outcomes.iter().filter(of_scenario) {
        if let Some(trouble) = outcome.trouble() {
            let _ = writeln!(lines, "- `{}`, {}: {trouble}", outcome.word, outcome.driver);
        }
        if outcome.through > 0 {
            sequence = outcome.sequence;
        }
    }
    match (lines.is_empty(), sequence) {
        (true, _) => lines,
        (false, "") => format!("\n## {scenario}\n\n{lines}"),
        (false, sequence) => format!("\n## {scenario}\n\n{sequence}\n\n{lines}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(driver: &'static str, through: u64, failed: Option<&str>) -> Outcome {
        Outcome {
            word: "posted",
            driver,
            scenario: "unmap",
            sequence: "Unmapped; reached again.",
            through,
            first: vec!["ipmmu_vc0: micro-TLB 3 read".into(); (through > 0).into()],
            milliseconds: 1,
            failed: failed.map(str::to_owned),
        }
    }

    #[test]
    fn page_says_what_got_through_and_how() {
        let text = page(&[
            outcome("Rust", 0, None),
            outcome("C", 7, None),
            outcome("C", 0, Some("no DMA")),
            outcome("C", 0, None),
        ]);
        assert!(
            text.contains("\n| `posted` | works (1 of 1) | 1 of 3; 7 accesses got through |\n")
        );
        let section = "\n## unmap\n\nUnmapped; reached again.\n\n\
             - `posted`, C: 7 got through: ipmmu_vc0: micro-TLB 3 read\n\
             - `posted`, C: no DMA\n";
        assert!(text.ends_with(section), "{text}");
    }

    #[test]
    fn page_says_what_was_not_run() {
        let text = page(&[outcome("Rust", 0, Some("no DMA"))]);
        assert!(
            text.contains("\n| `posted` | 0 of 1 | not run |\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\n## unmap\n\n- `posted`, Rust: no DMA\n"),
            "{text}"
        );
    }
}
