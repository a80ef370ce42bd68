// SPDX-License-Identifier: GPL-2.0

//! Beside `kernel::irq`.

pub(crate) mod managed;
