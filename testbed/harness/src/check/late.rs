// SPDX-License-Identifier: GPL-2.0
//! A client whose driver did not wait for the IOMMU: the client works untranslated at first, and
//! translated once its driver is bound again.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::wait_until;
use super::{Bench, Fixture};
use crate::board::guest::{DMACS, expect_no_splat};
use crate::board::hardware::DMAC_DRIVER;
use crate::board::reports::{self, LATE_PROBE};
use crate::board::{Board, Driver, Setup};

/// Limits the time for which clients wait for an IOMMU to one second.
const PATIENCE: &str = "deferred_probe_timeout=1";

/// The function that prints the IOMMU core's warning.
const FUNCTION: &str = "__iommu_probe_device";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("late", Driver::Rust).append(PATIENCE);
    let board = Fixture::new(bench, setup, |b| {
        wait_until(b, "the client waits for the IOMMU", |b| {
            let bound = format!("[ -e {DMAC_DRIVER}/{} ]", DMACS[0]);
            Ok(b.try_sh(&bound)?.code == 0)
        })
    });
    vec![board.row("a_client_bound_before_is_rebound", rebound)]
}

fn context(board: &mut Board) -> Result<Option<u32>> {
    Ok(board.registers()?.context_of("ipmmu_ds0", 1))
}

fn rebound(board: &mut Board) -> Result<()> {
    let client = DMACS[0];
    board.dma_briefly(&[client])?;
    board.load_driver(&DMACS)?;
    board.expect_bound_except(&[])?;
    ensure!(
        context(board)?.is_none(),
        "it is translated though it is bound"
    );
    board.dma_briefly(&[client])?;
    board.new_messages()?;

    board.client("unbind", client)?;
    board.client("bind", client)?;
    let messages = board.raw_messages()?;
    let (reports, others) = late_probes(&messages);
    expect_no_splat(&others)?;
    let [report] = &reports[..] else {
        anyhow::bail!("not one report, but {}: {messages}", reports.len());
    };
    ensure!(report.contains(FUNCTION), "not by {FUNCTION}: {report}");

    board.wait_for_channels(&[client])?;
    context(board)?.with_context(|| format!("{client} is not translated"))?;
    let before = board.count("ipmmu_ds0", "translations")?;
    board.dma(&[client])?;
    let translated = board.count("ipmmu_ds0", "translations")? - before;
    ensure!(translated > 0, "nothing was translated");
    Ok(())
}

/// Returns the reports with [`LATE_PROBE`] in `log`, and the rest of the log.
pub fn late_probes(log: &str) -> (Vec<String>, String) {
    let (reports, mut others) = reports::split(log);
    let is_late = |report: &String| report.contains(LATE_PROBE);
    let (late, rest): (Vec<_>, Vec<_>) = reports.into_iter().partition(is_late);
    others.extend(rest);
    (late, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_late_probes_are_left_out() {
        let report = |what: &str| {
            format!("<4>---[ cut here ]---\n<4>{what}\n<4>WARNING: x\n<4>---[ end trace 0 ]---\n")
        };
        let other = report("something");
        let late = report(&format!("mmc: {LATE_PROBE}"));
        let (reports, others) = late_probes(&format!("{other}<6>one\n{late}<6>two\n"));
        assert_eq!(reports, [late]);
        assert_eq!(others, format!("<6>one\n<6>two\n{other}"));
    }
}
