// SPDX-License-Identifier: GPL-2.0
//! The packages for Debian's own kernel: the module fits that kernel, and works on a board that
//! runs Debian 13 from the eMMC.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::complaints;
use super::debian_install::INSTALLER;
use super::{Bench, Fixture};
use crate::board::cards::{self, EMMC, MMC_HOSTS};
use crate::board::dtb::Dtb;
use crate::board::{Board, Driver, Setup, System};
use crate::exec::capture;
use crate::provision::debian::{self, INITRAMFS};

/// The module that udev loads for devices behind an IPMMU, and one that it depends on.
const CLIENTS: [&str; 2] = ["renesas_sdhi_internal_dmac", "tmio_mmc_core"];

/// The module in the package.
const MODULE: &str = "updates/ipmmu_vmsa.ko.xz";
const IN_INITRAMFS_TOOLS: &str = "/usr/share/initramfs-tools/";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let row =
        |name: &str, work: fn(&Bench) -> Result<()>| bench.row(format!("debian::{name}"), work);
    let setup = Setup::new("debian", Driver::Rust)
        .system(System::Debian)
        .append("root=LABEL=debian rw init=/ipmmu/tests/debian-init maxcpus=4")
        .dtb(Dtb::place(&bench.paths, "debian"))
        .cards()
        .emmc(EMMC.image(&bench.paths, INSTALLER));
    let board = Fixture::new(bench, setup, |_| Ok(()));
    let paths = bench.paths.clone();
    vec![
        row("package_builds", package_builds),
        row("lintian_is_silent", |b| {
            debian::lintian(&b.paths, &debian::packages(&b.paths)?)
        }),
        row("symbols_match", symbols_match),
        board.row("boots_on_debians_kernel", boots_on_debians_kernel),
        board.row("initramfs_loads_the_driver", initramfs_loads_the_driver),
        board.row("dma_and_suspend", dma_and_suspend),
        board.row("suspend_while_writing", |b| {
            super::storage::write_through_suspends(b, &hosts())
        }),
        board.row("removal_leaves_nothing", |b| {
            b.test("debian-remove.sh").map(drop)
        }),
        board.row("file_systems_are_clean", move |b| {
            b.test(&format!("storage-load.sh umount {}", hosts()))?;
            b.sh("sync; mount -o remount,ro /")?;
            for host in &MMC_HOSTS {
                cards::check(&host.image(&paths, "debian")).context(host.label)?;
            }
            Ok(())
        }),
    ]
}

fn hosts() -> String {
    MMC_HOSTS.map(|h| h.device).join(" ")
}

fn dpkg_deb(option: &str, package: &Path) -> Result<String> {
    capture(Command::new("dpkg-deb").arg(option).arg(package))
}

/// Checks the two packages of `make deb`: files, owners, fields, module aliases and dependencies.
fn package_builds(bench: &Bench) -> Result<()> {
    let built = debian::packages(&bench.paths)?;
    let [modules, initramfs]: [PathBuf; 2] = built
        .try_into()
        .map_err(|b| anyhow::anyhow!("there should be two: {b:?}"))?;
    let expected = [(&modules, MODULE.to_owned())]
        .into_iter()
        .chain(INITRAMFS.map(|file| (&initramfs, format!("{IN_INITRAMFS_TOOLS}{file}"))));
    for (package, file) in expected {
        let listed = dpkg_deb("--contents", package)?;
        let found = listed.lines().any(|l| l.ends_with(&file));
        ensure!(found, "{} has no {file}", package.display());
        ensure!(
            listed.lines().all(|l| l.contains(" root/root ")),
            "files of somebody else are in it:\n{listed}"
        );
        let texts = dpkg_deb("--field", package)?;
        ensure!(!has_blanks(&texts), "{texts}");
    }
    let dir = tempfile::tempdir()?;
    let mut extract = Command::new("dpkg-deb");
    capture(extract.arg("-x").arg(&modules).arg(dir.path()))?;
    let of_kernels = dir.path().join("usr/lib/modules");
    let release = only_name_in(&of_kernels)?;
    let mut modinfo = Command::new("/sbin/modinfo");
    let module = of_kernels.join(&release).join(MODULE);
    let aliases = capture(modinfo.args(["-F", "alias"]).arg(module))?;
    ensure!(
        aliases.contains("Crenesas,ipmmu-r8a7795"),
        "the device tree does not lead to it: {aliases}"
    );
    let depends = dpkg_deb("--field", &modules)?;
    ensure!(
        depends.contains(&format!("linux-image-{release} (= ")),
        "it is not for one kernel: {depends}"
    );
    Ok(())
}

