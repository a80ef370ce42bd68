// SPDX-License-Identifier: GPL-2.0
//! The compilers of kernel and module, and make's variables for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::arch::Arch;
use crate::exec::{Log, capture};
use crate::paths::Paths;
use crate::ui::Step;

/// The LLVM of both supported Debian releases.
const LLVM: &str = "/usr/lib/llvm-19";

/// The bindgen that is built where the distribution's is older than the kernel needs.
const BINDGEN_VERSION: &str = "0.73.2";
const BINDGEN_MINIMUM: (u32, u32, u32) = (0, 71, 1);

/// The distribution's tools, whatever else is first in the user's PATH.
pub struct Toolchain {
    path: String,
}

impl Toolchain {
    /// Finds the tools, building bindgen when the system's is too old.
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

    /// Returns `command` with the testbed's PATH, and without the user's build variables.
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

    /// Returns the variables that make needs besides PATH.
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

    /// Returns the tools' versions, so that an upgrade is noticed.
    pub fn versions(&self) -> Result<String> {
        let mut all = String::new();
        for tool in ["clang", "rustc", "bindgen"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{tool} --version | head -n 1")]);
            all += &capture(self.apply(&mut command))?;
        }
        Ok(all)
    }

    /// Returns the PATH to build with, for the note that `make` alone reads.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Builds bindgen into the cache, and returns its directory.
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

/// Returns the version that a bindgen prints, if it runs at all.
fn version_of_bindgen(tool: &Path) -> Option<(u32, u32, u32)> {
    let said = capture(Command::new(tool).arg("--version")).ok()?;
    let mut parts = said.split_whitespace().nth(1)?.split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}
