// SPDX-License-Identifier: GPL-2.0
//! Hibernation to a card behind an IPMMU, with all its outcomes, including failures.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;

use super::common::{TWO_IPMMUS, complaints};
use super::{Bench, Fixture};
use crate::board::cards::MMC_HOSTS;
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup, System};

const LIMIT: Duration = Duration::from_secs(240);

/// Limits the size of images: they contain all memory in use, much of which describes memory.
const LITTLE_MEMORY: &str = "mem=256M";

/// The size in KiB of a swap area that is too small for any image.
const SMALL: u32 = 1024;

/// The levels of /sys/power/pm_test. Each goes further than the previous one.
const STAGES: [&str; 5] = ["freezer", "devices", "platform", "processors", "core"];

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("hibernate", Driver::Rust)
        .refuses_when_off()
        .cards()
        .append(LITTLE_MEMORY);
    let board = Fixture::new(bench, setup.clone(), |b| b.load_driver(&DMACS));
    let again = Again {
        bench: bench.clone(),
        setup,
    };
    let more = again.clone();
    let both = again.clone();
    let reboot = again.clone();
    let refused = again.clone();
    let less = again.clone();
    vec![
        board.row("turns_around_at_each_stage", turns_around),
        board.row("fails_without_swap", |b| {
            unchanged(b, |b| expect_refusal(b, "shutdown"))
        }),
        board.row("fails_halfway_without_room", without_room),
        board.row("image_is_read_back_at_once", |b| {
            with_swap(b, |b| {
                unchanged(b, |b| b.hibernate("test_resume").map(drop))
            })
        }),
        board.row("power_off_and_resume_on_a_fresh_board", move |b| {
            with_swap(b, |b| unchanged(b, |b| again.power_off(b, &DMACS)))
        }),
        board.row("resumed_by_a_kernel_that_translates_less", move |b| {
            with_swap(b, |b| unchanged(b, |b| less.power_off(b, &[])))
        }),
        board.row("resumed_by_a_kernel_that_translates_more", move |b| {
            more.start_anew(b, &[])?;
            with_swap(b, |b| unchanged(b, |b| more.power_off(b, &DMACS)))?;
            more.start_anew(b, &DMACS)
        }),
        board.row("a_device_refuses_the_image", move |b| refused.refuse(b)),
        board.row("reboot_and_resume", move |b| {
            with_swap(b, |b| unchanged(b, |b| reboot.reboot(b)))
        }),
        board.row("suspend_to_both_and_wake", |b| {
            with_swap(b, |b| unchanged(b, both_and_wake))
        }),
        board.row("suspend_to_both_and_lose_power", move |b| {
            with_swap(b, |b| unchanged(b, |b| both.lose_power(b)))
        }),
    ]
}

/// Returns the row for a board whose kernel has the driver built in.
pub fn built_in(bench: &Arc<Bench>) -> Trial {
    let allow = DMACS.join(",");
    let setup = Setup::new("in-tree-built-in-hibernate", Driver::Rust)
        .system(System::BuiltIn)
        .cards()
        .append(&format!("{LITTLE_MEMORY} ipmmu_vmsa.allow={allow}"));
    let again = Again {
        bench: bench.clone(),
        setup: setup.clone(),
    };
    let board = Fixture::new(bench, setup, |_| Ok(()));
    board.row("power_off_and_resume_on_a_fresh_board", move |b| {
        with_swap(b, |b| unchanged(b, |b| again.power_off(b, &DMACS)))
    })
}

/// Returns the MMC host of the eMMC, which gets the image.
fn host() -> &'static str {
    MMC_HOSTS[1].device
}

/// Fails if `work` changes registers, breaks DMA or files, or leads to complaints or IOMMU faults.
fn unchanged(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
    board.dma_briefly(&TWO_IPMMUS)?;
    other_card(board)?;
    board.new_messages()?;
    let before = board.registers()?.in_use();
    work(board)?;
    board.expect_in_use(&before)?;
    let messages = board.new_messages()?;
    let complaints = complaints(&messages);
    ensure!(complaints.is_empty(), "{complaints:#?}");
    board.dma_briefly(&TWO_IPMMUS)?;
    other_card(board)?;
    board.expect_in_use(&before)?;
    ensure!(board.count("ipmmu_mm", "faults")? == 0, "there were faults");
    Ok(())
}

/// Writes and reads a file on the card without the swap area.
fn other_card(board: &mut Board) -> Result<()> {
    let host = MMC_HOSTS[0].device;
    board
        .sh(&format!("SIZE=1 /tests/storage.sh {host}"))
        .map(drop)
}

fn with_swap(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<()> {
    board.sh(&format!("/tests/swap.sh on {}", host()))?;
    work(board)?;
    board
        .sh(&format!("/tests/swap.sh off {}", host()))
        .map(drop)
}

fn turns_around(board: &mut Board) -> Result<()> {
    board.sh("echo 0 > /sys/module/hibernate/parameters/pm_test_delay")?;
    for stage in STAGES {
        board.sh(&format!("echo {stage} > /sys/power/pm_test"))?;
        let done = unchanged(board, |b| b.hibernate("shutdown").map(drop));
        board.sh("echo none > /sys/power/pm_test")?;
        done.with_context(|| format!("turned around at stage {stage}"))?;
    }
    Ok(())
}

fn expect_refusal(board: &mut Board, mode: &str) -> Result<()> {
    board.sh(&format!("echo {mode} > /sys/power/disk"))?;
    let output = board.try_sh("echo disk > /sys/power/state")?;
    ensure!(output.code != 0, "the board hibernated: {}", output.text);
    Ok(())
}

/// Hibernates with too little swap: the image is made, devices thaw, and writing it fails.
fn without_room(board: &mut Board) -> Result<()> {
    board.sh(&format!("/tests/swap.sh on {} {SMALL}", host()))?;
    let done = unchanged(board, |b| expect_refusal(b, "shutdown"));
    board.sh(&format!("/tests/swap.sh off {}", host()))?;
    done?;
    ensure!(
        board.klog.contains("saving image data"),
        "it failed before the image was written"
    );
    Ok(())
}

/// Writes the image, suspends, and wakes up without needing the image.
fn both_and_wake(board: &mut Board) -> Result<()> {
    let number = start_both(board)?;
    board.qmp.wake()?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "{}", output.text);
    Ok(())
}

