// SPDX-License-Identifier: GPL-2.0
//! A scenario with IOVAs of more than 32 bits.

use anyhow::{Context, Result, ensure};

use super::{Bench, Subject};
use crate::memory::{GIANT_PAGE, HUGE_PAGE, PAGE, Pages};

/// The first address that 32 bits do not reach.
const FIRST: u64 = 1 << 32;
/// The first address that 40 bits do not reach.
const END: u64 = 1 << 40;
/// The number of times that the same memory is mapped side by side: there is not that much.
const TIMES: u64 = 6;

/// Maps 6 GiB above 4 GiB, and then less in their place. Nothing is mapped at the end of 40 bits.
pub fn wide(subject: &Subject, _: u32) -> Result<()> {
    let bench = subject.open()?;
    let last = bench.iommufd.last_iova(bench.ioas)?;
    ensure!(last == END - 1, "the last IOVA is {last:#x}");

    let giant = Pages::giant()?;
    let at = |n: u64| FIRST + n * GIANT_PAGE as u64;
    for n in 0..TIMES {
        bench.map(at(n), &giant)?;
    }
    for n in 0..TIMES {
        reached_and_gone(&bench, at(n), &giant, n as usize * 123 * PAGE)?;
    }
    reached_and_gone_when_mapped(&bench, at(1), &Pages::huge()?, HUGE_PAGE - PAGE)?;
    let page = Pages::new(1)?;
    reached_and_gone_when_mapped(&bench, at(TIMES) - PAGE as u64, &page, 0)?;

    let last = END - PAGE as u64;
    bench.map(last, &page)?;
    bench.unmap(last, &page)?;
    for (iova, pages) in [(END, &page), (last, &Pages::new(2)?)] {
        ensure!(bench.map(iova, pages).is_err(), "mapped beyond 40 bits");
    }
    Ok(())
}

fn reached_and_gone_when_mapped(
    bench: &Bench<'_>,
    iova: u64,
    pages: &Pages,
    offset: usize,
) -> Result<()> {
    bench.map(iova, pages)?;
    reached_and_gone(bench, iova, pages, offset)
}

/// Fails unless the device reaches the page of `pages` at `offset`, mapped at `iova`, until that is
/// unmapped.
fn reached_and_gone(bench: &Bench<'_>, iova: u64, pages: &Pages, offset: usize) -> Result<()> {
    let address = iova + offset as u64;
    bench.reaches(address, pages, offset)?;
    bench.prepare()?;
    bench.unmap(iova, pages)?;
    let secret = bench
        .is_refused(address, pages, offset)
        .with_context(|| format!("{address:#x}"))?;
    bench.keeps_secret(secret)
}
