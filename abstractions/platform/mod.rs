// SPDX-License-Identifier: GPL-2.0

//! Beside `kernel::platform`.

pub(crate) mod ext;
