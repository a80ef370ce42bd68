// SPDX-License-Identifier: GPL-2.0
//! Masters suspend before their cache and caches before the root, and they resume in the reverse
//! order. This is checked with parallel and with serial suspend, and with the device tree's nodes
//! in both orders. One row suspends while CPUs go offline and online.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::TWO_IPMMUS;
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

/// Translated masters of the board, each with its cache.
const MASTERS: [(&str, &str); 5] = [
    (DMACS[0], "e6740000.iommu"),
    (DMACS[1], "e7740000.iommu"),
    (DMACS[2], "e7740000.iommu"),
    ("ee100000.mmc", "e7740000.iommu"),
    ("ee140000.mmc", "e7740000.iommu"),
];

const EVENTS: &str = "/sys/kernel/tracing/events/power";
const CPUS: &str = "/sys/devices/system/cpu";

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let original = bench.provision.kernel.dtb();
    let reversed = Dtb::copy(&bench.paths, &original, "reversed")?.reverse_children("/soc")?;
    let board = Fixture::new(bench, Setup::new("order", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    let setup = Setup::new("order-dt-reversed", Driver::Rust).dtb(reversed.into_path());
    let mirrored = Fixture::new(bench, setup, |b| b.load_driver(&DMACS));
    Ok(vec![
        board.row("root_last_and_first", both_orders),
        board.row("cpus_come_and_go", cpus_come_and_go),
        mirrored.row("root_last_and_first", both_orders),
    ])
}

fn both_orders(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    board.dma_briefly(&TWO_IPMMUS)?;
    for parallel in [1, 0] {
        board.sh(&format!("echo {parallel} > /sys/power/pm_async"))?;
        in_order(board).with_context(|| format!("pm_async={parallel}"))?;
    }
    board.sh("echo 1 > /sys/power/pm_async")?;
    board.dma_briefly(&TWO_IPMMUS)
}

/// Suspends once. Checks the registers, and the order of the devices' callbacks.
fn in_order(board: &mut Board) -> Result<()> {
    let before = board.registers()?;
    // This also empties the trace.
    board.sh("echo local > /sys/kernel/tracing/trace_clock")?;
    board.sh("echo counter > /sys/kernel/tracing/trace_clock")?;
    board.sh(&format!(
        "echo 1 | tee {EVENTS}/device_pm_callback_start/enable > {EVENTS}/device_pm_callback_end/enable"
    ))?;
    board.suspend(|_| Ok(()))?;
    board.sh(&format!(
        "echo 0 | tee {EVENTS}/device_pm_callback_start/enable > {EVENTS}/device_pm_callback_end/enable"
    ))?;
    let trace = board.sh("grep device_pm_callback /sys/kernel/tracing/trace")?;
    board.expect_registers(&before)?;
    let root = IPMMUS[0].1;
    let links = IPMMUS[1..].iter().map(|(_, cache)| (*cache, root));
    for (consumer, supplier) in MASTERS.into_iter().chain(links) {
        expect_nested(&trace, consumer, supplier)?;
    }
    Ok(())
}

/// Fails unless `consumer` has suspended before `supplier` begins to, and resumes only after
/// `supplier` has resumed.
fn expect_nested(trace: &str, consumer: &str, supplier: &str) -> Result<()> {
    let (_, consumer_slept) = callback(trace, consumer, "suspend")?;
    let (supplier_sleeps, _) = callback(trace, supplier, "suspend")?;
    ensure!(
        consumer_slept < supplier_sleeps,
        "{supplier} went to sleep before {consumer}"
    );
    let (_, supplier_awoke) = callback(trace, supplier, "resume")?;
    let (consumer_awakes, _) = callback(trace, consumer, "resume")?;
    ensure!(
        supplier_awoke < consumer_awakes,
        "{consumer} woke up before {supplier}"
    );
    Ok(())
}

/// Returns the lines of the trace on which a device's callback of the noirq phase begins and ends.
fn callback(trace: &str, device: &str, verb: &str) -> Result<(usize, usize)> {
    // `device_pm_callback_start: DRIVER DEVICE, parent: …, noirq … [VERB]`
    let is_of_device = |line: &str, event: &str| {
        line.split_once(event)
            .and_then(|(_, rest)| rest.split(',').next())
            .is_some_and(|name| name.ends_with(&format!(" {device}")))
    };
    let verb = format!("[{verb}]");
    let noirq = |line: &str| line.contains(" noirq ") && line.trim_end().ends_with(&verb);
    let begins = trace
        .lines()
        .position(|line| is_of_device(line, "callback_start:") && noirq(line))
        .with_context(|| format!("{device} was not told to {verb}"))?;
    let lasts = trace
        .lines()
        .skip(begins)
        .position(|line| is_of_device(line, "callback_end:"))
        .with_context(|| format!("{device} did not end to {verb}"))?;
    Ok((begins, begins + lasts))
}

/// CPUs go offline one by one, with a suspend after each, and then online in the same way.
fn cpus_come_and_go(board: &mut Board) -> Result<()> {
    let before = board.registers()?;
    let listed = board.sh(&format!("ls -d {CPUS}/cpu[1-9]"))?;
    let cpus: Vec<&str> = listed.split_whitespace().collect();
    ensure!(!cpus.is_empty(), "there is one CPU only");
    let all = board.sh(&format!("cat {CPUS}/online"))?;
    for (online, wanted) in [(0, "0"), (1, all.trim())] {
        for cpu in &cpus {
            // CPUs that are in the device tree but not on the board stay offline.
            board.try_sh(&format!("echo {online} > {cpu}/online"))?;
            board.suspend(|_| Ok(()))?;
            board.expect_registers(&before)?;
        }
        let now = board.sh(&format!("cat {CPUS}/online"))?;
        ensure!(now.trim() == wanted, "CPUs {now} are online, not {wanted}");
        board.dma_briefly(&TWO_IPMMUS)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_no_order() {
        let line = |what: &str| format!(" sh-1 [000] 1: device_pm_callback_{what}\n");
        let nested = |first: &str, second: &str| {
            ["suspend", "resume"]
                .map(|verb| {
                    let (a, b) = match verb {
                        "suspend" => (first, second),
                        _ => (second, first),
                    };
                    let start = |d| {
                        line(&format!(
                            "start: driver {d}, parent: soc, noirq driver [{verb}]"
                        ))
                    };
                    let end = |d| line(&format!("end: driver {d}, err=0"));
                    start(a) + &end(a) + &start(b) + &end(b)
                })
                .concat()
        };
        assert!(expect_nested(&nested("dma", "iommu"), "dma", "iommu").is_ok());
        assert!(expect_nested(&nested("iommu", "dma"), "dma", "iommu").is_err());
        assert!(expect_nested("", "dma", "iommu").is_err());
    }
}
