// SPDX-License-Identifier: GPL-2.0
//! Masters that never stop. Once a call that takes memory away has returned, no access reaches it.
//!
//! With this driver an access that gets through fails the row. With the C driver it does not: the
//! report `build/report/unkind.md` shows both drivers' results for each word of unkindness.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Error, Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::ledger::C;
use super::traffic_kexec::{KEXEC, PANIC};
use super::traffic_report::{DRIVERS, Outcome, Report};
use super::traffic_scenarios::{
    FLOATING, MASTERS, Master, RACES, SCENARIOS, Scenario, device_tree,
};
use super::{Bench, Fixture};
use crate::board::console::LOST;
use crate::board::unkind::{ALL, OFF_PASSES, WORDS};
use crate::board::{BOOT_LIMIT, Board, Driver, Setup};
use crate::paths::Paths;

/// The word for IPMMUs that are not unkind.
const KIND: &str = "kind";
/// The word for IPMMUs that count accesses to registers that do not exist.
const STRICT: &str = "strict-registers";
/// The C driver's failure: when the root resumes, it writes to caches that have no power yet.
const WITHOUT_POWER: C = C::Fails("accesses to registers that do not exist");

/// Returns the rows on kind IPMMUs and on IPMMUs that are unkind in all ways. `each` adds rows for
/// each word.
pub fn rows(bench: &Arc<Bench>, each: bool) -> Result<Vec<Trial>> {
    let words = WORDS.into_iter().filter(|_| each);
    let dtb = device_tree(&bench.provision)?;
    let report = Report::default();
    let mut rows = Vec::new();
    for word in [KIND, ALL].into_iter().chain(words) {
        // Most scenarios fail with the C driver, one timeout after the other.
        let is_slow = |driver: &Driver| *driver == Driver::C && word == ALL && !each;
        for driver in [Driver::Rust, Driver::C]
            .into_iter()
            .filter(|d| !is_slow(d))
        {
            let setup = |name: &str| setup(name, driver, word).dtb(dtb.clone());
            let board = Fixture::new(bench, awake_or_not(setup("traffic")), prepare);
            let (seen, paths) = (report.clone(), bench.paths.clone());
            let work = move |b: &mut Board| {
                let scenarios = SCENARIOS.iter().chain(&RACES);
                let scenarios = scenarios.filter(|s| s.is_for(driver));
                all(b, word, scenarios, &seen, &paths)
            };
            rows.push(match (driver, word) {
                (Driver::C, STRICT) => board.observed(word, WITHOUT_POWER, work),
                _ => board.row(word, work),
            });

            // There are no power areas, as accesses without power say nothing about the driver.
            let provision = &bench.provision;
            let files = [provision.kernel.image(), provision.initramfs.clone()];
            let others: &[&Scenario] = match word {
                KIND | ALL => &[&KEXEC, &PANIC],
                OFF_PASSES => &[],
                _ => &[&KEXEC],
            };
            for &scenario in others {
                let setup = setup(&format!("traffic-{}", scenario.name));
                let setup = setup
                    .append("crashkernel=320M maxcpus=1")
                    .refuses_when_off();
                let board = Fixture::new(bench, setup.cards().files(&files), prepare);
                let (seen, paths) = (report.clone(), bench.paths.clone());
                rows.push(board.row(word, move |b| all(b, word, [scenario], &seen, &paths)));
            }
        }
    }
    let floating = awake_or_not(setup("traffic-floating", Driver::Rust, KIND));
    let board = Fixture::new(bench, floating.dtb(dtb.clone()), prepare);
    let (seen, paths) = (report.clone(), bench.paths.clone());
    rows.push(board.row("lets_nothing_through", move |b| {
        all(b, "floating", &FLOATING, &seen, &paths)
    }));
    // The races of flushes are left out, as the stage makes no difference to them.
    let setup = setup("traffic-stage2", Driver::Rust, ALL).stage2_of_gen3();
    let board = Fixture::new(bench, awake_or_not(setup).dtb(dtb), prepare);
    let paths = bench.paths.clone();
    rows.push(board.row(ALL, move |b| {
        all(b, "all, stage 2", &SCENARIOS, &report, &paths)
    }));
    Ok(rows)
}

/// Returns a board with the masters, and with IPMMUs that are unkind by `word`.
pub fn setup(name: &str, driver: Driver, word: &str) -> Setup {
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

/// Adds power areas that are cut, except with the C driver: at resume it writes to a cache that has
/// no power yet.
fn awake_or_not(setup: Setup) -> Setup {
    match setup.driver {
        Driver::Rust => setup.power_areas(),
        Driver::C => setup,
    }
}

/// Loads the driver and starts the masters.
pub fn prepare(board: &mut Board) -> Result<()> {
    board.load_driver(&[])?;
    board.sh("modprobe traffic interval=200000").map(drop)
}

/// Runs these scenarios and records their results. Fails on trouble with the Rust driver.
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
        let trouble = outcome.trouble();
        troubles.extend(trouble.map(|t| format!("{}: {t}", scenario.name)));
        report.note(outcome, paths)?;
    }
    match board.driver {
        Driver::Rust => ensure!(troubles.is_empty(), "{}", troubles.join("\n")),
        Driver::C => {
            for trouble in &troubles {
                println!("{word}: the C driver: {trouble}");
            }
            // Masters may have overwritten the next kernel.
            if troubles.iter().any(|t| LOST.iter().any(|l| t.contains(l))) {
                board.qmp.reset()?;
                board.console.wait_ready(BOOT_LIMIT)?;
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
            Driver::Rust => DRIVERS[0],
            Driver::C => DRIVERS[1],
        },
        scenario: scenario.name,
        sequence: scenario.sequence,
        through: violations(board)? - before,
        first,
        milliseconds,
        failed: seen.err().map(|e| first_line(&e)),
    })
}

/// Returns the first line of an error. The rest may be the log of a dying kernel.
fn first_line(error: &Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or_default().to_owned()
}

fn path(master: &Master) -> String {
    format!("/machine/{}", master.name)
}

/// Returns how many accesses reached memory that the master had lost.
pub fn violations(board: &mut Board) -> Result<u64> {
    let mut sum = 0;
    for master in &MASTERS {
        sum += board.count(master.name, "violations")?;
    }
    Ok(sum)
}
