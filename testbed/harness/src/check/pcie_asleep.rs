// SPDX-License-Identifier: GPL-2.0
//! An IPMMU of PCIe devices is runtime-suspended when the system suspends. At resume the PM core
//! then treats a root port as awake without having resumed its suppliers. Needs the module
//! testbed/guest/modules/root_port.c.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::wait_until;
use super::{Bench, Fixture};
use crate::board::dtb::Dtb;
use crate::board::ktap::Ktap;
use crate::board::pcie::{self, FUNCTIONS, IPMMU, NVME, ROOT_PORT};
use crate::board::registers::device_of;
use crate::board::{Board, Driver, Setup};

/// Puts the IPMMU into a power area that Linux switches off.
const AREA: &str = "
    &{/soc/iommu@e6570000} { power-domains = <&{/soc/system-controller@e6180000} 14>; };
";
const DISK: &str = FUNCTIONS[0];
const NVME_DRIVER: &str = "/sys/bus/pci/drivers/nvme";
const LIMIT: Duration = Duration::from_secs(120);

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let dtb = pcie::device_tree(&bench.paths, &bench.provision.kernel.dtb())?;
    let dtb = Dtb::copy(&bench.paths, &dtb, "pcie-asleep")?.add(AREA)?;
    let setup = Setup::new("pcie-asleep", Driver::Rust)
        .autosuspend()
        .dtb(dtb.into_path())
        .pcie(&[NVME]);
    let board = Fixture::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.expect_bound_except(&[])?;
        b.sh("modprobe root_port").map(drop)
    });
    Ok(vec![board.row("the_disk_reads_at_once", reads_at_once)])
}

fn reads_at_once(board: &mut Board) -> Result<()> {
    board.test(&format!("storage.sh {DISK}"))?;
    let bound = board
        .registers()?
        .context_of(IPMMU, 0)
        .context("the disk is not translated")?;
    board.sh(&format!("umount /tmp/storage/{DISK}"))?;
    board.sh(&format!("echo {DISK} > {NVME_DRIVER}/unbind"))?;
    for device in [ROOT_PORT, DISK] {
        board.sh(&format!(
            "echo auto > /sys/bus/pci/devices/{device}/power/control"
        ))?;
    }
    let ipmmu = device_of(IPMMU)?;
    wait_until(board, "the IPMMU does not sleep", |b| {
        let status = b.sh(&format!(
            "cat /sys/bus/platform/devices/{ipmmu}/power/runtime_status"
        ))?;
        Ok(status.trim() == "suspended")
    })?;

    let faults = board.count("ipmmu_mm", "faults")?;
    board.sh("echo deep > /sys/power/mem_sleep")?;
    board.qmp.forget_events()?;
    let number = board.console.start(&format!(
        "echo mem > /sys/power/state && echo {DISK} > {NVME_DRIVER}/bind && \
         /tests/storage.sh {DISK}"
    ))?;
    board.wait_suspend(LIMIT)?;
    let kept = board.registers()?.len();
    ensure!(kept == 0, "{kept} registers survived");
    board.qmp.wake()?;
    let output = board.console.finish(number, LIMIT)?;
    Ktap::parse(&output.text)
        .judge()
        .with_context(|| output.text.clone())?;
    let faults = board.count("ipmmu_mm", "faults")? - faults;
    ensure!(faults == 0, "there were {faults} faults");
    let now = board.registers()?.context_of(IPMMU, 0);
    ensure!(now == Some(bound), "context {bound} became {now:?}");
    Ok(())
}
