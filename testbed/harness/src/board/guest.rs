// SPDX-License-Identifier: GPL-2.0
//! The actions of a user at the board's console, and the checks.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::console::Output;
use super::hardware::DMAC_DRIVER;
use super::ktap::Ktap;
use super::registers::{PARKING, Registers, UTLBS};
use super::reports::LATE_PROBE;
use super::{Board, Driver, System};

pub use super::hardware::DMACS;

pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(120);
const BIND_LIMIT: Duration = Duration::from_secs(10);
/// Limit for a scan of kmemleak: it goes through all memory twice.
const LEAK_LIMIT: Duration = Duration::from_secs(600);

/// Words that no kernel log may contain.
const SPLATS: [&str; 16] = [
    "WARNING:",
    "BUG:",
    "Oops",
    "Kernel panic",
    "Internal error",
    "Unable to handle kernel",
    "INFO: task",
    "INFO: rcu",
    "possible circular locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "refcount_t:",
    // From the sanitised kernel: a finding, or the end of a checker.
    "UBSAN:",
    "] BUG ",
    "pagealloc: ",
    "ODEBUG disabled",
];

impl Board {
    /// Runs a command and returns how it ended.
    pub fn try_sh(&mut self, command: &str) -> Result<Output> {
        let number = self.console.start(command)?;
        self.console
            .finish(number, COMMAND_LIMIT)
            .with_context(|| format!("running `{command}`"))
    }

    /// Runs a command that must succeed, and returns its output.
    pub fn sh(&mut self, command: &str) -> Result<String> {
        let output = self.try_sh(command)?;
        ensure!(
            output.code == 0,
            "`{command}` gave {}: {}",
            output.code,
            output.text
        );
        Ok(output.text)
    }

    /// Runs one of the scripts in /tests and reads its verdict.
    pub fn test(&mut self, script: &str) -> Result<Ktap> {
        let output = self.try_sh(&format!("/tests/{script}"))?;
        let ktap = Ktap::parse(&output.text)
            .judge()
            .with_context(|| format!("{script} said:\n{}", output.text))?;
        ensure!(output.code == 0, "{script} gave {}", output.code);
        Ok(ktap)
    }

    /// Returns the kernel messages since the last call, with their levels (`<3>…`).
    pub fn new_messages(&mut self) -> Result<String> {
        let text = self.raw_messages()?;
        expect_no_splat(&text)?;
        Ok(text)
    }

    /// Returns the kernel messages since the last call, without judging them.
    pub fn raw_messages(&mut self) -> Result<String> {
        let text = self.sh("dmesg -r -c")?;
        self.klog.push_str(&text);
        self.klog.push('\n');
        Ok(text)
    }

    /// Returns whether the IOMMU core has told of a client that it saw late. The messages stay.
    pub fn told_of_late_probe(&mut self) -> Result<bool> {
        Ok(self.klog.contains(LATE_PROBE) || self.sh("dmesg")?.contains(LATE_PROBE))
    }

    /// Loads this driver, where it is a module, and waits until its clients have been probed.
    pub fn load_driver(&mut self, allow: &[&str]) -> Result<()> {
        self.keep_awake()?;
        // The other systems have no such module.
        if matches!(self.system, System::BuiltIn | System::Debian) {
            return Ok(());
        }
        self.name_soc()?;
        if self.driver == Driver::Rust {
            let mut modprobe = "modprobe ipmmu_vmsa".to_owned();
            if !allow.is_empty() {
                modprobe += &format!(" allow={}", allow.join(","));
            }
            if self.stage2 {
                modprobe += " stage2=on";
            }
            self.sh(&modprobe)?;
        }
        self.sh("modprobe probed && rmmod probed").map(drop)
    }

    /// Tells the kernel of another SoC, if the setup says so.
    pub fn name_soc(&mut self) -> Result<()> {
        if let Some(soc) = self.soc {
            self.sh(&format!("modprobe other_soc soc_id={soc} revision=ES3.0"))?;
        }
        Ok(())
    }

    /// Keeps IPMMUs, bound or not yet, awake while the system is, unless the setup lets them sleep.
    pub(super) fn keep_awake(&mut self) -> Result<()> {
        const CONTROLS: &str = "/sys/bus/platform/devices/*.iommu/power/control";
        if self.autosuspend {
            return Ok(());
        }
        self.sh(&format!(
            "for control in {CONTROLS}; do [ ! -e $control ] || echo on > $control; done"
        ))
        .map(drop)
    }

