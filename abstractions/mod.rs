// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over kernel interfaces that the `kernel` crate does not wrap yet.
//!
//! Each file stands alone and knows nothing of the IPMMU: it is written as if it were to be sent
//! to `rust/kernel/`. This is the only directory of the driver that contains `unsafe`.

pub(crate) mod bus;
pub(crate) mod device_link;
pub(crate) mod dma;
pub(crate) mod fwnode;
pub(crate) mod io_pgtable;
pub(crate) mod iommu;
pub(crate) mod irq;
pub(crate) mod mmio;
pub(crate) mod module_static;
pub(crate) mod param;
pub(crate) mod platform;

pub(crate) mod power_domain;
pub(crate) mod rcu;
pub(crate) mod runtime_pm;
pub(crate) mod soc;
pub(crate) mod tally;
