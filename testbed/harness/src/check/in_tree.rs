// SPDX-License-Identifier: GPL-2.0
//! The driver in the kernel's tree: rows on the board with the driver built in and as a module, and
//! builds for kernels without features that it does not need.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::common::{dma_through_two_ipmmus, rmmod_is_refused, unmapped_access_faults};
use super::{Bench, Fixture, hibernate, install, kunit, pcie, rust_driver, sleep, storage};
use crate::board::cards::MMC_HOSTS;
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup, System};
use crate::provision::{Arch, Changes, Config, Provision};
use crate::tree::HOME;

/// A kernel parameter that makes the driver core print which probes it defers.
const TELL_DEFERRALS: &str = "dyndbg=\"file drivers/base/dd.c +p\"";

const fn config(name: &'static str, arch: Arch, changes: Changes) -> Config {
    Config {
        name,
        arch,
        changes,
        is_linked: false,
    }
}

/// Returns a configuration for which the whole kernel is built and linked. This shows that all
/// functions that the driver calls exist.
const fn linked(config: Config) -> Config {
    Config {
        is_linked: true,
        ..config
    }
}

/// Kernels without options that the driver does not need, and with options that a developer may
/// set. Each symbol that the driver needs, or that its interfaces depend on, has both values in
/// some configuration. Without a SoC no option selects power management. arm64 always has SMP and
/// IOMMU_DMA, and arm never has the latter.
const CONFIGS: [Config; 14] = [
    config("as_it_is", Arch::Arm64, &[]),
    config("module", Arch::Arm64, &[("IPMMU_VMSA_RUST", "m")]),
    config("no_modules", Arch::Arm64, &[("MODULES", "n")]),
    config(
        "no_sleep",
        Arch::Arm64,
        &[
            ("SUSPEND", "n"),
            ("HIBERNATION", "n"),
            ("PM_SLEEP", "n"),
            ("HOTPLUG_CPU", "n"),
        ],
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
    config(
        "no_power_domains",
        Arch::Arm64,
        &[
            ("ARCH_RENESAS", "n"),
            ("ARCH_R8A77951", "n"),
            ("COMPILE_TEST", "y"),
            ("PM_GENERIC_DOMAINS", "n"),
            ("SOC_BUS", "n"),
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
            ("DMA_API_DEBUG", "y"),
        ],
    ),
    // CFI checks the types of called functions; the shadow call stack protects return addresses.
    config(
        "hardened",
        Arch::Arm64,
        &[("CFI", "y"), ("SHADOW_CALL_STACK", "y")],
    ),
    // Fewer debugging options, 64 KiB pages, and a module that cannot be unloaded.
    config(
        "product",
        Arch::Arm64,
        &[
            ("IPMMU_VMSA_RUST", "m"),
            ("MODULE_UNLOAD", "n"),
            ("PROVE_LOCKING", "n"),
            ("DEBUG_ATOMIC_SLEEP", "n"),
            ("KUNIT", "n"),
            ("IOMMUFD", "n"),
            ("IOMMU_DEBUGFS", "n"),
            ("HIBERNATION", "n"),
            ("ARM64_64K_PAGES", "y"),
        ],
    ),
    linked(config(
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
    )),
    config("arm", Arch::Arm, &[]),
    // Without LPAE, addresses have 32 bits.
    linked(config(
        "arm_one_cpu",
        Arch::Arm,
        &[("SMP", "n"), ("ARM_LPAE", "n")],
    )),
];

/// The directory of the kernel's own modules. Others are in `extra` or `updates`.
const INSTALLED: &str = "kernel";

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let mut rows = built_in(bench);
    let with = |what: &str| {
        let name = format!("in-tree-built-in-{what}");
        Setup::new(&name, Driver::Rust).system(System::BuiltIn)
    };
    rows.extend(storage::board_rows(bench, with("storage")));
    rows.extend(pcie::board_rows(bench, with("pcie"))?);
    rows.push(hibernate::built_in(bench));
    rows.extend(module(bench));
    rows.extend(CONFIGS.into_iter().map(|config| {
        let name = format!("in-tree-config::{}", config.name);
        bench.row(name, move |b| Provision::try_config(&b.paths, &config))
    }));
    Ok(rows)
}

