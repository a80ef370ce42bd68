// SPDX-License-Identifier: GPL-2.0
//! Holds CPUs in the driver for a while, with the plugin testbed/plugins/holds.c.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::board::Board;
use crate::paths::Paths;

/// The words of the plugin's control file.
#[derive(Clone, Copy)]
enum Word {
    Begin,
    End,
    Seed,
    Longest,
    Held,
}

/// The file that controls the plugin.
pub struct Holds {
    path: PathBuf,
    control: File,
}

impl Holds {
    /// Creates the file, without orders, for boards that are switched on later.
    pub fn new(paths: &Paths) -> Result<Self> {
        let path = paths.build().join("races-control");
        fs::write(&path, [0; 40])?;
        let control = File::options().read(true).write(true).open(&path)?;
        Ok(Self { path, control })
    }

    /// Returns the argument of QEMU's `-plugin`.
    pub fn argument(&self, plugin: &Path) -> String {
        format!("{},control={}", plugin.display(), self.path.display())
    }

    /// Tells the plugin the driver's place in memory. The board has just loaded the driver.
    pub fn find_driver(&self, board: &mut Board) -> Result<()> {
        let line = board.sh("grep '^ipmmu_vmsa ' /proc/modules")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[_, size, _, _, _, address, ..] = &words[..] else {
            bail!("the kernel says {line:?}");
        };
        let begin = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
        let size: u64 = size.parse()?;
        self.set(Word::Seed, 0)?;
        self.set(Word::Begin, begin)?;
        self.set(Word::End, begin + size)?;
        // The plugin notices code when it runs for the first time.
        board.sh("uname -a; date").map(drop)
    }

    /// Calls `work` while CPUs are held by `seed`, each time for `longest` microseconds at most.
    pub fn during<R>(&self, seed: u64, longest: u64, work: impl FnOnce() -> R) -> Result<R> {
        self.set(Word::Longest, longest)?;
        self.set(Word::Seed, seed)?;
        let done = work();
        self.set(Word::Seed, 0)?;
        Ok(done)
    }

    /// Returns how often a CPU was held on this board.
    pub fn count(&self) -> Result<u64> {
        let mut word = [0; 8];
        self.control
            .read_exact_at(&mut word, 8 * Word::Held as u64)?;
        Ok(u64::from_ne_bytes(word))
    }

    fn set(&self, word: Word, value: u64) -> Result<()> {
        let at = 8 * word as u64;
        Ok(self.control.write_all_at(&value.to_ne_bytes(), at)?)
    }
}
