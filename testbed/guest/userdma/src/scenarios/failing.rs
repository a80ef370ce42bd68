// SPDX-License-Identifier: GPL-2.0
//! A scenario in which allocations of the kernel fail while the device moves.

use std::fs;

use anyhow::{Result, ensure};

use super::{Bench, IOVA, Subject, refusal};
use crate::injection::Injection;
use crate::iommufd::Access;
use crate::memory::Pages;

/// Returns how many contexts are in use, as the driver shows them.
fn contexts() -> Result<usize> {
    let text = fs::read_to_string(refusal::contexts()?)?;
    Ok(text.lines().filter(|l| l.starts_with("context ")).count())
}

/// Attaches the device, attaches it to something else and detaches it while each allocation fails
/// once: it is where it was, or where it is to be, and is always detached.
pub fn failing(subject: &Subject, _: u32) -> Result<()> {
    let bench = subject.open()?;
    let pages = [Pages::new(1)?, Pages::new(1)?];
    let other = bench.iommufd.alloc_ioas()?;
    bench.map(IOVA, &pages[0])?;
    bench
        .iommufd
        .map(other, IOVA, &pages[1], Access::ReadWrite)?;
    bench.reaches(IOVA, &pages[0], 0)?;
    let in_use = contexts()?;
    let back = || {
        bench.device.attach(bench.ioas)?;
        let now = contexts()?;
        ensure!(now == in_use, "{in_use} contexts in use became {now}");
        bench.reaches(IOVA, &pages[0], 0)
    };
    let injection = Injection::open()?;

    let replaced = injection.each(
        "replace",
        || bench.device.attach(other),
        |tried| {
            let at = usize::from(tried.moved);
            bench.reaches(IOVA, &pages[at], 0)?;
            back()
        },
    )?;
    injection.each(
        "detach",
        || bench.device.detach(),
        |tried| {
            ensure!(tried.moved, "it is not detached");
            is_out_of_reach(&bench, &pages[0])?;
            back()
        },
    )?;
    bench.device.detach()?;
    let attached = injection.each(
        "attach",
        || bench.device.attach(bench.ioas),
        |tried| match tried.moved {
            true => {
                bench.reaches(IOVA, &pages[0], 0)?;
                bench.device.detach()
            }
            false => is_out_of_reach(&bench, &pages[0]),
        },
    )?;
    // Detaching may do without any.
    ensure!(
        replaced > 0 && attached > 0,
        "no allocation failed: nothing was tried"
    );
    back()
}

/// Fails if the device writes to the page.
fn is_out_of_reach(bench: &Bench<'_>, page: &Pages) -> Result<()> {
    let kept = bench.pattern();
    page.fill(0, kept);
    refusal::of(|| bench.device.store(IOVA))?;
    ensure!(
        page.holds(0, kept),
        "the device wrote to memory though it is detached"
    );
    Ok(())
}
