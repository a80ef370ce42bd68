// SPDX-License-Identifier: GPL-2.0
//! Actions at the board's console, and checks of the board.

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
/// The time limit for kmemleak, which scans all memory twice.
const LEAK_LIMIT: Duration = Duration::from_secs(600);

/// Strings that no kernel log may contain.
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
    // Messages of a sanitised kernel: an error was found, or a checker has stopped.
    "UBSAN:",
    "] BUG ",
    "pagealloc: ",
    "ODEBUG disabled",
];

impl Board {
    /// Runs a command, and returns its output and exit code.
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

    /// Runs a script in /tests. Fails if the script or one of its test cases fails.
    pub fn test(&mut self, script: &str) -> Result<Ktap> {
        self.test_with("", script)
    }

    fn test_with(&mut self, variables: &str, script: &str) -> Result<Ktap> {
        let output = self.try_sh(&format!("{variables} /tests/{script}"))?;
        let ktap = Ktap::parse(&output.text)
            .judge()
            .with_context(|| format!("{script} said:\n{}", output.text))?;
        ensure!(output.code == 0, "{script} gave {}", output.code);
        Ok(ktap)
    }

    /// Returns the new kernel messages, with their levels (`<3>…`). Fails if one is a splat.
    pub fn new_messages(&mut self) -> Result<String> {
        let text = self.raw_messages()?;
        expect_no_splat(&text)?;
        Ok(text)
    }

    /// Returns the new kernel messages without a check.
    pub fn raw_messages(&mut self) -> Result<String> {
        let text = self.sh("dmesg -r -c")?;
        self.klog.push_str(&text);
        self.klog.push('\n');
        Ok(text)
    }

    /// Returns whether the IOMMU core has warned of a late probe. The kernel's log is not cleared.
    pub fn told_of_late_probe(&mut self) -> Result<bool> {
        Ok(self.klog.contains(LATE_PROBE) || self.sh("dmesg")?.contains(LATE_PROBE))
    }

    /// Loads this driver, if the board runs it as a module, and waits until clients are probed.
    pub fn load_driver(&mut self, allow: &[&str]) -> Result<()> {
        self.keep_awake()?;
        // These systems load it themselves if need be, and lack the module that waits.
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

    /// Makes the kernel see another SoC, if the setup names one.
    pub fn name_soc(&mut self) -> Result<()> {
        if let Some(soc) = self.soc {
            self.sh(&format!("modprobe other_soc soc_id={soc} revision=ES3.0"))?;
        }
        Ok(())
    }

    /// Disables runtime suspend of IPMMUs, bound or not yet, unless the setup allows it.
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

    /// Waits until DMA controllers have channels. Their probe is deferred until the IOMMU is there,
    /// and repeated some time later.
    pub fn wait_for_channels(&mut self, controllers: &[&str]) -> Result<()> {
        for controller in controllers {
            self.sh(&format!(". /tests/lib.sh; channels_of {controller}"))
                .with_context(|| format!("{controller} has no channels"))?;
        }
        Ok(())
    }

    /// Unloads this driver. Fails while a device is behind its IPMMUs: the core pins the module.
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

    /// Binds all clients to their drivers again, after [`Self::clients_leave`].
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

    /// Fails unless the driver is bound to all IPMMUs but those in `except`, and to none of those.
    ///
    /// Waits up to `BIND_LIMIT`, as a work queue of the driver core binds caches after their root.
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

    /// Runs verified DMA on channels, each given as `controller` or `controller:index`. Returns the
    /// number of bytes that were copied.
    pub fn dma(&mut self, controllers: &[&str]) -> Result<u64> {
        let ktap = self.test(&format!("dma.sh {}", controllers.join(" ")))?;
        let bytes = ktap.sum("bytes");
        ensure!(bytes > 0, "no byte was copied");
        Ok(bytes)
    }

    /// Runs less DMA than [`Self::dma`], for rows that run it many times.
    pub fn dma_briefly(&mut self, controllers: &[&str]) -> Result<()> {
        let script = format!("dma.sh {}", controllers.join(" "));
        let ktap = self.test_with("SIZE=4096 ITERATIONS=2", &script)?;
        ensure!(ktap.sum("bytes") > 0, "no byte was copied");
        Ok(())
    }

    /// Tries transfers that may fail, and returns the results.
    pub fn try_dma(&mut self, controller: &str, transfers: u32) -> Result<Ktap> {
        let script = format!("ITERATIONS={transfers} TIMEOUT=1000 /tests/dma.sh {controller}");
        let ktap = Ktap::parse(&self.try_sh(&script)?.text);
        ensure!(
            ktap.passed.len() + ktap.failed.len() == 1,
            "the transfers did not run"
        );
        Ok(ktap)
    }

    /// Reads all IPMMU registers. Leaves out those with meaningless values if registers are random.
    pub fn registers(&mut self) -> Result<Registers> {
        let read = Registers::read(&mut self.qmp, &self.ipmmus)?;
        Ok(match self.is_random {
            true => read.in_use().written(),
            false => read,
        })
    }

    /// Returns the micro-TLBs of an IPMMU that are on. If registers are random, parked ones are
    /// left out: unkind firmware left them on.
    pub fn open_utlbs(&mut self, ipmmu: &str) -> Result<Vec<u32>> {
        let registers = self.registers()?;
        let is_open = |utlb: &u32| match registers.context_of(ipmmu, *utlb) {
            Some(PARKING) => !self.is_random,
            context => context.is_some(),
        };
        Ok((0..UTLBS).filter(is_open).collect())
    }

    /// Fails if a register differs from `before`.
    pub fn expect_registers(&mut self, before: &Registers) -> Result<()> {
        expect_same(before, &self.registers()?)
    }

    /// Fails if a register in use differs from `before`, which must contain no others. The
    /// registers of a context that is no longer in use keep their values until power is lost.
    pub fn expect_in_use(&mut self, before: &Registers) -> Result<()> {
        expect_same(before, &self.registers()?.in_use())
    }

    /// Returns how often software accessed registers that do not exist.
    pub fn guest_errors(&mut self) -> Result<u64> {
        self.qmp
            .get("/machine", "guest-errors")?
            .as_u64()
            .context("guest-errors is no number")
    }

    /// Fails after a splat, or an access to a missing register. For the end of every scenario.
    pub fn expect_clean(&mut self) -> Result<()> {
        self.new_messages()?;
        let errors = self.guest_errors()?;
        ensure!(
            errors == 0,
            "{errors} accesses to registers that do not exist"
        );
        Ok(())
    }

    /// Fails, on a sanitised kernel, if memory was leaked, a DMA mapping was wrong, or a checker
    /// has stopped. For the end of a board's life.
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

    /// Reads a counter of a device from QEMU.
    pub fn count(&mut self, device: &str, counter: &str) -> Result<u64> {
        self.qmp
            .get(&format!("/machine/{device}"), counter)?
            .as_u64()
            .with_context(|| format!("{counter} of {device} is no number"))
    }

    /// Sets a property of an IPMMU in QEMU, such as a hardware fault.
    pub fn set_ipmmu(
        &mut self,
        ipmmu: &str,
        property: &str,
        value: serde_json::Value,
    ) -> Result<()> {
        self.qmp.set(&format!("/machine/{ipmmu}"), property, value)
    }
}

/// Fails if kernel messages contain one of `SPLATS`.
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
