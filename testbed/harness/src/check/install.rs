// SPDX-License-Identifier: GPL-2.0
//! Installation of the module, and how modprobe, udev and initramfs-tools find it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::dma_through_two_ipmmus;
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::{Board, Driver, Setup};
use crate::exec::{Log, capture};
use crate::paths::{copy_tree, driver_sources};
use crate::provision::debian::INITRAMFS;
use crate::tree::{HOME, Tree};
use crate::ui::Step;

/// The alias that the kernel derives for the IPMMUs in the board's device tree.
const ALIAS: &str = "of:NiommuT(null)Crenesas,ipmmu-r8a7795";

/// Makes clients wait for their IPMMU without a limit, as going through all aliases takes a while.
pub const PATIENT: &str = "deferred_probe_timeout=-1";

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("install-autoload", Driver::Rust).append(PATIENT);
    let board = Fixture::new(bench, setup, |_| Ok(()));
    let row =
        |name: &str, work: fn(&Bench) -> Result<()>| bench.row(format!("install::{name}"), work);
    vec![
        row("modules_install_where_asked", modules_install),
        row("unsuitable_kernels_are_refused", unsuitable),
        row("hook_of_initramfs_tools", hook),
        row("make_adds_and_takes_away", targets),
        row("recipes_of_yocto_build_and_install", yocto),
        board.row("modaliases_find_the_driver", modaliases),
    ]
}

/// Runs `make modules_install` as a user does, into the directory `root`.
fn install(bench: &Bench, root: &Path) -> Result<()> {
    let kernel = &bench.provision.kernel;
    let module = kernel.lock_and_find_module(&bench.paths)?;
    let built = module.parent().context("the module is in no directory")?;
    let mut make = kernel.user_make(&bench.paths, built);
    make.arg("modules_install")
        .arg(format!("INSTALL_MOD_PATH={}", root.display()));
    let step = Step::new("Installing the module");
    let mut log = Log::create(&bench.paths, "modules-install")?;
    log.run(&step, "make modules_install", &mut make)?;
    step.done();
    Ok(())
}

fn modules_install(bench: &Bench) -> Result<()> {
    let root = tempfile::tempdir()?;
    install(bench, root.path())?;
    let modprobe = |what: &str| {
        let mut modprobe = Command::new("/sbin/modprobe");
        modprobe.arg("-d").arg(root.path());
        modprobe.args(["-S", &bench.provision.kernel.release, "-q"]);
        capture(modprobe.args(["--show-depends", what]))
    };
    for what in ["ipmmu_vmsa", ALIAS] {
        let found = modprobe(what).with_context(|| format!("modprobe {what}"))?;
        ensure!(
            found.contains("updates/ipmmu_vmsa.ko"),
            "modprobe {what} loads {found}"
        );
    }
    Ok(())
}

/// Runs `make` for kernels with one unsuitable property. Expects it to fail with one sentence that
/// names the property. tests/check_kernel.rs covers the other properties.
fn unsuitable(bench: &Bench) -> Result<()> {
    let kernel = &bench.provision.kernel;
    let config = fs::read_to_string(kernel.kdir.join(".config"))?;
    let ours = (config.as_str(), kernel.release.as_str(), "rustc");
    let old = tempfile::tempdir()?;
    let old = old.path().join("rustc");
    fs::write(
        &old,
        "#!/bin/sh\necho 'rustc 1.70.0 (90c541806 2023-05-31)'\n",
    )?;
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755))?;
    let old = old.to_string_lossy();
    let without = config.replace("CONFIG_RUST=y\n", "");
    for ((config, release, rustc), sentence) in [
        ((ours.0, "7.2.9", ours.2), "is Linux 7.2.9"),
        ((&without, ours.1, ours.2), "the driver needs CONFIG_RUST=y"),
        ((ours.0, ours.1, &old), "is rustc 1.70.0"),
    ] {
        let dir = tempfile::tempdir()?;
        for file in ["Makefile", "rust"] {
            symlink(kernel.kdir.join(file), dir.path().join(file))?;
        }
        fs::write(dir.path().join(".config"), config)?;
        fs::create_dir_all(dir.path().join("include/config"))?;
        fs::write(dir.path().join("include/config/kernel.release"), release)?;
        let mut make = kernel.user_make(&bench.paths, dir.path());
        make.arg(format!("KDIR={}", dir.path().display()));
        if rustc != ours.2 {
            make.arg(format!("RUSTC={rustc}"));
        }
        one_sentence(make, sentence)?;
    }
    Ok(())
}

