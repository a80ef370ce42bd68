// SPDX-License-Identifier: GPL-2.0

//! What a driver implements, and what the core is given of it: types that refer to each other.

use core::marker::PhantomData;

use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::Atomic,
        Arc,
        ArcBorrow,
        SpinLockIrq, //
    },
    types::Opaque, //
};

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
use super::arm_mapping::SharedMapping;
use super::{
    super::io_pgtable::{
        FlushOps,
        IoPageTable, //
    },
    fwspec::{
        FwSpec,
        PhandleArgs, //
    },
    group::{
        Group,
        Grouping, //
    },
};

/// A capability of an IOMMU, as asked for by the core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    /// `IOMMU_CAP_CACHE_COHERENCY`: the DMA of the client sees the CPU's caches when it is mapped
    /// with `IOMMU_CACHE`. Without it VFIO and iommufd refuse the client.
    CacheCoherency,
    /// `IOMMU_CAP_DEFERRED_FLUSH`: unmapped ranges may be flushed later, all at once.
    DeferredFlush,
}

/// An IOMMU driver.
///
/// All functions may sleep.
pub(crate) trait Ops: Sized + Send + Sync + 'static {
    /// The driver's data of one IOMMU.
    type Instance: Send + Sync + 'static;
    /// The driver's data of one client.
    type Client: Send + Sync + 'static;
    /// The driver's data of one paging domain: what flushes when its table changes.
    type Flush: FlushOps;

    /// Returns whether the IOMMU of `dev` can do `capability` for it.
    fn capable(dev: &Device, client: &Self::Client, capability: Capability) -> bool;

    /// Returns the ID of `dev` at an IOMMU that the device tree names for it.
    ///
    /// Called once for each reference, under the core's probe lock, and all over again when the
    /// core looks at the client again.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the client is not to be translated; any other when its description is wrong.
    /// In both cases it is used without IOMMU.
    fn of_xlate(dev: &Device, args: PhandleArgs<'_>) -> Result<u32>;

    /// Takes charge of `dev`, under the core's probe lock.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the client is not to be translated: it is used without IOMMU, and the driver
    /// says why. After any other, a driver that is being bound to it waits.
    fn probe_device(
        dev: &Device,
        fwspec: FwSpec<'_>,
    ) -> Result<(Arc<Instance<Self>>, Self::Client)>;

    /// Returns the group of clients that always see the same, under the core's probe lock, after
    /// [`Self::probe_device`].
    ///
    /// # Errors
    ///
    /// As above; the client is released.
    fn device_group(grouping: Grouping<'_>, client: &Self::Client) -> Result<Group>;

    /// Stops using whatever domain `dev` is attached to. The last call for the client.
    fn release_device(dev: &Device, client: &Self::Client);

    /// Makes the table of a paging domain that suits the client, behind the IOMMU `hwdev`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn alloc_paging(
        client: &Self::Client,
        hwdev: &Device<Bound>,
    ) -> Result<(Geometry, IoPageTable<Self::Flush>)>;

    /// Attaches `dev` to the mappings of `domain`. One call at a time per group.
    ///
    /// # Errors
    ///
    /// The client then still sees what it saw before.
    fn attach_paging(
        dev: &Device,
        client: &Self::Client,
        domain: ArcBorrow<'_, Domain<Self>>,
    ) -> Result;

    /// Keeps `dev` from all memory. One call at a time per group.
    fn attach_blocked(dev: &Device, client: &Self::Client);

    /// Shows physical addresses to `dev`. One call at a time per group.
    fn attach_identity(dev: &Device, client: &Self::Client);
}

/// What IOVAs a paging domain has.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    /// Page and block sizes, as a bitmap.
    pub(crate) pgsize_bitmap: usize,
    /// The last IOVA. Others than `0..=last` cannot be mapped, and are not passed through either.
    pub(crate) last: u64,
}

/// A paging domain of the driver `T`.
///
/// Owned by the core, from `domain_alloc_paging()` to `free()`, and by all that hold an
/// [`Arc`] of it.
#[pin_data]
pub(crate) struct Domain<T: Ops> {
    #[pin]
    pub(super) raw: Opaque<bindings::iommu_domain>,
    /// Changed by the core's calls alone.
    pub(super) table: IoPageTable<T::Flush>,
    /// Whether the core has freed the domain, and its owner the fault handler.
    #[pin]
    pub(super) is_freed: SpinLockIrq<bool>,
}

/// One IOMMU: the core's part and the driver's.
#[pin_data]
pub(crate) struct Instance<T: Ops> {
    #[pin]
    pub(super) raw: Opaque<bindings::iommu_device>,
    pub(super) dev: ARef<Device>,
    pub(super) table: &'static OpsTable<T>,
    pub(super) data: T::Instance,
    /// Whether a `Registration` exists.
    pub(super) is_registered: Atomic<bool>,
    #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
    #[pin]
    pub(super) mapping: SharedMapping,
}

/// The `struct iommu_ops` of a driver.
///
/// For a `static`; made by [`iommu_ops_table!`](crate::iommu_ops_table).
pub(crate) struct OpsTable<T: Ops> {
    pub(super) raw: bindings::iommu_ops,
    /// Whether a reference to the module is held for its paging domains.
    #[cfg_attr(not(CONFIG_MODULE_UNLOAD), expect(dead_code))]
    pub(super) is_module_pinned: Atomic<bool>,
    pub(super) _ops: PhantomData<T>,
}
