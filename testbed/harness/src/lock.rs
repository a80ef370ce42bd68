// SPDX-License-Identifier: GPL-2.0
//! Allows one run at a time per cache and per checkout.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A file lock until this is dropped. The kernel releases it if the process dies.
pub struct Lock(#[expect(dead_code, reason = "held, never looked at")] Flock<File>);

impl Lock {
    /// Takes the lock on `path`. If another run has it, says so and waits.
    pub fn take(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err((file, Errno::EWOULDBLOCK)) => {
                eprintln!("Another run is busy here; waiting for it to finish.");
                Flock::lock(file, FlockArg::LockExclusive)
                    .map(Self)
                    .map_err(|(_, e)| anyhow!("cannot lock {}: {e}", path.display()))
            }
            Err((_, e)) => Err(anyhow!("cannot lock {}: {e}", path.display())),
        }
    }
}
