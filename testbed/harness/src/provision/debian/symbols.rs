// SPDX-License-Identifier: GPL-2.0
//! Compares this build of the kernel's crates, and the module, with Debian's kernel.
//!
//! Names of Rust symbols contain hashes of the compiler's version and of the crate. Different
//! crates therefore export different names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// Options that may differ. This build lacks the compiler for the vDSO of 32-bit programs, which
/// makes no difference to modules.
const NOT_OURS: [&str; 2] = ["CONFIG_COMPAT_VDSO=y", "CONFIG_THUMB2_COMPAT_VDSO=y"];

/// The result of a comparison without differences.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// The number of Rust symbols that Debian's kernel and this build of its crates export.
    pub rust_exports: usize,
    /// The number of symbols that the module imports. Debian's kernel exports all of them.
    pub imports: usize,
    /// The number of Rust symbols among the imports.
    pub rust_imports: usize,
    /// The text that the kernel compares before it loads the module.
    pub vermagic: String,
}

/// Returns the names of the symbols in a `Module.symvers`.
pub fn exports(symvers: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(symvers).with_context(|| format!("no {}", symvers.display()))?;
    let names = text.lines().filter_map(|l| l.split('\t').nth(1));
    Ok(names.map(str::to_owned).collect())
}

/// Returns the names that this build of the kernel's crates exports, from its generated headers.
pub fn exports_of_crates(build: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for part in ["core", "helpers", "bindings", "kernel"] {
        let path = build.join(format!("rust/exports_{part}_generated.h"));
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        let exported = text.lines().filter_map(|line| {
            let name = line.strip_prefix("EXPORT_SYMBOL_RUST_GPL(")?;
            name.strip_suffix(");")
        });
        names.extend(exported.map(str::to_owned));
    }
    Ok(names)
}

/// Returns whether a symbol is one of Rust code, or a helper for it.
pub fn is_rust(name: &str) -> bool {
    name.starts_with("_R") || name.starts_with("rust_helper_")
}

/// Fails unless the kernel exports exactly the Rust symbols of these crates. Returns their number.
pub fn same_crates(ours: &BTreeSet<String>, kernel: &BTreeSet<String>) -> Result<usize> {
    let theirs: BTreeSet<String> = kernel.iter().filter(|n| is_rust(n)).cloned().collect();
    let ours_rust: BTreeSet<String> = ours.iter().filter(|n| is_rust(n)).cloned().collect();
    let differing: Vec<&str> = theirs
        .symmetric_difference(&ours_rust)
        .map(String::as_str)
        .collect();
    ensure!(
        differing.is_empty(),
        "{} Rust symbols are only in Debian's kernel or only in the testbed's build of its \
         crates, as {}",
        differing.len(),
        differing[0]
    );
    ensure!(!theirs.is_empty(), "Debian's kernel exports no Rust symbol");
    Ok(theirs.len())
}

/// Fails unless the kernel exports all symbols that the module imports.
pub fn resolved(imports: &BTreeSet<String>, kernel: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<&str> = imports.difference(kernel).map(String::as_str).collect();
    ensure!(
        missing.is_empty(),
        "Debian's kernel does not export what the module needs: {}",
        missing.join(", ")
    );
    ensure!(!imports.is_empty(), "the module needs no symbol at all");
    Ok(())
}

/// Fails unless both configurations are equal except for `NOT_OURS`. They include the versions of
/// the compilers.
pub fn same_configuration(ours: &str, theirs: &str) -> Result<()> {
    let set = |text: &'_ str| -> BTreeSet<String> {
        let values = text.lines().filter(|l| l.starts_with("CONFIG_"));
        values.map(str::to_owned).collect()
    };
    let (ours, theirs) = (set(ours), set(theirs));
    let differing: Vec<&String> = ours
        .symmetric_difference(&theirs)
        .filter(|line| !NOT_OURS.contains(&line.as_str()))
        .collect();
    ensure!(
        differing.is_empty(),
        "the testbed's configuration of Debian's kernel is not Debian's: {differing:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn crates_of_another_compiler_are_noticed() {
        let kernel = names(&["kmalloc", "_RNvCs1_4core1f", "rust_helper_get"]);
        let ours = names(&["_RNvCs1_4core1f", "rust_helper_get"]);
        assert_eq!(same_crates(&ours, &kernel).unwrap(), 2);
        let other = names(&["_RNvCs2_4core1f", "rust_helper_get"]);
        assert!(same_crates(&other, &kernel).is_err());
        let fewer = names(&["rust_helper_get"]);
        assert!(same_crates(&fewer, &kernel).is_err());
    }

    #[test]
    fn a_missing_symbol_is_named() {
        let kernel = names(&["kmalloc"]);
        assert!(resolved(&names(&["kmalloc"]), &kernel).is_ok());
        let e = resolved(&names(&["kmalloc", "kfree"]), &kernel).unwrap_err();
        assert!(e.to_string().ends_with(": kfree"));
    }

    #[test]
    fn only_the_vdso_may_differ() {
        let theirs = "CONFIG_A=y\nCONFIG_COMPAT_VDSO=y\n# CONFIG_B is not set\n";
        assert!(same_configuration("CONFIG_A=y\n", theirs).is_ok());
        assert!(same_configuration("CONFIG_A=m\n", theirs).is_err());
        assert!(same_configuration("CONFIG_A=y\nCONFIG_B=y\n", theirs).is_err());
    }
}
