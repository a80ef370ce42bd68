// SPDX-License-Identifier: GPL-2.0
//! Runs all rows again on IPMMUs that are unkind in all ways that no source rules out.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use libtest_mimic::{Conclusion, Trial};
use quick_junit::TestSuite;

use super::{Bench, execute, on_other_kernels, usual};
use crate::board::unkind::{called, make_boards_unkind};
use crate::provision::Provision;

const OF_C_DRIVER: &str =
    "the C driver relies on kind answers; build/report/unkind.json has its results";

/// Rows that need kind IPMMUs, by a part of their names, with the reason.
const ABOUT_KINDNESS: [(&str, &str); 14] = [
    ("c-driver", OF_C_DRIVER),
    ("arm-c::", OF_C_DRIVER),
    ("nothing_is_written_unasked", OF_C_DRIVER),
    ("the_c_driver", OF_C_DRIVER),
    (
        "alone::rmmod",
        "micro-TLBs that firmware left on, without a client, stay parked, which is on",
    ),
    (
        "cost::",
        "what registers hold when power comes decides how many of them are written",
    ),
    (
        "stuck-flush::is_noticed_at_resume",
        "IMCTR is random when power comes: the flush that resets it does not end either",
    ),
    (
        "lost-table::every_register",
        "USE_SECGRP is random: where it cannot be written DMA is refused",
    ),
    (
        "a_context_that_is_off_is_asked",
        "IPMMUs are kind, and then unkind in one way, in both rounds",
    ),
    (
        "lost-zero::",
        "registers are random when power comes, and nothing else is unkind, in both rounds",
    ),
    (
        "stage2-lost::",
        "a register that cannot be written must hold 0, so that IPMMUs are kind in both rounds",
    ),
    (
        "late::a_client_bound",
        "USE_SECGRP is random: without a driver there is no DMA",
    ),
    (
        "leftovers",
        "what the row itself leaves in registers is on its way when it looks",
    ),
    (
        "idle-flush::",
        "where a micro-TLB was found on, all that a SoC may have are looked at on each waking",
    ),
];

/// Runs the wanted rows on unkind boards, found by the beginning of their names. Also returns a
/// suite for CI systems.
pub fn run(
    provision: Arc<Provision>,
    is_wanted: impl Fn(&Trial) -> bool,
    until: Option<Instant>,
) -> Result<(Conclusion, TestSuite)> {
    let begun = Instant::now();
    make_boards_unkind();
    // A bench of its own, as these results are not reported a second time.
    let bench = Arc::new(Bench::new(provision, until));
    let mut rows = usual(&bench)?;
    rows.extend(on_other_kernels(&bench)?);
    let boards = called("");
    rows.retain(|row| row.name().starts_with(&boards) && is_wanted(row));
    for (part, why) in ABOUT_KINDNESS {
        let all = rows.len();
        rows.retain(|row| !row.name().contains(part));
        println!(
            "not on unkind IPMMUs: {} with {part}: {why}",
            all - rows.len()
        );
    }
    let conclusion = execute(rows);
    println!("took {} s on unkind IPMMUs", begun.elapsed().as_secs());
    let suite = bench.cases.suite("check on unkind IPMMUs", begun);
    Ok((conclusion, suite))
}
