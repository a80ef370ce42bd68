// SPDX-License-Identifier: GPL-2.0
//! Xen's driver on the IPMMUs: the registers that it writes, the DMA that it translates and
//! refuses, and the registers that it restores, if it can suspend.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::faults;
use super::stage2::expect_values;
use super::{Bench, Fixture};
use crate::board::registers::IPMMUS;
use crate::board::{BOOT_LIMIT, Board, System, xen};
use crate::provision::Arch;

/// The IPMMU of each domain's DMA controller. The first domain is mapped 1:1: it also copies
/// without translation. The second domain's memory has other physical addresses.
const DOMAINS: [&str; 2] = ["ipmmu_ds0", "ipmmu_ds1"];

/// The address of RAM that belongs to neither domain. `testbed/guest/xen.dtsi` passes it to the
/// domains' shells.
const FORBIDDEN: u64 = 0x6_0000_0000;
/// The beginning of Xen's report of it.
const FAULT: &str = "Unhandled fault";

/// The keys that switch Xen's console to the next domain, and Xen's answer.
const NEXT: &[u8] = b"\x01\x01\x01";
const SAID: [&str; 3] = [
    "Serial input to DOM0",
    "Serial input to DOM1",
    "Serial input to Xen",
];
const LIMIT: Duration = Duration::from_secs(30);

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = xen::setup(&bench.paths, &bench.provision.kernel.dtb(), "xen")?;
    let console = bench.paths.log().join("xen.console.log");
    // Both domains say that they are ready. The first to say so is enough.
    let board = Fixture::new(bench, setup, |b| b.console.wait_ready(BOOT_LIMIT));
    let bench = bench.clone();
    Ok(vec![
        board.row("ipmmus_are_found", move |_| {
            let said = fs::read_to_string(console)?;
            let count = |kind| said.matches(&format!("Registered {kind} IPMMU")).count();
            let found = (count("Root"), count("Cache"));
            ensure!(found == (1, IPMMUS.len() - 1), "there are {found:?}");
            Ok(())
        }),
        board.row("registers_after_attach", attached),
        board.row("dma_is_translated", |b| in_each(b, translated)),
        board.row("what_is_not_theirs_is_refused", |b| in_each(b, refused)),
        board.row("suspend_of_the_host", move |b| {
            let xen = &bench.provision(Arch::Arm64, System::Xen)?.xen;
            sleep(b, xen.as_ref().context("there is no Xen")?.suspends)
        }),
    ])
}

fn in_each(board: &mut Board, work: fn(&mut Board, &str) -> Result<()>) -> Result<()> {
    work(board, DOMAINS[0]).context("domain 0")?;
    talk_to(board, 1)?;
    let done = work(board, DOMAINS[1]);
    talk_to(board, 0)?;
    done.context("domain 1")
}

/// Gives Xen's console to this domain.
fn talk_to(board: &mut Board, domain: usize) -> Result<()> {
    for _ in SAID {
        board.console.send(NEXT)?;
        if board.console.wait_for_any(&SAID, LIMIT)?.0 == domain {
            return Ok(());
        }
    }
    bail!("Xen does not give the keyboard to domain {domain}")
}

/// Each domain has a context of its own, with the values that a driver must write for stage 2.
fn attached(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    let context = |ipmmu| registers.context_of(ipmmu, 1).context("uTLB 1 is off");
    let contexts = [context(DOMAINS[0])?, context(DOMAINS[1])?];
    ensure!(
        contexts[0] != contexts[1],
        "both domains have context {}",
        contexts[0]
    );
    for context in contexts {
        expect_values(&registers, "ipmmu_mm", context)?;
    }
    Ok(())
}

fn translated(board: &mut Board, ipmmu: &str) -> Result<()> {
    let before = board.count(ipmmu, "translations")?;
    let bytes = board.dma(&["$D"])?;
    let translations = board.count(ipmmu, "translations")? - before;
    // The emulated controller accesses at most a page at once.
    let least = 2 * bytes / 4096;
    ensure!(translations >= least, "{translations} of {least} accesses");
    Ok(())
}

fn refused(board: &mut Board, _: &str) -> Result<()> {
    let before = board.count("ipmmu_mm", "faults")?;
    let mut output = board.try_sh("/tests/fault.sh $D 0 $A")?;
    ensure!(output.code == 0, "it was not refused: {}", output.text);
    if !output.text.contains(FAULT) {
        // Xen may report it after the domain has answered.
        board.console.wait_for_any(&[FAULT], LIMIT)?;
        output.text = FAULT.to_owned() + &board.console.wait_for_any(&["\n"], LIMIT)?.1;
    }
    let told: Vec<u64> = faults(&output.text).iter().map(|f| f.iova).collect();
    ensure!(told == [FORBIDDEN], "Xen says: {}", output.text);
    let faults = board.count("ipmmu_mm", "faults")? - before;
    ensure!(faults == 1, "there were {faults} faults");
    Ok(())
}

/// Expects that the host sleeps when the first domain does and the second one does already, if Xen
/// supports that. A first domain that is offered suspend without Xen's support is a failure, too.
fn sleep(board: &mut Board, can: bool) -> Result<()> {
    let offered = board.sh("cat /sys/power/mem_sleep")?.contains("deep");
    ensure!(offered == can, "the first domain is offered otherwise");
    if !can {
        eprintln!("This Xen has no SYSTEM_SUSPEND: the host does not sleep.");
        return Ok(());
    }
    let work = |board: &mut Board| {
        in_each(board, translated)?;
        in_each(board, refused)
    };
    work(board)?;
    // Xen may deny a suspend of the host while another domain is awake.
    board.sh("modprobe xen_domain")?;
    talk_to(board, 1)?;
    let second = board.console.start("echo mem>/sys/power/state")?;
    talk_to(board, 0)?;
    board.sh("echo 1 > /sys/module/xen_domain/parameters/sleeps")?;
    board.suspend_and_compare()?;
    board.sh("echo 1 > /sys/module/xen_domain/parameters/wakes")?;
    let slept = board.console.finish(second, LIMIT)?;
    ensure!(slept.code == 0, "the second domain: {}", slept.text);
    work(board)
}
