// SPDX-License-Identifier: GPL-2.0

//! Beside `kernel::module_param`.

pub(crate) mod string;