fn start_both(board: &mut Board) -> Result<u32> {
    board.sh("echo suspend > /sys/power/disk")?;
    board.qmp.forget_events()?;
    let number = board.console.start("echo disk > /sys/power/state")?;
    board.wait_suspend(LIMIT)?;
    let asleep = board.registers()?;
    ensure!(asleep.len() == 0, "the board did not lose its registers");
    Ok(number)
}

/// A setup that boots once more, on the same cards.
#[derive(Clone)]
struct Again {
    bench: Arc<Bench>,
    setup: Setup,
}

impl Again {
    /// Writes the image and switches off. A fresh board resumes it, after its driver was loaded
    /// with `allow`.
    fn power_off(&self, board: &mut Board, allow: &[&str]) -> Result<()> {
        let number = self.write_image(board)?;
        self.resume_on_fresh_board(board, number, allow)
    }

    /// Writes the image and switches off. On a fresh board, a device fails to freeze after all
    /// IPMMUs have frozen for the image's kernel. The fresh kernel goes on.
    fn refuse(&self, board: &mut Board) -> Result<()> {
        board.sh(&format!("/tests/swap.sh on {}", host()))?;
        self.write_image(board)?;
        self.power_cycle(board)?;
        board.load_driver(&DMACS)?;
        board.expect_bound_except(&[])?;
        board.wait_for_channels(&DMACS)?;
        board.sh(&format!(
            "modprobe pm_trouble supplier_of={} fail=last:freeze_noirq",
            IPMMUS[0].1
        ))?;
        unchanged(board, |b| {
            b.sh(&format!("/tests/swap.sh resume {}", host()))?;
            let failed = b.sh("cat /sys/power/suspend_stats/last_failed_dev")?;
            ensure!(failed.trim() == "last", "{failed:?} failed");
            Ok(())
        })?;
        board.sh("rmmod pm_trouble").map(drop)
    }

    /// Boots a fresh board that resumes no image, and loads the driver with `allow`.
    fn start_anew(&self, board: &mut Board, allow: &[&str]) -> Result<()> {
        board.sh("sync")?;
        self.power_cycle(board)?;
        board.load_driver(allow)?;
        board.expect_bound_except(&[])?;
        board.wait_for_channels(&DMACS)
    }

    /// Writes the image, and waits until the board has switched itself off. Returns the number of
    /// the command, which ends after the resume.
    fn write_image(&self, board: &mut Board) -> Result<u32> {
        board.sh("echo shutdown > /sys/power/disk")?;
        board.qmp.stay_after_shutdown()?;
        board.qmp.forget_events()?;
        let number = board.console.start("echo disk > /sys/power/state")?;
        if let Err(e) = board.qmp.wait_shutdown(LIMIT) {
            let said = board.console.finish(number, Duration::from_secs(5));
            bail!("{e:#} ({said:?})");
        }
        no_guest_errors(board)?;
        Ok(number)
    }

    /// Writes the image, resets the SoC, and resumes.
    fn reboot(&self, board: &mut Board) -> Result<()> {
        board.sh("echo reboot > /sys/power/disk")?;
        let number = board.console.start("echo disk > /sys/power/state")?;
        board.console.wait_ready(LIMIT)?;
        resume(board, number, &DMACS)
    }

    /// Writes the image and suspends. The board loses power while suspended, and resumes the image.
    fn lose_power(&self, board: &mut Board) -> Result<()> {
        let number = start_both(board)?;
        no_guest_errors(board)?;
        self.resume_on_fresh_board(board, number, &DMACS)
    }

    fn resume_on_fresh_board(&self, board: &mut Board, number: u32, allow: &[&str]) -> Result<()> {
        self.power_cycle(board)?;
        resume(board, number, allow)
    }

    /// Takes the power away, and boots the same kernel again.
    fn power_cycle(&self, board: &mut Board) -> Result<()> {
        let (arch, system) = (self.setup.arch, self.setup.system);
        let provision = self.bench.provision(arch, system)?;
        board.power_cycle(provision, &self.setup)
    }
}

/// Loads the driver and resumes from the image, as boot scripts do. Waits until the command that
/// hibernated, `number`, has ended.
fn resume(board: &mut Board, number: u32, allow: &[&str]) -> Result<()> {
    board.load_driver(allow)?;
    board.expect_bound_except(&[])?;
    board.new_messages()?;
    board
        .console
        .start(&format!("/tests/swap.sh resume {}", host()))?;
    let output = board.console.finish(number, LIMIT)?;
    ensure!(output.code == 0, "{}", output.text);
    Ok(())
}

fn no_guest_errors(board: &mut Board) -> Result<()> {
    let errors = board.guest_errors()?;
    ensure!(errors == 0, "{errors} guest errors before the power went");
    Ok(())
}
