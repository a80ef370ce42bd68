// SPDX-License-Identifier: GPL-2.0
//! The board on which drivers are measured, and the functions that are counted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::board::calls::Calls;
use crate::board::dtb::{Dtb, node_of};
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};
use crate::check::c_driver::UNKNOWN_SOC;
use crate::check::groups::OTHERS;
use crate::provision::Provision;

/// The device for mappings and attaches. No driver is bound to it.
pub const CLIENT: &str = "fea27000.fcp";

/// The micro-TLB of [`CLIENT`]. Micro-TLB 0 costs one more flush, see [`WITH_UTLB_0`].
pub const CLIENT_UTLB: u32 = 1;

/// Another device without a driver, with micro-TLB 0, which this driver flushes in addition to the
/// context.
pub const WITH_UTLB_0: &str = MASTERS[2].0;

/// The device that causes faults.
pub const FAULTY: &str = DMACS[0];

/// A device for each context that this driver has for groups, with its cache and its number of
/// micro-TLBs. Each has a cache of its own, as the C driver has one context for a cache.
pub const MASTERS: [(&str, &str, u32); 6] = [
    (CLIENT, "ipmmu_hc", 1),
    (FAULTY, "ipmmu_ds0", 16),
    ("fea2f000.fcp", "ipmmu_ds1", 2),
    ("fe950000.fcp", "ipmmu_mp0", 8),
    ("fe9af000.fcp", "ipmmu_vi1", 32),
    ("fe951000.fcp", "ipmmu_vp0", 48),
];

/// Returns the name of a driver in reports.
pub fn name_of(driver: Driver) -> &'static str {
    match driver {
        Driver::Rust => "this driver",
        Driver::C => "C driver",
    }
}

/// Returns the IPMMUs that [`MASTERS`] do not use.
pub fn idle() -> impl Iterator<Item = &'static str> {
    let used = |label: &str| MASTERS.iter().any(|(_, of, _)| *of == label);
    let caches = IPMMUS.iter().skip(1).map(|(label, _)| *label);
    caches.filter(move |label| !used(label))
}

/// Returns the address of an IPMMU's registers.
pub fn base_of(ipmmu: &str) -> u64 {
    let device = IPMMUS.iter().find(|(label, _)| *label == ipmmu);
    let address = device.and_then(|(_, device)| device.split('.').next());
    address.map_or(0, |a| u64::from_str_radix(a, 16).unwrap_or(0) & !0xffff)
}

/// Functions of the drivers that are called from outside: by the IOMMU core, by the driver core,
/// and on an interrupt. Each has a name, its symbol in the C driver, and a part of its symbol in
/// this driver.
///
/// A name with "-" is counted apart from the functions that call it. Several functions may have it.
const FUNCTIONS: [(&str, &str, &str); 13] = [
    ("map", "ipmmu_map", "IommuOpsE9map_pages"),
    ("unmap", "ipmmu_unmap", "IommuOpsE11unmap_pages"),
    ("sync", "ipmmu_iotlb_sync", "IommuOpsE10iotlb_sync"),
    (
        "flush",
        "ipmmu_flush_iotlb_all",
        "IommuOpsE15flush_iotlb_all",
    ),
    ("attach", "ipmmu_attach_device", "IommuOpsE10attach_dev"),
    (
        "detach",
        "ipmmu_iommu_identity_attach",
        "IommuOpsE19identity_attach_dev",
    ),
    (
        "alloc",
        "ipmmu_domain_alloc_paging",
        "IommuOpsE19domain_alloc_paging",
    ),
    ("free", "ipmmu_domain_free", "IommuOpsE4free"),
    ("irq", "ipmmu_irq", "19handle_irq_callback"),
    ("probe", "ipmmu_probe", "14probe_callback"),
    (
        "save",
        "",
        // The linker may merge these two.
        "DriverE7suspend|DriverE15runtime_suspend",
    ),
    ("restore", "ipmmu_resume_noirq", "DriverE6resume"),
    ("-verify", "", "6verify"),
];

/// Functions of the kernel. Those of page tables are counted where no driver calls them. The last
/// one, which goes through all devices of the system, is counted wherever it is called.
const KERNEL: [(&str, &str); 5] = [
    ("bare_map", "arm_lpae_map_pages"),
    ("bare_unmap", "arm_lpae_unmap_pages"),
    ("table", "alloc_io_pgtable_ops"),
    ("table_free", "free_io_pgtable_ops"),
    ("-register", "iommu_device_register"),
];

/// Functions that a profile shows apart, because they call many others.
const APART: [(&str, &str); 7] = [
    ("-link", "device_link_add"),
    ("-debugfs_dir", "debugfs_create_dir"),
    ("-debugfs_file", "debugfs_create_file_full"),
    ("-sysfs", "iommu_device_sysfs_add"),
    ("-print", "_dev_printk"),
    ("-print_info", "_dev_info"),
    ("-irq", "request_threaded_irq"),
];

