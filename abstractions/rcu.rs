// SPDX-License-Identifier: GPL-2.0

//! Waiting for readers that take no lock.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

// For one CPU the latter is inline, and is the former.
#[cfg(CONFIG_TINY_RCU)]
use kernel::bindings::synchronize_rcu as wait_for_readers;
#[cfg(not(CONFIG_TINY_RCU))]
use kernel::bindings::synchronize_rcu_expedited as wait_for_readers;

/// Waits for all read-side critical sections that have begun, and has other CPUs hurry for it: for
/// somebody who is waited for in turn. May sleep.
pub(crate) fn synchronize() {
    // SAFETY: It may be called wherever one may sleep.
    unsafe { wait_for_readers() };
}
