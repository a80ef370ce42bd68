// SPDX-License-Identifier: GPL-2.0
//! Programs from Python packages, each in its own environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// Returns the name in the cache of a `package` with a version.
pub fn named(package: &str) -> String {
    package.replace("==", "-")
}

/// Installs a `package` in the cache, unless it is there. Returns the path of its program `name`.
pub fn program(paths: &Paths, package: &str, name: &str) -> Result<PathBuf> {
    let venv = paths.cache.join("tools").join(named(package));
    let program = venv.join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    let step = Step::new(format!("Fetching {package}"));
    environment(&venv, &[package], &step, &mut Log::create(paths, name)?)?;
    step.done();
    Ok(program)
}

/// Creates the Python environment `venv` with `packages`.
pub fn environment(venv: &Path, packages: &[&str], step: &Step, log: &mut Log) -> Result<()> {
    let mut create = Command::new("/usr/bin/python3");
    create.args(["-m", "venv", "--clear"]).arg(venv);
    log.run(step, "making a Python environment", &mut create)?;
    let mut install = Command::new(venv.join("bin/pip"));
    install
        .args(["install", "--disable-pip-version-check"])
        .args(packages);
    let what = packages.join(" and ");
    log.run(step, &format!("installing {what}"), &mut install)
        .with_context(|| format!("{what} could not be fetched (is there a network?)"))
}
