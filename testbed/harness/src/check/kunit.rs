// SPDX-License-Identifier: GPL-2.0
//! The driver's KUnit suites, run in the guest.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::ktap::Ktap;
use crate::board::{Board, Driver, Setup};

/// The driver's suites.
const SUITES: [&str; 6] = [
    "ipmmu_fault",
    "ipmmu_features",
    "ipmmu_hardware",
    "ipmmu_policy",
    "ipmmu_saved",
    "ipmmu_wants",
];

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("kunit", Driver::Rust).append("kunit.enable=1 kunit.autorun=1");
    let board = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    vec![board.row("suites", suites)]
}

pub fn suites(board: &mut Board) -> Result<()> {
    let output = board.try_sh("/tests/kunit.sh")?;
    let ktap = Ktap::parse(&output.text).judge()?;
    // A suite that was not built would not fail.
    for suite in SUITES {
        let ran = ktap.suites.iter().any(|name| name == suite);
        ensure!(ran, "{suite} did not run");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::SUITES;

    #[test]
    fn all_suites_of_the_driver_are_listed() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found = Vec::new();
        for entry in fs::read_dir(top).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let suites = text
                    .lines()
                    .filter_map(|l| l.strip_prefix("#[kunit_tests("));
                found.extend(suites.map(|s| s.trim_end_matches(")]").to_owned()));
            }
        }
        found.sort();
        assert_eq!(found, SUITES);
    }
}
