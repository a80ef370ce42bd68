// SPDX-License-Identifier: GPL-2.0
//! Measures the costs of a driver's work.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::board::{CLIENT, FAULTY, WITH_UTLB_0, base_of, idle};
use crate::board::calls::{Call, Calls};
use crate::board::{Board, Driver};
use crate::check::common::UNMAPPED;

/// The number of times that an operation with constant costs is repeated.
const TIMES: usize = 32;
/// The number of times that pages are mapped in lazy mode. The core collects 256 unmaps before it
/// asks for a flush. Operations before the first flush do not count.
const LAZY_TIMES: usize = 16 * LAZY_SKIPPED;
const LAZY_SKIPPED: usize = 256;
/// The number of faults, below the rate limit of messages.
const FAULTS: usize = 5;
const SUSPENDS: usize = 3;

/// The costs of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    pub insns: f64,
    pub mmio_reads: f64,
    pub mmio_writes: f64,
}

impl Cost {
    pub fn mmio(&self) -> f64 {
        self.mmio_reads + self.mmio_writes
    }

    fn of(calls: &[Call]) -> Self {
        let sum = |of: fn(&Call) -> u64| calls.iter().map(of).sum::<u64>() as f64;
        Self {
            insns: sum(|c| c.cost.instructions),
            mmio_reads: sum(|c| c.cost.mmio_reads),
            mmio_writes: sum(|c| c.cost.mmio_writes),
        }
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            insns: f(self.insns),
            mmio_reads: f(self.mmio_reads),
            mmio_writes: f(self.mmio_writes),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            insns: self.insns + other.insns,
            mmio_reads: self.mmio_reads + other.mmio_reads,
            mmio_writes: self.mmio_writes + other.mmio_writes,
        }
    }
}

/// Costs by name.
pub type Costs = BTreeMap<&'static str, Cost>;

/// Returns all costs of a driver that was just probed, on a board that was just booted.
pub fn all(board: &mut Board, calls: &Calls) -> Result<Costs> {
    let mut costs = Costs::new();
    let probes = of_function(&calls.read()?, "probe");
    costs.insert("probe", Cost::of(&probes));

    board.sh(&format!("[ $(cat {}) = DMA ]", type_of(CLIENT)))?;
    costs.insert("map_unmap_4k_strict", typical(board, calls, "map 4096")?);
    let utlb_0 = typical_of(board, calls, "map 4096", WITH_UTLB_0)?;
    costs.insert("map_unmap_4k_strict_utlb_0", utlb_0);
    costs.insert("map_unmap_1m_strict", typical(board, calls, "map 1048576")?);
    costs.insert("map_unmap_2m_strict", typical(board, calls, "map 2097152")?);
    suspend(board, calls, &mut costs)?;
    costs.insert("fault", fault(board, calls)?);

    // The core does not ask the driver whether it offers a type that is written here.
    board.sh(&format!("echo DMA-FQ > {}", type_of(CLIENT)))?;
    let lazy = average(board, calls, "map 4096")?;
    costs.insert("map_unmap_4k_forced_lazy", lazy);
    // The C driver does not offer lazy mode: with iommu.strict=0 it stays strict.
    let best = match board.driver {
        Driver::C => costs["map_unmap_4k_strict"],
        Driver::Rust => lazy,
    };
    costs.insert("map_unmap_4k_best", best);

    board.sh(&format!("echo identity > {}", type_of(CLIENT)))?;
    costs.insert("attach_detach", typical(board, calls, "attach 4096")?);
    Ok(costs)
}

/// The durations in the kernel's own benchmark of mapping and unmapping a page. On a board with
/// counted time an instruction takes a nanosecond.
#[derive(Clone, Debug, Serialize)]
pub struct Witness {
    threads: u32,
    map_us: f64,
    unmap_us: f64,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, map, unmap) = (self.threads, self.map_us, self.unmap_us);
        write!(f, "{threads} threads, map {map} us, unmap {unmap} us")
    }
}

/// Runs the kernel's benchmark in strict mode, once for each number of threads.
pub fn witnesses(board: &mut Board, threads: &[u32]) -> Result<Vec<Witness>> {
    const DRIVER: &str = "dma_map_benchmark";
    let device = format!("/sys/bus/platform/devices/{CLIENT}");
    let driver = format!("/sys/bus/platform/drivers/{DRIVER}");
    board.sh(&format!("echo DMA > {}", type_of(CLIENT)))?;
    board.sh(&format!(
        "echo {DRIVER} > {device}/driver_override && echo {CLIENT} > {driver}/bind"
    ))?;
    let mut all = Vec::new();
    for &threads in threads {
        let said = board.sh(&format!("{DRIVER} -t {threads} -s 1"))?;
        let latency = |of: &str| {
            let rest = said.split_once(&format!("average {of} latency(us):"))?.1;
            rest.split_whitespace().next()?.parse().ok()
        };
        all.push(Witness {
            threads,
            map_us: latency("map").context("no latency of map")?,
            unmap_us: latency("unmap").context("no latency of unmap")?,
        });
    }
    board.sh(&format!("echo {CLIENT} > {driver}/unbind"))?;
    Ok(all)
}

