// SPDX-License-Identifier: GPL-2.0
//! The cost of saving and restoring, depending on the number of contexts and micro-TLBs in use. A
//! QEMU plugin counts guest instructions and register accesses. Writes `pm.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde::Serialize;

use super::groups::OTHERS;
use super::{Bench, Fixture};
use crate::board::calls::{Call, Calls, Cost};
use crate::board::cards::MMC_HOSTS;
use crate::board::dtb::{Dtb, node_of};
use crate::board::groups::path;
use crate::board::guest::DMACS;
use crate::board::registers::device_of;
use crate::board::{Board, Driver, Setup};

/// Devices with their caches and numbers of micro-TLBs: one device for each context for groups, and
/// alone behind its cache. If the first n are translated, n contexts are in use. No driver binds to
/// them, so translation can be switched on and off.
const MASTERS: [(&str, &str, u32); 6] = [
    ("fea27000.fcp", "ipmmu_ds0", 1),
    ("fea2f000.fcp", "ipmmu_ds1", 2),
    ("fea37000.fcp", "ipmmu_hc", 4),
    ("fe950000.fcp", "ipmmu_mp0", 8),
    ("fe9af000.fcp", "ipmmu_vi1", 32),
    ("fe951000.fcp", "ipmmu_vp0", 48),
];

/// The number of measurements that must agree, the limit of attempts, and the percentage by which
/// measurements may differ. An interrupt adds to some of them.
const AGREE: usize = 3;
const ATTEMPTS: usize = 8;
const TOLERANCE: f64 = 1.0;

const LIMIT: Duration = Duration::from_secs(30);

/// The driver's functions, identified by parts of their symbols.
const FUNCTIONS: [(&str, &str); 2] = [
    ("save", "DriverE7suspend|DriverE15runtime_suspend"),
    ("restore", "DriverE6resume"),
];

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let Some(plugins) = &bench.provision.plugins else {
        return Ok(Vec::new());
    };
    let calls = Calls::new(&bench.paths, "cost");
    let setup = Setup::new("cost", Driver::Rust)
        .dtb(one_master_each(bench)?)
        .counted_time()
        .plugin(calls.argument(&plugins.calls(), None));
    let board = Fixture::new(bench, setup, |_| Ok(()));
    let report = bench.paths.report().join("pm.json");
    Ok(vec![board.row("save_and_restore", move |b| {
        let report_text = serde_json::to_string_pretty(&measure(b, &calls)?)?;
        fs::write(&report, report_text + "\n")?;
        Ok(())
    })])
}

/// Returns the board's device tree with only [`MASTERS`] behind IPMMUs. Where devices share a
/// micro-TLB, the first one decides whether it is translated.
fn one_master_each(bench: &Bench) -> Result<PathBuf> {
    let mut dtb = Dtb::copy(&bench.paths, &bench.provision.kernel.dtb(), "cost")?;
    for (node, property) in OTHERS {
        dtb = dtb.delete(&format!("/soc/{node}"), property)?;
    }
    for device in DMACS.into_iter().chain(MMC_HOSTS.map(|host| host.device)) {
        dtb = dtb.delete(&node_of(device), "iommus")?;
    }
    Ok(dtb.put_behind(&MASTERS)?.into_path())
}

/// The costs for one number of contexts and micro-TLBs in use.
#[derive(Clone, Copy, Debug, Serialize)]
struct Point {
    in_use: u32,
    #[serde(flatten)]
    cost: Cost,
}

/// How costs grow with the number of contexts or micro-TLBs in use.
#[derive(Debug, Serialize)]
struct Growth {
    points: Vec<Point>,
    instructions_each: f64,
    mmio_reads_each: f64,
    mmio_writes_each: f64,
}

/// `pm.json`: the cost of each function, in the root by contexts, in caches by micro-TLBs.
#[derive(Debug, Default, Serialize)]
struct Report {
    spread_percent: f64,
    #[serde(flatten)]
    functions: BTreeMap<String, BTreeMap<&'static str, Growth>>,
}

