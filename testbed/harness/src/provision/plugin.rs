// SPDX-License-Identifier: GPL-2.0
//! The QEMU plugins: one counts the costs of calls in the guest, one delays the guest's CPUs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::apt::Store;
use super::artifact::{Key, keyed};
use super::source;
use crate::exec::{Log, capture};
use crate::ui::Step;

const NAMES: [&str; 2] = ["calls", "holds"];

/// The directory of the plugins' libraries.
#[derive(Clone)]
pub struct Plugins(PathBuf);

impl Plugins {
    /// Builds the plugins in testbed/plugins, unless the cache has them.
    pub fn prepare(store: &mut Store) -> Result<Self> {
        let paths = store.paths;
        let from = |name: &str| paths.testbed().join(format!("plugins/{name}.c"));
        let mut key =
            Key::new("plugins 1").text("qemu", &source::version(&store.choose(source::QEMU)?));
        for name in NAMES {
            key = key.file(&from(name))?;
        }
        let dir = keyed(&paths.cache, "plugins", key, |dir| {
            let qemu = source::qemu(store)?;
            let step = Step::new("Building the plugins of QEMU");
            let mut log = Log::create(paths, "plugins")?;
            let glib = capture(Command::new("pkg-config").args(["--cflags", "glib-2.0"]))?;
            for name in NAMES {
                let mut compile = Command::new("gcc");
                compile
                    .args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
                    .arg(dir.join(format!("{name}.so")))
                    .arg(from(name))
                    .arg("-I")
                    .arg(qemu.join("include/qemu"))
                    .args(glib.split_whitespace());
                log.run(&step, "building a plugin", &mut compile)?;
            }
            step.done();
            Ok(())
        })?;
        Ok(Self(dir))
    }

    /// Returns the path of the plugin that counts the costs of calls.
    pub fn calls(&self) -> PathBuf {
        self.0.join("calls.so")
    }

    /// Returns the path of the plugin that delays CPUs.
    pub fn holds(&self) -> PathBuf {
        self.0.join("holds.so")
    }
}
