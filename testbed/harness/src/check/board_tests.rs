// SPDX-License-Identifier: GPL-2.0
//! The archive of tests for real boards, run on the emulated board through its serial console.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::Bench;
use super::vfio::{self, EDU, TRUSTED};
use crate::board::cards::MMC_HOSTS;
use crate::board::console::Output;
use crate::board::guest::DMACS;
use crate::board::ktap::Ktap;
use crate::board::registers::IPMMUS;
use crate::board::unkind::{OFF_PASSES, called};
use crate::board::{Board, Driver, Setup, groups};
use crate::paths::Paths;
use crate::provision::{Provision, with_file};

/// Some of the tests that must have run and passed.
const DONE: [&str; 9] = [
    "modprobe ipmmu_vmsa",
    "registers before the driver",
    "one report",
    "core",
    "sleeps and wakes",
    "mem, the 2. time",
    "ee140000.mmc was written to meanwhile",
    "DMA goes where it may, in one address space after the other",
    "no IPMMU complained but of the fault that was asked for",
];
const CYCLES: u32 = 2;
const ROOT: &str = IPMMUS[0].1;

/// Limit for the next mark in the board's output: for a suite, on a busy machine.
const ROUND: Duration = Duration::from_secs(300);

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let row = |name: &str, work: fn(&Bench) -> Result<()>| {
        bench.row(format!("{}::{name}", called("board_tests")), work)
    };
    vec![
        row("archive_runs", archive_runs),
        row("nothing_is_written_unasked", nothing_is_written),
        row("what_is_not_translated_is_skipped", not_translated),
        row("a_lost_register_is_noticed", lost_register),
        row("a_context_that_is_off_is_asked", off_is_asked),
    ]
}

/// Returns a board with the archive unpacked. This driver is not loaded.
fn board(bench: &Bench, name: &str, driver: Driver) -> Result<Board> {
    board_with(bench, name, driver, "")
}

/// Returns a board with the archive unpacked, and with `append` on the kernel's command line.
fn board_with(bench: &Bench, name: &str, driver: Driver, append: &str) -> Result<Board> {
    let paths = &bench.paths;
    let archive = Provision::board_tests(paths, &bench.provision.kernel)?;
    let image = paths.build().join("images").join(format!("{name}.cpio.gz"));
    fs::create_dir_all(paths.build().join("images"))?;
    let target = Path::new("root/tests.tar.gz");
    with_file(&bench.provision.initramfs, &archive, target, &image)?;
    let mut setup = Setup::new(name, driver)
        .append(&format!(
            "kunit.enable=1 kunit.autorun=1 {TRUSTED} {append}"
        ))
        .cards()
        // As on real boards.
        .autosuspend();
    if driver == Driver::Rust {
        setup = setup.dtb(vfio::device_tree(bench)?).pcie(&[EDU]);
    }
    setup.initramfs = Some(image);
    let mut board = Board::boot(&bench.provision, &setup)?;
    board.sh("cd /root && tar -xzf tests.tar.gz")?;
    Ok(board)
}

fn archive_runs(bench: &Bench) -> Result<()> {
    let mut board = board(bench, "board-tests", Driver::Rust)?;
    let options = format!("--wake external --cycles {CYCLES} --scratch ee140000.mmc");
    let text = attended(&mut board, &options, |_| Ok(()))?.text;
    keep(&bench.paths, "board-tests", &text)?;
    let ktap = Ktap::parse(&text).judge()?;
    ensure!(ktap.skipped.is_empty(), "skipped {:?}", ktap.skipped);
    for case in DONE {
        ensure!(ktap.passed.iter().any(|p| p == case), "{case} did not run");
    }
    let fact = |key: &str| ktap.facts.iter().find(|(k, _)| k == key);
    let lost = fact("IMUASID.survived").map(|(_, v)| v.as_str());
    ensure!(lost == Some("no"), "a register survived: {lost:?}");
    board.expect_clean()
}

/// Expects that the tests by default write to no card, and suspend only if something can wake the
/// board. The tests also run with the C driver, as here.
fn nothing_is_written(bench: &Bench) -> Result<()> {
    let mut board = board(bench, "board-tests-unasked", Driver::C)?;
    let image = |host: usize| MMC_HOSTS[host].image(&bench.paths, &called("board-tests-unasked"));
    let before = [fs::read(image(0))?, fs::read(image(1))?];
    let text = attended(&mut board, "", |_| Ok(()))?.text;
    keep(&bench.paths, "board-tests-unasked", &text)?;
    let ktap = Ktap::parse(&text).judge()?;
    for suite in ["firmware", "writing", "freeze", "mem"] {
        ensure!(
            ktap.skipped.iter().any(|s| s == suite),
            "{suite} was not skipped"
        );
    }
    let card = MMC_HOSTS[0].device;
    ensure!(was_read(&ktap, card), "{card} was not read");
    for (host, before) in before.iter().enumerate() {
        ensure!(
            *before == fs::read(image(host))?,
            "{} was written to",
            MMC_HOSTS[host].device
        );
    }
    board.expect_clean()
}

