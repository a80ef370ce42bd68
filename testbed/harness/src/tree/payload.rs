// SPDX-License-Identifier: GPL-2.0
//! The files of the driver, with their paths in a kernel's tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

use super::edit::is_below;
use super::edits::in_crate;
use super::kernel_crate::{self, HERE};

/// The driver's directory.
pub const HOME: &str = "drivers/iommu/ipmmu-vmsa-rust";
/// The directory of the driver's documentation.
pub const DOCUMENTS: &str = "Documentation/driver-api/ipmmu-vmsa";
/// The page about the driver's debugfs files.
pub const ABI: &str = "Documentation/ABI/testing/debugfs-ipmmu-vmsa";

/// The Makefile in the kernel's tree. The checkout's Kbuild is for an out-of-tree module.
const MAKEFILE: &str = "# SPDX-License-Identifier: GPL-2.0\n\n\
                        obj-$(CONFIG_IPMMU_VMSA_RUST) += ipmmu_vmsa.o\n";

/// A helper for a function that is inline in C. The checkout has the function in Rust instead.
const PM_RUNTIME: &str = "rust/helpers/pm_runtime.c";
const PM_RUNTIME_TEXT: &str = "\
// SPDX-License-Identifier: GPL-2.0

#include <linux/pm_runtime.h>

__rust_helper void rust_helper_pm_runtime_mark_last_busy(struct device *dev)
{
	pm_runtime_mark_last_busy(dev);
}
";

/// The page with the list of pages.
const INDEX: &str = "index.rst";

/// Pages that are left out of the kernel's tree. They are about work that needs the checkout, or
/// about measurements.
pub const NOT_FOR_THE_TREE: [&str; 6] = [
    "board",
    "install",
    "measurements",
    "silicon",
    "tests",
    "xen",
];

/// The files of the driver: paths in the kernel's tree, and texts.
pub struct Payload(BTreeMap<String, String>);

impl Payload {
    /// Reads the files from the checkout.
    pub fn collect(repo: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for path in crate::paths::driver_sources(repo)? {
            let name = path.strip_prefix(repo)?.to_string_lossy().into_owned();
            let text = read(&path)?;
            if let Some(path) = kernel_crate::path(&name) {
                let is_declared = in_crate().any(|own| is_below(&path, own));
                ensure!(is_declared, "no edit of rust/kernel/ declares {path}");
                files.insert(path, kernel_crate::abstraction(&text));
            } else if name != "Kbuild" && !name.starts_with(HERE) {
                files.insert(format!("{HOME}/{name}"), kernel_crate::driver(&text));
            }
        }
        files.insert(PM_RUNTIME.into(), PM_RUNTIME_TEXT.into());
        files.insert(format!("{HOME}/Kconfig"), read(&repo.join("Kconfig"))?);
        files.insert(format!("{HOME}/Makefile"), MAKEFILE.into());
        files.insert(ABI.into(), read(&repo.join(ABI))?);
        for (name, text) in documents(repo)? {
            files.insert(format!("{DOCUMENTS}/{name}"), text);
        }
        Ok(Self(files))
    }

    /// Returns all files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(p, t)| (p.as_str(), t.as_str()))
    }

    /// Returns whether there is a file with this path.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Returns the patterns that MAINTAINERS needs for all files.
    pub fn patterns(&self) -> Vec<String> {
        patterns(self.0.keys().map(String::as_str))
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns the pages for the kernel's tree, and the figures that they contain.
fn documents(repo: &Path) -> Result<BTreeMap<String, String>> {
    let (mut pages, mut others) = (BTreeMap::new(), Vec::new());
    for entry in WalkDir::new(repo.join("Documentation")).max_depth(1) {
        let path = entry?.into_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match name.strip_suffix(".rst") {
            Some(page) if NOT_FOR_THE_TREE.contains(&page) => (),
            Some(_) => drop(pages.insert(name.to_string(), for_the_tree(&name, &read(&path)?))),
            None => others.push((format!(":: {name}\n"), path)),
        }
    }
    others.retain(|(figure, _)| pages.values().any(|text| text.contains(figure)));
    for (_, path) in others {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        pages.insert(name.to_string(), kernel_crate::page(&read(&path)?));
    }
    Ok(pages)
}

/// Returns the text of a page. Removes pages that are left out from the list of pages.
fn for_the_tree(name: &str, text: &str) -> String {
    let mut text = kernel_crate::page(text);
    if name == INDEX {
        for other in NOT_FOR_THE_TREE {
            text = text.replace(&format!("   {other}\n"), "");
        }
    }
    text
}

/// Returns the patterns that MAINTAINERS needs for `files`, without duplicates.
pub fn patterns<'a>(files: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = files.map(pattern).collect();
    all.sort();
    all.dedup();
    all
}

/// Returns the pattern in MAINTAINERS for a file of the driver.
fn pattern(file: &str) -> String {
    if file.starts_with(DOCUMENTS) {
        return format!("{DOCUMENTS}/");
    }
    if let Some(dir) = in_crate().find(|dir| *dir != file && is_below(file, dir)) {
        return format!("{dir}/");
    }
    // All files of the driver itself are in one directory.
    if is_below(file, HOME) {
        return format!("{HOME}/");
    }
    file.to_owned()
}
