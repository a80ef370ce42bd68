// SPDX-License-Identifier: GPL-2.0
//! herd7, which knows the kernel's memory model. No release of Debian has one that is new enough.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::apt::{Store, System, Wanted};
use super::source;

/// With its libc, which is newer than the machine's.
const HERD: Wanted<'_> = Wanted::Unstable(System {
    name: "herd7",
    architecture: "amd64",
    packages: &["herdtools7"],
});

/// herd7, unpacked, and the kernel's model.
pub struct Herd {
    root: PathBuf,
    model: PathBuf,
}

impl Herd {
    /// Fetches or finds herd7 and the model.
    pub(super) fn prepare(store: &mut Store) -> Result<Self> {
        ensure!(
            ARCH == "x86_64",
            "herd7 is run on amd64, and this is {ARCH}"
        );
        Ok(Self {
            root: source::packages(store, "herd", HERD.name(), &[HERD])?,
            model: source::linux(store)?.join("tools/memory-model"),
        })
    }

    /// Returns the command that judges the test in the file `test`.
    pub fn command(&self, test: &Path) -> Command {
        let below = |path: &str| self.root.join("usr").join(path);
        // Its own libc is not where it would look.
        let mut command = Command::new(below("lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(below("lib/x86_64-linux-gnu"))
            .arg(below("bin/herd7"))
            .arg("-set-libdir")
            .arg(below("share/herdtools7/herd"))
            .args(["-conf", "linux-kernel.cfg"])
            .arg(test)
            .current_dir(&self.model);
        command
    }
}
