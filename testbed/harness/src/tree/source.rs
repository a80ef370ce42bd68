// SPDX-License-Identifier: GPL-2.0
//! The source of a kernel: addition and removal of the driver.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walkdir::{DirEntry, WalkDir};

use super::author::Author;
use super::edits::{EDITS, in_crate, originals};
use super::payload::{self, DOCUMENTS, HOME, Payload};

/// The kernel release that the driver is for.
const RELEASE: (&str, &str) = ("7", "3");

/// The source of a kernel, or the part of it that the driver changes.
pub struct Tree {
    pub(super) top: PathBuf,
}

impl Tree {
    /// Opens the user's kernel source. Fails unless it is of the right release.
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

    /// Creates a tree in `top` with copies of the files of `other` that the driver changes, without
    /// these changes.
    pub fn excerpt(other: &Self, top: &Path) -> Result<Self> {
        let tree = Self {
            top: top.to_owned(),
        };
        for (file, text) in originals(|file| other.read(file))? {
            tree.write(file, &text)?;
        }
        Ok(tree)
    }

    /// Returns whether the tree contains the driver, or a part of it.
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
        // Nothing is written unless all edits have found their places.
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

    /// Removes the driver. Removes references to files before the files, so that the tree can be
    /// built at any time.
    pub fn uninstall(&self) -> Result<()> {
        for (file, text) in originals(|file| self.read(file))? {
            self.write(file, &text)?;
        }
        self.remove_files(|_| false)
    }

    /// Removes the driver's files and directories, with build results. Files for which `kept`
    /// returns true stay, so that [`Self::write`] can compare them.
    fn remove_files(&self, kept: impl Fn(&str) -> bool) -> Result<()> {
        for path in in_crate().chain([HOME, DOCUMENTS, payload::ABI]) {
            let walk = WalkDir::new(self.top.join(path)).contents_first(true);
            // Paths that do not exist give errors, which are ignored.
            for path in walk
                .into_iter()
                .filter_map(Result::ok)
                .map(DirEntry::into_path)
            {
                let name = path.strip_prefix(&self.top)?.to_string_lossy();
                if path.is_dir() {
                    // Fails if a file is left in the directory.
                    let _ = fs::remove_dir(&path);
                } else if !kept(&name) {
                    fs::remove_file(&path)
                        .with_context(|| format!("cannot remove {}", path.display()))?;
                }
            }
        }
        // Removes directories in the `kernel` crate that are empty without these files.
        for dir in in_crate().filter_map(|path| self.top.join(path).parent().map(Path::to_owned)) {
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }

    pub(super) fn read(&self, file: &str) -> Result<String> {
        let path = self.top.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Replaces a file instead of writing to it, as it may be a hard link. A file with equal text
    /// is left alone, so that nothing is rebuilt.
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
