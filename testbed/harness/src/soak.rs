// SPDX-License-Identifier: GPL-2.0
//! `make soak`: files with checksums on both cards and DMA on several channels,
//! while the board sleeps and wakes, thousands of times. Nothing may be lost,
//! and nothing may be left behind.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::board::cards::MMC_HOSTS;
use crate::board::guest::DMACS;
use crate::board::registers::Registers;
use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;
use crate::provision::Provision;

const LIMIT: Duration = Duration::from_secs(120);

/// How often the load is stopped, and what it did and left is looked at.
const CHECKPOINTS: u32 = 10;

/// Slabs that a driver's allocations come from.
const SLABS: [&str; 3] = ["kmalloc-", "iommu", "io-pgtable"];

/// What the DMA API keeps of IOVAs that were freed, per CPU, size and domain: it
/// fills up for thousands of cycles, whatever the driver does.
const CACHE: &str = "iommu_iova";

/// Objects that a slab may have more of without that being a leak; beside these
/// one for two cycles.
const NOISE: u64 = 256;

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
    faults: u64,
    guest_errors: u64,
    /// What was in use when the load stood still.
    memory: Vec<Memory>,
}

/// Memory in use after a number of cycles.
#[derive(Debug, Default, Serialize)]
struct Memory {
    cycles: u32,
    free_kib: u64,
    unreclaimable_slab_kib: u64,
    objects: BTreeMap<String, u64>,
}

/// Runs all of it; an error is the first thing that went wrong.
pub fn run(paths: &Paths, provision: &Provision, cycles: u32) -> Result<()> {
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let setup = setup();
    let mut board = Board::boot(paths, provision, &setup)?;
    board.load_driver(&DMACS)?;
    let mut report = Report::default();
    let done = soak(&mut board, cycles, &mut report, |report| {
        println!(
            "{} cycles, {} ms each; {} MiB of files, {} DMA copies",
            report.cycles,
            report.milliseconds_per_cycle,
            report.file_bytes >> 20,
            report.dma_copies
        );
        write(paths, report)
    });
    write(paths, &report)?;
    fs::write(paths.log().join("soak.dmesg.log"), &board.klog)?;
    done
}

fn write(paths: &Paths, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    Ok(fs::write(paths.report().join("soak.json"), text + "\n")?)
}

/// The board that this wants: the driver is not loaded yet.
pub fn setup() -> Setup {
    Setup::new("soak", Driver::Rust)
        .cards()
        // Exact numbers of objects, without those that CPUs keep to themselves.
        .append("slab_debug=F,kmalloc-*")
}

/// Sleeps `cycles` times under load, calling `note` at each checkpoint.
pub fn soak(
    board: &mut Board,
    cycles: u32,
    report: &mut Report,
    note: impl Fn(&Report) -> Result<()>,
) -> Result<()> {
    let begun = Instant::now();
    board.sh("echo deep > /sys/power/mem_sleep")?;
    // Mounts and fills caches, so that the first checkpoint is like the others.
    start(board)?;
    let before = board.registers()?;
    stop(board, report)?;
    let each = cycles.div_ceil(CHECKPOINTS).max(1);
    while report.cycles < cycles {
        start(board)?;
        let next = cycles.min(report.cycles + each);
        while report.cycles < next {
            cycle(board, &before)
                .with_context(|| format!("cycle {} of {cycles}", report.cycles + 1))?;
            report.cycles += 1;
        }
        stop(board, report).with_context(|| format!("after {next} cycles"))?;
        report.memory.push(Memory::in_use(board, next)?);
        report.seconds = begun.elapsed().as_secs_f64().round();
        report.milliseconds_per_cycle =
            (report.seconds * 1000.0 / f64::from(report.cycles)).round();
        note(report)?;
    }
    report.expect_flat()
}

fn hosts() -> String {
    MMC_HOSTS.map(|host| host.device).join(" ")
}

fn start(board: &mut Board) -> Result<()> {
    let channels = [DMACS[0], DMACS[1], DMACS[2]].join(" ");
    board
        .test(&format!("soak.sh start {} -- {channels}", hosts()))
        .map(drop)
}

