// SPDX-License-Identifier: GPL-2.0
//! Allocations of the kernel that fail while the device moves.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use super::{Bench, IOVA, Subject, fact, refusal};
use crate::iommufd::Access;
use crate::memory::Pages;

/// No move has so many allocations.
const MOST: u32 = 2000;

/// What the kernel lets fail, and how: also if somebody can wait for memory, and single pages.
const SETTINGS: [(&str, &str); 5] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

/// What became of a move one of whose allocations may have failed.
struct Tried {
    /// Whether it went through.
    moved: bool,
    /// Whether an allocation failed; there were not so many otherwise.
    failed: bool,
}

/// The file that makes an allocation of this thread fail.
struct Injection(File);

impl Injection {
    fn open() -> Result<Self> {
        for (file, value) in SETTINGS {
            let path = format!("/sys/kernel/debug/{file}");
            fs::write(&path, value).context(path)?;
        }
        let file = File::options()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth");
        file.map(Self).context("the kernel injects no failures")
    }

    /// Does `work`, in which the allocation `number`, from 1, fails.
    fn fail(&self, number: u32, work: impl FnOnce() -> Result<()>) -> Result<Tried> {
        self.0.write_all_at(number.to_string().as_bytes(), 0)?;
        let result = work();
        let mut left = [0; 16];
        let length = self.0.read_at(&mut left, 0);
        self.0.write_all_at(b"0", 0)?;
        let left = String::from_utf8_lossy(&left[..length?]).trim().to_owned();
        Ok(Tried {
            moved: result.is_ok(),
            failed: left == "0",
        })
    }

    /// Tries `work` with each of its allocations failing once, and `look` at what came of it
    /// each time, until it goes through without. Returns how many allocations there are.
    fn each(
        &self,
        what: &str,
        work: impl Fn() -> Result<()>,
        look: impl Fn(&Tried) -> Result<()>,
    ) -> Result<u32> {
        for number in 1..MOST {
            let tried = self.fail(number, &work)?;
            look(&tried).with_context(|| format!("{what}, allocation {number}"))?;
            if !tried.failed {
                ensure!(tried.moved, "{what} fails though there is memory");
                fact(what, (number - 1) as usize);
                return Ok(number - 1);
            }
        }
        anyhow::bail!("{what} does not end")
    }
}

/// How many contexts are in use, as the driver shows them.
fn contexts() -> Result<usize> {
    let text = fs::read_to_string(refusal::contexts()?)?;
    Ok(text.lines().filter(|l| l.starts_with("context ")).count())
}

/// The device is attached, attached to something else and detached while each allocation fails
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

/// The device does not write to the page.
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
