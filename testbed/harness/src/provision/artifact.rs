// SPDX-License-Identifier: GPL-2.0
//! Results in the cache, named after a hash of their inputs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// The file that is written last. A directory without it is unfinished.
const STAMP: &str = ".complete";

/// The number of results of one kind that stay in the cache. Those used least recently are removed,
/// unless a process uses them.
const KEEP: usize = 4;

/// The stamps of the results that this process uses, locked until it ends.
static IN_USE: Mutex<Vec<Flock<File>>> = Mutex::new(Vec::new());

/// A hash of all inputs of a result. Their order matters.
pub struct Key(Sha256);

impl Key {
    /// Begins a key with the recipe's version, so that another recipe gives another name.
    pub fn new(recipe: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(recipe);
        Self(hash)
    }

    /// Adds a named string.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0.update(format!("\0{name}={}:{value}", value.len()));
        self
    }

    /// Adds the name and the content of a file.
    pub fn file(self, path: &Path) -> Result<Self> {
        let hash = file_sha256(path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(self.text(&name, &hash))
    }

    /// Adds the path and the content of every file below `dir`.
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

    /// Returns the hash for use in directory names: its first 8 bytes, in hexadecimal.
    pub fn finish(self) -> String {
        hex::encode(&self.0.finalize()[..8])
    }
}

/// Returns the SHA-256 of a file's content, in hexadecimal.
pub fn file_sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    io::copy(&mut file, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

/// Returns the directory `<cache>/<name>-<key>`. Calls `make` to fill it, unless it is finished.
///
/// `make` may find the results of an interrupted attempt in the directory, and must continue or
/// replace them.
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
    // The time shows when a result was last used, so a finished one also gets a new time.
    let stamp = File::create(&stamp)?;
    stamp.set_modified(SystemTime::now())?;
    let held = Flock::lock(stamp, FlockArg::LockShared)
        .map_err(|(_, e)| anyhow!("cannot lock {}: {e}", dir.display()))?;
    let mut in_use = IN_USE.lock().expect("no thread panics with it");
    in_use.push(held);
    prune(cache, name)?;
    Ok(dir)
}

/// Returns whether any process uses the result in `dir`.
fn is_in_use(dir: &Path) -> bool {
    File::open(dir.join(STAMP))
        .is_ok_and(|stamp| Flock::lock(stamp, FlockArg::LockExclusiveNonblock).is_err())
}

/// Removes results of one kind that no process uses: those used least recently, and all unfinished
/// ones. The cache must be locked, so that no other process is making one.
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
        let is_old = rank >= KEEP || *used == SystemTime::UNIX_EPOCH;
        if is_old && !is_in_use(path) {
            fs::remove_dir_all(path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_in_use_stays() -> Result<()> {
        let cache = tempfile::tempdir()?;
        let result = |n: usize| cache.path().join(format!("result-{n:016}"));
        for n in 0..KEEP + 2 {
            fs::create_dir(result(n))?;
            let stamp = File::create(result(n).join(STAMP))?;
            stamp.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1 + n as u64))?;
        }
        let oldest = File::open(result(0).join(STAMP))?;
        let held = Flock::lock(oldest, FlockArg::LockShared).map_err(|(_, e)| e)?;

        prune(cache.path(), "result")?;
        assert!(result(0).exists() && !result(1).exists() && result(2).exists());
        drop(held);
        prune(cache.path(), "result")?;
        assert!(!result(0).exists() && result(2).exists());
        Ok(())
    }
}
