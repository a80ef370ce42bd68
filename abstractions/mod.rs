// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over kernel interfaces that the `kernel` crate does not wrap.
//!
//! The only place for `unsafe`. Paths here are those that the files have in the `kernel` crate when
//! the driver is in the kernel's tree: `crate::abstractions::` becomes `kernel::` then. No file
//! needs the driver.

pub(crate) mod bindings;
pub(crate) mod device;
pub(crate) mod iommu;
pub(crate) mod irq;
pub(crate) mod module_param;
pub(crate) mod platform;
pub(crate) mod runtime_pm;
pub(crate) mod soc_match;
pub(crate) mod sync;

// Macros are at the top of the `kernel` crate, too.
pub(crate) use crate::{
    iommu_ops_table,
    module_lock,
    string_param, //
};
