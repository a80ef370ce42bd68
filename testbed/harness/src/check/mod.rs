// SPDX-License-Identifier: GPL-2.0
//! `make check`: every scenario is one named row.

mod allocation;
mod arm;
mod asleep_faults;
mod ats;
mod board_tests;
pub mod c_driver;
pub mod common;
pub mod control;
mod cost;
mod crash;
mod debian;
mod debian_install;
mod defects;
mod evidence;
mod faults;
mod faulty;
mod feature;
mod fixture;
pub mod generations;
pub mod groups;
mod hibernate;
mod idle_flush;
mod in_tree;
mod install;
mod kunit;
mod late;
mod leave;
mod ledger;
mod leftovers;
mod looking;
mod malformed;
mod model;
mod order;
mod pcie;
mod pcie_asleep;
mod pcie_shared;
mod power;
mod reported;
mod rust_driver;
mod scattered;
mod serial;
mod shared;
mod sleep;
mod stage2;
mod storage;
mod traffic;
mod traffic_scenarios;
mod trouble;
mod use_count;
mod vfio;

use std::fs;
use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use libtest_mimic::{Arguments, ColorSetting, Trial};

use crate::board::System;
use crate::paths::Paths;
use crate::provision::{Arch, Provision};

pub use fixture::{Bench, Fixture};

/// Which rows there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Those that one waits for.
    Usual,
    /// Also those that build kernels of their own.
    Full,
}

/// Runs all rows whose name contains one of `wanted`, or all if there is none;
/// true if none failed.
pub fn run(paths: Paths, provision: Provision, wanted: &[String], extent: Rows) -> Result<bool> {
    let begun = Instant::now();
    let report = paths.report().join("check.txt");
    let bench = Arc::new(Bench::new(paths, provision));
    let mut rows = model::rows(&bench)?;
    rows.extend(c_driver::rows(&bench));
    rows.extend(kunit::rows(&bench));
    rows.extend(rust_driver::rows(&bench));
    rows.extend(sleep::rows(&bench)?);
    rows.extend(cost::rows(&bench)?);
    rows.extend(order::rows(&bench)?);
    rows.extend(trouble::rows(&bench));
    rows.extend(asleep_faults::rows(&bench));
    rows.extend(control::rows(&bench));
    rows.extend(stage2::rows(&bench)?);
    rows.extend(storage::rows(&bench));
    rows.extend(serial::rows(&bench)?);
    rows.extend(pcie::rows(&bench)?);
    rows.extend(hibernate::rows(&bench));
    rows.extend(leave::rows(&bench));
    rows.extend(vfio::rows(&bench)?);
    rows.extend(faulty::rows(&bench));
    rows.extend(malformed::rows(&bench)?);
    rows.extend(shared::rows(&bench)?);
    rows.extend(groups::rows(&bench)?);
    rows.extend(faults::rows(&bench)?);
    rows.extend(looking::rows(&bench));
    rows.extend(generations::rows(&bench)?);
    rows.extend(defects::rows(&bench)?);
    rows.extend(power::rows(&bench)?);
    rows.extend(late::rows(&bench));
    rows.extend(use_count::rows(&bench)?);
    rows.extend(leftovers::rows(&bench));
    rows.extend(idle_flush::rows(&bench)?);
    rows.extend(pcie_asleep::rows(&bench)?);
    rows.extend(crash::rows(&bench)?);
    rows.extend(allocation::rows(&bench)?);
    rows.extend(ats::rows(&bench)?);
    let arm = arm::rows(&bench)?;
    let is_wanted =
        |row: &Trial| wanted.is_empty() || wanted.iter().any(|w| row.name().contains(w));
    if arm.iter().any(is_wanted) {
        // Now, not amid the rows. They tell if it fails.
        let _ = bench.provision(Arch::Arm, System::Testbed);
    }
    rows.extend(arm);
    rows.extend(install::rows(&bench));
    rows.extend(board_tests::rows(&bench));
    if extent == Rows::Full {
        rows.extend(in_tree::rows(&bench)?);
        rows.extend(debian::rows(&bench));
    }
    rows.extend(reported::rows(&bench)?);
    rows.extend(scattered::rows(&bench));
    rows.extend(pcie_shared::rows(&bench)?);
    rows.extend(traffic::rows(&bench, extent == Rows::Full)?);
    evidence::enter(&bench.ledger);
    bench.ledger.check_names(&rows)?;
    let page = fs::read_to_string(bench.paths.repo.join(ledger::PAGE))?;
    bench.ledger.check_page(&page)?;
    rows.retain(is_wanted);
    let arguments = Arguments {
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
    println!("{}", bench.ledger.report(&bench.paths)?);
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
