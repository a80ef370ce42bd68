// SPDX-License-Identifier: GPL-2.0
//! Scenarios of one address space, and its mappings.

use anyhow::{Context, Result, ensure};

use super::{Bench, IOVA, Subject, WINDOW, fact, refusal};
use crate::iommufd::Access;
use crate::memory::{HUGE_PAGE, PAGE, Pages};

/// The last page that an address of 32 bits reaches.
const LAST: u64 = 0xffff_f000;

/// Fails unless mapped memory is reached, unmapped memory is not, and is again when it is mapped
/// again.
pub fn unmap(subject: &Subject, rounds: u32) -> Result<()> {
    let bench = subject.open()?;
    let pages = Pages::new(2)?;
    for _ in 0..rounds {
        for iova in [IOVA, LAST - PAGE as u64] {
            bench.map(iova, &pages)?;
            for offset in [0, PAGE] {
                bench.reaches(iova + offset as u64, &pages, offset)?;
            }
            bench.prepare()?;
            bench.unmap(iova, &pages)?;
            let secret = bench.is_refused(iova + PAGE as u64, &pages, PAGE)?;
            bench.keeps_secret(secret)?;
        }
    }
    Ok(())
}

/// Unmaps many pages, one after the other. Each is reached until then, and not afterwards.
pub fn unmap_all(subject: &Subject, count: u32) -> Result<()> {
    let bench = subject.open()?;
    let pages = (0..count)
        .map(|_| Pages::new(1))
        .collect::<Result<Vec<_>>>()?;
    let at = |index: usize| IOVA + (index * PAGE) as u64;
    for (index, page) in pages.iter().enumerate() {
        bench.map(at(index), page)?;
    }
    for (index, page) in pages.iter().enumerate() {
        bench.reaches(at(index), page, 0)?;
    }
    for (index, page) in pages.iter().enumerate() {
        bench.prepare()?;
        bench.unmap(at(index), page)?;
        let secret = bench.is_refused(at(index), page, 0)?;
        bench.keeps_secret(secret)?;
        if let Some(next) = pages.get(index + 1) {
            bench.reaches(at(index + 1), next, 0)?;
        }
    }
    Ok(())
}

/// Maps memory that the device may only read.
pub fn read_only(subject: &Subject, _: u32) -> Result<()> {
    let bench = subject.open()?;
    let pages = Pages::new(1)?;
    bench.iommufd.map(bench.ioas, IOVA, &pages, Access::Read)?;
    bench.prepare()?;
    let shown = bench.pattern();
    pages.fill(0, shown);
    refusal::of(|| bench.device.store(IOVA))?;
    ensure!(
        pages.holds(0, shown),
        "the device wrote to memory that it may only read"
    );
    bench.device.load(IOVA)?;
    bench.device.store(WINDOW)?;
    ensure!(
        bench.window.holds(0, shown),
        "the device did not read what it may read"
    );
    bench.unmap(IOVA, &pages)
}

/// Makes huge pages blocks in the table, and pages again afterwards.
pub fn blocks(subject: &Subject, rounds: u32) -> Result<()> {
    let bench = subject.open()?;
    let huge = Pages::huge()?;
    let small = Pages::new(1)?;
    let inside = 0x12_3000;
    for _ in 0..rounds {
        bench.map(IOVA, &huge)?;
        for offset in [0, inside, HUGE_PAGE - PAGE] {
            bench.reaches(IOVA + offset as u64, &huge, offset)?;
        }
        bench.prepare()?;
        bench.unmap(IOVA, &huge)?;
        let secret = bench.is_refused(IOVA + inside as u64, &huge, inside)?;
        bench.keeps_secret(secret)?;

        // A table has replaced the block.
        let iova = IOVA + inside as u64;
        bench.map(iova, &small)?;
        bench.reaches(iova, &small, 0).context("after a block")?;
        bench.unmap(iova, &small)?;
    }
    Ok(())
}

/// Lets the device ask for forbidden memory without an end, and without waiting for anybody to hear
/// of it. Meanwhile, and afterwards, it reaches its own memory.
pub fn storm(subject: &Subject, count: u32) -> Result<()> {
    let bench = subject.open()?;
    for index in 0..count {
        let iova = IOVA + u64::from(index % 256) * PAGE as u64;
        bench.device.load(iova)?;
        if index % 1024 == 0 {
            still_works(&bench)?;
        }
    }
    fact("undecided", count as usize);
    still_works(&bench)
}

fn still_works(bench: &Bench<'_>) -> Result<()> {
    bench.reaches(WINDOW, &bench.window, 0)
}
