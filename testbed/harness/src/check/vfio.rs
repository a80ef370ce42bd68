// SPDX-License-Identifier: GPL-2.0
//! A PCIe device that is given to user space, by VFIO and iommufd.
//!
//! The program `userdma` in the guest has the device; its source describes the scenarios. The rows
//! check that the hardware and the kernel agree with its results.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::faults;
use super::feature::{C, Feature, Pair, Part};
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::ktap::Ktap;
use crate::board::pcie::{self, FUNCTIONS, IPMMU};
use crate::board::registers::{IPMMUS, PARKING};
use crate::board::{Board, Driver, Setup};
use crate::provision::SELFTESTS;

/// A device that copies on demand, as fast as it can, between any addresses of 32 bits.
pub(super) const EDU: &str = "edu,id=edu,dma_mask=0xffffffff,dma_delay=0";
/// The micro-TLB of the device's slot.
const UTLB: u32 = 0;
/// The default duration of the device's transfers, in ms.
const EDU_DELAY: u32 = 100;
pub(super) const DEVICE: &str = FUNCTIONS[0];
/// Allows interrupts that the host cannot isolate, as an administrator must for a trusted device,
/// and reserves huge pages.
pub(super) const TRUSTED: &str = "iommufd.allow_unsafe_interrupts=1 \
                       vfio_iommu_type1.allow_unsafe_interrupts=1 \
                       hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=4";
/// More domains than any IPMMU has contexts.
const DOMAINS: u32 = 32;
/// The number of accesses in a storm, and between two looks at the log.
const STORM: u32 = 100_000;
const AT_ONCE: u32 = 20_000;
/// How often the system sleeps while a process has the device.
const SLEEPS: u32 = 4;
const LIMIT: Duration = Duration::from_secs(60);

const USER_SPACE: Feature = Feature {
    id: "user_space",
    part: Part::Clients,
    says: "A device with coherent DMA can be assigned to user space through VFIO and iommufd.",
    c: C::Fails("vfio-pci does not take"),
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let board = Fixture::new(bench, setup(bench, "vfio")?, take);
    let mut rows = board_rows(&board);
    rows.extend(SELFTESTS.map(|test| board.row(test, move |b| selftest(b, test))));

    // In the SoC PCIe is not coherent with the CPU's caches.
    let plain = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let real = setup(bench, "vfio-not-coherent")?.dtb(plain);
    let real = Fixture::new(bench, real, |b| b.load_driver(&[]));
    rows.push(real.row("the_device_is_not_handed_out", is_not_handed_out));
    let both = setup(bench, "vfio-both")?;
    let both = Pair::new(bench, both, |b| b.load_driver(&[])).feature(USER_SPACE, is_handed_out);
    rows.extend(both.rows());
    Ok(rows)
}

/// Returns a board with a device that can be given to user space.
pub(super) fn setup(bench: &Bench, name: &str) -> Result<Setup> {
    Ok(Setup::new(name, Driver::Rust)
        .append(TRUSTED)
        .dtb(device_tree(bench)?)
        .pcie(&[EDU]))
}

/// Gives the device to user space.
pub(super) fn take(board: &mut Board) -> Result<()> {
    board.load_driver(&[])?;
    // From then on the device is behind its IPMMU.
    board.expect_bound_except(&[])?;
    board.test(&format!("userdma {DEVICE} take")).map(drop)
}

/// Returns the board's device tree with a coherent PCIe host. The real one is not coherent, and
/// user space only gets devices with coherent DMA.
pub(super) fn device_tree(bench: &Bench) -> Result<PathBuf> {
    let pcie = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let dtb = Dtb::copy(&bench.paths, &pcie, "vfio")?;
    Ok(dtb.set_flag(pcie::HOSTS[0], "dma-coherent")?.into_path())
}