fn built_in(bench: &Arc<Bench>) -> Vec<Trial> {
    let append = format!("ipmmu_vmsa.allow={} {TELL_DEFERRALS}", DMACS.join(","));
    let setup = Setup::new("in-tree-built-in", Driver::Rust)
        .system(System::BuiltIn)
        .append(&append);
    let board = Fixture::new(bench, setup, |_| Ok(()));
    let kunit_setup = Setup::new("in-tree-built-in-kunit", Driver::Rust)
        .system(System::BuiltIn)
        .append("kunit.enable=1 kunit.autorun=1");
    let kunit = Fixture::new(bench, kunit_setup, |_| Ok(()));
    // The row also applies to the C driver.
    let setup = Setup::new("in-tree-built-in-c", Driver::C)
        .prr(UNKNOWN_SOC)
        .append(TELL_DEFERRALS);
    let c = Fixture::new(bench, setup, |_| Ok(()));
    vec![
        c.row("nothing_waits_in_circles", nothing_waits_in_circles),
        board.row("boot_and_bind", rust_driver::boot_and_bind),
        board.row("nothing_waits_in_circles", nothing_waits_in_circles),
        board.row("dma_through_two_ipmmus", dma_through_two_ipmmus),
        board.row("unmapped_access_faults", unmapped_access_faults),
        board.row("suspend_with_channels", sleep::sleep_and_compare),
        kunit.row("suites", kunit::suites),
    ]
}

fn module(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("in-tree-module", Driver::Rust)
        .system(System::InTree)
        .append(install::PATIENT);
    let board = Fixture::new(bench, setup, install::autoload);
    let setup = Setup::new("in-tree-module-kunit", Driver::Rust)
        .system(System::InTree)
        .append("kunit.enable=1 kunit.autorun=1");
    let kunit = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    vec![
        board.row("it_is_the_kernels_own", it_is_the_kernels_own),
        board.row("boot_and_bind", rust_driver::boot_and_bind),
        board.row("dma_through_two_ipmmus", dma_through_two_ipmmus),
        board.row("unmapped_access_faults", unmapped_access_faults),
        board.row("suspend_with_channels", sleep::sleep_and_compare),
        board.row("rmmod_with_a_client_is_refused", |b| {
            rmmod_is_refused(b, dma_through_two_ipmmus)
        }),
        kunit.row("suites", kunit::suites),
    ]
}

/// Fails unless the only module is where the kernel's tree installs it, and the kernel does not
/// regard it as an out-of-tree module.
fn it_is_the_kernels_own(board: &mut Board) -> Result<()> {
    let found = board.sh("cd /lib/modules/$(uname -r); find . -name 'ipmmu*vmsa*.ko*'")?;
    let wanted = format!("./{INSTALLED}/{HOME}/ipmmu_vmsa.ko");
    ensure!(found.trim() == wanted, "installed are {found}");
    let taint = board.sh("cat /sys/module/ipmmu_vmsa/taint")?;
    ensure!(taint.trim().is_empty(), "it taints the kernel: {taint}");
    Ok(())
}

/// Fails if probes are deferred again and again. A cache may wait for its root, and a client for
/// both, as drivers are tried in link order, and devices in the order of the device tree.
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
    let ipmmus = board.hardware.ipmmus.iter().map(|(_, device)| (*device, 1));
    let hosts = MMC_HOSTS.iter().map(|host| host.device);
    let clients = DMACS.into_iter().chain(hosts).map(|device| (device, 2));
    for (device, most) in ipmmus.chain(clients) {
        let times = waits(device);
        ensure!(times <= most, "{device} waited {times} times");
    }
    let waiting = board.sh("cat /sys/kernel/debug/devices_deferred")?;
    ensure!(!waiting.contains("iommu"), "still waiting: {waiting}");
    Ok(())
}