/// Expects the hook to add the module for a kernel that has it, and nothing for another kernel.
/// Stubs replace the functions of initramfs-tools.
fn hook(bench: &Bench) -> Result<()> {
    let dir = tempfile::tempdir()?;
    install(bench, dir.path())?;
    let functions = dir.path().join("hook-functions");
    fs::write(&functions, "manual_add_modules() { echo \"add $*\"; }\n")?;
    let original = bench
        .paths
        .repo
        .join("packaging/initramfs-tools/hooks/ipmmu_vmsa");
    let text = fs::read_to_string(&original)?;
    let known = "/usr/share/initramfs-tools/hook-functions";
    ensure!(text.contains(known), "the hook does not use {known}");
    let modprobe = format!(
        "modprobe() {{ /sbin/modprobe -d {} \"$@\"; }}\n",
        dir.path().display()
    );
    let script = dir.path().join("hook");
    fs::write(
        &script,
        modprobe + &text.replace(known, &functions.to_string_lossy()),
    )?;
    let run = |argument: &str, version: &str| {
        let mut hook = Command::new("sh");
        hook.arg("-eu")
            .arg(&script)
            .arg(argument)
            .env("version", version);
        capture(&mut hook)
    };
    let release = &bench.provision.kernel.release;
    ensure!(run("prereqs", release)?.trim().is_empty(), "prereqs");
    let asked = run("", release)?;
    ensure!(asked == "add ipmmu_vmsa\n", "it asked for {asked:?}");
    let asked = run("", "1.0")?;
    ensure!(asked.is_empty(), "without a module it asked for {asked:?}");
    Ok(())
}

/// Runs `make` with the variables that OpenEmbedded's class `module` passes: KERNEL_SRC and O name
/// the kernel's source and build directories, and MODLIB is where the module is installed.
fn yocto(bench: &Bench) -> Result<()> {
    let (paths, kernel) = (&bench.paths, &bench.provision.kernel);
    let dir = tempfile::tempdir()?;
    let [top, root] = ["top", "root"].map(|d| dir.path().join(d));
    let mut files = driver_sources(&paths.repo)?;
    files.extend(["Makefile", "packaging/check-kernel"].map(|f| paths.repo.join(f)));
    for file in files {
        let copy = top.join(file.strip_prefix(&paths.repo)?);
        fs::create_dir_all(copy.parent().context("the copy is in no directory")?)?;
        fs::copy(&file, copy)?;
    }
    let step = Step::new("Building the module as a recipe of Yocto does");
    let mut log = Log::create(paths, "make-yocto")?;
    let mut run = |what: &[&str]| {
        let mut make = plain_make(&top, what);
        make.arg(format!(
            "KERNEL_SRC={}",
            fs::canonicalize(kernel.tree())?.display()
        ));
        make.arg(format!("O={}", kernel.kdir.display()));
        kernel.with_tools(&mut make);
        log.run(&step, &what.join(" "), &mut make)
    };
    run(&["KBUILD_EXTRA_SYMBOLS="])?;
    ensure!(
        top.join("Module.symvers").is_file(),
        "Module.symvers is missing"
    );
    let modlib = format!("MODLIB={}", root.display());
    run(&["DEPMOD=echo", &modlib, "modules_install"])?;
    let module = root.join("updates/ipmmu_vmsa.ko");
    ensure!(module.is_file(), "{} is missing", module.display());
    run(&["clean"])?;
    ensure!(!top.join("ipmmu_vmsa.ko").exists(), "it was not cleaned");
    step.done();
    Ok(())
}

/// Returns a `make` command for `top`, without the variables of the testbed's own `make`.
fn plain_make(top: &Path, arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.arg("-C").arg(top).args(arguments);
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "KDIR", "KSRC", "QEMU"] {
        make.env_remove(name);
    }
    make
}

