// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over kernel interfaces that the `kernel` crate does not wrap.
//!
//! All `unsafe` code is here. The paths are those of the `kernel` crate: in the kernel's tree,
//! `crate::abstractions::` becomes `kernel::`. No file depends on the driver.

pub(crate) mod bindings;
pub(crate) mod device {
    pub(crate) mod driver;
    pub(crate) mod fwnode;
    pub(crate) mod link;
}
pub(crate) mod iommu {
    pub(crate) mod driver;
    pub(crate) mod io_pgtable;
    pub(crate) mod platform;
}
pub(crate) mod irq {
    pub(crate) mod managed;
}
pub(crate) mod module_param {
    pub(crate) mod string;
}
pub(crate) mod platform {
    pub(crate) mod ext;
}
pub(crate) mod runtime_pm;
pub(crate) mod soc_match;
pub(crate) mod sync {
    pub(crate) mod module_lock;
}

// The `kernel` crate exports macros at its top, too.
pub(crate) use crate::{
    iommu_ops_table,
    module_lock,
    string_param, //
};
