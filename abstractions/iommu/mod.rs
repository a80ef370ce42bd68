// SPDX-License-Identifier: GPL-2.0

//! Drivers for the IOMMU core.
//!
//! A driver implements [`Ops`], declares one [`OpsTable`] for it with [`ops_table!`], and
//! registers each IOMMU instance with [`Registration`]. The core then calls the driver for each bus
//! master ("device") behind an instance:
//!
//! - [`Ops::of_xlate`] for each reference of the device to an instance in the device tree,
//! - [`Ops::probe_device`], which makes the [`Ops::Master`] that stands for the device from then
//!   on,
//! - [`Ops::alloc_paging`] and `attach_*`, to choose what the device sees,
//! - the [`PagingOps`] of the domain that the driver allocated.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)
//!
//! [`ops_table!`]: crate::iommu_ops_table

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
mod arm_mapping;
mod clients;
mod domain;
mod fwspec;
mod registration;
mod table;

use kernel::{
    device::Device,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

pub(crate) use self::{
    clients::ClientWatch,
    domain::{
        Domain,
        Geometry,
        PagingOps, //
    },
    fwspec::{
        FwSpec,
        PhandleArgs, //
    },
    registration::{
        Instance,
        Registration, //
    },
    table::{
        OpsTable,
        StaticDomain, //
    },
};

/// What an IOMMU can do, as asked by the core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    /// `IOMMU_CAP_CACHE_COHERENCY`: the DMA of the device sees the CPU's caches when it is mapped
    /// with `IOMMU_CACHE`. Without it nobody hands the device to user space.
    CacheCoherency,
    /// `IOMMU_CAP_DEFERRED_FLUSH`: unmapped ranges may be flushed later, all at once.
    DeferredFlush,
}

/// An IOMMU driver.
pub(crate) trait Ops: Sized + Send + Sync + 'static {
    /// One IOMMU, as registered with the core.
    type Instance: AsRef<Instance> + Send + Sync + 'static;
    /// What the driver keeps per device.
    type Master: Send + Sync + 'static;
    /// What the driver keeps per paging domain.
    type Paging: PagingOps;

    /// The driver's table; see [`OpsTable`].
    fn table() -> &'static OpsTable<Self>;

    /// Whether the IOMMU of `dev` can do `capability` for it.
    fn capable(dev: &Device, master: &Self::Master, capability: Capability) -> bool;

    /// Looks at one reference of `dev` to an IOMMU and returns the ID of `dev` there.
    ///
    /// Called once for each reference, and all over again when the device is looked at again. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the device is not to be translated; any other when its description is wrong.
    /// In both cases it is used without IOMMU.
    fn of_xlate(dev: &Device, args: PhandleArgs<'_>) -> Result<u32>;

    /// Takes charge of `dev`. May sleep.
    ///
    /// The device passes untranslated until a domain is attached.
    ///
    /// # Errors
    ///
    /// The device is then used without IOMMU; the driver says why.
    fn probe_device(
        dev: &Device,
        fwspec: FwSpec<'_>,
    ) -> Result<(Arc<Self::Instance>, Self::Master)>;

    /// Calls `f` with another device behind the same IOMMU that cannot be told apart from this one,
    /// if there is any. The two then are in one group, and always see the same. May sleep.
    ///
    /// The other device is not released during the call.
    fn with_alias<R>(
        dev: &Device,
        master: &Self::Master,
        f: impl FnOnce(&Device) -> R,
    ) -> Option<R>;

    /// Makes a paging domain that suits the device. May sleep.
    ///
    /// # Errors
    ///
    /// When the memory is not to be had.
    fn alloc_paging(master: &Self::Master) -> Result<(Geometry, Self::Paging)>;

    /// Has the device see the mappings of `domain`. May sleep; one call at a time per group.
    ///
    /// # Errors
    ///
    /// The device then still sees what it saw before.
    fn attach_paging(
        dev: &Device,
        master: &Self::Master,
        domain: ArcBorrow<'_, Domain<Self>>,
    ) -> Result;

    /// Has the device reach no memory at all. May sleep; one call at a time per group.
    ///
    /// # Errors
    ///
    /// The core does not expect any: only for want of memory.
    fn attach_blocked(dev: &Device, master: &Self::Master) -> Result;

    /// Has the device see physical addresses. May sleep; one call at a time per group.
    fn attach_identity(dev: &Device, master: &Self::Master);
}
