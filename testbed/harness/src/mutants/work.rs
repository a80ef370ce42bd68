// SPDX-License-Identifier: GPL-2.0
//! The directory in which a changed driver is built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::paths::{Paths, driver_sources};
use crate::provision::{Provision, overlay};

/// A copy of the checkout. Parts that do not change are links.
pub struct Work {
    dir: PathBuf,
}

impl Work {
    /// Copies the module's sources to `build/NAME`, and links the rest.
    pub fn new(paths: &Paths, name: &str) -> Result<Self> {
        let dir = paths.build().join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        for file in driver_sources(&paths.repo)? {
            let to = dir.join("source").join(file.strip_prefix(&paths.repo)?);
            fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
            fs::copy(&file, &to)?;
        }
        for rest in ["testbed", "packaging", "Documentation", "dts", "Makefile"] {
            symlink(paths.repo.join(rest), dir.join("source").join(rest))?;
        }
        Ok(Self { dir })
    }

    /// Returns the top of the copy.
    pub fn source(&self) -> PathBuf {
        self.dir.join("source")
    }

    /// Reads a file of the driver.
    pub fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.source().join(file)).with_context(|| file.to_owned())
    }

    /// Writes a file of the driver.
    pub fn write(&self, file: &str, source: &str) -> Result<()> {
        Ok(fs::write(self.source().join(file), source)?)
    }

    /// Builds the module, and puts it over the one in the initramfs.
    pub fn initramfs(&self, provision: &Provision) -> Result<PathBuf> {
        let paths = &provision.paths;
        let out = self.dir.join("out");
        let module = provision
            .kernel
            .build_module(paths, &self.source(), &out, "mutant")?;
        let image = self.dir.join("initramfs.cpio.gz");
        let release = &provision.kernel.release;
        overlay(&provision.initramfs, release, &module, &image)?;
        Ok(image)
    }
}
