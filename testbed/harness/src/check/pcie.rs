// SPDX-License-Identifier: GPL-2.0
//! PCIe cards behind an IPMMU: an NVMe disk with a file system, a second function that shares its
//! micro-TLB, and a card with a micro-TLB of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::one_fault;
use super::{Bench, Fixture, storage};
use crate::board::dtb::{Dtb, node_of};
use crate::board::pcie::{self, FUNCTIONS, IPMMU, NVME, OTHER_CARD, ROOT_PORT};
use crate::board::registers::device_of;
use crate::board::{Board, Driver, Setup, cards};

/// A device that copies on demand, from and to any address.
const EDU: &str = "edu";
/// An address that no DMA mapping uses, within the 28 address bits of `edu`.
const UNMAPPED: u32 = 0x0123_4560;
/// The size of the smallest request to the IPMMU.
const PAGE: u64 = 4096;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = Vec::new();
    for (name, driver, append) in [
        ("pcie", Driver::Rust, ""),
        ("pcie-lazy", Driver::Rust, "iommu.strict=0"),
        ("pcie-c-driver", Driver::C, ""),
    ] {
        rows.extend(board_rows(bench, Setup::new(name, driver).append(append))?);
    }
    let board = one_utlb_each(bench, "pcie-osid", &[NVME, EDU])?;
    rows.push(board.row("two_isolated_functions_are_apart", functions_are_apart));
    let board = one_utlb_each(bench, "pcie-osid-no-acs", &[EDU, EDU])?;
    rows.push(board.row("two_others_are_together", functions_are_together));
    Ok(rows)
}

/// Returns a board with a first host that gives each function of its card a micro-TLB of its own.
/// Micro-TLB 0 is the root port's. Of these functions only NVMe has ACS.
fn one_utlb_each(bench: &Arc<Bench>, name: &str, card: &[&str]) -> Result<Arc<Fixture>> {
    let dtb = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let dtb = Dtb::copy(&bench.paths, &dtb, name)?;
    let ipmmu = dtb.cell(&node_of(device_of(IPMMU)?), "phandle", 0)?;
    let [host, other] = pcie::HOSTS;
    let map = [0, ipmmu, 0, 1, 0x100, ipmmu, 1, 8];
    let dtb = dtb.delete(host, "iommu-map-mask")?;
    let dtb = dtb.set_cells(host, "iommu-map", &map)?;
    let dtb = dtb.set_text(other, "status", "disabled")?;
    let setup = Setup::new(name, Driver::Rust)
        .dtb(dtb.into_path())
        .options(&["-global", "rcar-pcie.osid=on"])
        .pcie(card);
    Ok(Fixture::new(bench, setup, |b| b.load_driver(&[])))
}

/// Returns the rows for a board with this setup and two cards.
pub fn board_rows(bench: &Arc<Bench>, setup: Setup) -> Result<Vec<Trial>> {
    let dtb = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let (name, group) = (setup.name.clone(), setup.group_type());
    // The C driver has one group for everything behind an IPMMU. One board of this driver suffices.
    let is_apart = name == "pcie";
    let setup = setup.dtb(dtb).pcie(&[NVME, EDU]).pcie_slot(1, &[EDU]);
    // `allow=` is empty, as PCI devices need no entry.
    let board = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    let image = pcie::disk_image(&bench.paths, &name);
    let mut rows = vec![
        board.row("one_group_for_the_whole_card", move |b| one_group(b, group)),
        board.row("files_are_what_was_written", files),
        board.row("unmapped_access_faults", unmapped_access_faults),
        board.row("suspend_while_writing", suspend_while_writing),
        board.row("unmapped_access_faults_after_it", unmapped_access_faults),
        board.row("file_system_is_clean", move |b| leave_disk(b, &image)),
    ];
    if is_apart {
        let image = pcie::disk_image(&bench.paths, &name);
        rows.push(board.row("the_other_card_is_apart", the_other_card_is_apart));
        rows.push(board.row("a_disk_that_left_comes_again", move |b| {
            leave_and_come(b)?;
            leave_disk(b, &image)
        }));
    }
    Ok(rows)
}

/// Waits until the kernel has found the disk.
fn wait_for_disk(board: &mut Board) -> Result<()> {
    let disk = FUNCTIONS[0];
    board
        .sh(&format!(". /tests/storage-lib.sh && block_device {disk}"))
        .map(drop)
}

/// Returns the path of a function's group and, on the next line, the group's type.
fn group_of(board: &mut Board, function: &str) -> Result<String> {
    let link = format!("/sys/bus/pci/devices/{function}/iommu_group");
    board.sh(&format!("readlink -f {link} && cat {link}/type"))
}

/// Returns the context of micro-TLB `slot`: by default that of the card in this slot.
fn context(board: &mut Board, slot: u32) -> Result<u32> {
    board
        .registers()?
        .context_of(IPMMU, slot)
        .with_context(|| format!("uTLB {slot} of {IPMMU} is not enabled"))
}

