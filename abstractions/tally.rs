// SPDX-License-Identifier: GPL-2.0

//! Counting what happens too often to be counted exactly.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// How often something happened; roughly, if it happens on several CPUs at once.
pub(crate) struct Tally(Atomic<usize>);

impl Tally {
    /// Never so far.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Once more. Of two CPUs that count at once, one may be missed: an atomic addition would have
    /// them wait for one another.
    #[inline(always)]
    pub(crate) fn count(&self) {
        let count = self.0.as_ptr();

        // SAFETY: `as_ptr()` is valid, and all accesses to what it points to are atomic: that is
        // what those of an aligned word are, as in `READ_ONCE()` and `WRITE_ONCE()`.
        unsafe { count.write_volatile(count.read_volatile().wrapping_add(1)) };
    }

    /// How often.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}
