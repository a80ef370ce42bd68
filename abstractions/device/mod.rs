// SPDX-License-Identifier: GPL-2.0

//! Additions to `kernel::device`.

pub(crate) mod driver;
pub(crate) mod fwnode;
pub(crate) mod link;
