// SPDX-License-Identifier: GPL-2.0
//! The driver in a kernel's source tree: installation, removal, and a series of patches.

mod author;
mod edit;
mod edits;
mod kernel_crate;
mod payload;
mod series;
mod source;

use std::path::Path;

use anyhow::{Result, ensure};

use payload::{DOCUMENTS, Payload};
use series::emit;

pub use author::Author;
pub use payload::HOME;
pub use series::verify;
pub use source::Tree;

use crate::paths::Paths;

/// Writes the documentation below `top`, as in a kernel's tree. Returns the name of the first page
/// for sphinx.
pub fn write_documentation(repo: &Path, top: &Path) -> Result<String> {
    let tree = Tree {
        top: top.to_owned(),
    };
    for (path, content) in Payload::collect(repo)?.files() {
        if path.starts_with("Documentation/") {
            tree.write(path, content)?;
        }
    }
    let dir = DOCUMENTS.trim_start_matches("Documentation/");
    Ok(format!("{dir}/index"))
}

/// Implements `make install-tree`.
pub fn install(repo: &Path, ksrc: &Path) -> Result<()> {
    let tree = Tree::open(ksrc)?;
    tree.install(repo, &Author::find(repo)?)?;
    println!(
        "The driver is in {}/{HOME}: enable CONFIG_IPMMU_VMSA_RUST (CONFIG_IPMMU_VMSA must be off).",
        tree.top.display()
    );
    Ok(())
}

/// Implements `make uninstall-tree`.
pub fn uninstall(ksrc: &Path) -> Result<()> {
    let tree = Tree::open(ksrc)?;
    ensure!(
        tree.has_driver(),
        "the driver is not in KSRC={}",
        tree.top.display()
    );
    tree.uninstall()?;
    println!("Removed the driver from {}.", tree.top.display());
    Ok(())
}

/// Implements `make patches`.
pub fn patches(paths: &Paths, ksrc: &Path) -> Result<()> {
    let out = paths.build().join("patches");
    let author = Author::find(&paths.repo)?;
    let patches = emit(&paths.repo, &Tree::open(ksrc)?, &author, &out)?;
    for patch in &patches {
        println!("{}", paths.short(patch).display());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
