// SPDX-License-Identifier: GPL-2.0
//! Operations while masters never stop, run by the module testbed/guest/modules/traffic_main.c.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::common::{faults, wait_until};
use crate::board::dtb::{Dtb, node_of};
use crate::board::registers::{IPMMUS, device_of};
use crate::board::{Board, Driver};
use crate::provision::Provision;

/// The limit for 10000 unmaps with unkind IPMMUs on a busy machine, and for the boot of the next
/// kernel.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The masters by their names in the machine, with their IPMMUs and micro-TLBs.
pub const MASTERS: [Master; 2] = [
    Master {
        name: "traffic0",
        device: "e8300000.traffic",
        ipmmu: "ipmmu_vc0",
        utlbs: [0, 3, 34],
    },
    Master {
        name: "traffic1",
        device: "e8310000.traffic",
        ipmmu: "ipmmu_pv0",
        utlbs: [1, 2, 47],
    },
];

pub struct Master {
    /// The master's name in the machine.
    pub name: &'static str,
    /// The device's name in Linux.
    pub device: &'static str,
    /// The IPMMU of the master.
    pub ipmmu: &'static str,
    utlbs: [u32; 3],
}

/// The first address that is not mapped in the scenario about faults.
const FIRST_FAULT: u64 = 0x4000_0000;
/// The file with the time in which masters must reach what is mapped, in seconds.
const PATIENCE: &str = "/sys/module/traffic/parameters/patience";
/// The root's name in the machine.
const ROOT: &str = "ipmmu_mm";
/// The limit for lines of messages. A suspend prints fewer, even if it names each register once.
const MOST_LINES: usize = 400;

/// Another IPMMU in the power area of the first master's IPMMU.
const NEIGHBOUR: &str = "ipmmu_vc1";
/// The IPMMU of the MMC hosts. It keeps their DMA from using bounce buffers.
const OF_CARDS: &str = "ipmmu_ds1";
/// The power area of the first master's IPMMU, as a bit of the SYSC.
const A3VC: u64 = 1 << 14;

/// An operation while the masters go on.
pub struct Scenario {
    /// The name in the report.
    pub name: &'static str,
    /// The operation.
    pub work: fn(&mut Board) -> Result<()>,
    /// The sequence in which accesses got through, if any did.
    pub sequence: &'static str,
    /// Whether it also runs with the C driver.
    asks_c: bool,
}

impl Scenario {
    /// Adds the sequence in which accesses get through, if any do.
    pub const fn sequence(self, sequence: &'static str) -> Self {
        Self { sequence, ..self }
    }

    pub fn is_for(&self, driver: Driver) -> bool {
        self.asks_c || driver == Driver::Rust
    }
}

/// Returns a scenario for both drivers.
pub const fn scenario(name: &'static str, work: fn(&mut Board) -> Result<()>) -> Scenario {
    Scenario {
        name,
        work,
        sequence: "",
        asks_c: true,
    }
}

/// Returns a scenario in which an IPMMU sleeps. With the C driver none does.
const fn asleep(name: &'static str, work: fn(&mut Board) -> Result<()>) -> Scenario {
    Scenario {
        asks_c: false,
        ..scenario(name, work)
    }
}

/// The scenarios that run one after the other on one board.
pub const SCENARIOS: [Scenario; 8] = [
    // Runs first, as later the log is full of other faults.
    scenario("fault", fault).sequence(
        "An access was refused, and told; a page was mapped there, reached, and unmapped; after \
         `iommu_unmap()` had returned it was reached again.",
    ),
    scenario("unmap through the DMA API", |b| run(b, "dma 2000")).sequence(
        "A page was mapped, and reached; after `dma_unmap_page()` had returned it was reached again.",
    ),
    scenario("unmap many, flush once", |b| run(b, "gather 200")).sequence(
        "Sixteen pages were mapped, and reached; each was unmapped by `iommu_unmap_fast()`; after \
         `iommu_iotlb_sync()` had returned they were reached again.",
    ),
    scenario("attach, detach, blocked", |b| run(b, "attach 50")).sequence(
        "A page of a domain was reached; the group left that domain, or moved to another one; after \
         that call had returned the page was reached again.",
    ),
    scenario("suspend and resume", system_suspend).sequence(
        "Pages were mapped, and reached; some were unmapped; those were reached again, before or \
         after the system slept.",
    ),
    asleep("runtime suspend, with power", asleep_with_power).sequence(ASLEEP),
    asleep("runtime suspend, without power", asleep_without_power).sequence(ASLEEP),
    // The last one with mappings of the DMA API, as it makes them lazy for good.
    scenario("lazy unmap", |b| lazy(b, 10000)).sequence(
        "A page was mapped, reached, and unmapped by `dma_unmap_page()`; its address was given out \
         again, which is after the flush; there the former page was reached again.",
    ),
];

