// SPDX-License-Identifier: GPL-2.0
//! Problems that were reported about boards, as far as this board can show them.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::common::complaints;
use super::feature::{C, Feature, Pair, Part};
use super::looking::H3_ES2;
use super::{Bench, Fixture, pcie as cards};
use crate::board::dtb::{Dtb, node_of};
use crate::board::groups;
use crate::board::guest::DMACS;
use crate::board::hardware::DMAC_DRIVER;
use crate::board::pcie::{self, FUNCTIONS, HOSTS, IPMMU, NVME};
use crate::board::registers::PARKING;
use crate::board::{Board, Driver, Setup};

/// The client with the most micro-TLBs, and the IPMMU that is probed last, which it waits for.
const CLIENT: &str = DMACS[0];
const CLIENT_UTLBS: u32 = 16;
const LAST: &str = "e6740000.iommu";
const LAST_LABEL: &str = "ipmmu_ds0";
/// The directory of the platform bus in sysfs.
const PLATFORM: &str = "/sys/bus/platform";

/// A name of no device, similar to one that exists.
const MISSPELT: &str = "e7300000.dma";

/// The IPMMU of the PCIe hosts.
const IPMMU_HC: &str = "e6570000.iommu";

const ROOT_PORT_NODE: Feature = Feature {
    id: "root_port_with_iommu_map",
    part: Part::Clients,
    says: "A PCIe root port whose node has an iommu-map of its own is in one group with the card.",
    c: C::Works,
};

const NO_CLIENT: Feature = Feature {
    id: "no_client_sleeps",
    part: Part::Sleep,
    says: "IPMMUs without any device behind them sleep and wake.",
    c: C::Works,
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    // The client waits for its IPMMU without a time limit.
    let setup = Setup::new("probed-last", Driver::Rust);
    let last = Fixture::new(bench, setup, |b| {
        b.sh(&format!(
            "echo nobody > {PLATFORM}/devices/{LAST}/driver_override"
        ))?;
        b.load_driver(&DMACS)
    });
    let mut rows = vec![last.row("one_domain_and_no_warning", probed_last)];

    let setup = |name: &str, dtb: Dtb| Setup::new(name, Driver::Rust).dtb(dtb.into_path());
    let beyond = setup("beyond-utlbs", without_mask(bench)?).pcie(&["edu"]);
    let beyond = Fixture::new(bench, beyond, |b| b.load_driver(&[]));
    rows.push(beyond.row("refused_with_one_message", beyond_utlbs));
    let node = setup("root-port-node", root_port_node(bench)?).pcie(&[NVME, "edu"]);
    let node = Pair::new(bench, node, |b| b.load_driver(&[])).feature(ROOT_PORT_NODE, one_group);
    let names = Fixture::new(bench, Setup::new("misspelt", Driver::Rust), |b| {
        b.load_driver(&[MISSPELT, CLIENT])
    });
    rows.push(names.row("one_message_about_the_name", misspelt));
    // By the policy of both drivers nothing is translated on this SoC.
    let setup = Setup::new("no-client", Driver::Rust).prr(H3_ES2);
    let none = Pair::new(bench, setup, |b| b.load_driver(&[])).feature(NO_CLIENT, no_client);
    rows.extend(node.rows().chain(none.rows()));
    Ok(rows)
}

/// Returns a copy of the device tree with PCIe hosts, and the phandle of their IPMMU.
fn with_hosts(bench: &Bench, name: &str) -> Result<(Dtb, u32)> {
    let hosts = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let dtb = Dtb::copy(&bench.paths, &hosts, name)?;
    let phandle = dtb.cell(&node_of(IPMMU_HC), "phandle", 0)?;
    Ok((dtb, phandle))
}

/// Returns a device tree in which requesters of the first host have micro-TLBs of their numbers.
fn without_mask(bench: &Bench) -> Result<Dtb> {
    let (dtb, phandle) = with_hosts(bench, "beyond-utlbs")?;
    dtb.delete(HOSTS[0], "iommu-map-mask")?.set_cells(
        HOSTS[0],
        "iommu-map",
        &[0, phandle, 0, 0x10000],
    )
}