pub(super) fn board_rows(board: &Arc<Fixture>) -> Vec<Trial> {
    let quiet = |name: &str, scenario: &'static str| {
        board.row(name, move |b| {
            same_as_before(b, |b| run(b, scenario).map(drop))
        })
    };
    vec![
        board.row("unmapped_memory_is_out_of_reach", |b| {
            same_as_before(b, unmapped)
        }),
        quiet("each_page_until_it_is_unmapped", "unmap-all 16"),
        quiet("read_only_memory_is_not_written", "read-only"),
        quiet("blocks_and_pages_in_turn", "blocks 3"),
        quiet("one_address_space_after_the_other", "spaces 32"),
        board.row("more_domains_than_contexts", |b| {
            same_as_before(b, more_domains_than_contexts)
        }),
        quiet("mapped_before_it_is_attached", "mapped-first"),
        quiet("changed_while_it_is_not_attached", "changed-meanwhile 8"),
        quiet("detached_it_reaches_nothing", "detach 8"),
        quiet("what_is_in_use_is_not_destroyed", "destroy 4"),
        quiet("closed_in_any_order", "close 3"),
        board.row("killed_in_the_middle", |b| {
            same_as_before(b, killed_in_the_middle)
        }),
        board.row("a_storm_of_faults", |b| same_as_before(b, storm)),
        board.row("the_system_sleeps_meanwhile", |b| {
            same_as_before(b, |b| asleep(b, "asleep", SLEEPS))
        }),
    ]
}

/// Returns the contexts of the root and their purposes, as the driver shows them in debugfs,
/// without counts and addresses. An example is `context 1: table`.
fn contexts(board: &mut Board) -> Result<Vec<String>> {
    let path = format!("/sys/kernel/debug/ipmmu/{}/contexts", IPMMUS[0].1);
    let text = board.sh(&format!("cat {path}"))?;
    let lines = text.lines().filter(|l| l.starts_with("context "));
    let contexts: Vec<String> = lines
        .filter_map(|line| {
            let (number, rest) = line.split_once(": ")?;
            let purpose = rest.split_once(" faults, ")?.1.split(' ').next()?;
            Some(format!("{number}: {purpose}"))
        })
        .collect();
    let parking = format!("context {PARKING}: parking");
    ensure!(
        contexts.len() > 1 && contexts.contains(&parking),
        "contexts are {text}"
    );
    Ok(contexts)
}

/// Fails unless `work` leaves the purpose of each context as it was, and the context of the
/// device's micro-TLB.
pub(super) fn same_as_before(
    board: &mut Board,
    work: impl FnOnce(&mut Board) -> Result<()>,
) -> Result<()> {
    let before = (contexts(board)?, context(board)?);
    work(board)?;
    let after = (contexts(board)?, context(board)?);
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}

/// Returns the context that the device's micro-TLB points to.
fn context(board: &mut Board) -> Result<u32> {
    let registers = board.registers()?;
    let context = registers.context_of(IPMMU, UTLB);
    context.with_context(|| format!("uTLB {UTLB} of {IPMMU} is off"))
}

/// Runs a scenario. Fails unless the IPMMU's faults are the accesses that the scenario saw refused,
/// and unless something was translated.
pub(super) fn run(board: &mut Board, scenario: &str) -> Result<Ktap> {
    judged(board, |b| b.test(&format!("userdma {DEVICE} {scenario}")))
}

/// Calls `work`, which runs a scenario, with the checks of [`run`].
fn judged(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<Ktap>) -> Result<Ktap> {
    board.new_messages()?;
    let (translations, before) = traffic(board)?;
    let ktap = work(board)?;
    let (after_translations, after) = traffic(board)?;
    let refused = ktap.sum("refused");
    let at_most = refused + ktap.sum("undecided");
    let faults = after - before;
    ensure!(
        (refused..=at_most).contains(&faults),
        "{faults} faults for {refused} to {at_most} refusals"
    );
    ensure!(
        after_translations > translations,
        "nothing went through the IPMMU"
    );
    Ok(ktap)
}

/// Returns the number of translations in the device's IPMMU, and of faults by any device.
fn traffic(board: &mut Board) -> Result<(u64, u64)> {
    let translations = board.count(IPMMU, "translations")?;
    Ok((translations, board.count("ipmmu_mm", "faults")?))
}

