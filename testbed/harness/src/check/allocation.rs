// SPDX-License-Identifier: GPL-2.0
//! Failing allocations: each allocation fails once while a device moves between address spaces,
//! while the module is loaded, while a device appears, and in other operations.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::looking::H3_ES2;
use super::vfio::{DEVICE, EDU, TRUSTED, device_tree, run, same_as_before};
use super::{Bench, Fixture, late};
use crate::board::guest::{DMACS, expect_no_splat};
use crate::board::ktap::Ktap;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

/// Limit for an operation that is tried once for each of its hundreds of allocations.
const LIMIT: Duration = Duration::from_secs(900);

const DEVICES: &str = "/sys/bus/platform/devices";

/// A client that the rows add and remove. No driver binds to it.
const CLIENT: &str = "fea27000.fcp";

const TRACING: &str = "/sys/kernel/tracing";

/// The trace events of allocations.
const EVENTS: [&str; 3] = ["kmalloc", "kmem_cache_alloc", "mm_page_alloc"];

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = Setup::new("allocation", Driver::Rust)
        .append(TRUSTED)
        .dtb(device_tree(bench)?)
        .pcie(&[EDU]);
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&[CLIENT])?;
        b.expect_bound_except(&[])?;
        b.test(&format!("userdma {DEVICE} take")).map(drop)
    });
    let bound = Setup::new("allocation-bound", Driver::Rust);
    let bound = Fixture::new(bench, bound, |b| b.load_driver(&DMACS));
    Ok(vec![
        bound.row("of_binding_a_driver", binding),
        board.row("each_one_fails_once", |b| {
            same_as_before(b, |b| run(b, "failing").map(drop))
        }),
        board.row("of_another_default_domain", |b| {
            same_as_before(b, another_default_domain)
        }),
        board.row("of_a_device_that_appears", |b| {
            same_as_before(b, device_appears)
        }),
        board.row("of_looking_at_it", looking),
        board.row("none_in_suspend_and_resume", none_in_suspend),
    ])
}

/// Returns the row that loads the module, which takes minutes.
pub fn many(bench: &Arc<Bench>) -> Trial {
    // Without clients the module can be unloaded.
    let setup = Setup::new("allocation-load", Driver::Rust).prr(H3_ES2);
    Fixture::new(bench, setup, |_| Ok(())).row("of_loading_the_module", loading)
}

/// Tries `operation` with each of its allocations failing once. The shell command `look` must
/// succeed after each attempt.
fn each_fails(board: &mut Board, look: &str, operation: &str) -> Result<()> {
    try_each(board, look, operation)?;
    board.new_messages().map(drop)
}

/// Works like [`each_fails`], but leaves the check of the kernel's messages to the caller.
fn try_each(board: &mut Board, look: &str, operation: &str) -> Result<()> {
    let number = board
        .console
        .start(&format!("/tests/shortage '{look}' {operation}"))?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(
        output.code == 0 && Ktap::parse(&output.text).sum("allocations") > 0,
        "{operation}: {}",
        output.text
    );
    Ok(())
}

fn another_default_domain(board: &mut Board) -> Result<()> {
    let group = format!("{DEVICES}/{CLIENT}/iommu_group/type");
    each_fails(
        board,
        &format!("echo DMA > {group} && grep -q ^DMA$ {group}"),
        &format!("write {group} identity"),
    )?;
    each_fails(
        board,
        &format!("echo identity > {group} && grep -q ^identity$ {group}"),
        &format!("write {group} DMA"),
    )?;
    board.sh(&format!("echo DMA > {group}")).map(drop)
}

/// Makes a device appear while allocations fail. Whatever the result, the device can be removed
/// afterwards, and gets its group when it appears again.
fn device_appears(board: &mut Board) -> Result<()> {
    let present = "/sys/module/reappear/parameters/present";
    let goes = format!("echo N > {present}");
    let comes = format!("echo Y > {present} && [ -e {DEVICES}/{CLIENT}/iommu_group ]");

    board.sh(&format!("modprobe reappear device={CLIENT} && {goes}"))?;
    each_fails(
        board,
        &format!("{goes} && {comes} && {goes}"),
        &format!("write {present} Y"),
    )?;
    board.sh(&comes).map(drop)
}

/// Binds a driver while allocations fail, to a device that the core probes only at that time. If an
/// allocation of this driver failed, the device must not reach memory untranslated.
fn binding(board: &mut Board) -> Result<()> {
    let client = DMACS[0];
    board.sh(&format!(
        "modprobe reappear device={client} && echo 0 > /sys/bus/platform/drivers_autoprobe"
    ))?;
    board.client("unbind", client)?;
    board.sh(&format!("/tests/starved.sh {client}"))?;
    try_each(
        board,
        &format!("/tests/starved.sh {client}"),
        &format!("write /sys/bus/platform/drivers/reappear/bind {client}"),
    )?;
    let (_, others) = late::late_probes(&board.raw_messages()?);
    expect_no_splat(&others)?;
    let became = board.sh("sort /tmp/starved | uniq -c")?;
    for wanted in ["waits, ours", "refused, ours", "grouped"] {
        ensure!(became.contains(wanted), "never {wanted}: {became}");
    }
    board.sh(
        "present=/sys/module/reappear/parameters/present && echo N > $present && echo Y > $present",
    )?;
    board.client("bind", client)?;
    board.dma(&[client]).map(drop)
}

fn looking(board: &mut Board) -> Result<()> {
    let root = format!("/sys/kernel/debug/ipmmu/{}", IPMMUS[0].1);
    for file in ["contexts", "registers"] {
        each_fails(board, "true", &format!("read {root}/{file}"))?;
    }
    Ok(())
}

/// Counts the lines of this driver in the stacks of allocations during `work`.
fn allocations(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<usize> {
    let switch = |verb: &str| {
        let one =
            |event| format!("echo '{verb}stacktrace' > {TRACING}/events/kmem/{event}/trigger");
        EVENTS.map(one).join(" && ")
    };
    board.sh(&format!(
        "echo 8192 > {TRACING}/buffer_size_kb && echo > {TRACING}/trace && {}",
        switch("")
    ))?;
    work(board)?;
    board.sh(&switch("!"))?;
    let count = board.sh(&format!("grep -c '=> .*ipmmu_vmsa' {TRACING}/trace; true"))?;
    Ok(count.trim().parse()?)
}

fn none_in_suspend(board: &mut Board) -> Result<()> {
    let group = format!("{DEVICES}/{CLIENT}/iommu_group/type");
    let seen = allocations(board, |b| {
        b.sh(&format!("echo identity > {group} && echo DMA > {group}"))
            .map(drop)
    })?;
    ensure!(seen > 0, "another default domain takes no memory");
    let seen = allocations(board, Board::suspend_and_compare)?;
    ensure!(
        seen == 0,
        "suspend and resume allocate: {seen} lines of their stacks"
    );
    Ok(())
}

/// Loads the module while allocations fail. Whatever is bound then, the module can be removed. In
/// the end it is loaded without failures, and binds all IPMMUs.
fn loading(board: &mut Board) -> Result<()> {
    // The driver core holds the module while it binds instances that waited for the root.
    let goes = "modprobe probed && rmmod probed && \
                { [ ! -e /sys/module/ipmmu_vmsa ] || rmmod ipmmu_vmsa; }";
    each_fails(board, goes, "load $(find /lib/modules -name ipmmu_vmsa.ko)")?;
    board.load_driver(&[])?;
    board.expect_bound_except(&[])
}
