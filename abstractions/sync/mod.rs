// SPDX-License-Identifier: GPL-2.0

//! Beside `kernel::sync`.

pub(crate) mod module_lock;