/// Stops the load, and judges what it did.
fn stop(board: &mut Board, report: &mut Report) -> Result<()> {
    let ktap = board.test(&format!("soak.sh stop {}", hosts()))?;
    report.file_bytes += ktap.sum("bytes");
    report.dma_copies += ktap.sum("copies");
    report.corrupt_files += ktap.sum("corrupt");
    report.dma_failures += ktap.sum("failures");
    report.faults = board.count("ipmmu_mm", "faults")?;
    report.guest_errors = board.guest_errors()?;
    ensure!(ktap.sum("copies") > 0, "nothing was copied");
    ensure!(ktap.sum("rounds") > 0, "no file was written");
    ensure!(report.faults == 0, "{} faults", report.faults);
    board.expect_clean()
}

/// Sleeps and wakes once, with the load going on.
fn cycle(board: &mut Board, before: &Registers) -> Result<()> {
    let number = board.console.start("echo mem > /sys/power/state")?;
    if let Err(e) = board.qmp.wait_suspend(LIMIT) {
        let said = board.console.finish(number, Duration::from_secs(5));
        bail!("{e:#} ({said:?})");
    }
    board.qmp.wake()?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "the suspend failed: {}", output.text);
    board.expect_registers(before)
}

impl Memory {
    fn in_use(board: &mut Board, cycles: u32) -> Result<Self> {
        board.sh("sync; echo 3 > /proc/sys/vm/drop_caches")?;
        let meminfo = board.sh("cat /proc/meminfo")?;
        let field = |name: &str| -> Result<u64> {
            meminfo
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().nth(1))
                .and_then(|value| value.parse().ok())
                .with_context(|| format!("/proc/meminfo has no {name}"))
        };
        let slabs = board.sh("cat /proc/slabinfo")?;
        Ok(Self {
            cycles,
            free_kib: field("MemFree")?,
            unreclaimable_slab_kib: field("SUnreclaim")?,
            objects: objects(&slabs),
        })
    }
}

/// How many objects are in use, by slab.
fn objects(slabinfo: &str) -> BTreeMap<String, u64> {
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        let (slab, count) = (fields.next()?, fields.next()?.parse().ok()?);
        let ours = SLABS.iter().any(|s| slab.starts_with(s));
        ours.then(|| (slab.to_owned(), count))
    };
    slabinfo.lines().filter_map(parse).collect()
}

impl Report {
    /// Nothing grew with the number of cycles.
    fn expect_flat(&self) -> Result<()> {
        let (Some(first), Some(last)) = (self.memory.first(), self.memory.last()) else {
            bail!("memory was not looked at");
        };
        let allowed = u64::from(last.cycles - first.cycles) / 2 + NOISE;
        for (slab, &now) in last.objects.iter().filter(|(slab, _)| *slab != CACHE) {
            let then = first.objects.get(slab).copied().unwrap_or(0);
            ensure!(
                now <= then + allowed,
                "{slab} grew from {then} to {now} objects in {} cycles",
                last.cycles - first.cycles
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cycles: u32, objects: u64) -> Memory {
        Memory {
            cycles,
            objects: BTreeMap::from([("kmalloc-64".to_owned(), objects)]),
            ..Memory::default()
        }
    }

    #[test]
    fn an_object_per_cycle_is_a_leak() {
        let grown = |objects| {
            let memory = vec![after(1000, 500), after(10_000, objects)];
            let report = Report {
                memory,
                ..Report::default()
            };
            report.expect_flat()
        };
        assert!(grown(700).is_ok());
        assert!(grown(9_500).is_err());
    }

    #[test]
    fn slabs_of_interest_are_read() {
        let slabinfo = "slabinfo - version: 2.1\n# name <active_objs>\n\
                        kmalloc-64 120 128 64\next4_inode_cache 3 4 5\n";
        assert_eq!(
            objects(slabinfo),
            BTreeMap::from([("kmalloc-64".into(), 120)])
        );
    }
}
