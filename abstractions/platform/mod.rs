// SPDX-License-Identifier: GPL-2.0

//! Additions to `kernel::platform`.

pub(crate) mod ext;
