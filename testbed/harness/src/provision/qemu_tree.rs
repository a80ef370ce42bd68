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

use crate::exec::{Log, capture};
use crate::ui::Step;

/// Firmware that Debian's tarball lacks. The testbed's machines run no firmware, but configure
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
    /// Brings the tree up to date, or creates it.
    ///
    /// Writes a file only if its content differs, so that ninja sees correct time stamps, also
    /// after a patch was changed or dropped.
    pub fn update(&self, step: &Step, log: &mut Log) -> Result<()> {
        self.remove_others()?;
        let stage = self.stage(step, log)?;
        let mut sync = Command::new("rsync");
        // Without time stamps: those of the sources may be older than the build.
        sync.args(["-rlEc", "--delete", "--exclude=/build", "--out-format=%i"]);
        // Where both have a file, the first one counts. An empty name adds a slash.
        sync.args([stage.path(), self.original].map(|source| source.join("")));
        let changes = capture(sync.arg(self.dir)).context("copying the QEMU source")?;
        if changes.contains("+++") || changes.contains("*deleting") {
            // Meson looks for some files only while configuring.
            let meson = File::options()
                .append(true)
                .open(self.dir.join("meson.build"))?;
            meson.set_modified(SystemTime::now())?;
        }
        Ok(())
    }

    /// Removes the trees of other versions, which are large and quickly made again.
    fn remove_others(&self) -> Result<()> {
        let cache = self.dir.parent().context("the tree is in the cache")?;
        for entry in fs::read_dir(cache)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("qemu-tree-") && path != self.dir {
                if path.is_dir() {
                    fs::remove_dir_all(&path)?;
                } else {
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a directory of what replaces or completes QEMU's files: patched files, the overlay,
    /// and firmware.
    fn stage(&self, step: &Step, log: &mut Log) -> Result<TempDir> {
        let stage = tempfile::tempdir()?;
        fs::create_dir(stage.path().join("pc-bios"))?;
        for name in FIRMWARE {
            let file = format!("pc-bios/edk2-{name}.fd.bz2");
            fs::write(stage.path().join(file), EMPTY_BZ2)?;
        }
        let patches = self.patches()?;
        let mut touched = BTreeSet::new();
        for patch in &patches {
            touched.extend(touched_by(patch)?);
        }
        let mut copy = Command::new("cp");
        copy.arg("--parents").args(touched).arg(stage.path());
        log.run(
            step,
            "copying files of QEMU",
            copy.current_dir(self.original),
        )?;
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
        let mut copy = Command::new("cp");
        copy.arg("-rT")
            .arg(self.ours.join("overlay"))
            .arg(stage.path());
        log.run(step, "copying the overlay", &mut copy)?;
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
}

/// Returns the files that a patch changes.
fn touched_by(patch: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(patch)?;
    let names = text.lines().filter_map(|line| line.strip_prefix("+++ b/"));
    Ok(names.map(str::to_owned).collect())
}
