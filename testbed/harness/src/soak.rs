// SPDX-License-Identifier: GPL-2.0
//! `make soak`: suspends the board thousands of times, with files with checksums on both cards and
//! an NVMe disk, and DMA on several channels. Devices come and go meanwhile. Nothing may be lost or
//! leak.

mod changes;
mod memory;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::board::cards::{self, MMC_HOSTS};
use crate::board::guest::DMACS;
use crate::board::pcie::{self, FUNCTIONS, NVME};
use crate::board::registers::Registers;
use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;
use crate::provision::Provision;
use crate::robustness::{self, Run};
use memory::Memory;

/// The name of the board.
const NAME: &str = "soak";

const LIMIT: Duration = Duration::from_secs(120);

/// The number of times that the load is stopped and checked.
const CHECKPOINTS: u32 = 10;

/// The number of cycles between two changes of a group's type.
const STEADY: u32 = 25;

/// The hosts of the disks on which files are written and read back.
const HOSTS: [&str; 3] = [MMC_HOSTS[0].device, MMC_HOSTS[1].device, FUNCTIONS[0]];

/// Channels that copy without end: two of one controller, with a micro-TLB each, and one of another
/// controller, behind another IPMMU.
const CHANNELS: [&str; 3] = [DMACS[0], "e6700000.dma-controller:5", DMACS[1]];

/// The name of the root in the machine.
const ROOT: &str = "ipmmu_mm";

/// The names of the controllers in the machine.
const CONTROLLERS: [&str; 2] = ["dmac0", "dmac1"];

/// `build/report/soak.json`
#[derive(Debug, Default, Serialize)]
pub struct Report {
    cycles: u32,
    seconds: f64,
    milliseconds_per_cycle: f64,
    file_bytes: u64,
    dma_copies: u64,
    corrupt_files: u64,
    dma_failures: u64,
    /// Copies that the loss of power cut short: rcar-dmac does not wait for them when it suspends.
    /// The kernel's test counts each as a failure.
    dma_cut_short: u64,
    /// The number of times that a group changed its type.
    changes: u32,
    /// The number of times that the clients' drivers were unbound and bound again.
    comings: u32,
    faults: u64,
    /// Faults of copies that went on after their test was stopped and had freed its memory.
    faults_at_end: u64,
    guest_errors: u64,
    /// Memory in use at each checkpoint, with the load stopped.
    memory: Vec<Memory>,
}

/// Runs all cycles and writes the report. The error is the first thing that went wrong.
pub fn run(provision: &Provision, cycles: u32) -> Result<()> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let setup = setup(paths, &provision.kernel.dtb())?;
    let mut board = Board::boot(provision, &setup)?;
    board.load_driver(&DMACS)?;
    let mut report = Report::default();
    let done = soak(&mut board, cycles, &mut report, |report| {
        println!(
            "{} cycles, {} ms each; {} MiB of files, {} DMA copies, {} changes, all clients rebound {} times",
            report.cycles,
            report.milliseconds_per_cycle,
            report.file_bytes >> 20,
            report.dma_copies,
            report.changes,
            report.comings
        );
        write(paths, report)
    });
    write(paths, &report)?;
    robustness::enter(
        paths,
        Run {
            instrument: "soak".into(),
            planted: None,
            tried: format!("{} of {cycles} cycles", report.cycles),
            findings: u64::from(done.is_err()),
            seconds: report.seconds as u64,
        },
    )?;
    fs::write(paths.log().join("soak.dmesg.log"), &board.klog)?;
    if done.is_err() {
        let cpus = board.qmp.cpus()?;
        fs::write(paths.log().join("soak.cpus.log"), cpus)?;
    }
    done?;
    drop(board);
    expect_clean_disks(paths)
}

fn write(paths: &Paths, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    Ok(fs::write(paths.report().join("soak.json"), text + "\n")?)
}

/// Returns the board for these tests. The driver is not loaded yet.
///
/// It has two CPUs. When one is switched off, all of them wait for each other in busy loops. With
/// more CPUs than the host has, they would do nothing else.
pub fn setup(paths: &Paths, dtb: &Path) -> Result<Setup> {
    Ok(Setup::new(NAME, Driver::Rust)
        .cards()
        .dtb(pcie::device_tree(paths, dtb)?)
        .pcie(&[NVME])
        // For exact numbers of objects, without per-CPU caches.
        .append("maxcpus=2 slab_debug=F,kmalloc-*"))
}

