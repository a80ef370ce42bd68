// SPDX-License-Identifier: GPL-2.0
//! `shortage LOOK load FILE`, `… read FILE`, `… write FILE TEXT`: loads a module, reads or writes
//! a file, with each allocation of the kernel failing once, until it goes through without. After
//! each time the shell command LOOK must succeed.

#[path = "../injection.rs"]
mod injection;

use std::env;
use std::fs::{self, File};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use injection::{Injection, Tried};
use rustix::system::finit_module;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [look, operation, file, text @ ..] = &arguments[..] else {
        bail!("usage: shortage LOOK load|read|write FILE [TEXT]");
    };
    let number = Injection::open()?.each(
        "allocations",
        || run(operation, file, text.first().map_or("", String::as_str)),
        |tried| succeeds(look, tried),
    )?;
    ensure!(number > 0, "no allocation failed: nothing was tried");
    Ok(())
}

fn run(operation: &str, file: &str, text: &str) -> Result<()> {
    match operation {
        "load" => finit_module(File::open(file)?, c"", 0)?,
        "read" => drop(fs::read(file)?),
        "write" => fs::write(file, text)?,
        _ => bail!("there is no operation {operation}"),
    }
    Ok(())
}

fn succeeds(look: &str, tried: &Tried) -> Result<()> {
    let output = Command::new("/bin/sh").args(["-c", look]).output()?;
    ensure!(
        output.status.success(),
        "`{look}` fails, {} the operation: {}",
        if tried.moved { "after" } else { "without" },
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
