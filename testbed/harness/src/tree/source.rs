// SPDX-License-Identifier: GPL-2.0
//! The source of a kernel, to which the driver is added, and from which it is removed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walkdir::{DirEntry, WalkDir};

use super::author::Author;
use super::edits::{EDITS, in_crate, originals};
use super::payload::{self, DOCUMENTS, HOME, Payload};

/// The release that the driver is for.
const RELEASE: (&str, &str) = ("7", "3");

/// The source of a kernel, or the part of it that the driver changes.
pub struct Tree {
    pub(super) top: PathBuf,
}

impl Tree {
    /// Opens a kernel source of the user.
    pub fn open(top: &Path) -> Result<Self> {
        let top = fs::canonicalize(top)
            .with_context(|| format!("KSRC={} does not exist", top.display()))?;
        let makefile = fs::read_to_string(top.join("Makefile")).unwrap_or_default();
        let value = |name: &str| {
            makefile
                .lines()
                .find_map(|l| l.strip_prefix(name)?.trim().strip_prefix("= "))
        };
        let (Some(major), Some(minor)) = (value("VERSION"), value("PATCHLEVEL")) else {
            bail!("KSRC={} is not a kernel source tree", top.display());
        };
        ensure!(
            (major, minor) == RELEASE,
            "the driver goes into Linux {}.{}, and KSRC={} is Linux {major}.{minor}",
            RELEASE.0,
            RELEASE.1,
            top.display()
        );
        Ok(Self { top })
    }

    /// Returns a directory with copies of the files of `other` that the driver changes, without its
    /// changes.
    pub fn excerpt(other: &Self, top: &Path) -> Result<Self> {
        let tree = Self {
            top: top.to_owned(),
        };
        for (file, text) in originals(|file| other.read(file))? {
            tree.write(file, &text)?;
        }
        Ok(tree)
    }

    /// Returns whether the driver is there, or a part of it.
    pub fn has_driver(&self) -> bool {
        let files = [HOME, DOCUMENTS].iter().any(|d| self.top.join(d).exists());
        files
            || EDITS.iter().any(|edit| {
                let text = self.read(edit.file);
                text.is_ok_and(|text| edit.remove(&text) != text)
            })
    }

    /// Adds the driver from `repo`, in place of an older one.
    pub fn install(&self, repo: &Path, author: &Author) -> Result<()> {
        let payload = Payload::collect(repo)?;
        // All or nothing: first check that every place is known.
        let patterns = payload.patterns();
        let mut edited = originals(|file| self.read(file))?;
        for edit in &EDITS {
            let text = edited.entry(edit.file).or_default();
            *text = edit.insert(text, author, &patterns)?;
        }
        self.remove_files(|path| payload.has(path))?;
        for (path, content) in payload.files() {
            self.write(path, content)?;
        }
        for (file, text) in edited {
            self.write(file, &text)?;
        }
        Ok(())
    }

    /// Removes the driver. References to files are removed before the files, so that the tree can
    /// be built at any time.
    pub fn uninstall(&self) -> Result<()> {
        for (file, text) in originals(|file| self.read(file))? {
            self.write(file, &text)?;
        }
        self.remove_files(|_| false)
    }

    /// Removes the driver's files and directories, with build results. Files for which `kept` is
    /// true stay, for [`Self::write`] to compare.
    fn remove_files(&self, kept: impl Fn(&str) -> bool) -> Result<()> {
        for path in in_crate().chain([HOME, DOCUMENTS, payload::ABI]) {
            let walk = WalkDir::new(self.top.join(path)).contents_first(true);
            // A file that cannot be read is not there.
            for path in walk
                .into_iter()
                .filter_map(Result::ok)
                .map(DirEntry::into_path)
            {
                let name = path.strip_prefix(&self.top)?.to_string_lossy();
                if path.is_dir() {
                    // Fails if a file in it was kept.
                    let _ = fs::remove_dir(&path);
                } else if !kept(&name) {
                    fs::remove_file(&path)
                        .with_context(|| format!("cannot remove {}", path.display()))?;
                }
            }
        }
        // Directories in the `kernel` crate that have nothing else.
        for dir in in_crate().filter_map(|path| self.top.join(path).parent().map(Path::to_owned)) {
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }

    pub(super) fn read(&self, file: &str) -> Result<String> {
        let path = self.top.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Replaces a file rather than writing into it, as it may be a hard link. A file with the same
    /// text stays, so that nothing is built anew.
    pub(super) fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.top.join(file);
        if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        let dir = path.parent().context("the file has no directory")?;
        let replace = || -> Result<()> {
            fs::create_dir_all(dir)?;
            let mut new = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .tempfile_in(dir)?;
            new.write_all(text.as_bytes())?;
            new.persist(&path)?;
            Ok(())
        };
        replace().with_context(|| format!("cannot write {}", path.display()))
    }
}
