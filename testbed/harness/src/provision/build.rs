// SPDX-License-Identifier: GPL-2.0
//! Builds of a kernel.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Result, bail};

use super::arch::Arch;
use super::toolchain::Toolchain;
use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// Returns make's option for as many jobs as there are CPUs.
pub(super) fn jobs() -> String {
    format!("-j{}", available_parallelism().map_or(2, usize::from))
}

/// One build of a kernel.
pub(super) struct Build<'a> {
    pub paths: &'a Paths,
    pub toolchain: &'a Toolchain,
    pub arch: Arch,
    pub tree: &'a Path,
    pub config: &'a Path,
    /// The name of the log.
    pub name: &'a str,
}

impl Build<'_> {
    /// Builds the kernel in `out`, or continues a build there. Returns the log.
    pub fn run(&self, out: &Path) -> Result<Log> {
        let step = Step::new(match self.arch {
            _ if out.join("vmlinux").exists() => "Building what differs in the kernel",
            Arch::Arm64 => "Building the kernel (about 11 minutes on two cores)",
            Arch::Arm => "Building the 32-bit kernel (about 6 minutes on two cores)",
        });
        let mut log = Log::create(self.paths, self.name)?;
        self.configure(out, &step, &mut log)?;
        check_config(self.config, &out.join(".config"))?;
        let mut make = self.make(out, self.arch.targets());
        log.run(&step, "building the kernel", &mut make)?;
        step.done();
        Ok(log)
    }

    /// Writes the complete configuration into `out`.
    pub fn configure(&self, out: &Path, step: &Step, log: &mut Log) -> Result<()> {
        fs::create_dir_all(out)?;
        let mut configure = self.make(out, &["allnoconfig"]);
        configure.env("KCONFIG_ALLCONFIG", self.config);
        log.run(step, "configuring the kernel", &mut configure)
    }

    /// Returns the command that makes `targets` in `out`.
    pub fn make(&self, out: &Path, targets: &[&str]) -> Command {
        let mut make = Command::new("make");
        make.arg("-C").arg(self.tree);
        make.arg(format!("O={}", out.display()));
        make.arg(jobs()).args(Toolchain::make_variables(self.arch));
        if Path::new("/usr/bin/ccache").exists() {
            make.arg("CC=ccache clang");
        }
        make.args(targets);
        self.toolchain.apply(&mut make);
        make.env("CCACHE_BASEDIR", &self.paths.cache);
        make
    }
}

/// Fails if Kconfig has dropped an option, about which it prints no message.
fn check_config(wanted: &Path, got: &Path) -> Result<()> {
    let got = fs::read_to_string(got)?;
    for line in fs::read_to_string(wanted)?.lines() {
        let lost =
            line.starts_with("CONFIG_") && !line.ends_with("=n") && !got.lines().any(|l| l == line);
        if lost {
            bail!("the kernel configuration does not take {line}");
        }
    }
    Ok(())
}