/// Returns a board with [`MASTERS`], as `change` modifies it, and with a SoC that neither driver
/// has a policy for.
pub fn setup(
    provision: &Provision,
    driver: Driver,
    name: &str,
    change: impl FnOnce(Dtb) -> Result<Dtb>,
) -> Result<Setup> {
    let dtb = change(device_tree(provision)?)?;
    Ok(Setup::new(name, driver)
        .prr(UNKNOWN_SOC)
        .dtb(dtb.into_path()))
}

/// Boots with `driver`, binds all IPMMUs, and counts calls. At power-off the instructions of the
/// calls are written to `profile`, if there is one.
pub fn boot(
    provision: &Provision,
    driver: Driver,
    profile: Option<&Path>,
    change: impl Fn(Setup) -> Setup,
) -> Result<(Board, Calls)> {
    let paths = &provision.paths;
    let plugins = provision
        .plugins
        .as_ref()
        .context("counting needs the testbed's QEMU: there is no plugin for that of QEMU=")?;
    let name = match driver {
        Driver::C => "bench-c",
        Driver::Rust => "bench-rust",
    };
    let calls = Calls::new(paths, name);
    let symbols = fs::read_to_string(provision.kernel.kdir.join("System.map"))?;
    let apart: &[_] = if profile.is_some() { &APART } else { &[] };
    calls.count(&kernel_functions(&symbols, driver, apart)?)?;
    let setup = change(
        setup(provision, driver, name, Ok)?.plugin(calls.argument(&plugins.calls(), profile)),
    );
    let mut board = Board::boot(provision, &setup)?;
    board.sh("modprobe iommu_bench")?;
    let lap = board.address_in_module("iommu_bench", "iommu_bench_lap")?;
    calls.count(&[("lap".into(), lap)])?;
    // Called before the module is loaded, which must have the same address twice.
    board.name_soc()?;
    let functions = match driver {
        Driver::C => Vec::new(),
        Driver::Rust => find_functions(&mut board)?,
    };
    calls.count(&functions)?;
    board.load_driver(&[])?;
    board.expect_bound_except(&[])?;
    if driver == Driver::Rust {
        let now = module_functions(&mut board)?;
        ensure!(
            now == functions,
            "the module has another address than before"
        );
    }
    Ok((board, calls))
}

/// Loads this driver with nothing to bind to, finds the addresses of its functions, and unloads it.
/// The next load is counted from the first probe on.
fn find_functions(board: &mut Board) -> Result<Vec<(String, u64)>> {
    const AUTOPROBE: &str = "/sys/bus/platform/drivers_autoprobe";
    board.sh(&format!("echo 0 > {AUTOPROBE} && modprobe ipmmu_vmsa"))?;
    let functions = module_functions(board)?;
    board.unload_driver()?;
    board.sh(&format!("echo 1 > {AUTOPROBE}"))?;
    Ok(functions)
}

fn module_functions(board: &mut Board) -> Result<Vec<(String, u64)>> {
    let mut functions = Vec::new();
    for (name, _, part) in FUNCTIONS {
        let addresses = board.addresses_in_module("ipmmu_vmsa", part)?;
        ensure!(
            addresses.len() == 1 || name.starts_with('-'),
            "{} functions are {part}",
            addresses.len()
        );
        functions.extend(addresses.into_iter().map(|a| (name.to_owned(), a)));
    }
    Ok(functions)
}

fn kernel_functions(
    symbols: &str,
    driver: Driver,
    apart: &[(&'static str, &'static str)],
) -> Result<Vec<(String, u64)>> {
    let c = FUNCTIONS.iter().map(|(name, symbol, _)| (*name, *symbol));
    let c = c.filter(|(_, symbol)| driver == Driver::C && !symbol.is_empty());
    c.chain(KERNEL)
        .chain(apart.iter().copied())
        .map(|(name, symbol)| {
            let address = symbols
                .lines()
                .filter_map(|line| line.split_once(' '))
                .find(|(_, rest)| rest.split_once(' ').is_some_and(|(_, s)| s == symbol))
                .with_context(|| format!("the kernel has no function {symbol}"))?;
            Ok((name.to_owned(), u64::from_str_radix(address.0, 16)?))
        })
        .collect()
}

/// Returns the board's device tree, with [`MASTERS`] behind IPMMUs, and nothing else.
fn device_tree(provision: &Provision) -> Result<Dtb> {
    let paths = &provision.paths;
    let mut dtb = Dtb::copy(paths, &provision.kernel.dtb(), "bench")?;
    for (node, property) in OTHERS {
        dtb = dtb.delete(&format!("/soc/{node}"), property)?;
    }
    for device in [DMACS[1], DMACS[2], "ee100000.mmc", "ee140000.mmc"] {
        dtb = dtb.delete(&node_of(device), "iommus")?;
    }
    let (client, cache, _) = MASTERS[0];
    dtb.put_behind(&MASTERS)?
        .put_one_behind(client, cache, &[CLIENT_UTLB])
}
