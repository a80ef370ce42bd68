// SPDX-License-Identifier: GPL-2.0
//! Operations under masters that never stop, by the module testbed/guest/modules/traffic_main.c.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::common::{faults, wait_until};
use crate::board::cards::MMC_HOSTS;
use crate::board::dtb::{Dtb, node_of};
use crate::board::registers::{IPMMUS, device_of};
use crate::board::{Board, Driver};
use crate::provision::Provision;

/// The register for the number of a page that the master has lost.
const FORBID: u32 = 0x14;
/// The first pages of a master: scenarios map pages among them.
const HELD_PAGES: u64 = 16;
/// Limit for 10000 unmaps with unkind IPMMUs on a busy machine, and for the boot of the next
/// kernel.
const LIMIT: Duration = Duration::from_secs(300);

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
    /// Its name in the machine.
    pub name: &'static str,
    device: &'static str,
    /// The IPMMU that it is behind.
    pub ipmmu: &'static str,
    utlbs: [u32; 3],
}

/// The first address that is not mapped in the scenario about faults.
const FIRST_FAULT: u64 = 0x4000_0000;
/// The time in which masters reach what is mapped, in seconds.
const PATIENCE: &str = "/sys/module/traffic/parameters/patience";
/// The machine's name of the root.
const ROOT: &str = "ipmmu_mm";
/// A suspend of the board says less than this; what is named once for each register is in it.
const MOST_LINES: usize = 400;

/// Another IPMMU in the power area of that of the first master.
const NEIGHBOUR: &str = "ipmmu_vc1";
/// The IPMMU of the MMC hosts, whose DMA is to avoid bounce buffers.
const OF_CARDS: &str = "ipmmu_ds1";
/// This area, as a bit of the SYSC.
const A3VC: u64 = 1 << 14;

/// An operation under the masters.
pub struct Scenario {
    /// The name in the report.
    pub name: &'static str,
    /// The operation.
    pub work: fn(&mut Board) -> Result<()>,
    /// Whether it also runs with the C driver.
    asks_c: bool,
}

impl Scenario {
    pub fn is_for(&self, driver: Driver) -> bool {
        self.asks_c || driver == Driver::Rust
    }
}

/// Returns a scenario for both drivers.
pub const fn scenario(name: &'static str, work: fn(&mut Board) -> Result<()>) -> Scenario {
    Scenario {
        name,
        work,
        asks_c: true,
    }
}

/// Returns a scenario with an IPMMU that sleeps. The C driver's never does.
const fn asleep(name: &'static str, work: fn(&mut Board) -> Result<()>) -> Scenario {
    Scenario {
        asks_c: false,
        ..scenario(name, work)
    }
}

/// The scenarios, which run one after the other on one board.
pub const SCENARIOS: [Scenario; 8] = [
    // The first one: later the log is full of other faults.
    scenario("fault", fault),
    scenario("unmap through the DMA API", |b| run(b, "dma 2000")),
    scenario("unmap many, flush once", |b| run(b, "gather 200")),
    scenario("attach, detach, blocked", |b| run(b, "attach 50")),
    scenario("suspend and resume", system_suspend),
    asleep("runtime suspend, with power", asleep_with_power),
    asleep("runtime suspend, without power", asleep_without_power),
    // The last one with mappings of the DMA API, which it makes lazy for good.
    scenario("lazy unmap", |b| lazy(b, 10000)),
];

/// Scenarios in which a flush and an access race, with as many unmaps as it takes.
pub const RACES: [Scenario; 4] = [
    scenario("unmap on two CPUs, one domain", |b| run(b, "unmap 10000")),
    scenario("unmap on two CPUs, two domains", |b| {
        run(b, "unmap-two 10000")
    }),
    scenario("unmap, tried only afterwards", |b| run(b, "patient 10000")),
    scenario("unmap in a storm of faults", |b| run(b, "storm 200")),
];

/// Scenarios of this driver in which reads return something else than the registers.
pub const FLOATING: [Scenario; 3] = [
    asleep("registers read as zeros", |b| floating(b, "zeros")),
    asleep("registers read as ones", |b| floating(b, "ones")),
    asleep("registers read as noise", |b| floating(b, "random")),
];

/// A scenario that ends in another kernel.
pub const KEXEC: Scenario = scenario("kexec", kexec);
pub const PANIC: Scenario = scenario("panic", panic);

/// Most of the board's own IPMMUs are left out: the C driver has a context for each that somebody
/// is behind.
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

/// Makes the module do something, and waits until that is done.
pub fn run(board: &mut Board, command: &str) -> Result<()> {
    let rounds = board.count(MASTERS[0].name, "rounds")?;
    tell(board, command)?;
    let rounds = board.count(MASTERS[0].name, "rounds")? - rounds;
    ensure!(rounds > 0, "the master stood still");
    Ok(())
}