fn measure(board: &mut Board, calls: &Calls) -> Result<Report> {
    let mut points: BTreeMap<Key, Vec<Point>> = BTreeMap::new();
    let mut spread: f64 = 0.0;
    for contexts in 1..=MASTERS.len() {
        prepare(board, calls, contexts)?;
        let mut runs = Vec::new();
        let noted = loop {
            runs.push(suspend_once(board, calls)?);
            if runs.len() < AGREE {
                continue;
            }
            match agreed_points(&runs, contexts) {
                Err(_) if runs.len() < ATTEMPTS => (),
                noted => break noted.with_context(|| format!("{contexts} contexts"))?,
            }
        };
        for (key, point, differ) in noted {
            spread = spread.max(differ);
            points.entry(key).or_default().push(point);
        }
    }
    let mut report = Report {
        spread_percent: spread,
        ..Report::default()
    };
    for ((function, what), points) in points {
        let growth = Growth::of(points);
        growth
            .expect_linear()
            .with_context(|| format!("{function}, {what}"))?;
        let function = report.functions.entry(function.to_owned()).or_default();
        function.insert(what, growth);
    }
    Ok(report)
}

/// A function, and the quantity on which its cost depends.
type Key = (&'static str, &'static str);

/// Returns the costs on which `runs` with this many contexts agree, with their spreads in percent:
/// of the root, and if all contexts are in use also of the caches.
fn agreed_points(runs: &[Vec<Call>], contexts: usize) -> Result<Vec<(Key, Point, f64)>> {
    let mut wanted = vec![("ipmmu_mm", "contexts_of_a_root", contexts as u32)];
    if contexts == MASTERS.len() {
        let caches = MASTERS.map(|(_, ipmmu, utlbs)| (ipmmu, "utlbs_of_a_cache", utlbs));
        wanted.extend(caches);
    }
    let mut noted = Vec::new();
    for (ipmmu, what, in_use) in wanted {
        for (function, _) in FUNCTIONS {
            let (cost, differ) = agreed(runs, function, base_of(ipmmu)?)
                .with_context(|| format!("{function} of {ipmmu}"))?;
            noted.push(((function, what), Point { in_use, cost }, differ));
        }
    }
    Ok(noted)
}

/// Translates only the first `contexts` masters, and suspends once.
fn prepare(board: &mut Board, calls: &Calls, contexts: usize) -> Result<()> {
    if contexts == 1 {
        board.load_driver(&MASTERS.map(|(master, ..)| master))?;
        board.expect_bound_except(&[])?;
        tell_functions(board, calls)?;
    }
    for (number, (master, ipmmu, utlbs)) in MASTERS.iter().enumerate() {
        let to = if number < contexts { "DMA" } else { "identity" };
        wait_for_group(board, master)?;
        board.sh(&format!("echo {to} > {}/type", path(master)))?;
        let registers = board.registers()?;
        let on = |utlb| registers.context_of(ipmmu, utlb).is_some();
        ensure!(
            (0..*utlbs).all(|utlb| on(utlb) == (number < contexts)),
            "{master} is {to}, and not all of its micro-TLBs are as that is"
        );
    }
    // The first suspend differs from the others, as lockdep learns and CPU caches fill.
    board.suspend(|_| Ok(())).map(drop)
}

/// Waits until a device is in a group. That its IPMMU is bound does not suffice: sysfs lists the
/// IPMMU as bound as soon as its probe has begun.
fn wait_for_group(board: &mut Board, device: &str) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while board.try_sh(&format!("[ -e {} ]", path(device)))?.code != 0 {
        ensure!(Instant::now() < deadline, "{device} is in no group");
    }
    Ok(())
}

/// Suspends once, and returns the calls that were counted.
fn suspend_once(board: &mut Board, calls: &Calls) -> Result<Vec<Call>> {
    calls.during(|| board.suspend(|_| Ok(())).map(drop))
}

/// Passes the addresses of [`FUNCTIONS`] to the plugin.
fn tell_functions(board: &mut Board, calls: &Calls) -> Result<()> {
    let mut functions = Vec::new();
    for (name, part) in FUNCTIONS {
        let address = board.address_in_module("ipmmu_vmsa", part)?;
        functions.push((name.to_owned(), address));
    }
    calls.count(&functions)
}

fn base_of(ipmmu: &str) -> Result<u64> {
    let address = device_of(ipmmu)?.split('.').next().unwrap_or_default();
    Ok(u64::from_str_radix(address, 16)? & !0xffff)
}