/// Returns whether a placeholder was not filled in.
fn has_blanks(text: &str) -> bool {
    ["@RELEASE@", "@VERSION@", "@KERNEL_VERSION@", "@MAINTAINER@"]
        .iter()
        .any(|word| text.contains(word))
}

fn only_name_in(dir: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    match &names[..] {
        [name] => Ok(name.clone()),
        _ => bail!("{} has {names:?}", dir.display()),
    }
}

/// Fails unless the module fits Debian's kernel, including the Rust symbols that it imports.
fn symbols_match(bench: &Bench) -> Result<()> {
    let found = debian::agreement(&bench.paths)?;
    ensure!(found.rust_imports > 0, "it needs nothing of Rust's");
    let report = bench.paths.report().join("debian.json");
    fs::write(report, serde_json::to_vec_pretty(&found)?)?;
    Ok(())
}

/// Fails unless the board runs Debian's kernel, with Debian's module for the MMC hosts, and with
/// this driver, from the installed package, for the IPMMUs.
fn boots_on_debians_kernel(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    let release = board.sh("uname -r")?;
    ensure!(
        release.trim().ends_with("+deb13-arm64"),
        "this is {release}"
    );
    let version = board.sh("cat /proc/version")?;
    ensure!(
        version.contains(" Debian 7.3"),
        "this is not Debian's kernel: {version}"
    );
    let modules = board.sh("cat /proc/modules")?;
    for module in ["ipmmu_vmsa", "renesas_sdhi_internal_dmac"] {
        let there = modules
            .lines()
            .any(|l| l.starts_with(&format!("{module} ")));
        ensure!(there, "{module} is not loaded:\n{modules}");
    }
    let package =
        board.sh("dpkg-query -W -f '${db:Status-Status}' ipmmu-vmsa-modules-$(uname -r)")?;
    ensure!(package.trim() == "installed", "the package is {package}");
    board.new_messages()?;
    let complaints = complaints(&board.klog);
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

/// Fails unless the driver was loaded before udev began, and thus before the driver of the eMMC.
fn initramfs_loads_the_driver(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    let line = |text: &str| {
        let found = board.klog.lines().position(|l| l.contains(text));
        found.with_context(|| format!("nothing was said of \"{text}\""))
    };
    let ipmmu = line(": root, 6 contexts")?;
    let card = line("mmcblk")?;
    let mounted = line("mounted filesystem")?;
    ensure!(
        ipmmu < card && card < mounted,
        "the IPMMU was found in line {ipmmu}, cards in {card}, mounted in {mounted}"
    );
    // The kernel lists the latest module first.
    let modules = board.sh("cut -d ' ' -f 1 /proc/modules")?;
    let place = |name: &str| {
        let found = modules.lines().position(|l| l == name);
        found.with_context(|| format!("{name} is not loaded:\n{modules}"))
    };
    for client in CLIENTS {
        ensure!(
            place(client)? < place("ipmmu_vmsa")?,
            "{client} was loaded before the driver:\n{modules}"
        );
    }
    let root = board.sh("cat /sys/bus/platform/devices/ee140000.mmc/iommu_group/type")?;
    ensure!(
        root.trim() == "DMA",
        "the eMMC is in a group of type {root}"
    );
    Ok(())
}

/// Expects that files are read back from the cards as written, through the IPMMU, before and after
/// a suspend in which the SoC loses its registers.
fn dma_and_suspend(board: &mut Board) -> Result<()> {
    files_through_the_ipmmu(board)?;
    let before = board.registers()?;
    for host in &MMC_HOSTS {
        before
            .context_of("ipmmu_ds1", host.utlb)
            .with_context(|| format!("uTLB {} is not enabled", host.utlb))?;
    }
    board.suspend_and_compare()?;
    files_through_the_ipmmu(board)
}

fn files_through_the_ipmmu(board: &mut Board) -> Result<()> {
    let before = board.count("ipmmu_ds1", "translations")?;
    let ktap = board.test(&format!("storage.sh {}", hosts()))?;
    let translations = board.count("ipmmu_ds1", "translations")? - before;
    let blocks = 2 * ktap.sum("bytes") / 512;
    ensure!(blocks > 0, "nothing was written");
    ensure!(translations >= blocks, "{translations} of {blocks} blocks");
    ensure!(board.count("ipmmu_mm", "faults")? == 0, "there were faults");
    Ok(())
}
