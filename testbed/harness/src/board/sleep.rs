// SPDX-License-Identifier: GPL-2.0
//! Suspend, resume and hibernation of the board.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Board;
use super::guest::COMMAND_LIMIT;
use super::registers::Registers;

const LIMIT: Duration = Duration::from_secs(60);
/// The interval between two queries whether the board sleeps.
const PAUSE: Duration = Duration::from_millis(20);

/// The result of a suspend.
pub struct Slept {
    /// The registers while the board slept.
    pub asleep: Registers,
}

impl Board {
    /// Suspends and resumes once. Calls `while_asleep` while the board sleeps.
    pub fn suspend(&mut self, while_asleep: impl FnOnce(&mut Self) -> Result<()>) -> Result<Slept> {
        self.sh("echo deep > /sys/power/mem_sleep")
            .context("the kernel offers no deep sleep")?;
        self.qmp.forget_events()?;
        let number = self.console.start("echo mem > /sys/power/state")?;
        self.wait_suspend(LIMIT)?;
        let asleep = self.registers()?;
        while_asleep(self)?;
        self.qmp.wake()?;
        let output = self.console.finish(number, COMMAND_LIMIT)?;
        ensure!(output.code == 0, "the suspend failed: {}", output.text);
        Ok(Slept { asleep })
    }

    /// Waits until the board sleeps. Reads the console meanwhile: QEMU buffers only a few hundred
    /// unread characters, and Xen does not sleep before it has sent its last one.
    pub fn wait_suspend(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.qmp.fell_asleep()? {
            ensure!(
                Instant::now() < deadline,
                "QEMU reported no SUSPEND within {} s",
                limit.as_secs()
            );
            self.console.listen(PAUSE)?;
        }
        Ok(())
    }

    /// Suspends and resumes once. Fails unless all registers are lost meanwhile, and all come back.
    pub fn suspend_and_compare(&mut self) -> Result<()> {
        let before = self.registers()?;
        let kept = self.suspend(|_| Ok(()))?.asleep.len();
        ensure!(
            kept == 0,
            "{kept} registers survived the sleep: the machine is at fault"
        );
        self.expect_registers(&before)
    }

    /// Hibernates in `mode`, and waits until the board is awake again: the mode must be one that
    /// returns to this board.
    pub fn hibernate(&mut self, mode: &str) -> Result<()> {
        self.sh(&format!("echo {mode} > /sys/power/disk"))?;
        self.sh("echo disk > /sys/power/state").map(drop)
    }
}
