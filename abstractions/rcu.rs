// SPDX-License-Identifier: GPL-2.0

//! Waiting for readers that take no lock.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use kernel::bindings;

/// Waits for all read-side critical sections that have begun, and has other CPUs hurry for it: for
/// somebody who is waited for in turn. May sleep.
pub(crate) fn synchronize() {
    // SAFETY: It may be called wherever one may sleep.
    unsafe { bindings::synchronize_rcu_expedited() };
}
