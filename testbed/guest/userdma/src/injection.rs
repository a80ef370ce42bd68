// SPDX-License-Identifier: GPL-2.0
//! Failing allocations of the kernel.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

/// A number of allocations that nothing here reaches.
const MOST: u32 = 2000;

/// The settings for failures: also where somebody can wait for memory, and of single pages.
const SETTINGS: [(&str, &str); 5] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

/// The result of work one of whose allocations may have failed.
pub struct Tried {
    /// Whether the work succeeded.
    pub moved: bool,
    /// Whether an allocation failed; if not, there were fewer of them.
    failed: bool,
}

/// The file that makes an allocation of this thread fail.
pub struct Injection(File);

impl Injection {
    pub fn open() -> Result<Self> {
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
    /// each time, until it goes through without. Returns how many allocations there are, which
    /// is a fact for the reader of the results, too.
    pub fn each(
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
                println!("# {what}={}", number - 1);
                return Ok(number - 1);
            }
        }
        anyhow::bail!("{what} does not end")
    }
}
