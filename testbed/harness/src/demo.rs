// SPDX-License-Identifier: GPL-2.0
//! `make demo`: a report for readers that have never seen an IPMMU.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, Registers};
use crate::board::{Board, Driver, Setup};
use crate::provision::Provision;

/// The clients shown: the device, its IPMMU, and its uTLBs. The DMA controllers are translated on
/// demand, the card readers always.
const CLIENTS: [(&str, &str, Range<u32>); 5] = [
    (DMACS[0], "ipmmu_ds0", 0..16),
    (DMACS[1], "ipmmu_ds1", 0..16),
    (DMACS[2], "ipmmu_ds1", 16..32),
    ("ee100000.mmc", "ipmmu_ds1", 32..33),
    ("ee140000.mmc", "ipmmu_ds1", 34..35),
];

const INTRODUCTION: &str = "
An IPMMU translates the addresses that devices use for DMA. Devices are wired to
the micro-TLBs (uTLBs) of a cache IPMMU; each uTLB goes through a context of the
root IPMMU, which knows a page table. When the SoC sleeps, all of that is gone.";

/// `build/report/demo.json`
#[derive(Debug, Default, Serialize)]
struct Report {
    ipmmus_bound: usize,
    registers_lost: usize,
    registers_differing_after_resume: usize,
    dma_bytes_before: u64,
    dma_bytes_after: u64,
    dma_errors: u64,
    control_dma_failed: bool,
    guest_errors: u64,
    wall_seconds: f64,
}

/// Runs the demonstration. The error is the first thing that it could not show.
pub fn run(provision: &Provision) -> Result<()> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let begun = Instant::now();
    let mut report = Report::default();
    let shown =
        sleep_and_go_on(provision, &mut report).and_then(|()| control(provision, &mut report));
    report.wall_seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let path = paths.report().join("demo.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    shown?;
    report.judge()?;
    println!(
        "\nAll as it should be, in {} s. Figures: {}",
        report.wall_seconds,
        paths.short(&path).display()
    );
    Ok(())
}

impl Report {
    fn judge(&self) -> Result<()> {
        ensure!(
            self.ipmmus_bound == IPMMUS.len(),
            "not every IPMMU is bound"
        );
        ensure!(self.registers_lost > 0, "the SoC lost no register");
        ensure!(
            self.registers_differing_after_resume == 0,
            "registers differ after resume"
        );
        ensure!(self.dma_errors == 0, "DMA failed");
        ensure!(self.control_dma_failed, "the control did not fail");
        ensure!(
            self.guest_errors == 0,
            "registers were touched that do not exist"
        );
        Ok(())
    }
}

/// Shows DMA, a suspend, and DMA again.
fn sleep_and_go_on(provision: &Provision, report: &mut Report) -> Result<()> {
    println!("{INTRODUCTION}");
    heading("An emulated R-Car H3 boots Linux, and the Rust driver is loaded");
    let mut board = Board::boot(provision, &Setup::new("demo", Driver::Rust))?;
    say(&format!("modprobe ipmmu_vmsa allow={}", DMACS.join(",")));
    board.load_driver(&DMACS)?;
    report.ipmmus_bound = board.bound_ipmmus()?.len();
    let (root, device) = IPMMUS[0];
    say(&format!("{} IPMMUs are bound:", report.ipmmus_bound));
    say(&format!(
        "  root   {root} ({device}), which holds the page tables' addresses"
    ));
    let caches: Vec<&str> = IPMMUS[1..].iter().map(|(label, _)| *label).collect();
    for line in caches.chunks(8) {
        say(&format!("  cache  {}", line.join(" ")));
    }
    let before = show_clients(&mut board)?;

    heading("DMA through translated addresses, every byte compared");
    report.dma_bytes_before = dma(&mut board, report)?;

    heading("echo mem > /sys/power/state");
    let slept = board.suspend(|_| Ok(()))?;
    report.registers_lost = before.differences(&slept.asleep).len();
    say(&format!(
        "The SoC was off: {} of {} non-zero IPMMU registers were lost.",
        report.registers_lost,
        before.len()
    ));
    let after = board.registers()?;
    let differing = before.differences(&after);
    report.registers_differing_after_resume = differing.len();
    say(&format!(
        "Awake again: {} registers restored, {} differ from before.",
        after.len(),
        differing.len()
    ));
    for difference in &differing {
        say(&format!("  {difference}"));
    }

    heading("DMA again, through what was restored");
    report.dma_bytes_after = dma(&mut board, report)?;
    report.guest_errors += board.guest_errors()?;
    board.new_messages()?;
    board.power_off()
}

/// Shows the control: hardware that loses one register for good, on which DMA must fail. Without it
/// the success would prove little.
fn control(provision: &Provision, report: &mut Report) -> Result<()> {
    heading("The control: hardware that drops the write restoring IMTTLBR0");
    let mut board = Board::boot(provision, &Setup::new("demo-control", Driver::Rust))?;
    board.load_driver(&DMACS)?;
    board
        .dma(&[DMACS[0]])
        .context("before the control's sleep")?;
    board.new_messages()?;
    // Context 1 is that of the DMA controller.
    board.suspend(|b| b.set_ipmmu(IPMMUS[0].0, "discard-writes", json!("IMTTLBR0(1)")))?;
    report.control_dma_failed = !board.try_dma(DMACS[0], 1)?.failed.is_empty();
    let messages = board.new_messages()?;
    let mismatch = messages
        .lines()
        .find(|line| line.contains("IMTTLBR0 is"))
        .context("the lost register was not reported")?;
    say(match report.control_dma_failed {
        true => "The driver says what was lost, and lets nothing through:",
        false => "DMA went through, which it must not.",
    });
    let text = mismatch.split_once("] ").map_or(mismatch, |(_, text)| text);
    say(&format!("  {}", text.trim()));
    report.guest_errors += board.guest_errors()?;
    board.power_off()
}

/// Shows which client goes through which context.
fn show_clients(board: &mut Board) -> Result<Registers> {
    let registers = board.registers()?;
    say("Translated, as programmed into the hardware:");
    for (device, ipmmu, utlbs) in CLIENTS {
        let mut by_context: BTreeMap<u32, usize> = BTreeMap::new();
        for utlb in utlbs {
            if let Some(context) = registers.context_of(ipmmu, utlb) {
                *by_context.entry(context).or_default() += 1;
            }
        }
        ensure!(
            !by_context.is_empty() || !DMACS.contains(&device),
            "{device} is not translated"
        );
        for (context, count) in by_context {
            let plural = if count == 1 { "" } else { "s" };
            say(&format!(
                "  {device:<23} {count:>2} uTLB{plural} of {ipmmu} -> context {context}"
            ));
        }
    }
    Ok(registers)
}

fn dma(board: &mut Board, report: &mut Report) -> Result<u64> {
    let ktap = board.test(&format!("dma.sh {}", DMACS.join(" ")))?;
    let (bytes, errors) = (ktap.sum("bytes"), ktap.sum("errors"));
    report.dma_errors += errors;
    say(&format!(
        "{} KiB copied by {} DMA controllers at once, {errors} errors.",
        bytes / 1024,
        DMACS.len()
    ));
    Ok(bytes)
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn say(text: &str) {
    println!("   {text}");
}
