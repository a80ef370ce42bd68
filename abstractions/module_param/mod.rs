// SPDX-License-Identifier: GPL-2.0

//! Additions to `kernel::module_param`.

pub(crate) mod string;