/// Suspends `cycles` times under load, and calls `note` at each checkpoint.
pub fn soak(
    board: &mut Board,
    cycles: u32,
    report: &mut Report,
    note: impl Fn(&Report) -> Result<()>,
) -> Result<()> {
    let begun = Instant::now();
    // Written data stays in memory across a suspend, which does not wait for it.
    board.sh("echo deep > /sys/power/mem_sleep; echo 0 > /sys/power/sync_on_suspend")?;
    board.wait_for_channels(&DMACS)?;
    // Mounts disks and fills caches, so that the first checkpoint is like the others.
    start(board)?;
    stop(board, report)?;
    changes::leave_and_come(board, &HOSTS)?;
    let each = cycles.div_ceil(CHECKPOINTS).max(1);
    while report.cycles < cycles {
        start(board)?;
        let next = cycles.min(report.cycles + each);
        stretch(board, next, report)
            .with_context(|| format!("after {} of {cycles} cycles", report.cycles))?;
        stop(board, report).with_context(|| format!("after {next} cycles"))?;
        changes::leave_and_come(board, &HOSTS)?;
        report.comings += 1;
        report.memory.push(Memory::in_use(board, next)?);
        report.seconds = begun.elapsed().as_secs_f64().round();
        report.milliseconds_per_cycle =
            (report.seconds * 1000.0 / f64::from(report.cycles)).round();
        note(report)?;
    }
    memory::expect_flat(&report.memory)
}

/// Suspends until there have been `end` cycles, with a change every [`STEADY`] cycles.
fn stretch(board: &mut Board, end: u32, report: &mut Report) -> Result<()> {
    let mut before = board.registers()?.in_use();
    while report.cycles < end {
        cycle(board, &before)?;
        report.cycles += 1;
        if report.cycles % STEADY == 0 {
            changes::make(board, report.changes)?;
            report.changes += 1;
            before = board.registers()?.in_use();
            // Reads the messages already here, as the kernel's log is too small for all.
            listen(board)?;
        }
    }
    Ok(())
}

/// Fails unless all file systems of the board are clean. The board is switched off.
pub fn expect_clean_disks(paths: &Paths) -> Result<()> {
    for host in &MMC_HOSTS {
        cards::check(&host.image(paths, NAME)).context(host.label)?;
    }
    cards::check(&pcie::disk_image(paths, NAME)).context("the NVMe disk")
}

fn start(board: &mut Board) -> Result<()> {
    let (hosts, channels) = (HOSTS.join(" "), CHANNELS.join(" "));
    board
        .test(&format!("soak.sh start {hosts} -- {channels}"))
        .map(drop)
}

/// Stops the load, and checks it.
fn stop(board: &mut Board, report: &mut Report) -> Result<()> {
    let faults = board.count(ROOT, "faults")?;
    report.faults = faults - report.faults_at_end;
    let ktap = board.test(&format!("soak.sh stop {}", HOSTS.join(" ")))?;
    // Judges the kernel's messages before the counts of copies.
    listen(board)?;
    let at_end = board.count(ROOT, "faults")? - faults;
    let interrupted = ktap.sum("interrupted");
    ensure!(
        at_end <= interrupted,
        "{at_end} faults of {interrupted} copies that were interrupted"
    );
    report.faults_at_end += at_end;
    report.file_bytes += ktap.sum("bytes");
    report.dma_copies += ktap.sum("copies");
    report.corrupt_files += ktap.sum("corrupt");
    report.dma_failures += ktap.sum("failures");
    report.guest_errors = board.guest_errors()?;
    report.dma_cut_short = 0;
    for controller in CONTROLLERS {
        report.dma_cut_short += board.count(controller, "cut-short")?;
    }
    ensure!(
        report.dma_failures <= report.dma_cut_short,
        "{} copies failed, and {} were cut short",
        report.dma_failures,
        report.dma_cut_short
    );
    ensure!(ktap.sum("copies") > 0, "nothing was copied");
    ensure!(ktap.sum("rounds") > 0, "no file was written");
    ensure!(report.faults == 0, "{} faults", report.faults);
    board.expect_clean()
}

/// Fails if the kernel complained, or if a copy was wrong.
fn listen(board: &mut Board) -> Result<()> {
    let messages = board.new_messages()?;
    let bad = messages
        .lines()
        .find(|l| l.contains(": result #") && !l.contains("'test timed out'"));
    match bad {
        Some(line) => bail!("dmatest says: {line}"),
        None => Ok(()),
    }
}

/// Suspends once, with the load going on. The registers in use must come back.
fn cycle(board: &mut Board, before: &Registers) -> Result<()> {
    let number = board.console.start("echo mem > /sys/power/state")?;
    if let Err(e) = board.wait_suspend(LIMIT) {
        let said = board.console.finish(number, Duration::from_secs(5));
        bail!("{e:#} ({said:?})");
    }
    board.qmp.wake()?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "the suspend failed: {}", output.text);
    board.expect_in_use(before)
}
