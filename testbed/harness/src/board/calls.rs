// SPDX-License-Identifier: GPL-2.0
//! The costs of function calls in the guest, counted by the plugin in testbed/plugins.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::Board;
use crate::paths::Paths;

/// The files through which the harness and the plugin communicate.
pub struct Calls {
    functions: PathBuf,
    log: PathBuf,
}

/// The counts of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    pub instructions: u64,
    pub mmio_reads: u64,
    pub mmio_writes: u64,
}

/// One call, as the plugin reports it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name that [`Calls::count`] gave to the function.
    pub function: String,
    /// The address of the first device that was accessed, rounded down to 64 KiB; 0 if none.
    pub device: u64,
    pub cost: Cost,
}

impl Calls {
    /// Returns the files for the board `name`. Nothing is counted yet.
    pub fn new(paths: &Paths, name: &str) -> Self {
        let functions = paths.build().join(format!("{name}-functions"));
        let _ = fs::remove_file(&functions);
        Self {
            functions,
            log: paths.log().join(format!("{name}-calls.log")),
        }
    }

    /// Returns the argument for QEMU's `-plugin`. If `profile` is given, the plugin also writes
    /// there how often each instruction was executed.
    pub fn argument(&self, plugin: &Path, profile: Option<&Path>) -> String {
        let profile = profile.map(|to| format!(",profile={}", to.display()));
        format!(
            "{},functions={},log={}{}",
            plugin.display(),
            self.functions.display(),
            self.log.display(),
            profile.unwrap_or_default()
        )
    }

    /// Counts calls of `functions` from now on: names for the harness, and addresses. The functions
    /// must not have been called before.
    pub fn count(&self, functions: &[(String, u64)]) -> Result<()> {
        let mut open = OpenOptions::new();
        let mut file = open.create(true).append(true).open(&self.functions)?;
        let lines = functions.iter().map(|(n, a)| format!("{n} {a:x}\n"));
        Ok(file.write_all(lines.collect::<String>().as_bytes())?)
    }

    /// Returns all calls that have returned so far.
    pub fn read(&self) -> Result<Vec<Call>> {
        fs::read_to_string(&self.log)?
            .lines()
            .map(Call::parse)
            .collect()
    }

    /// Runs `work`, and returns the calls that returned meanwhile.
    pub fn during(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<Call>> {
        let before = self.read()?.len();
        work()?;
        Ok(self.read()?.split_off(before))
    }
}

impl Call {
    /// Parses a line of the plugin's log.
    pub fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [function, device, instructions, reads, writes] = fields[..] else {
            bail!("the plugin says {line:?}");
        };
        Ok(Self {
            function: function.into(),
            device: u64::from_str_radix(device, 16)? & !0xffff,
            cost: Cost {
                instructions: instructions.parse()?,
                mmio_reads: reads.parse()?,
                mmio_writes: writes.parse()?,
            },
        })
    }
}

impl Board {
    /// Returns the address of the only function of `module` with `part` in its symbol. `part` can
    /// be a list of alternatives, separated by `|`; the first one that matches counts.
    pub fn address_in_module(&mut self, module: &str, part: &str) -> Result<u64> {
        let found = self.addresses_in_module(module, part)?;
        ensure!(found.len() == 1, "{} functions are {part}", found.len());
        Ok(found[0])
    }

    /// Returns the addresses of all functions that [`Self::address_in_module`] would find.
    pub fn addresses_in_module(&mut self, module: &str, part: &str) -> Result<Vec<u64>> {
        for part in part.split('|') {
            let found = self.sh(&format!(
                "grep -F '[{module}]' /proc/kallsyms | grep -i ' t ' | grep -F {part} || true"
            ))?;
            let addresses = found
                .lines()
                .filter_map(|line| line.split_whitespace().next());
            let addresses: Vec<u64> = addresses
                .map(|digits| Ok(u64::from_str_radix(digits, 16)?))
                .collect::<Result<_>>()?;
            if !addresses.is_empty() {
                return Ok(addresses);
            }
        }
        bail!("{module} has no function {part}")
    }
}
