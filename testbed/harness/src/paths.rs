// SPDX-License-Identifier: GPL-2.0
//! Paths of the checkout and of the cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

/// The directories in which all other paths are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The top of the checkout, which is also the module's source directory.
    pub repo: PathBuf,
    /// Results that are expensive to make, shared by all checkouts of this user.
    pub cache: PathBuf,
}

impl Paths {
    /// Finds the cache and checks that `repo` is a checkout.
    pub fn new(repo: &Path) -> Result<Self> {
        let repo = fs::canonicalize(repo).context("the checkout does not exist")?;
        if !repo.join("testbed/guest/kernel.config").is_file() {
            bail!("{} is not a checkout of this project", repo.display());
        }
        let cache = match env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cache"),
        }
        .join("ipmmu-vmsa");
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let paths = Self { repo, cache };
        fs::create_dir_all(paths.log())?;
        fs::create_dir_all(paths.report())?;
        Ok(paths)
    }

    /// Returns the directory of the testbed.
    pub fn testbed(&self) -> PathBuf {
        self.repo.join("testbed")
    }

    /// Returns the directory for results of this checkout, which `make clean` removes.
    pub fn build(&self) -> PathBuf {
        self.repo.join("build")
    }

    /// Returns the directory for the logs of every step and every boot.
    pub fn log(&self) -> PathBuf {
        self.build().join("log")
    }

    /// Returns the directory for machine-readable reports.
    pub fn report(&self) -> PathBuf {
        self.build().join("report")
    }

    /// Returns a path as the user would type it at the top of the checkout.
    pub fn short<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.repo).unwrap_or(path)
    }
}

/// Copies a directory with its contents.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Returns the files that the module is built from.
pub fn driver_sources(repo: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let top = WalkDir::new(repo).max_depth(1);
    let below = WalkDir::new(repo.join("abstractions"));
    for entry in top.into_iter().chain(below) {
        let path = entry?.into_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = name == "Kbuild" || name.ends_with(".rs") || is_c(&name);
        if path.is_file() && ours {
            files.push(path);
        }
    }
    files.sort();
    if !files.iter().any(|f| f.ends_with("Kbuild")) {
        bail!("there is no Kbuild in {}", repo.display());
    }
    Ok(files)
}

/// Returns whether the file is a C header, or a C source that the kernel's build has not generated.
fn is_c(name: &str) -> bool {
    (name.ends_with(".c") && !name.ends_with(".mod.c")) || name.ends_with(".h")
}