/// Returns the least cost of a function for one device, and by how many percent the most expensive
/// one of the [`AGREE`] cheapest runs exceeds it.
fn agreed(runs: &[Vec<Call>], function: &str, device: u64) -> Result<(Cost, f64)> {
    let mut costs = Vec::new();
    for run in runs {
        let mut calls = run
            .iter()
            .filter(|c| c.function == function && c.device == device);
        // If an interrupt comes first, the call may be logged for another device.
        let Some(call) = calls.next() else { continue };
        ensure!(calls.next().is_none(), "it was called twice");
        costs.push(call.cost);
    }
    ensure!(costs.len() >= AGREE, "it was called {} times", costs.len());
    costs.sort_by_key(|c| c.instructions);
    costs.truncate(AGREE);
    let (least, most) = (costs[0], costs[costs.len() - 1]);
    let differ = (most.instructions - least.instructions) as f64 * 100.0;
    let differ = differ / least.instructions as f64;
    let same = |c: &Cost| (c.mmio_reads, c.mmio_writes) == (least.mmio_reads, least.mmio_writes);
    ensure!(
        differ <= TOLERANCE && costs.iter().all(same),
        "it does not repeat: {costs:?}"
    );
    Ok((least, differ))
}

impl Growth {
    fn of(points: Vec<Point>) -> Self {
        let slope = |of: fn(&Cost) -> u64| {
            let rounded = least_squares(&points, of) * 100.0;
            rounded.round() / 100.0
        };
        Self {
            instructions_each: slope(|c| c.instructions),
            mmio_reads_each: slope(|c| c.mmio_reads),
            mmio_writes_each: slope(|c| c.mmio_writes),
            points,
        }
    }

    /// Fails unless each further one in use costs the same number of register accesses.
    fn expect_linear(&self) -> Result<()> {
        let first = self.points.first().context("no point")?;
        for point in &self.points {
            let more = f64::from(point.in_use) - f64::from(first.in_use);
            for (each, of) in [
                (self.mmio_reads_each, (|c| c.mmio_reads) as fn(&Cost) -> u64),
                (self.mmio_writes_each, |c| c.mmio_writes),
            ] {
                let expected = of(&first.cost) as f64 + each * more;
                ensure!(
                    (of(&point.cost) as f64 - expected).abs() < 0.5,
                    "not a straight line: {:?}",
                    self.points
                );
            }
        }
        Ok(())
    }
}

/// Returns the slope of the least-squares line through `points`.
fn least_squares(points: &[Point], of: fn(&Cost) -> u64) -> f64 {
    let count = points.len() as f64;
    let mean = |value: &dyn Fn(&Point) -> f64| points.iter().map(value).sum::<f64>() / count;
    let x = |p: &Point| f64::from(p.in_use);
    let y = |p: &Point| of(&p.cost) as f64;
    let (mean_x, mean_y) = (mean(&x), mean(&y));
    let covariance = mean(&|p| (x(p) - mean_x) * (y(p) - mean_y));
    covariance / mean(&|p| (x(p) - mean_x).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(reads: [u64; 3]) -> Vec<Point> {
        let cost = |mmio_reads| Cost {
            instructions: 10 * mmio_reads,
            mmio_reads,
            mmio_writes: 1,
        };
        let in_use = [1, 2, 4];
        let both = in_use.into_iter().zip(reads);
        both.map(|(in_use, reads)| Point {
            in_use,
            cost: cost(reads),
        })
        .collect()
    }

    #[test]
    fn a_line_has_its_slope() {
        let growth = Growth::of(points([5, 8, 14]));
        assert_eq!(growth.mmio_reads_each, 3.0);
        assert_eq!(growth.instructions_each, 30.0);
        assert_eq!(growth.mmio_writes_each, 0.0);
        assert!(growth.expect_linear().is_ok());
    }

    #[test]
    fn what_grows_otherwise_is_refused() {
        assert!(Growth::of(points([5, 8, 20])).expect_linear().is_err());
    }

    #[test]
    fn runs_that_disagree_are_refused() {
        let call =
            |instructions| vec![Call::parse(&format!("save e67b0014 {instructions} 5 0")).unwrap()];
        let agree = |a, b| agreed(&[call(a), call(b), call(a)], "save", 0xe67b_0000);
        assert!(agree(1000, 1009).is_ok());
        assert!(agree(1000, 1011).is_err());
        assert!(agreed(&[call(1)], "restore", 0xe67b_0000).is_err());
    }
}
