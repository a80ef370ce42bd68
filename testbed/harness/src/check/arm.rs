// SPDX-License-Identifier: GPL-2.0
//! Both drivers on a 32-bit Arm kernel, with an IPMMU of R-Car Gen2.
//!
//! The DMA API of this kernel differs from that of arm64: it maps memory in the mapping that the
//! driver creates. All devices behind the IPMMU share its one context.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::{UNMAPPED, complaints, faults, rmmod_and_modprobe, rmmod_is_refused};
use super::{Bench, Fixture, kunit};
use crate::board::dtb::{Dtb, node_of};
use crate::board::hardware::GEN2;
use crate::board::{Board, Driver, Setup};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let source = bench.paths.testbed().join("guest/gen2.dts");
    let dtb = Dtb::compile(&bench.paths, &source, "arm")?.into_path();
    let setup = |name, driver| Setup::gen2(name, driver, dtb.clone());

    let c = Fixture::new(bench, setup("arm-c", Driver::C), |_| Ok(()));
    let kunit_setup = setup("arm-kunit", Driver::Rust).append("kunit.enable=1 kunit.autorun=1");
    let kunit = Fixture::new(bench, kunit_setup, |b| b.load_driver(&[]));
    let rust = Fixture::new(bench, setup("arm", Driver::Rust), |b| b.load_driver(&[]));
    let setup = setup("arm-alone", Driver::Rust).dtb(without_clients(bench, &dtb)?);
    let alone = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    Ok(vec![
        c.row("boot_and_bind", |b| b.expect_bound_except(&[])),
        c.row("dma_is_translated", dma_is_translated),
        c.row("unmapped_access_faults", unmapped_access_faults),
        c.row("dma_before_and_after_suspend", sleep_and_compare),
        c.row("a_client_bound_anew_is_lost", c_loses_a_client),
        kunit.row("suites", kunit::suites),
        rust.row("boot_and_bind", boot_and_bind),
        rust.row("dma_is_translated", dma_is_translated),
        rust.row("unmapped_access_faults", unmapped_access_faults),
        rust.row("dma_before_and_after_suspend", sleep_and_compare),
        rust.row("rmmod_with_a_client_is_refused", |b| {
            rmmod_is_refused(b, dma_is_translated)
        }),
        rust.row("clients_come_and_go", clients_come_and_go),
        alone.row("rmmod_and_modprobe_again", |b| {
            rmmod_and_modprobe(b, GEN2.ipmmus, 0..32)
        }),
        rust.row("another_domain_is_refused", another_domain_is_refused),
    ])
}

/// Returns the board's device tree without devices behind the IPMMU.
fn without_clients(bench: &Bench, dtb: &Path) -> Result<PathBuf> {
    let mut alone = Dtb::copy(&bench.paths, dtb, "arm-alone")?;
    for device in GEN2.dmacs {
        alone = alone.delete(&node_of(device), "iommus")?;
    }
    Ok(alone.into_path())
}

fn ipmmu() -> &'static str {
    GEN2.ipmmus[0].0
}

fn boot_and_bind(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    let machine = board.sh("uname -m")?;
    ensure!(machine.trim().starts_with("armv7"), "this is a {machine}");
    board.new_messages()?;
    let complaints = complaints(&board.klog);
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

/// Runs DMA on both controllers at once, and expects the IPMMU to translate it in its context.
fn dma_is_translated(board: &mut Board) -> Result<()> {
    let before = board.count(ipmmu(), "translations")?;
    board.dma(GEN2.dmacs)?;
    let translated = board.count(ipmmu(), "translations")? - before;
    ensure!(translated > 0, "nothing went through the IPMMU");

    let registers = board.registers()?;
    // Linux does not use channel 0, but its micro-TLB is enabled.
    for utlb in [1, 17] {
        ensure!(
            registers.context_of(ipmmu(), utlb) == Some(0),
            "micro-TLB {utlb} is not enabled"
        );
    }
    Ok(())
}

fn unmapped_access_faults(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    for dmac in GEN2.dmacs {
        board.test(&format!("fault.sh {dmac} 0 {UNMAPPED:#x}"))?;
        let messages = board.new_messages()?;
        let faults = faults(&messages);
        ensure!(faults.len() == 1, "reported {faults:?}, not one fault");
        ensure!(
            faults[0].iova == u64::from(UNMAPPED),
            "reported {:#x} instead of {UNMAPPED:#x}",
            faults[0].iova
        );
    }
    Ok(())
}

fn sleep_and_compare(board: &mut Board) -> Result<()> {
    board.dma(GEN2.dmacs)?;
    let before = board.registers()?;
    board.suspend_and_compare()?;
    board.dma(GEN2.dmacs)?;
    board.expect_registers(&before)
}

/// Rebinds a client. When it is unbound, the architecture's code treats the C driver's mapping
/// as its own. The client then has a domain of its own, for which there is no context.
fn c_loses_a_client(board: &mut Board) -> Result<()> {
    let (driver, device) = GEN2.clients()[0];
    board.sh(&format!("echo {device} > {driver}/unbind"))?;
    board.sh(&format!("echo {device} > {driver}/bind"))?;
    board.dma(&[device])?;
    ensure!(
        board.registers()?.context_of(ipmmu(), 1).is_none(),
        "the C driver still works: give it the row of this driver"
    );
    Ok(())
}

/// Unbinds and binds each client twice. While one client is unbound, DMA of the other one works.
fn clients_come_and_go(board: &mut Board) -> Result<()> {
    let clients = GEN2.dmacs;
    for device in clients.iter().chain(clients) {
        board.client("unbind", device)?;
        let rest: Vec<&str> = clients.iter().copied().filter(|d| d != device).collect();
        board.dma(&rest)?;
        board.client("bind", device)?;
    }
    dma_is_translated(board)
}

/// Attaches a client without a driver to a domain of its own while the other client's domain uses
/// the context. Expects a refusal, unchanged registers, and working DMA.
fn another_domain_is_refused(board: &mut Board) -> Result<()> {
    let [mover, other] = GEN2.dmacs else {
        bail!("two clients are needed");
    };
    board.dma(&[other])?;
    board.client("unbind", mover)?;
    let before = board.registers()?;
    board.sh("modprobe iommu_bench")?;
    let run = "/sys/module/iommu_bench/parameters/run";
    let attached = board.try_sh(&format!("echo move 4096 1 {mover} > {run}"))?;
    board.sh("rmmod iommu_bench")?;
    ensure!(
        attached.code != 0 && attached.text.contains("busy"),
        "{mover} was attached while {other} used the context: {attached:?}"
    );
    board.expect_registers(&before)?;
    board.dma(&[other])?;
    board.client("bind", mover)?;
    dma_is_translated(board)
}