/// Fills `top` with links to the checkout, except the build directory: this run has the lock there,
/// and patches there belong to the user.
fn checkout(bench: &Bench, top: &Path) -> Result<()> {
    fs::create_dir(top)?;
    for entry in fs::read_dir(&bench.paths.repo)? {
        let entry = entry?;
        if entry.path() != bench.paths.build() {
            symlink(entry.path(), top.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies the files of the kernel's source that adding the driver changes into `top`.
fn kernel_source(bench: &Bench, top: &Path) -> Result<()> {
    let original = bench.provision.kernel.tree();
    Tree::excerpt(&Tree::open(&original)?, top)?;
    fs::create_dir_all(top.join("Documentation/ABI/testing"))?;
    fs::copy(original.join("Makefile"), top.join("Makefile"))?;
    Ok(())
}

/// Runs `make` to add the driver to a kernel tree and remove it, for patches, and for the hook.
fn targets(bench: &Bench) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let [top, linux, before, root] = ["top", "linux", "before", "root"].map(|d| dir.path().join(d));
    checkout(bench, &top)?;
    kernel_source(bench, &linux)?;
    copy_tree(&linux, &before)?;
    let make = |arguments: &[&str]| plain_make(&top, arguments);
    let step = Step::new("Calling make for the driver in a tree");
    let mut log = Log::create(&bench.paths, "make-targets")?;
    let mut run = |arguments: &[&str]| log.run(&step, &arguments.join(" "), &mut make(arguments));
    let ksrc = format!("KSRC={}", linux.display());

    run(&["install-tree", &ksrc])?;
    let installed = ["Kconfig", "Makefile", "ipmmu_vmsa.rs"].map(|file| format!("{HOME}/{file}"));
    for file in installed
        .iter()
        .map(String::as_str)
        .chain(["rust/kernel/iommu/driver/mod.rs"])
    {
        ensure!(linux.join(file).is_file(), "{file} is missing");
    }
    run(&["uninstall-tree", &ksrc])?;
    same(&before, &linux)?;

    run(&["patches", &ksrc])?;
    same(&before, &linux)?;
    let patches = fs::read_dir(top.join("build/patches"))?.count();
    let texts = fs::read_dir(top.join("packaging/series"))?.count();
    ensure!(patches == texts, "{patches} patches for {texts} texts");

    run(&["install-hook", &format!("DESTDIR={}", root.display())])?;
    for file in INITRAMFS {
        let script = root.join("etc/initramfs-tools").join(file);
        let mode = fs::metadata(&script)?.permissions().mode() & 0o7777;
        ensure!(mode == 0o755, "{file} has mode {mode:o}");
    }
    step.done();
    one_sentence(
        make(&["install-tree"]),
        "KSRC= must name a kernel source tree",
    )
}

/// Fails if the two directories differ.
fn same(one: &Path, other: &Path) -> Result<()> {
    let diff = Command::new("diff").arg("-r").args([one, other]).output()?;
    let found = String::from_utf8_lossy(&diff.stdout);
    ensure!(
        diff.status.success(),
        "the kernel's source changed: {found}"
    );
    Ok(())
}

/// Fails unless `make` fails with one sentence that contains `words`.
fn one_sentence(mut make: Command, words: &str) -> Result<()> {
    let output = make.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|l| !l.starts_with("make")).collect();
    ensure!(
        !output.status.success() && lines.len() == 1 && lines[0].contains(words),
        "instead of \"{words}\": {said}"
    );
    Ok(())
}

fn modaliases(board: &mut Board) -> Result<()> {
    autoload(board)?;
    dma_through_two_ipmmus(board)
}

/// Loads the module by the modaliases of the board's devices alone, with options of modprobe.d.
pub fn autoload(board: &mut Board) -> Result<()> {
    let loaded = |board: &mut Board| board.sh("grep -c ipmmu_vmsa /proc/modules || true");
    ensure!(loaded(board)?.trim() == "0", "it was loaded before");
    let option = format!("options ipmmu_vmsa allow={}", DMACS.join(","));
    board.sh(&format!(
        "mkdir -p /etc/modprobe.d && echo {option} > /etc/modprobe.d/ipmmu.conf"
    ))?;
    board.sh("/tests/coldplug.sh")?;
    ensure!(
        loaded(board)?.trim() == "1",
        "no modalias leads to the driver"
    );
    board.expect_bound_except(&[])?;
    board.wait_for_channels(&DMACS)
}