    /// Waits until these DMA controllers have channels. Their driver waits for the IOMMU, and is
    /// called again some time after the IOMMU is there.
    pub fn wait_for_channels(&mut self, controllers: &[&str]) -> Result<()> {
        for controller in controllers {
            self.sh(&format!(". /tests/lib.sh; channels_of {controller}"))
                .with_context(|| format!("{controller} has no channels"))?;
        }
        Ok(())
    }

    /// Unloads this driver. No device may be behind its IPMMUs: the core holds the module for each.
    pub fn unload_driver(&mut self) -> Result<()> {
        self.sh("rmmod ipmmu_vmsa").map(drop)
    }

    /// Unbinds all clients from their drivers.
    pub fn clients_leave(&mut self) -> Result<()> {
        for (driver, device) in self.hardware.clients() {
            self.sh(&format!(
                "[ ! -e {driver}/{device} ] || echo {device} > {driver}/unbind"
            ))?;
        }
        Ok(())
    }

    /// Binds all clients again, after [`Self::clients_leave`].
    pub fn clients_come(&mut self) -> Result<()> {
        for (driver, device) in self.hardware.clients() {
            let absent = format!("[ ! -e {driver}/../../devices/{device} ]");
            self.sh(&format!("{absent} || echo {device} > {driver}/bind"))?;
        }
        Ok(())
    }

    /// Binds the DMA controllers' driver to a device, or unbinds it: `verb` is `bind` or `unbind`.
    pub fn client(&mut self, verb: &str, device: &str) -> Result<()> {
        self.sh(&format!("echo {device} > {DMAC_DRIVER}/{verb}"))
            .map(drop)
    }

    /// Returns the devices that the IPMMU driver is bound to.
    pub fn bound_ipmmus(&mut self) -> Result<Vec<String>> {
        let listed = self.sh("/tests/bound.sh")?;
        Ok(listed.split_whitespace().map(str::to_owned).collect())
    }