const ASLEEP: &str =
    "Pages were mapped, and reached; the IPMMU fell asleep, and they were reached.";

/// Scenarios in which a flush races with an access, with as many unmaps as that takes.
pub const RACES: [Scenario; 4] = [
    scenario("unmap on two CPUs, one domain", |b| run(b, "unmap 10000")).sequence(UNMAPPED),
    scenario("unmap on two CPUs, two domains", |b| {
        run(b, "unmap-two 10000")
    })
    .sequence(UNMAPPED),
    scenario("unmap, tried only afterwards", |b| run(b, "patient 10000")).sequence(
        "A page was mapped, and reached; the master stood still until `iommu_unmap()` had returned; \
         then it reached the page again.",
    ),
    scenario("unmap in a storm of faults", |b| run(b, "storm 200")).sequence(UNMAPPED),
];

const UNMAPPED: &str =
    "A page was mapped, and reached; after `iommu_unmap()` had returned it was reached again.";

/// Scenarios of this driver in which reads of registers return other values.
pub const FLOATING: [Scenario; 3] = [
    asleep("registers read as zeros", |b| floating(b, "zeros")).sequence(FLOATED),
    asleep("registers read as ones", |b| floating(b, "ones")).sequence(FLOATED),
    asleep("registers read as noise", |b| floating(b, "random")).sequence(FLOATED),
];

const FLOATED: &str = "No register was read as it is; pages that had been unmapped, or were not mapped, were reached.";

/// Returns a device tree with the masters. Most of the board's own IPMMUs are disabled, as the C
/// driver takes a context for each that has devices behind it.
pub fn device_tree(provision: &Provision) -> Result<PathBuf> {
    let paths = &provision.paths;
    let mut dtb = Dtb::copy(paths, &provision.kernel.dtb(), "traffic")?;
    let of_masters = MASTERS.iter().map(|master| master.ipmmu);
    let kept: Vec<&str> = of_masters
        .chain([IPMMUS[0].0, NEIGHBOUR, OF_CARDS])
        .collect();
    for (label, device) in IPMMUS {
        if !kept.contains(&label) {
            dtb = dtb.set_text(&node_of(device), "status", "disabled")?;
        }
    }
    let mut nodes = String::new();
    for master in &MASTERS {
        let ipmmu = node_of(device_of(master.ipmmu)?);
        let iommus: Vec<String> = master
            .utlbs
            .iter()
            .map(|utlb| format!("<&{{{ipmmu}}} {utlb}>"))
            .collect();
        let address = master.device.trim_end_matches(".traffic");
        nodes += &format!(
            "&{{/soc}} {{
                traffic@{address} {{
                    compatible = \"test,traffic\";
                    reg = <0x0 0x{address} 0x0 0x1000>;
                    iommus = {};
                }};
            }};\n",
            iommus.join(", ")
        );
    }
    Ok(dtb.add(&nodes)?.into_path())
}

/// Runs a command of the module to its end. Fails if the first master stood still.
pub fn run(board: &mut Board, command: &str) -> Result<()> {
    let rounds = board.count(MASTERS[0].name, "rounds")?;
    tell(board, command)?;
    let rounds = board.count(MASTERS[0].name, "rounds")? - rounds;
    ensure!(rounds > 0, "the master stood still");
    Ok(())
}

/// Runs a command of the module to its end, though the first master may have no power.
fn tell(board: &mut Board, command: &str) -> Result<()> {
    let script = format!("echo {command} > /sys/module/traffic/parameters/run");
    let number = board.console.start(&script)?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "`{command}` failed");
    Ok(())
}

/// Masters fault, and later reach what is mapped there. A fault is not reported as no permission.
fn fault(board: &mut Board) -> Result<()> {
    run(board, "fault 100")?;
    // The messages stay in the log, and are judged with all others.
    let messages = board.sh("dmesg -r")?;
    ensure!(
        faults(&messages).iter().any(|f| f.iova == FIRST_FAULT),
        "the first fault was not reported"
    );
    ensure!(
        !messages.contains("no permission"),
        "what is not mapped was told as no permission"
    );
    Ok(())
}

