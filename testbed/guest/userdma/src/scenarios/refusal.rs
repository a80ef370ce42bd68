// SPDX-License-Identifier: GPL-2.0
//! Accesses that the IPMMU refuses, and that its driver must hear of.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::fact;

/// A time far longer than an interrupt takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Does `transfer`, and waits until the driver has dealt with the refusal. The hardware keeps only
/// one of them: a second one would be lost until then.
pub fn of(transfer: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = faults()?;
    transfer()?;
    let deadline = Instant::now() + LIMIT;
    while faults()? == before {
        ensure!(Instant::now() < deadline, "the driver reported no refusal");
        thread::yield_now();
    }
    fact("refused", 1);
    Ok(())
}

/// Returns how many faults the driver has counted in all contexts.
fn faults() -> Result<u64> {
    let text = fs::read_to_string(contexts()?)?;
    let counts = text.lines().filter_map(|line| {
        let (before, _) = line.split_once(" faults")?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    Ok(counts.sum())
}

/// The file with the contexts of the one root.
pub fn contexts() -> Result<PathBuf> {
    for instance in fs::read_dir("/sys/kernel/debug/ipmmu").context("no driver")? {
        let file = instance?.path().join("contexts");
        if file.exists() {
            return Ok(file);
        }
    }
    anyhow::bail!("the driver shows no contexts")
}
