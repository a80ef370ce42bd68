// SPDX-License-Identifier: GPL-2.0
//! The driver in the kernel's tree: built in, on the board; and built for
//! kernels that lack what it can do without.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::{Failed, Trial};

use super::c_driver::UNKNOWN_SOC;
use super::common::{dma_through_two_ipmmus, unmapped_access_faults};
use super::{Bench, Fixture, kunit, rust_driver, sleep};
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup, System};
use crate::provision::{Arch, Provision};

/// Has the driver core tell whose probing it puts off.
const TELL_DEFERRALS: &str = "dyndbg=\"file drivers/base/dd.c +p\"";

/// A kernel to build the driver for: values of symbols that are not those of the
/// testbed's configuration.
struct Config {
    name: &'static str,
    arch: Arch,
    changes: &'static [(&'static str, &'static str)],
}

const fn config(
    name: &'static str,
    arch: Arch,
    changes: &'static [(&'static str, &'static str)],
) -> Config {
    Config {
        name,
        arch,
        changes,
    }
}

/// What a kernel may be without, and what a developer may switch on. Without a
/// SoC there is nothing that insists on power management; arm64 always has SMP.
const CONFIGS: [Config; 11] = [
    config("as_it_is", Arch::Arm64, &[]),
    config("module", Arch::Arm64, &[("IPMMU_VMSA_RUST", "m")]),
    config("no_modules", Arch::Arm64, &[("MODULES", "n")]),
    config(
        "no_sleep",
        Arch::Arm64,
        &[("SUSPEND", "n"), ("HIBERNATION", "n"), ("PM_SLEEP", "n")],
    ),
    config(
        "no_pm",
        Arch::Arm64,
        &[
            ("ARCH_RENESAS", "n"),
            ("ARCH_R8A77951", "n"),
            ("COMPILE_TEST", "y"),
            ("SUSPEND", "n"),
            ("HIBERNATION", "n"),
            ("PM", "n"),
        ],
    ),
    config("no_debug_fs", Arch::Arm64, &[("DEBUG_FS", "n")]),
    config("no_pci", Arch::Arm64, &[("PCI", "n")]),
    config(
        "all_assertions",
        Arch::Arm64,
        &[
            ("RUST_DEBUG_ASSERTIONS", "y"),
            ("RUST_OVERFLOW_CHECKS", "y"),
        ],
    ),
    config(
        "nothing",
        Arch::Arm64,
        &[
            ("ARCH_RENESAS", "n"),
            ("ARCH_R8A77951", "n"),
            ("COMPILE_TEST", "y"),
            ("SUSPEND", "n"),
            ("HIBERNATION", "n"),
            ("PM", "n"),
            ("DEBUG_FS", "n"),
            ("PCI", "n"),
            ("MODULES", "n"),
            ("KUNIT", "n"),
            ("PRINTK", "n"),
        ],
    ),
    config("arm", Arch::Arm, &[]),
    config("arm_one_cpu", Arch::Arm, &[("SMP", "n")]),
];

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let append = format!("ipmmu_vmsa.allow={} {TELL_DEFERRALS}", DMACS.join(","));
    let setup = Setup::new("built-in", Driver::Rust)
        .system(System::BuiltIn)
        .append(&append);
    let board = Fixture::new(bench, setup, |_| Ok(()));
    let kunit_setup = Setup::new("built-in-kunit", Driver::Rust)
        .system(System::BuiltIn)
        .append("kunit.enable=1 kunit.autorun=1");
    let kunit = Fixture::new(bench, kunit_setup, |_| Ok(()));
    // What is asked of ours is no more than upstream's does.
    let setup = Setup::new("built-in-c", Driver::C)
        .prr(UNKNOWN_SOC)
        .append(TELL_DEFERRALS);
    let c = Fixture::new(bench, setup, |_| Ok(()));
    let mut rows = vec![
        c.row("nothing_waits_in_circles", nothing_waits_in_circles),
        board.row("boot_and_bind", rust_driver::boot_and_bind),
        board.row("nothing_waits_in_circles", nothing_waits_in_circles),
        board.row("dma_through_two_ipmmus", dma_through_two_ipmmus),
        board.row("unmapped_access_faults", unmapped_access_faults),
        board.row("suspend_with_channels", sleep::sleep_and_compare),
        kunit.row("suites", kunit::suites),
    ];
    for Config {
        name,
        arch,
        changes,
    } in CONFIGS
    {
        let bench = bench.clone();
        rows.push(Trial::test(format!("config::{name}"), move || {
            Provision::try_config(&bench.paths, name, arch, changes)
                .map_err(|e| Failed::from(format!("{e:#}")))
        }));
    }
    rows
}

/// Drivers are tried in the order in which they are linked, and devices in that
/// of the device tree. So a cache may wait for its root, and its client for
/// both; but nothing waits again and again.
fn nothing_waits_in_circles(board: &mut Board) -> Result<()> {
    board.wait_for_channels(&DMACS)?;
    board.new_messages()?;
    let waits = |device: &str| {
        let deferred = format!("platform {device}: Added to deferred list");
        board.klog.lines().filter(|l| l.contains(&deferred)).count()
    };
    ensure!(
        waits(DMACS[0]) > 0,
        "deferrals are not logged, or the order has changed: this row says nothing"
    );
    let ipmmus = board.hardware.ipmmus.iter().map(|(_, device)| (device, 1));
    for (device, most) in ipmmus.chain(DMACS.iter().map(|device| (device, 2))) {
        let times = waits(device);
        ensure!(times <= most, "{device} waited {times} times");
    }
    let waiting = board.sh("cat /sys/kernel/debug/devices_deferred")?;
    ensure!(!waiting.contains("iommu"), "still waiting: {waiting}");
    Ok(())
}
