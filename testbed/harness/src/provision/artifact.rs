// SPDX-License-Identifier: GPL-2.0
//! Results kept by a hash of what they are made from.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Written last: a directory without it is unfinished.
const STAMP: &str = ".complete";

/// How many results of one kind are kept; the least recently used go.
const KEEP: usize = 4;

/// The hash of all inputs of one artifact, in the order they are given.
pub struct Key(Sha256);

impl Key {
    /// Begins with the recipe's own version, so that changing how something
    /// is made gives new names as well.
    pub fn new(recipe: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(recipe);
        Self(hash)
    }

    /// Adds a named piece of text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0.update(format!("\0{name}={}:{value}", value.len()));
        self
    }

    /// Adds a file's content.
    pub fn file(self, path: &Path) -> Result<Self> {
        let hash = file_sha256(path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(self.text(&name, &hash))
    }

    /// Adds every file below `dir`, with its path and whether it can be run.
    pub fn tree(mut self, dir: &Path) -> Result<Self> {
        for entry in WalkDir::new(dir).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                let name = entry
                    .path()
                    .strip_prefix(dir)?
                    .to_string_lossy()
                    .into_owned();
                self = self.text("path", &name).file(entry.path())?;
            }
        }
        Ok(self)
    }

    /// The hash as it stands in directory names.
    pub fn finish(self) -> String {
        hex::encode(&self.0.finalize()[..8])
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub fn file_sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    io::copy(&mut file, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

/// Returns `<cache>/<name>-<key>`, made by `make` unless it is there already.
///
/// `make` may find the remains of an interrupted attempt in the directory and
/// is expected to build upon or replace them.
pub fn keyed(
    cache: &Path,
    name: &str,
    key: Key,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let dir = cache.join(format!("{name}-{}", key.finish()));
    let stamp = dir.join(STAMP);
    if !stamp.exists() {
        fs::create_dir_all(&dir)?;
        make(&dir)?;
    }
    // Also for one found finished: the time tells which ones are in use.
    File::create(&stamp)?.set_modified(SystemTime::now())?;
    prune(cache, name)?;
    Ok(dir)
}

/// Removes the least recently used results of one kind, and all unfinished
/// ones: who holds the cache's lock is the only one at work.
fn prune(cache: &Path, name: &str) -> Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(hash) = file_name
            .strip_prefix(name)
            .and_then(|r| r.strip_prefix('-'))
        else {
            continue;
        };
        if hash.len() != 16 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            continue;
        }
        let used = match fs::metadata(path.join(STAMP)) {
            Ok(stamp) => stamp.modified()?,
            Err(_) => SystemTime::UNIX_EPOCH,
        };
        kept.push((used, path));
    }
    kept.sort();
    for (rank, (used, path)) in kept.iter().rev().enumerate() {
        if rank >= KEEP || *used == SystemTime::UNIX_EPOCH {
            fs::remove_dir_all(path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