/// Makes the module do something, where the first master may have no power.
fn tell(board: &mut Board, command: &str) -> Result<()> {
    let script = format!("echo {command} > /sys/module/traffic/parameters/run");
    let number = board.console.start(&script)?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "`{command}` failed");
    Ok(())
}

/// Masters fault, and reach what is mapped then. The message says what it was.
fn fault(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let done = run(board, "fault 100");
    let messages = board.new_messages()?;
    let first = faults(&messages).into_iter().next();
    let first = first.context("no fault was reported")?;
    ensure!(first.iova == FIRST_FAULT, "{first:?} was reported first");
    ensure!(
        !messages.contains("no permission"),
        "what is not mapped was told as no permission"
    );
    done
}

/// Does `work` while masters have domains with pages mapped and unmapped; then checks that mapped
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

/// Lets the first master sleep by its driver, while it does not stop. The IPMMU sleeps, but its
/// power stays on, as another one needs it.
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

/// Does the same with power that is cut, also that of the master.
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

/// Does `work` while the IPMMU of the first master sleeps.
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

/// Unmaps, changes domains and sleeps while no register can be read. A context that cannot be read
/// back is not used; when it can, all works after the next attach. Values that were read wrong at
/// suspend are not written back.
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
    // Nothing needs to get through, and there is nothing to wait for.
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
    // Control registers that were not read right are not written back for good.
    board.suspend(|_| Ok(()))?;
    run(board, "attach 5")?;
    run(board, "dma 200")
}

/// Makes reads of the masters' IPMMUs return `what`, or what is right.
fn float(board: &mut Board, what: &str) -> Result<()> {
    for ipmmu in [ROOT, MASTERS[0].ipmmu, MASTERS[1].ipmmu] {
        board.set_ipmmu(ipmmu, "floating", what.into())?;
    }
    Ok(())
}

/// Runs mappings of the DMA API that are flushed later, until so many addresses have come again.
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

/// Loads the next kernel.
fn load_next(board: &mut Board) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board
        .sh(&format!(
            "set -e; . /tests/lib.sh; . /tests/storage-lib.sh; dir=$(mounted {host}); \
             cp $dir/Image $dir/initramfs.cpio.gz /tmp"
        ))
        .map(drop)
}

/// Boots another kernel while the masters go on. From the shutdown of the last IPMMU on they reach
/// nothing: neither their former memory, nor memory with the same addresses untranslated.
fn kexec(board: &mut Board) -> Result<()> {
    load_next(board)?;
    run(board, "hold-mapped")?;
    run(board, "last")?;
    board.new_messages()?;
    board
        .console
        .start("/tests/kexec /tmp/Image /tmp/initramfs.cpio.gz \"$(cat /proc/cmdline)\"")?;
    board.console.wait_ready(LIMIT)?;
    still_judged(board)?;
    board.load_driver(&[])?;
    still_judged(board)
}

/// Makes the kernel panic, so that nothing shuts down. Once the next kernel has loaded this driver,
/// former mappings are not reached, as they belong to nobody.
fn panic(board: &mut Board) -> Result<()> {
    load_next(board)?;
    board.sh("/tests/kexec -p /tmp/Image /tmp/initramfs.cpio.gz \
         \"$(sed 's/crashkernel=[^ ]*/nr_cpus=1/' /proc/cmdline)\"")?;
    run(board, "hold-mapped")?;
    let memory = board.sh("cat /sys/module/traffic/parameters/memory")?;
    board.new_messages()?;
    board
        .console
        .start("echo panic > /sys/module/traffic/parameters/run")?;
    board.console.wait_ready_after_panic(LIMIT)?;
    still_judged(board)?;
    board.load_driver(&[])?;
    for (master, memory) in MASTERS.iter().zip(memory.trim().split(',')) {
        let first: u64 = memory.parse()?;
        let (base, _) = master.device.split_once('.').context("no address")?;
        for page in 0..HELD_PAGES {
            board.sh(&format!(
                "devmem $((0x{base} + {FORBID:#x})) 32 {:#x}",
                (first >> 12) + page
            ))?;
        }
    }
    still_judged(board)
}

/// Fails unless the masters go on, and the pages are marked.
fn still_judged(board: &mut Board) -> Result<()> {
    for master in &MASTERS {
        let rounds = board.count(master.name, "rounds")?;
        board.sh("true")?;
        ensure!(
            board.count(master.name, "rounds")? > rounds,
            "{} stands still",
            master.name
        );
    }
    Ok(())
}
