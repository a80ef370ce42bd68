// SPDX-License-Identifier: GPL-2.0
//! A scenario in which the system sleeps while the process has the device.

use std::fs;

use anyhow::{Context, Result};

use super::{IOVA, Subject};
use crate::memory::{PAGE, Pages};

/// Sleeps that often. Each time mapped memory is reached, other memory is not, and both can be
/// changed. In between the device is moved to another domain with the same memory, and back.
pub fn asleep(subject: &Subject, times: u32) -> Result<()> {
    let bench = subject.open()?;
    let pages = Pages::new(2)?;
    let domain = bench.iommufd.alloc_domain(bench.device.id(), bench.ioas)?;
    bench.map(IOVA, &pages)?;
    bench.reaches(IOVA, &pages, 0)?;
    for time in 0..times {
        fs::write("/sys/power/state", "mem").context("cannot sleep")?;
        for offset in [0, PAGE] {
            bench.reaches(IOVA + offset as u64, &pages, offset)?;
        }
        bench.prepare()?;
        bench.unmap(IOVA, &pages)?;
        let secret = bench.is_refused(IOVA, &pages, 0)?;
        bench.keeps_secret(secret)?;
        bench.map(IOVA, &pages)?;
        let next = [domain, bench.ioas][(time % 2) as usize];
        bench.device.attach(next)?;
        bench.reaches(IOVA, &pages, 0)?;
    }
    Ok(())
}
