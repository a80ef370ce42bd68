// SPDX-License-Identifier: GPL-2.0
//! Programs for the guest that busybox does not have: each is one file without
//! a library but Rust's `core`, which comes with the kernel's build.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::artifact::{Key, keyed};
use super::kernel::Kernel;
use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// What the kernel's `core` is built for.
const TARGET: &str = "aarch64-unknown-none-softfloat";

/// Builds testbed/guest/programs; returns what to put into /bin.
pub fn build(paths: &Paths, kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let sources = paths.testbed().join("guest/programs");
    let rust = kernel.kdir.join("rust");
    let key = Key::new("programs 1")
        .tree(&sources)?
        .file(&rust.join("core.o"))?;
    let dir = keyed(&paths.cache, "guest-programs", key, |dir| {
        let step = Step::new("Building the guest's programs");
        let mut log = Log::create(paths, "guest-programs")?;
        for entry in fs::read_dir(&sources)? {
            let source = entry?.path();
            let name = source.file_stem().unwrap_or_default();
            let object = dir.join(name).with_extension("o");
            let mut compile = Command::new("rustc");
            compile
                .args(["--edition=2021", "--target", TARGET, "--crate-type=rlib"])
                .args([
                    "-Cpanic=abort",
                    "-Copt-level=2",
                    "-Crelocation-model=static",
                ])
                .args(["--sysroot=/dev/null", "-L"])
                .arg(&rust)
                .arg(format!("--emit=obj={}", object.display()))
                .arg(&source)
                // As for the kernel itself, whose `core` this is.
                .env("RUSTC_BOOTSTRAP", "1");
            kernel.with_tools(&mut compile);
            log.run(&step, "compiling a program", &mut compile)?;
            let mut link = Command::new("ld.lld");
            link.args(["-static", "--gc-sections", "--strip-all", "-o"])
                .arg(dir.join(name))
                .arg(&object)
                .args(["core.o", "compiler_builtins.o"].map(|o| rust.join(o)));
            kernel.with_tools(&mut link);
            log.run(&step, "linking a program", &mut link)?;
            fs::remove_file(&object)?;
        }
        step.done();
        Ok(())
    })?;
    let names = fs::read_dir(&sources)?.filter_map(|e| e.ok().map(|e| e.path()));
    let mut programs: Vec<PathBuf> = names
        .filter_map(|source| Some(dir.join(source.file_stem()?)))
        .collect();
    programs.sort();
    Ok(programs)
}
