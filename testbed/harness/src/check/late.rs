// SPDX-License-Identifier: GPL-2.0
//! A client whose driver did not wait for the IOMMU: it works untranslated, and translated once
//! it is bound anew.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::wait_until;
use super::{Bench, Fixture};
use crate::board::guest::{DMACS, expect_no_splat};
use crate::board::hardware::DMAC_DRIVER;
use crate::board::{Board, Driver, Setup};

/// Clients wait this many seconds for an IOMMU.
const PATIENCE: &str = "deferred_probe_timeout=1";

/// What the IOMMU core says of a client that it first sees when a driver is bound to it, and which
/// of its functions does.
const WARNING: &str = "late IOMMU probe at driver bind, something fishy here!";
const FUNCTION: &str = "__iommu_probe_device";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("late", Driver::Rust).append(PATIENCE);
    let board = Fixture::new(bench, setup, |b| {
        wait_until(b, "the client waits for the IOMMU", |b| {
            let bound = format!("[ -e {DMAC_DRIVER}/{} ]", DMACS[0]);
            Ok(b.try_sh(&bound)?.code == 0)
        })
    });
    vec![board.row("a_client_bound_before_is_bound_anew", bound_anew)]
}

fn context(board: &mut Board) -> Result<Option<u32>> {
    Ok(board.registers()?.context_of("ipmmu_ds0", 1))
}

fn bound_anew(board: &mut Board) -> Result<()> {
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

/// The reports with [`WARNING`] in `log`, and the rest of it.
fn late_probes(log: &str) -> (Vec<String>, String) {
    const BEGIN: &str = "[ cut here ]";
    const END: &str = "[ end trace ";
    let (mut reports, mut others) = (Vec::new(), String::new());
    let mut lines = log.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let mut report = line.to_owned();
        if line.contains(BEGIN) {
            for line in lines.by_ref() {
                report.push_str(line);
                if line.contains(END) {
                    break;
                }
            }
        }
        if report.contains(WARNING) {
            reports.push(report);
        } else {
            others.push_str(&report);
        }
    }
    (reports, others)
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
        let late = report(&format!("mmc: {WARNING}"));
        let (reports, others) = late_probes(&format!("{other}<6>one\n{late}<6>two\n"));
        assert_eq!(reports, [late]);
        assert_eq!(others, format!("{other}<6>one\n<6>two\n"));
    }
}
