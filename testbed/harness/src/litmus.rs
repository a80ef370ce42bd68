// SPDX-License-Identifier: GPL-2.0
//! The litmus tests in testbed/litmus: forbidden outcomes cannot happen, and the barriers are the
//! reason.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::exec::capture;
use crate::paths::Paths;
use crate::provision::{Herd, Provision};
use crate::ui::Step;

/// herd7's word for an outcome that can happen.
const CAN_HAPPEN: &str = "Sometimes";
const CANNOT: &str = "Never";

/// Fails unless herd7 confirms the expectation of each test. Without herd7, prints one line that
/// says so.
pub fn judge(paths: &Paths, tests: &[PathBuf], step: &Step) -> Result<()> {
    let herd = match Provision::herd(paths) {
        Ok(herd) => herd,
        Err(e) => {
            eprintln!("  the litmus tests are left out: {e:#}");
            return Ok(());
        }
    };
    let mut results = Vec::new();
    for test in tests {
        let name = test.file_stem().unwrap_or_default().to_string_lossy();
        step.note(&name);
        let result = judge_one(&herd, test).with_context(|| name.to_string())?;
        results.push((name.into_owned(), result));
    }
    expect_twins(&results)
}

/// Returns herd7's verdict on a test. Fails unless the test expects it.
fn judge_one(herd: &Herd, test: &PathBuf) -> Result<String> {
    let text = fs::read_to_string(test)?;
    let expected = text.lines().find_map(|l| l.split_once("Result: "));
    let (_, expected) = expected.context("it does not say what its result is")?;
    let said = capture(&mut herd.command(test))?;
    let seen = observation(&said).context("herd7 does not take it")?;
    ensure!(seen == expected, "{seen} instead of {expected}");
    Ok(seen.to_owned())
}

/// Returns the verdict in herd7's output: `Observation name Never 0 5`.
fn observation(said: &str) -> Option<&str> {
    let line = said.lines().find(|l| l.starts_with("Observation "))?;
    line.split_whitespace().nth(2)
}

/// Fails unless each test has a twin, named after the test and what the twin lacks, in which the
/// forbidden outcome can happen.
fn expect_twins(results: &[(String, String)]) -> Result<()> {
    ensure!(!results.is_empty(), "there are no litmus tests");
    for (name, result) in results {
        let base = name.split('+').next().unwrap_or_default();
        let expected = if base == name { CANNOT } else { CAN_HAPPEN };
        ensure!(result == expected, "{name} must be {expected}");
        let is_kin = |other: &&(String, String)| other.0.split('+').next() == Some(base);
        let kin = results.iter().filter(is_kin);
        let has_base = results.iter().any(|(other, _)| other == base);
        ensure!(has_base && kin.count() > 1, "{base} and its twin");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn herd7_is_understood() {
        let said = "Test a Allowed\nStates 5\nObservation a Never 0 5\nTime a 0.01\n";
        assert_eq!(observation(said), Some(CANNOT));
        assert_eq!(observation("Warning: unexpected 'lock'\n"), None);
    }

    #[test]
    fn a_test_needs_a_twin_that_can_fail() {
        let results = |all: &[(&str, &str)]| -> Vec<(String, String)> {
            let own = |&(n, r): &(&str, &str)| (n.to_owned(), r.to_owned());
            all.iter().map(own).collect()
        };
        let judged = |all| expect_twins(&results(all)).is_ok();
        assert!(judged(&[("a", CANNOT), ("a+no-mb", CAN_HAPPEN)]));
        assert!(!judged(&[("a", CANNOT), ("a+no-mb", CANNOT)]));
        assert!(!judged(&[("a", CANNOT)]));
        assert!(!judged(&[("b+no-mb", CAN_HAPPEN)]));
        assert!(!judged(&[]));
    }
}