/// Returns a device tree in which the node of the first root port has an `iommu-map` like its
/// host's.
fn root_port_node(bench: &Bench) -> Result<Dtb> {
    let (dtb, phandle) = with_hosts(bench, "root-port-node")?;
    let port = format!("{}/pci@0,0", HOSTS[0]);
    dtb.set_cells(&port, "iommu-map", &[0, phandle, 0, 1])?
        .set_cells(&port, "iommu-map-mask", &[0])
}

/// All IPMMUs and clients are bound, except for one IPMMU and its client. Then these two are.
fn probed_last(board: &mut Board) -> Result<()> {
    let is_bound = format!("[ -e {DMAC_DRIVER}/{CLIENT} ]");
    board.expect_bound_except(&[LAST])?;
    board.wait_for_channels(&DMACS[1..])?;
    ensure!(
        board.try_sh(&is_bound)?.code != 0,
        "the client has not waited"
    );

    board.sh(&format!(
        "echo > {PLATFORM}/devices/{LAST}/driver_override && echo {LAST} > {PLATFORM}/drivers_probe"
    ))?;
    board.expect_bound_except(&[])?;
    board.wait_for_channels(&[CLIENT])?;
    board.new_messages()?;
    let complaints = complaints(&board.klog);
    ensure!(complaints.is_empty(), "{complaints:#?}");

    let devices = board.sh(&format!("ls {}/devices", groups::path(CLIENT)))?;
    ensure!(devices.trim() == CLIENT, "the group has {devices}");
    let registers = board.registers()?;
    let context = registers.context_of(LAST_LABEL, 0);
    ensure!(
        context.is_some_and(|c| c < PARKING)
            && (1..CLIENT_UTLBS).all(|n| registers.context_of(LAST_LABEL, n) == context),
        "not all of its micro-TLBs are in one context"
    );
    board.dma(&DMACS).map(drop)
}

fn beyond_utlbs(board: &mut Board) -> Result<()> {
    let function = format!("/sys/bus/pci/devices/{}", FUNCTIONS[0]);
    board.sh(&format!("[ -e {function} ]"))?;
    let on = board.open_utlbs(IPMMU)?;
    // Micro-TLB 0 is the root port's.
    ensure!(on == [0], "the micro-TLBs {on:?} are on");
    let grouped = board.try_sh(&format!("[ -e {function}/iommu_group ]"))?;
    ensure!(grouped.code != 0, "the card is in a group");

    // The requester ID of bus 1, device 0, function 0.
    let number = 1 << 8;
    board.new_messages()?;
    let complaints = complaints(&board.klog);
    ensure!(
        complaints.len() == 1 && complaints[0].contains(&format!("uTLB {number}")),
        "expected one message about uTLB {number}, not {complaints:#?}"
    );
    Ok(())
}

fn one_group(board: &mut Board) -> Result<()> {
    cards::one_group(board, "DMA")?;
    cards::files(board)?;
    board.new_messages()?;
    let complaints = complaints(&board.klog);
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

fn no_client(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    let groups = board.sh("ls /sys/kernel/iommu_groups")?;
    ensure!(groups.trim().is_empty(), "there are groups: {groups}");
    board.new_messages()?;
    for _ in 0..2 {
        board.suspend_and_compare()?;
    }
    let messages = board.new_messages()?;
    let complaints = complaints(&messages);
    ensure!(complaints.is_empty(), "{complaints:#?}");
    board.expect_bound_except(&[])?;
    board.dma(&DMACS).map(drop)
}

/// A misspelt name in `allow=` leads to one message. The other names there stay valid.
fn misspelt(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let complaints = complaints(&board.klog);
    ensure!(
        complaints.len() == 1 && complaints[0].contains(&format!("no platform device {MISSPELT}")),
        "expected one message about {MISSPELT}, not {complaints:#?}"
    );
    board.expect_bound_except(&[])?;
    board.dma(&DMACS)?;
    let registers = board.registers()?;
    ensure!(
        registers.context_of(LAST_LABEL, 1).is_some(),
        "{CLIENT} is not translated"
    );
    Ok(())
}
