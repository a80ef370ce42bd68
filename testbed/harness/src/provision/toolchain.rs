// SPDX-License-Identifier: GPL-2.0
//! The compilers for the kernel and the module, and the variables of make that select them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::arch::Arch;
use crate::exec::{Log, capture};
use crate::paths::Paths;
use crate::ui::Step;

/// The directory of LLVM on both supported Debian releases.
const LLVM: &str = "/usr/lib/llvm-19";

/// The version of bindgen that is built if the distribution's is older than the minimum.
const BINDGEN_VERSION: &str = "0.73.2";
const BINDGEN_MINIMUM: (u32, u32, u32) = (0, 71, 1);

/// The distribution's tools, regardless of the user's PATH.
pub struct Toolchain {
    path: String,
}

impl Toolchain {
    /// Finds the tools. Builds bindgen if the distribution's is too old.
    pub fn prepare(paths: &Paths) -> Result<Self> {
        let system = format!("{LLVM}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let path = if version_of_bindgen(Path::new("/usr/bin/bindgen")) >= Some(BINDGEN_MINIMUM) {
            system
        } else {
            let tool = bindgen(paths)?;
            format!("{}:{system}", tool.display())
        };
        Ok(Self { path })
    }

    /// Makes `command` use these tools, without the user's build variables.
    pub fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for name in [
            "MAKEFLAGS",
            "MAKELEVEL",
            "MFLAGS",
            "RUSTC",
            "CARGO",
            "RUSTFLAGS",
        ] {
            command.env_remove(name);
        }
        command
            .env("PATH", &self.path)
            .env("LIBCLANG_PATH", format!("{LLVM}/lib"))
            .env("LC_ALL", "C")
    }

    /// Returns the variables that make needs in addition to PATH.
    pub fn make_variables(arch: Arch) -> Vec<String> {
        [
            &format!("ARCH={}", arch.name()),
            "LLVM=1",
            "RUSTC=/usr/bin/rustc",
            "HOSTRUSTC=/usr/bin/rustc",
            "RUSTDOC=/usr/bin/rustdoc",
            "RUSTFMT=/usr/bin/rustfmt",
            "CLIPPY_DRIVER=/usr/bin/clippy-driver",
        ]
        .map(String::from)
        .to_vec()
    }

    /// Returns the versions of the tools, for keys that change with an upgrade.
    pub fn versions(&self) -> Result<String> {
        let mut all = String::new();
        for tool in ["clang", "rustc", "bindgen"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{tool} --version | head -n 1")]);
            all += &capture(self.apply(&mut command))?;
        }
        Ok(all)
    }

    /// Returns the PATH to build with, for use by `make` without the testbed.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Builds bindgen in the cache, unless it is there. Returns its directory.
fn bindgen(paths: &Paths) -> Result<PathBuf> {
    let root = paths.cache.join(format!("tools/bindgen-{BINDGEN_VERSION}"));
    let bin = root.join("bin");
    if bin.join("bindgen").exists() {
        return Ok(bin);
    }
    let step = Step::new(format!("Building bindgen {BINDGEN_VERSION}"));
    let mut log = Log::create(paths, "bindgen")?;
    fs::create_dir_all(&root)?;
    let mut install = Command::new("/usr/bin/cargo");
    install
        .args([
            "install",
            "bindgen-cli",
            "--locked",
            "--version",
            BINDGEN_VERSION,
        ])
        .arg("--root")
        .arg(&root)
        .env("RUSTC", "/usr/bin/rustc")
        .env_remove("RUSTUP_TOOLCHAIN");
    log.run(&step, "building bindgen", &mut install)
        .context("bindgen could not be fetched and built (is there a network?)")?;
    step.done();
    Ok(bin)
}

/// Returns the version that a bindgen prints; none if it does not run.
fn version_of_bindgen(tool: &Path) -> Option<(u32, u32, u32)> {
    let said = capture(Command::new(tool).arg("--version")).ok()?;
    let mut parts = said.split_whitespace().nth(1)?.split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}
