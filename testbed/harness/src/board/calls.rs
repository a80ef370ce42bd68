// SPDX-License-Identifier: GPL-2.0
//! Counts the costs of calls of functions in the guest, with the plugin in testbed/plugins.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::Board;
use crate::paths::Paths;

/// The files through which the harness and the plugin talk.
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
    /// The name by which the plugin knows it.
    pub function: String,
    /// The first device that the call accessed, by the address of its registers; 0 if none.
    pub device: u64,
    pub cost: Cost,
}

impl Calls {
    /// Makes the files for one board. Nothing is counted yet.
    pub fn new(paths: &Paths, name: &str) -> Self {
        let functions = paths.build().join(format!("{name}-functions"));
        let _ = fs::remove_file(&functions);
        Self {
            functions,
            log: paths.log().join(format!("{name}-calls.log")),
        }
    }

    /// Returns the argument of QEMU's `-plugin`. With a `profile`, the plugin also writes there how
    /// often each instruction is executed.
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

    /// Counts calls of these functions from now on: names of the harness, and addresses. The
    /// functions must not have been called before.
    pub fn count(&self, functions: &[(String, u64)]) -> Result<()> {
        let mut open = OpenOptions::new();
        let mut file = open.create(true).append(true).open(&self.functions)?;
        let lines = functions.iter().map(|(n, a)| format!("{n} {a:x}\n"));
        Ok(file.write_all(lines.collect::<String>().as_bytes())?)
    }

    /// Returns all calls so far.
    pub fn read(&self) -> Result<Vec<Call>> {
        fs::read_to_string(&self.log)?
            .lines()
            .map(Call::parse)
            .collect()
    }

    /// Returns the calls that `work` makes.
    pub fn during(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<Call>> {
        let before = self.read()?.len();
        work()?;
        Ok(self.read()?.split_off(before))
    }
}

impl Call {
    /// Reads a line that the plugin wrote.
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
    /// Returns the address of the only function of `module` whose symbol contains `part`. `part`
    /// may have alternatives, separated by `|`; the first one that matches counts.
    pub fn address_in_module(&mut self, module: &str, part: &str) -> Result<u64> {
        let found = self.addresses_in_module(module, part)?;
        ensure!(found.len() == 1, "{} functions are {part}", found.len());
        Ok(found[0])
    }

    /// Returns the addresses of all such functions.
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