/// Each refused access is in the log, with its address.
fn unmapped(board: &mut Board) -> Result<()> {
    let ktap = run(board, "unmap 2")?;
    let messages = board.new_messages()?;
    let mut reported: Vec<u64> = faults(&messages).iter().map(|f| f.iova).collect();
    ensure!(
        reported.len() as u64 == ktap.sum("refused"),
        "reported {reported:x?} for {} refusals",
        ktap.sum("refused")
    );
    reported.dedup();
    ensure!(
        reported == [0x5000_1000, 0xffff_f000, 0x5000_1000, 0xffff_f000],
        "reported {reported:x?}"
    );
    Ok(())
}

fn more_domains_than_contexts(board: &mut Board) -> Result<()> {
    run(board, &format!("domains {DOMAINS}")).map(drop)
}

/// The device is slow, so that a transfer is under way when the process that began it ends.
fn killed_in_the_middle(board: &mut Board) -> Result<()> {
    let set = |board: &mut Board, delay: u32| {
        let delay = serde_json::json!(delay);
        board.qmp.set("/machine/peripheral/edu", "dma_delay", delay)
    };
    set(board, EDU_DELAY)?;
    run(board, "killed 3")?;
    set(board, 0)
}

/// The process that has the device suspends the system `times` times.
pub(super) fn asleep(board: &mut Board, scenario: &str, times: u32) -> Result<()> {
    board.sh("echo deep > /sys/power/mem_sleep")?;
    judged(board, |board| {
        board.qmp.forget_events()?;
        let command = format!("/tests/userdma {DEVICE} {scenario} {times}");
        let number = board.console.start(&command)?;
        for _ in 0..times {
            board.wait_suspend(LIMIT)?;
            let kept = board.registers()?.len();
            ensure!(kept == 0, "{kept} registers survived");
            board.qmp.wake()?;
        }
        let output = board.console.finish(number, LIMIT)?;
        Ktap::parse(&output.text).judge().context(output.text)
    })
    .map(drop)
}

/// A device with endless refused accesses neither stops the system nor fills the log.
fn storm(board: &mut Board) -> Result<()> {
    let (mut reported, mut suppressed) = (0, 0);
    for _ in 0..STORM / AT_ONCE {
        run(board, &format!("storm {AT_ONCE}"))?;
        let messages = board.new_messages()?;
        reported += faults(&messages).len() as u64;
        suppressed += not_shown(&messages);
    }
    ensure!(reported > 0, "nothing was reported");
    ensure!(suppressed > 0, "all {reported} faults are in the log");
    ensure!(
        reported + suppressed <= u64::from(STORM),
        "{reported} faults were reported and {suppressed} suppressed"
    );
    Ok(())
}

/// Returns the number of faults that the log reports as suppressed.
fn not_shown(messages: &str) -> u64 {
    messages
        .lines()
        .filter_map(|line| line.split_once(" faults suppressed"))
        .filter_map(|(before, _)| before.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Runs one of the kernel's own tests, which skips cases that need another device.
fn selftest(board: &mut Board, test: &str) -> Result<()> {
    same_as_before(board, |board| {
        let ktap = board.test(&format!("{test} {DEVICE}"))?;
        ensure!(ktap.passed.len() > 1, "{:?}", ktap.passed);
        Ok(())
    })
}

/// VFIO takes the device, and the device reaches only what is mapped.
fn is_handed_out(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    board.test(&format!("userdma {DEVICE} take"))?;
    board.test(&format!("userdma {DEVICE} unmap")).map(drop)
}

/// VFIO does not take a device with DMA that user space could not make coherent.
fn is_not_handed_out(board: &mut Board) -> Result<()> {
    // It returns once the device is behind the IPMMU.
    board.expect_bound_except(&[])?;
    board.sh(&format!("ls -d /sys/bus/pci/devices/{DEVICE}/iommu_group"))?;
    let output = board.try_sh(&format!("/tests/userdma {DEVICE} take"))?;
    ensure!(
        output.code != 0 && output.text.contains("vfio-pci does not take"),
        "{}",
        output.text
    );
    Ok(())
}
