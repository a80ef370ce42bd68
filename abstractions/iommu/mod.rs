// SPDX-License-Identifier: GPL-2.0

//! Additions to `kernel::iommu`.

pub(crate) mod driver;
pub(crate) mod io_pgtable;
pub(crate) mod platform;