/// All functions of the card share one micro-TLB. They and their root port are in one group, of
/// type `group`.
pub fn one_group(board: &mut Board, group: &str) -> Result<()> {
    wait_for_disk(board)?;
    let mut groups = Vec::new();
    for device in [ROOT_PORT, FUNCTIONS[0], FUNCTIONS[1]] {
        groups.push(group_of(board, device)?);
    }
    ensure!(
        groups.iter().all(|g| *g == groups[0]),
        "more than one group: {groups:?}"
    );
    let found = groups[0].lines().last().unwrap_or_default();
    ensure!(found == group, "the group is of type {found}");
    context(board, 0).map(drop)
}

/// Files are read back from the disk as written. All DMA goes through the IPMMU, without faults.
pub fn files(board: &mut Board) -> Result<()> {
    let before = board.count(IPMMU, "translations")?;
    let faults = board.count("ipmmu_mm", "faults")?;
    let ktap = board.test(&format!("storage.sh {}", FUNCTIONS[0]))?;
    let translations = board.count(IPMMU, "translations")? - before;
    let pages = 2 * ktap.sum("bytes") / PAGE;
    ensure!(pages > 0, "nothing was written");
    ensure!(translations >= pages, "{translations} for {pages} pages");
    ensure!(
        board.count("ipmmu_mm", "faults")? == faults,
        "there were faults"
    );
    Ok(())
}

/// ACS isolates the functions: they and the root port have a group and a context each. Both
/// functions still work after a suspend.
fn functions_are_apart(board: &mut Board) -> Result<()> {
    wait_for_disk(board)?;
    let mut apart = BTreeSet::new();
    for (utlb, device) in [ROOT_PORT, FUNCTIONS[0], FUNCTIONS[1]].iter().enumerate() {
        apart.insert(group_of(board, device)?);
        apart.insert(context(board, utlb as u32)?.to_string());
    }
    ensure!(apart.len() == 6, "groups and contexts are {apart:?}");
    let script = format!("pcie-fault.sh {} {UNMAPPED:#x}", FUNCTIONS[1]);
    for _ in 0..2 {
        one_fault(board, (IPMMU, 2), UNMAPPED, &script)?;
        suspend_while_writing(board)?;
    }
    files(board)
}

/// Functions without isolation could reach each other's memory. They are in one group, with both
/// micro-TLBs in one context. Both still work after a suspend.
fn functions_are_together(board: &mut Board) -> Result<()> {
    let groups = [
        group_of(board, FUNCTIONS[0])?,
        group_of(board, FUNCTIONS[1])?,
    ];
    ensure!(groups[0] == groups[1], "groups are {groups:?}");
    let contexts = [context(board, 1)?, context(board, 2)?];
    ensure!(contexts[0] == contexts[1], "contexts are {contexts:?}");
    for _ in 0..2 {
        for (utlb, function) in [(1, FUNCTIONS[0]), (2, FUNCTIONS[1])] {
            let script = format!("pcie-fault.sh {function} {UNMAPPED:#x}");
            one_fault(board, (IPMMU, utlb), UNMAPPED, &script)?;
        }
        board.suspend_and_compare()?;
    }
    Ok(())
}

/// An access by the second function to an unmapped address is refused, and reported once.
fn unmapped_access_faults(board: &mut Board) -> Result<()> {
    let script = format!("pcie-fault.sh {} {UNMAPPED:#x}", FUNCTIONS[1]);
    one_fault(board, (IPMMU, 0), UNMAPPED, &script)
}

fn suspend_while_writing(board: &mut Board) -> Result<()> {
    let messages = board.count("pciec0", "msis")?;
    storage::write_through_suspends(board, FUNCTIONS[0])?;
    ensure!(
        board.count("pciec0", "msis")? > messages,
        "the disk sent no interrupt"
    );
    Ok(())
}

fn leave_disk(board: &mut Board, image: &Path) -> Result<()> {
    board.test(&format!("storage-load.sh umount {}", FUNCTIONS[0]))?;
    cards::check(image)
}

/// The card in the other slot has a group, a context and a micro-TLB of its own.
fn the_other_card_is_apart(board: &mut Board) -> Result<()> {
    let groups = [group_of(board, FUNCTIONS[0])?, group_of(board, OTHER_CARD)?];
    ensure!(groups[0] != groups[1], "both are in {}", groups[0]);
    let contexts = [context(board, 0)?, context(board, 1)?];
    ensure!(
        contexts[0] != contexts[1],
        "both are in context {}",
        contexts[0]
    );
    let script = format!("pcie-fault.sh {OTHER_CARD} {UNMAPPED:#x}");
    one_fault(board, (IPMMU, 1), UNMAPPED, &script)
}

/// The disk's driver is unbound and bound again. The disk stays in its group and its context.
fn leave_and_come(board: &mut Board) -> Result<()> {
    wait_for_disk(board)?;
    let before = [
        group_of(board, FUNCTIONS[0])?,
        context(board, 0)?.to_string(),
    ];
    board.clients_leave()?;
    let meanwhile = context(board, 0)?.to_string();
    board.clients_come()?;
    let after = [
        group_of(board, FUNCTIONS[0])?,
        context(board, 0)?.to_string(),
    ];
    ensure!(
        before == after && meanwhile == after[1],
        "{before:?} became {meanwhile:?}, and then {after:?}"
    );
    files(board)
}
