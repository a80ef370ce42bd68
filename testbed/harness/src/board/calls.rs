// SPDX-License-Identifier: GPL-2.0
//! What calls of functions in the guest cost, as the plugin in testbed/plugins
//! counts it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::Board;
use crate::paths::Paths;

/// What the plugin and we tell each other through.
pub struct Calls {
    functions: PathBuf,
    log: PathBuf,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    pub instructions: u64,
    pub mmio_reads: u64,
    pub mmio_writes: u64,
}

/// One call, as the plugin reports it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name that the plugin was told.
    pub function: String,
    /// The first device that it touched: its registers' address, 0 if none.
    pub device: u64,
    pub cost: Cost,
}

impl Calls {
    /// For one board; nothing is counted yet.
    pub fn new(paths: &Paths, name: &str) -> Self {
        let functions = paths.build().join(format!("{name}-functions"));
        let _ = fs::remove_file(&functions);
        Self {
            functions,
            log: paths.log().join(format!("{name}-calls.log")),
        }
    }

    /// The argument of QEMU's `-plugin`. With a `profile`, it also notes there which
    /// instructions are executed, how often.
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

    /// Has calls of these functions counted: names of ours, and addresses. They
    /// must not have been called yet.
    pub fn count(&self, functions: &[(String, u64)]) -> Result<()> {
        let mut open = OpenOptions::new();
        let mut file = open.create(true).append(true).open(&self.functions)?;
        let lines = functions.iter().map(|(n, a)| format!("{n} {a:x}\n"));
        Ok(file.write_all(lines.collect::<String>().as_bytes())?)
    }

    /// All calls so far.
    pub fn read(&self) -> Result<Vec<Call>> {
        fs::read_to_string(&self.log)?
            .lines()
            .map(Call::parse)
            .collect()
    }

    /// The calls during `work`.
    pub fn during(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<Call>> {
        let before = self.read()?.len();
        work()?;
        Ok(self.read()?.split_off(before))
    }
}

impl Call {
    /// Reads a line of the plugin's.
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
    /// The address of the only function of `module` whose symbol contains `part`, or the
    /// first one of several parts, with a `|` between them, that any has.
    pub fn address_in_module(&mut self, module: &str, part: &str) -> Result<u64> {
        let found = self.addresses_in_module(module, part)?;
        ensure!(found.len() == 1, "{} functions are {part}", found.len());
        Ok(found[0])
    }

    /// The addresses of all such functions.
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
