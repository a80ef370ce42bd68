// SPDX-License-Identifier: GPL-2.0
//! Sleeping and waking.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Board;
use super::guest::COMMAND_LIMIT;
use super::registers::Registers;

const LIMIT: Duration = Duration::from_secs(60);
/// Between two questions whether the board sleeps.
const PAUSE: Duration = Duration::from_millis(20);

/// The result of a suspend.
pub struct Slept {
    /// The registers while everything was off.
    pub asleep: Registers,
}

impl Board {
    /// Sleeps and wakes once; `while_asleep` acts on the board in between.
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

    /// Waits until the board has gone to sleep, and listens meanwhile: QEMU keeps some hundred
    /// characters that nobody reads, and Xen sleeps after it has said its last one.
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

    /// Sleeps and wakes once: the SoC loses its registers, and all of them come back.
    pub fn suspend_and_compare(&mut self) -> Result<()> {
        let before = self.registers()?;
        let kept = self.suspend(|_| Ok(()))?.asleep.len();
        ensure!(
            kept == 0,
            "{kept} registers survived the sleep: the machine is at fault"
        );
        self.expect_registers(&before)
    }

    /// Hibernates, in one of the modes that return to this board, until it is
    /// awake again.
    pub fn hibernate(&mut self, mode: &str) -> Result<()> {
        self.sh(&format!("echo {mode} > /sys/power/disk"))?;
        self.sh("echo disk > /sys/power/state").map(drop)
    }
}
