// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over kernel interfaces that the `kernel` crate does not wrap.
//!
//! The only place for `unsafe`. Each file or folder stands for itself, as it would in
//! `rust/kernel/`, but for `platform`, which calls others in its callbacks.

pub(crate) mod device_link;
pub(crate) mod dma;
pub(crate) mod fwnode;
pub(crate) mod io_pgtable;
pub(crate) mod iommu;
pub(crate) mod irq;
pub(crate) mod module_lock;
pub(crate) mod param;
pub(crate) mod platform;
pub(crate) mod runtime_pm;
pub(crate) mod soc;