/// Calls `work` while masters have domains with pages mapped and unmapped. Then checks that mapped
/// pages are reached.
fn held(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
    let done = run(board, "hold")
        .and_then(|()| work(board))
        .and_then(|()| run(board, "check"));
    tell(board, "release")?;
    done
}

pub fn system_suspend(board: &mut Board) -> Result<()> {
    held(board, |b| b.suspend(|_| Ok(())).map(drop))
}

/// Lets the first master's driver suspend it at run time, though it does not stop. Its IPMMU
/// sleeps, but the power stays on, as another IPMMU needs it.
pub fn asleep_with_power(board: &mut Board) -> Result<()> {
    let control = format!(
        "/sys/bus/platform/devices/{}/power/control",
        device_of(NEIGHBOUR)?
    );
    board.sh(&format!("echo on > {control}"))?;
    let done = held(board, |b| {
        slept(b, |b| {
            ensure!(b.count("sysc", "on")? & A3VC != 0, "the power is off");
            run(b, "asleep")
        })
    });
    board.sh(&format!("echo auto > {control}"))?;
    done
}

/// Lets the first master and its IPMMU sleep at run time, with the power of both cut.
pub fn asleep_without_power(board: &mut Board) -> Result<()> {
    held(board, |b| {
        slept(b, |b| {
            wait_until(b, "the power area stays on", |b| {
                Ok(b.count("sysc", "on")? & A3VC == 0)
            })?;
            tell(b, "asleep")
        })
    })
}

/// Calls `work` while the IPMMU of the first master sleeps.
fn slept(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
    let file = format!(
        "/sys/bus/platform/devices/{}/power/runtime_status",
        device_of(MASTERS[0].ipmmu)?
    );
    tell(board, "idle")?;
    let done = wait_until(board, "the IPMMU stays awake", |b| {
        Ok(b.sh(&format!("cat {file}"))?.trim() == "suspended")
    })
    .and_then(|()| work(board));
    tell(board, "busy")?;
    done
}

/// Unmaps, changes domains and sleeps while no register reads back correctly. A context that does
/// not read back is not used; once it does, all works after the next attach. Values that were read
/// wrong at suspend are not written back.
fn floating(board: &mut Board, what: &str) -> Result<()> {
    held(board, |b| {
        float(b, what)?;
        b.suspend(|b| float(b, "")).map(drop)
    })
    .context("falling asleep")?;
    run(board, "dma 200").context("after that")?;

    board.new_messages()?;
    float(board, what)?;
    let unmapped = run(board, "dma 200");
    // Accesses need not get through here, so that there is nothing to wait for.
    board.sh(&format!("echo 1 > {PATIENCE}"))?;
    let _ = tell(board, "attach 5");
    board.sh(&format!("echo 10 > {PATIENCE}"))?;
    let slept = board.suspend(|_| Ok(()));
    float(board, "")?;
    unmapped.context("unmapping")?;
    slept.context("suspending")?;

    let messages = board.new_messages()?;
    let lines = messages.lines().count();
    ensure!(lines < MOST_LINES, "{lines} lines of messages");
    // Control registers that were read wrong recover with the next suspend.
    board.suspend(|_| Ok(()))?;
    run(board, "attach 5")?;
    run(board, "dma 200")
}

/// Makes reads of these masters' IPMMUs and the root return `what`; if empty, what is right.
fn float(board: &mut Board, what: &str) -> Result<()> {
    for ipmmu in [ROOT, MASTERS[0].ipmmu, MASTERS[1].ipmmu] {
        board.set_ipmmu(ipmmu, "floating", what.into())?;
    }
    Ok(())
}

/// Maps and unmaps by the DMA API with deferred flushes, until `count` addresses have been reused.
pub fn lazy(board: &mut Board, count: u32) -> Result<()> {
    for master in &MASTERS {
        let file = format!(
            "/sys/bus/platform/devices/{}/iommu_group/type",
            master.device
        );
        board.sh(&format!("echo DMA-FQ > {file}"))?;
        let now = board.sh(&format!("cat {file}"))?;
        if now.trim() != "DMA-FQ" {
            bail!("{} is {now}", master.device);
        }
    }
    run(board, &format!("lazy {count}")).context("where flushes wait")
}
