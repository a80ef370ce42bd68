// SPDX-License-Identifier: GPL-2.0
//! The rows of every `make check` except those about masters that never stop, and the options for
//! running rows.

use std::io::{IsTerminal, stdout};
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, ColorSetting, Trial};

use super::Bench;
use super::{
    allocation, arm, asleep_faults, ats, board_tests, c_driver, control, cost, crash, defects,
    faults, faulty, generations, groups, hibernate, idle_flush, install, kunit, late, leave,
    leftovers, looking, malformed, model, order, pcie, pcie_asleep, pcie_shared, power, reported,
    rust_driver, scattered, serial, shared, sleep, stage2, storage, trouble, use_count, vfio,
};

/// Returns the rows on the testbed's kernel.
pub fn usual(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
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
pub fn on_other_kernels(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = serial::rows(bench)?;
    rows.extend(arm::rows(bench)?);
    Ok(rows)
}

pub fn arguments() -> Arguments {
    Arguments {
        // One at a time: the rows of a board share it, and two cores are soon busy.
        test_threads: Some(1),
        color: Some(if stdout().is_terminal() {
            ColorSetting::Auto
        } else {
            ColorSetting::Never
        }),
        ..Arguments::default()
    }
}
