// SPDX-License-Identifier: GPL-2.0
//! Memory that a device may write to at any time.

use std::ptr::null_mut;

use anyhow::{Context, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// The size of a page here.
pub const PAGE: usize = 4096;
/// The size of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// The size of the largest page.
pub const GIANT_PAGE: usize = 1 << 30;

/// Pages of this process.
pub struct Pages {
    at: *mut u64,
    size: usize,
}

impl Pages {
    /// Returns `count` pages, all zero.
    pub fn new(count: usize) -> Result<Self> {
        Self::map(count * PAGE, MapFlags::empty()).context("no memory")
    }

    /// Returns one huge page; the administrator must have put some aside.
    pub fn huge() -> Result<Self> {
        Self::map(HUGE_PAGE, MapFlags::HUGETLB | MapFlags::HUGE_2MB).context("no huge page")
    }

    /// Returns one page of the largest size.
    pub fn giant() -> Result<Self> {
        Self::map(GIANT_PAGE, MapFlags::HUGETLB | MapFlags::HUGE_1GB).context("no giant page")
    }

    fn map(size: usize, flags: MapFlags) -> rustix::io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE | flags;
        // SAFETY: New memory, at an address that the kernel chooses.
        let at = unsafe { mmap_anonymous(null_mut(), size, protection, flags)? };
        Ok(Self {
            at: at.cast(),
            size,
        })
    }

    /// Returns their address in this process.
    pub fn address(&self) -> u64 {
        self.at as u64
    }

    /// Returns how many bytes they are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Puts `code` at the beginning of the first page.
    pub fn put(&self, code: &[u32]) {
        assert!(size_of_val(code) <= PAGE);
        for (index, instruction) in code.iter().enumerate() {
            let at = self.at.cast::<u32>().wrapping_add(index);
            // SAFETY: Within the first page, which is writable.
            unsafe { at.write_volatile(*instruction) };
        }
    }

    /// Fills one page, beginning at `offset`, with the words of `pattern`.
    pub fn fill(&self, offset: usize, pattern: Pattern) {
        for (index, word) in self.words(offset).enumerate() {
            // SAFETY: `words()` stays within the memory, which is writable.
            unsafe { word.write_volatile(pattern.word(index)) };
        }
    }

    /// Returns whether the page at `offset` holds all of `pattern`.
    pub fn holds(&self, offset: usize, pattern: Pattern) -> bool {
        self.words(offset).enumerate().all(|(index, word)| {
            // SAFETY: `words()` stays within the memory, which is readable.
            unsafe { word.read_volatile() == pattern.word(index) }
        })
    }

    /// Returns whether the page at `offset` holds no word of `pattern`.
    pub fn holds_nothing_of(&self, offset: usize, pattern: Pattern) -> bool {
        self.words(offset).enumerate().all(|(index, word)| {
            // SAFETY: `words()` stays within the memory, which is readable.
            unsafe { word.read_volatile() != pattern.word(index) }
        })
    }

    /// Returns the words of the page at `offset`.
    fn words(&self, offset: usize) -> impl Iterator<Item = *mut u64> + use<> {
        assert!(offset % PAGE == 0 && offset < self.size);
        let first = self.at.wrapping_byte_add(offset);
        (0..PAGE / size_of::<u64>()).map(move |index| first.wrapping_add(index))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `map()` made it, and `self` was its only owner. A device that
        // it is still mapped for writes to pages that iommufd holds on to.
        let _ = unsafe { munmap(self.at.cast(), self.size) };
    }
}

/// A page full of words that no other pattern has in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern(pub u32);

impl Pattern {
    /// Returns its word `index`; each is one more than the one before.
    pub fn word(self, index: usize) -> u64 {
        0xd << 60 | u64::from(self.0) << 16 | index as u64
    }
}