/// Expects that tests of an untranslated MMC host are skipped: its DMA bypasses the IPMMU.
fn not_translated(bench: &Bench) -> Result<()> {
    // The card's host has 32-bit addresses, and the test kernel has no bounce buffers for it.
    let append = "mem=512M";
    let mut board = board_with(bench, "board-tests-untranslated", Driver::Rust, append)?;
    board.load_driver(&[])?;
    let [card, emmc] = MMC_HOSTS.map(|host| host.device);
    let clients = board.hardware.clients();
    let (driver, _) = clients
        .iter()
        .find(|(_, device)| *device == card)
        .context("the card's host is no client")?;
    board.sh(&format!(
        "echo {card} > {driver}/unbind && \
         echo identity > {driver}/../../devices/{card}/iommu_group/type && \
         echo {card} > {driver}/bind"
    ))?;
    // Waits until both hosts have a block device.
    for host in [card, emmc] {
        board.sh(&format!(
            ". /tests/storage-lib.sh; block_device {host} | grep ."
        ))?;
    }
    let mut text = String::new();
    for suite in ["reading", "writing", "mem"] {
        let options = format!("--only {suite} --scratch {card} --wake external --cycles 1");
        let output = attended(&mut board, &options, |_| Ok(()))?.text;
        let ktap = Ktap::parse(&output).judge()?;
        text += &output;
        keep(&bench.paths, "board-tests-untranslated", &text)?;
        ensure!(
            ktap.skipped.iter().any(|s| s.starts_with(card)),
            "{suite} took {card} for translated"
        );
        ensure!(
            suite != "reading" || was_read(&ktap, emmc),
            "{emmc} was not read"
        );
    }
    board.expect_clean()
}

/// Returns whether the test that reads the card of `host` passed without being skipped.
fn was_read(ktap: &Ktap, host: &str) -> bool {
    let case = format!("{host} (");
    let has = |names: &[String]| names.iter().any(|name| name.starts_with(&case));
    has(&ktap.passed) && !has(&ktap.skipped)
}

/// Expects the tests to fail on hardware that discards a write at resume.
fn lost_register(bench: &Bench) -> Result<()> {
    let mut board = board(bench, "board-tests-lost", Driver::Rust)?;
    attended(&mut board, "--only firmware", |_| Ok(()))?;
    board.wait_for_channels(&DMACS)?;
    let register = format!("IMTTLBR0({})", context_of(&mut board, DMACS[0])?);
    let output = attended(
        &mut board,
        "--only mem --cycles 1 --wake external",
        |board| board.set_ipmmu("ipmmu_mm", "discard-writes", json!(register)),
    )?;
    keep(&bench.paths, "board-tests-lost", &output.text)?;
    ensure!(output.code == 1, "run.sh gave {}", output.code);
    let ktap = Ktap::parse(&output.text);
    for case in [
        "registers are what they were",
        "the hardware took every register back",
        "DMA goes on",
        "mem",
    ] {
        ensure!(ktap.failed.iter().any(|f| f == case), "{case} did not fail");
    }
    Ok(())
}

/// Expects the suite to find out whether a context that is off passes DMA: at first it does not,
/// and then it does.
fn off_is_asked(bench: &Bench) -> Result<()> {
    let mut board = board(bench, "board-tests-silicon", Driver::Rust)?;
    attended(&mut board, "--only firmware", |_| Ok(()))?;
    board.wait_for_channels(&DMACS)?;
    // Its context goes off.
    groups::change_type(&mut board, DMACS[2], "identity")?;
    let mut text = String::new();
    for (words, passes) in [("", "no"), (OFF_PASSES, "yes")] {
        for ipmmu in ["ipmmu_mm", "ipmmu_ds0"] {
            board.set_ipmmu(ipmmu, "unkind", json!(words))?;
        }
        let output = attended(&mut board, "--only silicon", |_| Ok(()))?.text;
        text += &output;
        keep(&bench.paths, "board-tests-silicon", &text)?;
        let ktap = Ktap::parse(&output).judge()?;
        ensure!(ktap.skipped.is_empty(), "skipped {:?}", ktap.skipped);
        let told = ktap.facts.iter().find(|(key, _)| key == "off.passes");
        let told = told.map(|(_, value)| value.as_str());
        ensure!(
            told == Some(passes),
            "off.passes is {told:?} with {words:?}"
        );
    }
    board.dma_briefly(&DMACS)?;
    board.expect_clean()
}

/// Returns the context of a client's group, from debugfs, which also works while its IPMMU sleeps.
fn context_of(board: &mut Board, client: &str) -> Result<u32> {
    let contexts = board.sh(&format!("cat /sys/kernel/debug/ipmmu/{ROOT}/contexts"))?;
    let mut each = contexts.split("context ");
    let number = each
        .find(|context| context.contains(client))
        .and_then(|context| context.split_once(':')?.0.parse().ok());
    number.with_context(|| format!("{client} is not in {contexts}"))
}

/// Runs the archive, and wakes the board on its request, from `mem` after calling `while_asleep`.
fn attended(
    board: &mut Board,
    options: &str,
    while_asleep: impl Fn(&mut Board) -> Result<()>,
) -> Result<Output> {
    board.qmp.forget_events()?;
    let number = board
        .console
        .start(&format!("/root/ipmmu-tests/run.sh {options}"))?;
    let end = format!("@@agent {number} ");
    let marks = ["# wake me from freeze", "# wake me from mem", &end];
    let mut text = String::new();
    loop {
        let (which, before) = board.console.wait_for_any(&marks, ROUND)?;
        text += &before;
        match which {
            0 => {
                let second = Duration::from_secs(1);
                text += &board.console.type_until("# awake", second, ROUND)?;
            }
            1 => {
                board.wait_suspend(ROUND)?;
                while_asleep(board)?;
                board.qmp.wake()?;
            }
            _ => return board.console.end_of(text, ROUND),
        }
    }
}

/// Writes the output to the directory of the logs.
fn keep(paths: &Paths, name: &str, text: &str) -> Result<()> {
    let log = paths.log().join(format!("{name}.ktap.log"));
    Ok(fs::write(log, text)?)
}
