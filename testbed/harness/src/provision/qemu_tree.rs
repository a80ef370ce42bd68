// SPDX-License-Identifier: GPL-2.0
//! QEMU's source with the testbed's files. The tree stays in the cache, so that ninja rebuilds only
//! what depends on changed files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};
use tempfile::TempDir;
use walkdir::WalkDir;

use crate::exec::Log;
use crate::ui::Step;

/// Firmware that Debian's tarball lacks. The testbed's machine runs no firmware, but configure
/// unpacks it.
const FIRMWARE: [&str; 12] = [
    "aarch64-code",
    "arm-code",
    "arm-vars",
    "riscv-code",
    "riscv-vars",
    "i386-code",
    "i386-secure-code",
    "i386-vars",
    "x86_64-code",
    "x86_64-secure-code",
    "loongarch64-code",
    "loongarch64-vars",
];

/// An empty bzip2 stream.
const EMPTY_BZ2: &[u8] = b"BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00";

/// A tree to build in, and the sources of its files.
pub struct Tree<'a> {
    /// QEMU's source as it was published.
    pub original: &'a Path,
    /// `testbed/qemu` of the checkout, with patches and an overlay.
    pub ours: &'a Path,
    /// The tree, which combines both.
    pub dir: &'a Path,
}

impl Tree<'_> {
    /// Brings the tree up to date.
    ///
    /// Writes a file only if its content differs, so that ninja sees correct time stamps, also
    /// after a patch was changed or dropped.
    pub fn update(&self, step: &Step, log: &mut Log) -> Result<()> {
        self.populate(step, log)?;
        let stage = self.stage(step, log)?;
        let before = self.listed();
        let mut now = BTreeSet::new();
        for name in files_below(stage.path())? {
            copy_if_different(&stage.path().join(&name), &self.dir.join(&name))?;
            now.insert(name);
        }
        for name in before.difference(&now) {
            if self.original.join(name).exists() {
                copy_if_different(&self.original.join(name), &self.dir.join(name))?;
            } else {
                let _ = fs::remove_file(self.dir.join(name));
            }
        }
        if before != now {
            // Meson looks for some of these files only while configuring.
            let meson = File::options()
                .append(true)
                .open(self.dir.join("meson.build"))?;
            meson.set_modified(SystemTime::now())?;
        }
        let names: Vec<String> = now
            .iter()
            .map(|p| p.to_string_lossy().into_owned())
            .collect();
        fs::write(self.list(), names.join("\n"))?;
        Ok(())
    }

    /// Copies QEMU's source into the tree, unless that was done before.
    fn populate(&self, step: &Step, log: &mut Log) -> Result<()> {
        let stamp = self.dir.with_extension("populated");
        if stamp.exists() {
            return Ok(());
        }
        self.remove_others()?;
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"])
            .arg(self.original)
            .arg(self.dir);
        log.run(step, "copying the QEMU source", &mut copy)?;
        for name in FIRMWARE {
            let file = self.dir.join(format!("pc-bios/edk2-{name}.fd.bz2"));
            if !file.exists() {
                fs::write(file, EMPTY_BZ2)?;
            }
        }
        File::create(stamp)?;
        Ok(())
    }

    /// Removes an incomplete copy, and the trees of other versions, which are large and quickly
    /// made again.
    fn remove_others(&self) -> Result<()> {
        let cache = self.dir.parent().context("the tree is in the cache")?;
        for entry in fs::read_dir(cache)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with("qemu-tree-") {
                continue;
            }
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Makes a directory of the testbed's files alone: patched files of QEMU, and the overlay.
    fn stage(&self, step: &Step, log: &mut Log) -> Result<TempDir> {
        let stage = tempfile::tempdir()?;
        let patches = self.patches()?;
        for patch in &patches {
            for name in touched_by(patch)? {
                let original = self.original.join(&name);
                if original.exists() {
                    copy_if_different(&original, &stage.path().join(&name))?;
                }
            }
        }
        for patch in &patches {
            let mut apply = Command::new("patch");
            apply.args([
                "-p1",
                "--batch",
                "--forward",
                "--no-backup-if-mismatch",
                "-i",
            ]);
            apply.arg(patch).current_dir(stage.path());
            let what = format!("applying {}", patch.display());
            log.run(step, &what, &mut apply)?;
        }
        let overlay = self.ours.join("overlay");
        for name in files_below(&overlay)? {
            copy_if_different(&overlay.join(&name), &stage.path().join(&name))?;
        }
        Ok(stage)
    }

    fn patches(&self) -> Result<Vec<PathBuf>> {
        let mut patches: Vec<PathBuf> = fs::read_dir(self.ours.join("patches"))
            .context("there are no patches for QEMU")?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "patch"))
            .collect();
        patches.sort();
        Ok(patches)
    }

    fn list(&self) -> PathBuf {
        self.dir.with_extension("ours")
    }

    /// Returns the testbed's files as of the last update.
    fn listed(&self) -> BTreeSet<PathBuf> {
        let text = fs::read_to_string(self.list()).unwrap_or_default();
        text.lines().map(PathBuf::from).collect()
    }
}

/// Returns the files that a patch changes.
fn touched_by(patch: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string(patch)?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix("+++ b/"))
        .map(|name| PathBuf::from(name.split('\t').next().unwrap_or(name)))
        .collect())
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(dir) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.path().strip_prefix(dir)?.to_owned());
        }
    }
    Ok(files)
}

fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(to, content)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}
