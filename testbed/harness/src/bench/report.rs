// SPDX-License-Identifier: GPL-2.0
//! The report of a measurement.

use std::fmt::Write;

use serde::Serialize;

use super::board::name_of;
use super::measure::{Cost, Costs, Witness};
use crate::board::Driver;

/// One driver's part of the report.
#[derive(Debug, Serialize)]
pub struct Part {
    #[serde(flatten)]
    pub costs: Costs,
    pub text_bytes: u64,
    pub dma_map_benchmark: Vec<Witness>,
}

/// The result of the kernel's own benchmark on four CPUs.
#[derive(Debug, Serialize)]
pub struct Crowd {
    pub driver: &'static str,
    #[serde(flatten)]
    pub witness: Witness,
}

/// `build/report/bench.json`
#[derive(Debug, Serialize)]
pub struct Report {
    /// The commit that was measured.
    pub commit: String,
    pub rust: Part,
    pub c: Part,
    pub limit: Part,
    /// The costs of this driver with `stage2=on`, measured once.
    pub stage2: Costs,
    /// The largest difference of instructions between rounds, in percent.
    pub spread_percent: f64,
    /// The results on four CPUs, for which there are no targets.
    pub crowds: Vec<Crowd>,
    pub targets: Vec<Verdict>,
}

/// A target, and whether it is met.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub what: &'static str,
    pub target: f64,
    pub figure: f64,
    pub met: bool,
}

impl Verdict {
    pub fn at_most(what: &'static str, target: f64, figure: f64) -> Self {
        let figure = (figure * 1000.0).round() / 1000.0;
        Self {
            what,
            target,
            figure,
            met: figure <= target,
        }
    }
}

/// Returns the report as text.
pub fn page(report: &Report) -> String {
    let mut text = String::from("\n| | Rust | stage 2 | C | limit |\n|---|---|---|---|---|\n");
    let cell = |c: Cost| {
        let (insns, reads, writes) = (round(c.insns), round(c.mmio_reads), round(c.mmio_writes));
        format!("{insns} ({reads} + {writes})")
    };
    for name in report.rust.costs.keys() {
        let [rust, c, limit] = [&report.rust, &report.c, &report.limit].map(|p| cell(p.get(name)));
        let stage2 = cell(report.stage2.get(name).copied().unwrap_or_default());
        let _ = writeln!(text, "| {name} | {rust} | {stage2} | {c} | {limit} |");
    }
    let [rust, c, limit] = [&report.rust, &report.c, &report.limit].map(|p| p.text_bytes);
    let _ = writeln!(text, "| text_bytes | {rust} | | {c} | {limit} |\n");
    for (driver, part) in [(Driver::Rust, &report.rust), (Driver::C, &report.c)] {
        let name = name_of(driver);
        for witness in &part.dma_map_benchmark {
            let _ = writeln!(text, "dma_map_benchmark, {name}: {witness}");
        }
    }
    for Crowd { driver, witness } in &report.crowds {
        let _ = writeln!(text, "dma_map_benchmark on four CPUs, {driver}: {witness}");
    }
    text += "\nInstructions (MMIO reads + MMIO writes).\n\n";
    text += "| target | at most | figure | |\n|---|---|---|---|\n";
    for Verdict {
        what,
        target,
        figure,
        met,
    } in &report.targets
    {
        let met = if *met { "met" } else { "missed" };
        let _ = writeln!(text, "| {what} | {target} | {figure} | {met} |");
    }
    let _ = writeln!(
        text,
        "\nRounds differ by {:.2} % at most.",
        report.spread_percent
    );
    text
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Part {
    /// Returns the cost of `name`, or 0 where it does not apply.
    pub fn get(&self, name: &str) -> Cost {
        self.costs.get(name).copied().unwrap_or_default()
    }
}
