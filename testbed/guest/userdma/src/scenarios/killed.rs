// SPDX-License-Identifier: GPL-2.0
//! A process that is killed while it has the device: the kernel cleans up.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::{IOVA, Subject, WINDOW, fact};
use crate::memory::Pages;

/// The number of stages that the other process reaches.
const STAGES: u32 = 4;
/// The word by which it says that it is there.
const HOLDING: &str = "holding";

/// Kills another process that has the device, as often as wanted at each stage. Fails unless the
/// device is to be had again, and works.
pub fn killed(subject: &Subject, rounds: u32) -> Result<()> {
    for round in 0..rounds * STAGES {
        let stage = round % STAGES;
        kill_at(subject, stage).with_context(|| format!("at stage {stage}"))?;
        // A transfer under way ends before or after its memory is gone.
        fact("undecided", usize::from(stage == STAGES - 1));
        let bench = subject
            .open()
            .with_context(|| format!("after a process was killed at stage {stage}"))?;
        bench.reaches(WINDOW, &bench.window, 0)?;
    }
    Ok(())
}

fn kill_at(subject: &Subject, stage: u32) -> Result<()> {
    let mut other = Command::new(env::current_exe()?)
        .args([&subject.name, "hold", &stage.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = other.stdout.take().context("no pipe")?;
    let holding = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .any(|line| line == HOLDING);
    other.kill()?;
    other.wait()?;
    ensure!(holding, "the other process did not come so far");
    Ok(())
}

/// Runs in the other process: takes the device as far as `stage`, and waits for the end.
pub fn hold(subject: &Subject, stage: u32) -> Result<()> {
    let bench = subject.open()?;
    let pages = Pages::new(16)?;
    if stage >= 1 {
        bench.map(IOVA, &pages)?;
        bench.reaches(IOVA, &pages, 0)?;
    }
    if stage >= 2 {
        let domain = bench.iommufd.alloc_domain(bench.device.id(), bench.ioas)?;
        bench.device.attach(domain)?;
        bench.reaches(IOVA, &pages, 0)?;
    }
    if stage >= 3 {
        bench.device.begin_store(IOVA);
    }
    println!("{HOLDING}");
    loop {
        thread::park();
    }
}

/// Runs in the other process: lets the device reach nothing, and waits for the end.
pub fn blocked(subject: &Subject, _: u32) -> Result<()> {
    let bench = subject.open()?;
    bench.device.detach()?;
    println!("{HOLDING}");
    loop {
        thread::park();
    }
}
