// SPDX-License-Identifier: GPL-2.0
//! `make compare`: both drivers do the same work on the same board, and every
//! access to an IPMMU is recorded. Writes `compare.json` and `compare.md`.

mod page;
mod report;
mod trace;
mod xen;

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::board::{CLIENT, FAULTY, MASTERS, setup};
use crate::board::registers::{Difference, PARKING, Registers};
use crate::board::{Board, Driver};
use crate::check::common::UNMAPPED;
use crate::provision::Provision;
use report::{Counts, Left, Line, Scenario};
use trace::{Contexts, Trace};

/// One of the masters, and a device behind the same cache. The device shares the master's first
/// micro-TLB, and has one of its own. Both drivers have the two in one domain.
const SHARER: (&str, &str, u32) = MASTERS[4];
const SECOND: (&str, [u32; 2]) = ("fea37000.fcp", [0, 40]);

type Work = fn(&mut Board) -> Result<()>;

/// The scenarios in their order. After the first, all IPMMUs are bound, and each master is
/// translated by a domain of its own.
const SCENARIOS: [(&str, Work); 13] = [
    ("boot, bind, first attach of 6 devices", bind),
    ("map and unmap 4 KiB", |b| work(b, "map 4096")),
    ("map and unmap 64 KiB", |b| work(b, "map 65536")),
    ("map and unmap 2 MiB", |b| work(b, "map 2097152")),
    ("map and unmap a list of 16 pages", |b| {
        work(b, "list 65536")
    }),
    ("fault", fault),
    ("suspend and resume with 6 contexts", |b| {
        b.suspend(|_| Ok(())).map(drop)
    }),
    ("last detach", |b| change_type(b, CLIENT, "identity")),
    ("attach to a new domain, detach", |b| work(b, "attach 4096")),
    ("the same, with 1 GiB mapped and unmapped", |b| {
        work(b, "block 1073741824")
    }),
    ("a second device on the same domain", |b| {
        run_for(b, "block 4096", SHARER.0)
    }),
    ("detach all but one device", leave_one),
    ("suspend and resume with 1 context", |b| {
        b.suspend(|_| Ok(())).map(drop)
    }),
];

fn bind(board: &mut Board) -> Result<()> {
    board.load_driver(&[])?;
    board.expect_bound_except(&[])?;
    board.sh(&format!(". /tests/lib.sh; channels_of {FAULTY}"))?;
    board.sh("modprobe iommu_bench").map(drop)
}

fn work(board: &mut Board, what: &str) -> Result<()> {
    run_for(board, what, CLIENT)
}

fn run_for(board: &mut Board, what: &str, device: &str) -> Result<()> {
    let run = "/sys/module/iommu_bench/parameters/run";
    board
        .sh(&format!("echo {what} 1 {device} > {run}"))
        .map(drop)
}

fn fault(board: &mut Board) -> Result<()> {
    let fault = format!("fault.sh {FAULTY} 0 {UNMAPPED:#x}");
    board.test(&fault).map(drop)
}

fn change_type(board: &mut Board, device: &str, to: &str) -> Result<()> {
    let group = format!("/sys/bus/platform/devices/{device}/iommu_group");
    board.sh(&format!("echo {to} > {group}/type")).map(drop)
}

fn leave_one(board: &mut Board) -> Result<()> {
    board.client("unbind", FAULTY)?;
    for (device, ..) in &MASTERS[1..MASTERS.len() - 1] {
        change_type(board, device, "identity")?;
    }
    Ok(())
}

/// The accesses of a driver in a scenario, and the registers afterwards.
struct Seen {
    counts: Counts,
    sequence: Vec<String>,
    registers: Registers,
}

