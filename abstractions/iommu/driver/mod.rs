// SPDX-License-Identifier: GPL-2.0

//! Drivers for the IOMMU core.
//!
//! A driver implements [`Ops`], declares one [`OpsTable`] for it with [`iommu_ops_table!`], and
//! registers each IOMMU, as an [`Instance`], with [`register_managed`]. The core then calls the
//! driver for each bus master ("client") behind an instance:
//!
//! - [`Ops::of_xlate`] for each reference of the client to an instance in the device tree,
//! - [`Ops::probe_device`], which makes the [`Ops::Client`] that stands for the client,
//! - [`Ops::device_group`], which says what the client cannot be told apart from,
//! - [`Ops::alloc_paging`] and `attach_*`, to choose what the client sees,
//! - the [`FlushOps`](super::io_pgtable::FlushOps) of the table that the driver allocated.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)
//!
//! [`iommu_ops_table!`]: crate::iommu_ops_table

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
mod arm_mapping;
mod callbacks;
mod domain;
mod fwspec;
mod group;
mod instance;
mod ops;
mod private;
mod table;

pub(crate) use self::{
    fwspec::{
        FwSpec,
        PhandleArgs, //
    },
    group::{
        Group,
        Grouping, //
    },
    instance::register_managed,
    ops::{Capability, Domain, Geometry, Instance, Ops, OpsTable},
    table::StaticDomain, //
};
