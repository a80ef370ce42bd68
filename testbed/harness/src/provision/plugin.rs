// SPDX-License-Identifier: GPL-2.0
//! The QEMU plugin that counts what calls in the guest cost.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::apt::Apt;
use super::artifact::{Key, keyed};
use super::source;
use crate::exec::{Log, capture};
use crate::paths::Paths;
use crate::ui::Step;

/// Builds testbed/plugins/calls.c; returns the library.
pub fn calls(paths: &Paths, apt: &mut Apt) -> Result<PathBuf> {
    let from = paths.testbed().join("plugins/calls.c");
    let key = Key::new("plugin 1")
        .text("qemu", &source::version(&apt.choose(source::QEMU)?))
        .file(&from)?;
    let dir = keyed(&paths.cache, "plugin", key, |dir| {
        let qemu = source::qemu(paths, apt)?;
        let step = Step::new("Building the plugin that counts instructions");
        let mut log = Log::create(paths, "plugin")?;
        let glib = capture(Command::new("pkg-config").args(["--cflags", "glib-2.0"]))?;
        let mut compile = Command::new("gcc");
        compile
            .args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(dir.join("calls.so"))
            .arg(&from)
            .arg("-I")
            .arg(qemu.join("include/qemu"))
            .args(glib.split_whitespace());
        log.run(&step, "building the plugin", &mut compile)?;
        step.done();
        Ok(())
    })?;
    Ok(dir.join("calls.so"))
}
