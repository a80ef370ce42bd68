// SPDX-License-Identifier: GPL-2.0

//! Additions to `kernel::sync`.

pub(crate) mod module_lock;
