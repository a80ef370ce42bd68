// SPDX-License-Identifier: GPL-2.0
//! `make check`: each scenario is a row with a name. This file lists the files of rows.

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
mod junit;
mod kunit;
mod kvm;
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
pub mod run;
mod rust_driver;
mod scattered;
mod serial;
mod shared;
mod sleep;
pub mod socs;
mod stage2;
mod storage;
pub mod traffic;
mod traffic_kexec;
mod traffic_report;
pub mod traffic_scenarios;
mod trees;
mod trouble;
mod unkind;
mod use_count;
mod vfio;
mod xen;

use std::io::{IsTerminal, stdout};
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, ColorSetting, Conclusion, Trial};

pub use fixture::{Bench, Fixture};

/// Returns the rows on the testbed's kernel, except those about masters that never stop.
fn usual(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = model::rows(bench)?;
    rows.extend(c_driver::rows(bench));
    rows.extend(kunit::rows(bench));
    rows.extend(rust_driver::rows(bench));
    rows.extend(sleep::rows(bench)?);
    rows.extend(cost::rows(bench)?);
    rows.extend(order::rows(bench)?);
    rows.extend(trouble::rows(bench)?);
    rows.extend(asleep_faults::rows(bench)?);
    rows.extend(control::rows(bench));
    rows.extend(stage2::rows(bench)?);
    rows.extend(storage::rows(bench));
    rows.extend(pcie::rows(bench)?);
    rows.extend(hibernate::rows(bench));
    rows.extend(leave::rows(bench));
    rows.extend(vfio::rows(bench)?);
    rows.extend(faulty::rows(bench));
    rows.extend(malformed::rows(bench)?);
    rows.extend(shared::rows(bench)?);
    rows.extend(groups::rows(bench)?);
    rows.extend(faults::rows(bench)?);
    rows.extend(looking::rows(bench));
    rows.extend(generations::rows(bench)?);
    rows.extend(defects::rows(bench)?);
    rows.extend(power::rows(bench)?);
    rows.extend(late::rows(bench));
    rows.extend(use_count::rows(bench)?);
    rows.extend(leftovers::rows(bench));
    rows.extend(idle_flush::rows(bench)?);
    rows.extend(pcie_asleep::rows(bench)?);
    rows.extend(crash::rows(bench)?);
    rows.extend(allocation::rows(bench)?);
    rows.extend(ats::rows(bench)?);
    rows.extend(install::rows(bench));
    rows.extend(board_tests::rows(bench));
    rows.extend(reported::rows(bench)?);
    rows.extend(scattered::rows(bench));
    rows.extend(pcie_shared::rows(bench)?);
    Ok(rows)
}

/// Returns the rows on other kernels. Each kernel is built when its first row runs.
fn on_other_kernels(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = serial::rows(bench)?;
    rows.extend(arm::rows(bench)?);
    Ok(rows)
}

/// Returns the rows that take long or build more kernels.
fn long(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = vec![allocation::many(bench)];
    rows.extend(in_tree::rows(bench)?);
    rows.extend(debian::rows(bench));
    rows.extend(xen::rows(bench)?);
    rows.extend(trees::rows(bench)?);
    rows.extend(kvm::rows(bench)?);
    rows.extend(socs::rows(bench));
    Ok(rows)
}

/// Runs rows in their order.
fn execute(rows: Vec<Trial>) -> Conclusion {
    let arguments = Arguments {
        // One at a time: the rows of a board share it, and two cores are soon busy.
        test_threads: Some(1),
        color: Some(if stdout().is_terminal() {
            ColorSetting::Auto
        } else {
            ColorSetting::Never
        }),
        ..Arguments::default()
    };
    libtest_mimic::run(&arguments, rows)
}
