// SPDX-License-Identifier: GPL-2.0
//! herd7, which runs litmus tests. Debian's releases are too old for the kernel's memory model.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::apt::{Store, System, Wanted};
use super::source;

/// herd7 with its libc, which is newer than that of the host.
const HERD: Wanted<'_> = Wanted::Unstable(System {
    name: "herd7",
    architecture: "amd64",
    packages: &["herdtools7"],
});

/// The directories of herd7 and of the kernel's memory model.
pub struct Herd {
    root: PathBuf,
    model: PathBuf,
}

impl Herd {
    /// Fetches herd7 and the memory model, unless the cache has them.
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

    /// Returns the command that runs the litmus test in the file `test`.
    pub fn command(&self, test: &Path) -> Command {
        let below = |path: &str| self.root.join("usr").join(path);
        // herd7 would look for its libc in the host's directories.
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
