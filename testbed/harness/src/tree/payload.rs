// SPDX-License-Identifier: GPL-2.0
//! The files that the driver consists of, where they are in a kernel's tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

use super::edit;

/// The driver's directory.
pub const HOME: &str = "drivers/iommu/ipmmu-vmsa-rust";
/// That of its documentation.
pub const DOCUMENTS: &str = "Documentation/driver-api/ipmmu-vmsa";
/// What its debugfs files promise.
pub const ABI: &str = "Documentation/ABI/testing/debugfs-ipmmu-vmsa";

/// Kbuild, at the top of the checkout, is for a module from outside.
const MAKEFILE: &str = "# SPDX-License-Identifier: GPL-2.0\n\n\
                        obj-$(CONFIG_IPMMU_VMSA_RUST) += ipmmu_vmsa.o\n";

/// What only somebody with the checkout can do is not for the kernel's readers.
const NOT_FOR_THE_TREE: &str = "building";

/// Paths in the kernel's tree, and what they hold.
pub struct Payload(BTreeMap<String, String>);

impl Payload {
    /// Reads it from the checkout.
    pub fn collect(repo: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        for path in crate::provision::driver_sources(repo)? {
            let name = path.strip_prefix(repo)?.to_string_lossy().into_owned();
            if name != "Kbuild" {
                files.insert(format!("{HOME}/{name}"), read(&path)?);
            }
        }
        files.insert(format!("{HOME}/Kconfig"), read(&repo.join("Kconfig"))?);
        files.insert(format!("{HOME}/Makefile"), MAKEFILE.into());
        files.insert(ABI.into(), read(&repo.join(ABI))?);
        for entry in WalkDir::new(repo.join("Documentation")).max_depth(1) {
            let path = entry?.into_path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = path.file_stem().unwrap_or_default();
            if path.is_dir() || stem == NOT_FOR_THE_TREE {
                continue;
            }
            let text = read(&path)?.replace(&format!("   {NOT_FOR_THE_TREE}\n"), "");
            files.insert(format!("{DOCUMENTS}/{name}"), text);
        }
        Ok(Self(files))
    }

    /// All of them, in the order of their names.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(p, t)| (p.as_str(), t.as_str()))
    }

    /// Whether this is one of them.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The patterns that MAINTAINERS needs for them.
    pub fn patterns(&self) -> Vec<String> {
        patterns(self.0.keys().map(String::as_str))
    }
}

/// The patterns that MAINTAINERS needs for `files`, each once.
pub fn patterns<'a>(files: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = files.map(edit::pattern).collect();
    all.sort();
    all.dedup();
    all
}