/// Compares the drivers and writes the report. Unexplained differences of registers are an error.
pub fn run(provision: &Provision) -> Result<()> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("there is no module to compare: {why}");
    }
    let rust = watch(provision, Driver::Rust)?;
    let c = watch(provision, Driver::C)?;
    let pairs = SCENARIOS.iter().zip(rust.into_iter().zip(c));
    let scenarios: Vec<Scenario> = pairs
        .map(|((name, _), (rust, c))| compare(name, rust, c))
        .collect();
    let json = serde_json::to_string_pretty(&scenarios)? + "\n";
    fs::write(paths.report().join("compare.json"), json)?;
    let beside_xen = xen::watch(provision, bind)?;
    let of_xen = xen::page(&beside_xen);
    let page = page::page(&scenarios) + &of_xen;
    fs::write(paths.report().join("compare.md"), page)?;
    print!("{}{of_xen}", page::summary(&scenarios));
    let left = scenarios.iter().flat_map(|s| &s.registers_differ);
    let left = left.chain(&beside_xen);
    let unexplained: Vec<&str> = left
        .filter(|l| l.because.is_none())
        .map(|l| l.register.as_str())
        .collect();
    ensure!(
        unexplained.is_empty(),
        "the drivers leave different values in {} registers: {} ...",
        unexplained.len(),
        unexplained[..unexplained.len().min(8)].join(", ")
    );
    Ok(())
}

fn watch(provision: &Provision, driver: Driver) -> Result<Vec<Seen>> {
    let paths = &provision.paths;
    let name = format!("compare-{driver:?}").to_lowercase();
    let mut trace = Trace::new(paths, &name);
    let setup = setup(provision, driver, &name, |dtb| {
        dtb.put_one_behind(SECOND.0, SHARER.1, &SECOND.1)
    })?
    .options(&trace.options());
    let mut board = Board::boot(provision, &setup)?;
    let mut seen = Vec::new();
    let mut contexts = Contexts::default();
    for (scenario, work) in SCENARIOS {
        println!("{driver:?}: {scenario}");
        work(&mut board).with_context(|| format!("{scenario} ({driver:?})"))?;
        let accesses = trace.new_accesses()?;
        let registers = board.registers()?;
        contexts.learn(&registers, MASTERS.iter().map(|(_, cache, _)| *cache));
        seen.push(Seen {
            counts: Counts::of(&accesses),
            sequence: accesses.iter().map(|a| a.text(&contexts)).collect(),
            registers: registers.changed(|_, name, value| contexts.rename(name, value)),
        });
    }
    board.expect_clean()?;
    board.power_off()?;
    Ok(seen)
}

fn compare(name: &'static str, rust: Seen, c: Seen) -> Scenario {
    let differences = rust.registers.differences(&c.registers);
    Scenario {
        name,
        same_sequence: rust.sequence == c.sequence,
        sequences: side_by_side(&rust.sequence, &c.sequence),
        rust: rust.counts,
        c: c.counts,
        registers_differ: differences.into_iter().map(explain).collect(),
    }
}

/// Returns the lines of both sequences, with common lines next to each other, or none if the
/// sequences are equal.
fn side_by_side(rust: &[String], c: &[String]) -> Vec<Line> {
    use similar::{Algorithm, DiffTag, capture_diff_slices};

    if rust == c {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for op in capture_diff_slices(Algorithm::Patience, rust, c) {
        let (of_rust, of_c) = (&rust[op.old_range()], &c[op.new_range()]);
        let rows = match op.tag() {
            DiffTag::Equal => of_rust.len(),
            _ => of_rust.len().max(of_c.len()),
        };
        lines.extend((0..rows).map(|row| Line {
            rust: of_rust.get(row).cloned(),
            c: of_c.get(row).cloned(),
        }));
    }
    lines
}

fn explain(difference: Difference) -> Left {
    let (rust, c) = difference.values;
    let register = difference.name;
    let is = |name: &str| register.contains(&format!(".{name}"));
    let because = if is("IMTTLBR0") && rust != 0 && c != 0 {
        Some("where page tables are is the kernel's choice")
    } else if register.ends_with(&format!("({PARKING})")) && c == 0 {
        Some("there is parked what must not get through")
    } else {
        None
    };
    Left {
        register,
        rust,
        c,
        because,
    }
}
