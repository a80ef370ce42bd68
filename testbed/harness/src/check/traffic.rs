// SPDX-License-Identifier: GPL-2.0
//! Masters that never stop: after a call has returned, not one access gets through.
//!
//! Our driver must let nothing through. What the C driver lets through is no failure: it is in
//! `build/report/unkind.json`, beside what ours does, for each word that says how unkind the
//! IPMMU is.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Error, Result, ensure};
use libtest_mimic::Trial;
use serde::Serialize;

use super::c_driver::UNKNOWN_SOC;
use super::traffic_scenarios::{KEXEC, MASTERS, Master, PANIC, SCENARIOS, Scenario, device_tree};
use super::{Bench, Fixture};
use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;

/// The IPMMU as it is without any word.
const KIND: &str = "kind";
/// All that an unkind IPMMU may do, at once.
const ALL: &str = "all";
/// The same, each by itself.
const EACH: [&str; 12] = [
    "posted",
    "slow-flush",
    "fetch",
    "negative",
    "latched-base",
    "utlb0",
    "reset",
    "firmware",
    "codes",
    "off-passes",
    "incoherent",
    "strict-registers",
];

/// What came of a scenario.
#[derive(Clone, Debug, Serialize)]
struct Outcome {
    word: &'static str,
    driver: &'static str,
    scenario: &'static str,
    /// Accesses to pages that were not the master's any more.
    through: u64,
    /// The first one of each master.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    first: Vec<String>,
    /// How long it took, for whoever wonders.
    milliseconds: u128,
    /// What else went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl Outcome {
    /// What is wrong with it, in a line.
    fn trouble(&self) -> Option<String> {
        let first = self.first.join("; ");
        match (&self.failed, self.through) {
            (None, 0) => None,
            (None, n) => Some(format!("{}: {n} got through: {first}", self.scenario)),
            (Some(why), 0) => Some(format!("{}: {why}", self.scenario)),
            (Some(why), n) => Some(format!(
                "{}: {n} got through: {first}; {why}",
                self.scenario
            )),
        }
    }
}

/// What has been seen in this run.
type Report = Arc<Mutex<Vec<Outcome>>>;

/// On IPMMUs that are kind, and on such that are not at all; `each`: for each word, too, what
/// takes no second kernel.
pub fn rows(bench: &Arc<Bench>, each: bool) -> Result<Vec<Trial>> {
    let words = EACH.into_iter().filter(|_| each);
    let dtb = device_tree(bench)?;
    let report = Report::default();
    let mut rows = Vec::new();
    for word in [KIND, ALL].into_iter().chain(words) {
        // Most of it fails with the C driver, one wait after the other.
        let is_slow = |driver: &Driver| *driver == Driver::C && word == ALL && !each;
        for driver in [Driver::Rust, Driver::C]
            .into_iter()
            .filter(|d| !is_slow(d))
        {
            let setup = |name: &str| setup(name, driver, word).dtb(dtb.clone());
            let board = Fixture::new(bench, awake_or_not(setup("traffic")), prepare);
            let (seen, paths) = (report.clone(), bench.paths.clone());
            rows.push(board.row(word, move |b| {
                let driver = b.driver;
                let scenarios = SCENARIOS.iter().filter(|s| s.is_for(driver));
                all(b, word, scenarios, &seen, &paths)
            }));

            // Without power areas: what has no power says nothing about the driver.
            let provision = &bench.provision;
            let files = [provision.kernel.image(), provision.initramfs.clone()];
            let others = [&KEXEC, &PANIC].into_iter();
            for scenario in others.filter(|_| [KIND, ALL].contains(&word)) {
                let setup = setup(&format!("traffic-{}", scenario.name));
                let setup = setup.append("crashkernel=320M maxcpus=1");
                let setup = match word {
                    ALL => setup.unkind(&all_but_off_passes()),
                    _ => setup,
                };
                let board = Fixture::new(bench, setup.cards().files(&files), prepare);
                let (seen, paths) = (report.clone(), bench.paths.clone());
                rows.push(board.row(word, move |b| all(b, word, [scenario], &seen, &paths)));
            }
        }
    }
    Ok(rows)
}

/// From a kernel's end to the probe of the next one contexts are off: that these let nothing
/// through is relied upon then.
fn all_but_off_passes() -> String {
    let words = EACH.into_iter().filter(|word| *word != "off-passes");
    words.collect::<Vec<_>>().join("+")
}

fn setup(name: &str, driver: Driver, word: &str) -> Setup {
    let name = match driver {
        Driver::Rust => name.to_owned(),
        Driver::C => format!("{name}-c-driver"),
    };
    let setup = Setup::new(&name, driver).prr(UNKNOWN_SOC).traffic();
    match word {
        KIND => setup.unkind(""),
        word => setup.unkind(word),
    }
}

/// With power areas that are cut, where the driver can do with that: on waking up the C driver
/// writes to a cache that has no power yet.
fn awake_or_not(setup: Setup) -> Setup {
    match setup.driver {
        Driver::Rust => setup.power_areas(),
        Driver::C => setup,
    }
}

fn prepare(board: &mut Board) -> Result<()> {
    board.load_driver(&[])?;
    board.sh("modprobe traffic interval=200000").map(drop)
}

/// Goes through these scenarios, and writes down what came of them.
fn all<'a>(
    board: &mut Board,
    word: &'static str,
    scenarios: impl IntoIterator<Item = &'a Scenario>,
    report: &Report,
    paths: &Paths,
) -> Result<()> {
    let mut troubles = Vec::new();
    for scenario in scenarios {
        let outcome = one(board, word, scenario)?;
        troubles.extend(outcome.trouble());
        let mut outcomes = report.lock().expect("rows do not share a panic");
        outcomes.push(outcome);
        let json = serde_json::to_string_pretty(&*outcomes)? + "\n";
        fs::write(paths.report().join("unkind.json"), json)?;
    }
    match board.driver {
        Driver::Rust => ensure!(troubles.is_empty(), "{}", troubles.join("\n")),
        Driver::C => {
            for trouble in troubles {
                println!("{word}: the C driver: {trouble}");
            }
        }
    }
    Ok(())
}

fn one(board: &mut Board, word: &'static str, scenario: &Scenario) -> Result<Outcome> {
    for master in &MASTERS {
        board.qmp.set(&path(master), "first-violation", "".into())?;
    }
    let before = violations(board)?;
    let begun = Instant::now();
    let seen = (scenario.work)(board);
    let milliseconds = begun.elapsed().as_millis();
    let mut first = Vec::new();
    for master in &MASTERS {
        let text = board.qmp.get(&path(master), "first-violation")?;
        let text = text.as_str().unwrap_or_default();
        if !text.is_empty() {
            first.push(format!("{}: {text}", master.ipmmu));
        }
    }
    Ok(Outcome {
        word,
        driver: match board.driver {
            Driver::Rust => "Rust",
            Driver::C => "C",
        },
        scenario: scenario.name,
        through: violations(board)? - before,
        first,
        milliseconds,
        failed: seen.err().map(|e| first_line(&e)),
    })
}

/// The rest may be what a kernel says that dies.
fn first_line(error: &Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or_default().to_owned()
}

fn path(master: &Master) -> String {
    format!("/machine/{}", master.name)
}

fn violations(board: &mut Board) -> Result<u64> {
    let mut sum = 0;
    for master in &MASTERS {
        sum += board.count(master.name, "violations")?;
    }
    Ok(sum)
}
