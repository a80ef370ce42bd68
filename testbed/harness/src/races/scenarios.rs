// SPDX-License-Identifier: GPL-2.0
//! The scenarios that race while masters never stop, and the work that goes on beside them.

use anyhow::Result;

use crate::board::Board;
use crate::check::traffic_scenarios::{
    Scenario, asleep_with_power, asleep_without_power, lazy, run, scenario, system_suspend,
};

/// The scenarios. A seed runs one of them once.
pub const SCENARIOS: [Scenario; 12] = [
    scenario("unmap on two CPUs, one domain", |b| run(b, "unmap 20")),
    scenario("unmap while the domain comes and goes", |b| {
        run(b, "mixed 6")
    }),
    scenario("unmap while the master sleeps and wakes", |b| {
        run(b, "drowsy 20")
    }),
    scenario("unmap on two CPUs, two domains", |b| run(b, "unmap-two 20")),
    scenario("attach, detach, blocked", |b| run(b, "attach 2")),
    scenario("unmap in a storm of faults", |b| run(b, "storm 6")),
    scenario("unmap through the DMA API", |b| run(b, "dma 20")),
    scenario("unmap many, flush once", |b| run(b, "gather 4")),
    scenario("suspend and resume", system_suspend),
    scenario("runtime suspend, with power", asleep_with_power),
    scenario("runtime suspend, without power", asleep_without_power),
    scenario("free what faults", |b| run(b, "brief 40")),
];

/// The last scenario of a board, as it makes mappings lazy for good.
pub const LAZY: Scenario = scenario("lazy unmap", |b| lazy(b, 100));

/// The device that changes the type of its group. It is behind another cache than the masters.
pub const OTHER: &str = "e7300000.dma-controller";

/// Shell commands that are repeated beside a scenario.
pub const BESIDE: [(&str, &str); 3] = [
    ("nothing", ""),
    (
        "debugfs is read",
        "cat /sys/kernel/debug/ipmmu/*/* > /dev/null; sleep 0.1",
    ),
    (
        "another group changes its type",
        "for t in identity DMA DMA-FQ; do \
             echo $d > $drivers/unbind; echo $t > $devices/$d/iommu_group/type; \
             echo $d > $drivers/bind; done",
    ),
];

/// Calls `work` while `command` is repeated.
pub fn beside(
    board: &mut Board,
    command: &str,
    work: impl FnOnce(&mut Board) -> Result<()>,
) -> Result<()> {
    if command.is_empty() {
        return work(board);
    }
    board.sh(&format!(
        "d={OTHER}; devices=/sys/bus/platform/devices; \
         drivers=/sys/bus/platform/drivers/rcar-dmac; touch /tmp/beside; \
         (while [ -e /tmp/beside ]; do {command}; done; rm -f /tmp/goes-on) > /dev/null 2>&1 & \
         touch /tmp/goes-on"
    ))?;
    work(board)?;
    board
        .sh("rm /tmp/beside; while [ -e /tmp/goes-on ]; do sleep 0.01; done")
        .map(drop)
}
