// SPDX-License-Identifier: GPL-2.0

//! Additions to `kernel::irq`.

pub(crate) mod managed;