    /// Fails unless the driver is bound to every IPMMU but `except`.
    ///
    /// Waits a while for it: a work queue of the driver core binds caches after their root.
    pub fn expect_bound_except(&mut self, except: &[&str]) -> Result<()> {
        let deadline = Instant::now() + BIND_LIMIT;
        loop {
            let bound = self.bound_ipmmus()?;
            let wrong: Vec<&str> = self
                .hardware
                .ipmmus
                .iter()
                .map(|(_, device)| *device)
                .filter(|device| bound.iter().any(|b| b == device) == except.contains(device))
                .collect();
            if wrong.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "wrongly bound or not bound: {}",
                wrong.join(", ")
            );
        }
    }

    /// Runs verified DMA on all channels given as `controller` or
    /// `controller:index`; returns the number of bytes copied.
    pub fn dma(&mut self, controllers: &[&str]) -> Result<u64> {
        let ktap = self.test(&format!("dma.sh {}", controllers.join(" ")))?;
        let bytes = ktap.sum("bytes");
        ensure!(bytes > 0, "no byte was copied");
        Ok(bytes)
    }

    /// Runs less DMA than [`Self::dma`], for rows that run it many times.
    pub fn dma_briefly(&mut self, controllers: &[&str]) -> Result<()> {
        let script = format!("dma.sh {}", controllers.join(" "));
        let output = self.try_sh(&format!("SIZE=4096 ITERATIONS=2 /tests/{script}"))?;
        let ktap = Ktap::parse(&output.text)
            .judge()
            .with_context(|| format!("{script} said:\n{}", output.text))?;
        ensure!(ktap.sum("bytes") > 0, "no byte was copied");
        Ok(())
    }

    /// Tries some transfers on hardware that is known to be broken.
    pub fn try_dma(&mut self, controller: &str, transfers: u32) -> Result<Ktap> {
        let script = format!("ITERATIONS={transfers} TIMEOUT=1000 /tests/dma.sh {controller}");
        let ktap = Ktap::parse(&self.try_sh(&script)?.text);
        ensure!(
            ktap.passed.len() + ktap.failed.len() == 1,
            "the transfers did not run"
        );
        Ok(ktap)
    }

    /// Reads all IPMMU registers.
    pub fn registers(&mut self) -> Result<Registers> {
        let read = Registers::read(&mut self.qmp, &self.ipmmus)?;
        Ok(match self.is_random {
            true => read.in_use().written(),
            false => read,
        })
    }

    /// Returns the micro-TLBs of an IPMMU that are on, without those that unkind firmware left on
    /// and this driver parked.
    pub fn open_utlbs(&mut self, ipmmu: &str) -> Result<Vec<u32>> {
        let registers = self.registers()?;
        let is_open = |utlb: &u32| match registers.context_of(ipmmu, *utlb) {
            Some(PARKING) => !self.is_random,
            context => context.is_some(),
        };
        Ok((0..UTLBS).filter(is_open).collect())
    }

    /// Fails if a register is not what it was.
    pub fn expect_registers(&mut self, before: &Registers) -> Result<()> {
        expect_same(before, &self.registers()?)
    }

    /// Fails if a register in use is not what it was; `before` has no others. The registers of a
    /// context that was given back keep their values until the power goes.
    pub fn expect_in_use(&mut self, before: &Registers) -> Result<()> {
        expect_same(before, &self.registers()?.in_use())
    }

    /// Returns how often software touched registers that do not exist.
    pub fn guest_errors(&mut self) -> Result<u64> {
        self.qmp
            .get("/machine", "guest-errors")?
            .as_u64()
            .context("guest-errors is no number")
    }

    /// Checks what must hold at the end of every scenario.
    pub fn expect_clean(&mut self) -> Result<()> {
        self.new_messages()?;
        let errors = self.guest_errors()?;
        ensure!(
            errors == 0,
            "{errors} accesses to registers that do not exist"
        );
        Ok(())
    }

    /// Checks, on a sanitised kernel, what must hold at the end of a board's life: no leak, no
    /// error of a DMA mapping, and no checker that stopped.
    pub fn expect_no_leak(&mut self) -> Result<()> {
        // Only objects that are older than five seconds and did not change between two scans count.
        const LEAKS: &str = "leaks=/sys/kernel/debug/kmemleak; echo scan > $leaks && sleep 6 && \
             echo scan > $leaks && cat $leaks";
        const DMA: &str = "cd /sys/kernel/debug/dma-api; cat disabled error_count";
        if !self.is_sanitised {
            return Ok(());
        }
        let number = self.console.start(LEAKS)?;
        let leaks = self.console.finish(number, LEAK_LIMIT)?;
        ensure!(leaks.code == 0, "kmemleak is off: {}", leaks.text);
        let leaks = leaks.text;
        ensure!(leaks.trim().is_empty(), "leaked:\n{leaks}");
        let dma = self.sh(DMA)?;
        let dma: Vec<&str> = dma.split_whitespace().collect();
        ensure!(dma == ["N", "0"], "dma-api: disabled, errors: {dma:?}");
        Ok(())
    }

    /// Returns a counter of one of the machine's devices.
    pub fn count(&mut self, device: &str, counter: &str) -> Result<u64> {
        self.qmp
            .get(&format!("/machine/{device}"), counter)?
            .as_u64()
            .with_context(|| format!("{counter} of {device} is no number"))
    }

    /// Sets a property of one IPMMU, such as a fault in its hardware.
    pub fn set_ipmmu(
        &mut self,
        ipmmu: &str,
        property: &str,
        value: serde_json::Value,
    ) -> Result<()> {
        self.qmp.set(&format!("/machine/{ipmmu}"), property, value)
    }
}

/// Fails if kernel messages contain a word that no log may.
pub fn expect_no_splat(text: &str) -> Result<()> {
    for splat in SPLATS {
        if let Some(at) = text.find(splat) {
            let from = text[..at].rfind('\n').map_or(0, |n| n + 1);
            let report: Vec<&str> = text[from..].lines().take(40).collect();
            bail!("the kernel complained:\n{}", report.join("\n"));
        }
    }
    Ok(())
}

fn expect_same(before: &Registers, after: &Registers) -> Result<()> {
    let differences = before.differences(after);
    ensure!(
        differences.is_empty(),
        "{} registers differ: {}",
        differences.len(),
        differences
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(())
}