/// Returns the costs of the page table code alone for the same work.
pub fn limit(board: &mut Board, calls: &Calls) -> Result<Costs> {
    let mut costs = Costs::new();
    for (name, work) in [
        ("map_unmap_4k_strict", "bare 4096"),
        ("map_unmap_1m_strict", "bare 1048576"),
        ("attach_detach", "table 4096"),
    ] {
        costs.insert(name, typical(board, calls, work)?);
    }
    costs.insert("map_unmap_4k_best", costs["map_unmap_4k_strict"]);
    // These do not concern page tables.
    for name in ["fault", "save", "restore", "probe"] {
        costs.insert(name, Cost::default());
    }
    Ok(costs)
}

fn type_of(device: &str) -> String {
    format!("/sys/bus/platform/devices/{device}/iommu_group/type")
}

/// Returns the calls during each repetition of `work`, without the first `skip` ones.
fn laps(
    board: &mut Board,
    calls: &Calls,
    work: &str,
    device: &str,
    times: usize,
    skip: usize,
) -> Result<Vec<Vec<Call>>> {
    let run = "/sys/module/iommu_bench/parameters/run";
    let command = format!("echo {work} {} {device} > {run}", times + skip);
    let made = calls.during(|| board.sh(&command).map(drop))?;
    let mut laps: Vec<Vec<Call>> = made
        .split(|call| call.function == "lap")
        .map(<[Call]>::to_vec)
        .collect();
    // Two more than the repetitions: the calls before the first lap, and after the last.
    ensure!(
        laps.len() == times + skip + 2,
        "{} laps of {work}",
        laps.len()
    );
    laps.pop();
    Ok(laps.split_off(1 + skip))
}

/// Returns the costs of `work`, which are constant except for interrupts.
fn typical(board: &mut Board, calls: &Calls, work: &str) -> Result<Cost> {
    typical_of(board, calls, work, CLIENT)
}

/// Returns the costs as `typical()` does, for any device.
fn typical_of(board: &mut Board, calls: &Calls, work: &str, device: &str) -> Result<Cost> {
    let laps = laps(board, calls, work, device, TIMES, 4)?;
    let costs: Vec<Cost> = laps.iter().map(|lap| Cost::of(lap)).collect();
    let middle = median(&costs);
    let alike = costs.iter().filter(|c| c.mmio() == middle.mmio()).count();
    ensure!(
        alike * 4 > TIMES * 3,
        "{work}: it does not repeat: {costs:?}"
    );
    ensure!(middle.insns > 0.0, "{work}: nothing was counted");
    Ok(middle)
}

/// Returns the costs of `work` on average, as some of it is deferred, and done for many at once.
fn average(board: &mut Board, calls: &Calls, work: &str) -> Result<Cost> {
    let laps = laps(board, calls, work, CLIENT, LAZY_TIMES, LAZY_SKIPPED)?.concat();
    let mut sum = Cost::default();
    for function in ["map", "unmap", "sync", "flush"] {
        let made = of_function(&laps, function);
        let costs: Vec<Cost> = made
            .iter()
            .map(|c| Cost::of(std::slice::from_ref(c)))
            .collect();
        if !costs.is_empty() {
            sum = sum.plus(median(&costs).map(|x| x * costs.len() as f64));
        }
    }
    Ok(sum.map(|x| x / LAZY_TIMES as f64))
}

fn of_function(calls: &[Call], function: &str) -> Vec<Call> {
    let matching = calls.iter().filter(|c| c.function == function);
    matching.cloned().collect()
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    Cost {
        insns: middle(|c| c.insns),
        mmio_reads: middle(|c| c.mmio_reads),
        mmio_writes: middle(|c| c.mmio_writes),
    }
}

/// Adds the costs of suspending and resuming all IPMMUs of the board.
fn suspend(board: &mut Board, calls: &Calls, costs: &mut Costs) -> Result<()> {
    let mut runs = Vec::new();
    // The first suspend differs from the others.
    board.suspend(|_| Ok(()))?;
    for _ in 0..SUSPENDS {
        runs.push(calls.during(|| board.suspend(|_| Ok(())).map(drop))?);
    }
    let mut note = |name, matches: &dyn Fn(&Call) -> bool| {
        let of_run = |run: &Vec<Call>| {
            let calls: Vec<Call> = run.iter().filter(|c| matches(c)).cloned().collect();
            Cost::of(&calls)
        };
        costs.insert(name, median(&runs.iter().map(of_run).collect::<Vec<_>>()));
    };
    note("save", &|c| c.function == "save");
    note("restore", &|c| c.function == "restore");
    note("verify", &|c| c.function == "-verify");
    // A call without register accesses cannot be assigned to an IPMMU.
    let idle: Vec<u64> = idle().map(base_of).collect();
    let is_idle = |c: &Call| idle.contains(&c.device);
    note("sleep_of_all_idle", &|c| {
        is_idle(c) && ["save", "restore"].contains(&c.function.as_str())
    });
    Ok(())
}

/// Returns the costs of a fault, from the interrupt to the report.
fn fault(board: &mut Board, calls: &Calls) -> Result<Cost> {
    let mut costs = Vec::new();
    board.sh(&format!(". /tests/lib.sh; channels_of {FAULTY}"))?;
    for _ in 0..FAULTS {
        let made = calls.during(|| {
            board
                .test(&format!("fault.sh {FAULTY} 0 {UNMAPPED:#x}"))
                .map(drop)
        })?;
        let interrupts = of_function(&made, "irq");
        let mut handled = interrupts.iter().filter(|c| c.cost.mmio_writes > 0);
        let handled = handled.next().context("there was no interrupt")?;
        costs.push(Cost::of(std::slice::from_ref(handled)));
    }
    Ok(median(&costs))
}
