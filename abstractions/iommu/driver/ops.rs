// SPDX-License-Identifier: GPL-2.0

//! The trait that a driver implements, and types for the core, which all refer to each other.

use core::marker::PhantomData;

use kernel::{
    bindings,
    device::Device,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        SpinLockIrq, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
use super::arm_mapping::SharedMapping;
use super::{
    super::io_pgtable::*,
    fwspec::*,
    group::*, //
};

/// A driver of IOMMUs that pass on the memory attributes that a client sends.
///
/// All functions may sleep.
pub(crate) trait Ops: Sized + Send + Sync + 'static {
    /// The driver's data of one IOMMU.
    type Instance: Send + Sync + 'static;
    /// The driver's data of one client.
    type Client: Send + Sync + 'static;
    /// The driver's data of one paging domain, which flushes the TLB when the table changes.
    type Flush: FlushOps;

    /// Returns the ID of `dev` at an IOMMU that the device tree names for it.
    ///
    /// Called once for each reference, under the core's probe lock, and again for all of them when
    /// the core probes the client again.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the client is not to be translated, any other when its description is wrong.
    /// In both cases the client works without IOMMU.
    fn of_xlate(dev: &Device, args: PhandleArgs<'_>) -> Result<u32>;

    /// Accepts `dev` as a client, under the core's probe lock. Returns its IOMMU and its data.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the client is not to be translated: it works without IOMMU, and the driver
    /// logs why. After any other error, a driver that is being bound to it is deferred.
    fn probe_device(
        dev: &Device,
        fwspec: FwSpec<'_>,
    ) -> Result<(Arc<Instance<Self>>, Self::Client)>;

    /// Returns the group of the client, all clients of which always have the same translation.
    /// Called under the core's probe lock, after [`Self::probe_device`].
    ///
    /// # Errors
    ///
    /// As for [`Self::probe_device`]. The client is then released.
    fn device_group(grouping: Grouping<'_>, client: &Self::Client) -> Result<Group>;

    /// Detaches `dev` from its domain, if any. This is the last call for the client.
    fn release_device(dev: &Device, client: &Self::Client);

    /// Creates the table of a paging domain for the client, which is behind the IOMMU `hwdev`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn alloc_paging(
        client: &Self::Client,
        hwdev: DmaDevice<'_>,
    ) -> Result<IoPageTable<Self::Flush>>;

    /// Attaches `dev` to `domain`. The core serialises calls for a group.
    ///
    /// # Errors
    ///
    /// The translation for the client is unchanged then.
    fn attach_paging(
        dev: &Device,
        client: &Self::Client,
        domain: ArcBorrow<'_, Domain<Self>>,
    ) -> Result;

    /// Blocks all DMA of `dev`. The core serialises calls for a group.
    fn attach_blocked(dev: &Device, client: &Self::Client);

    /// Lets DMA of `dev` through without translation. The core serialises calls for a group.
    fn attach_identity(dev: &Device, client: &Self::Client);
}

/// A paging domain of the driver `T`.
///
/// The core owns a reference from `domain_alloc_paging()` to `free()`. Each [`Arc`] is another one.
#[pin_data]
pub(crate) struct Domain<T: Ops> {
    #[pin]
    pub(super) raw: Opaque<bindings::iommu_domain>,
    /// Only calls of the core change the table.
    pub(super) table: IoPageTable<T::Flush>,
    /// Whether the core has freed the domain. The fault handler may then be gone.
    #[pin]
    pub(super) is_freed: SpinLockIrq<bool>,
}

/// One IOMMU: the part of the core and that of the driver.
#[pin_data]
pub(crate) struct Instance<T: Ops> {
    #[pin]
    pub(super) raw: Opaque<bindings::iommu_device>,
    pub(super) dev: ARef<Device>,
    pub(super) table: &'static OpsTable<T>,
    pub(super) data: T::Instance,
    /// Whether the instance has a registration, also one that is being made or ended.
    pub(super) is_taken: Atomic<bool>,
    /// Whether the core may refer to the instance.
    pub(super) is_registered: Atomic<bool>,
    #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
    #[pin]
    pub(super) mapping: SharedMapping,
}

/// The `struct iommu_ops` of a driver.
///
/// For a `static`. Created by [`iommu_ops_table!`](crate::iommu_ops_table).
pub(crate) struct OpsTable<T: Ops> {
    pub(super) raw: bindings::iommu_ops,
    /// Whether a reference to the module was taken for paging domains.
    #[cfg_attr(not(CONFIG_MODULE_UNLOAD), expect(dead_code))]
    pub(super) is_module_pinned: Atomic<bool>,
    pub(super) _ops: PhantomData<T>,
}

// SAFETY: `raw` is never written, and the other field is atomic.
unsafe impl<T: Ops> Sync for OpsTable<T> {}

impl<T: Ops> OpsTable<T> {
    pub(super) fn as_raw(&'static self) -> *const bindings::iommu_ops {
        &self.raw
    }

    /// Takes a reference to the module for good. The core has references for clients only, and a
    /// paging domain may outlive these: that of iommufd does, and is freed by code of the module.
    pub(super) fn pin_module(&'static self) {
        #[cfg(CONFIG_MODULE_UNLOAD)]
        if !self.is_module_pinned.xchg(true, Relaxed) {
            // SAFETY: `owner` is the driver's module, or null. The core has a reference to it for
            // the client for which a domain is being allocated.
            unsafe { bindings::__module_get(self.raw.owner) };
        }
        #[cfg(not(CONFIG_MODULE_UNLOAD))]
        let _ = Relaxed;
    }
}

/// The data that the `priv` of a client points to.
///
/// # Invariants
///
/// `instance` was registered when the client was accepted. Before it is unregistered, the core
/// releases the client, which drops this.
pub(super) struct Private<T: Ops> {
    pub(super) instance: Arc<Instance<T>>,
    pub(super) client: T::Client,
}

/// Returns the data that `probe_device()` stored for `dev`.
///
/// # Safety
///
/// `probe_device()` of `T` accepted `dev`, and `release_device()` is not called for it in `'a`.
pub(super) unsafe fn private<'a, T: Ops>(dev: *mut bindings::device) -> &'a Private<T> {
    // SAFETY: By this function's contract `probe_device()` stored a `KBox<Private<T>>`, and
    // `release_device()` does not take it back before the end of `'a`.
    unsafe { KBox::<Private<T>>::borrow((*(*dev).iommu).priv_) }
}

/// Returns the device of the client, and the driver's data.
///
/// # Safety
///
/// As for [`private`].
pub(super) unsafe fn device_and_client<'a, T: Ops>(
    dev: *mut bindings::device,
) -> (&'a Device, &'a T::Client) {
    // SAFETY: By this function's contract the core has not released `dev` before the end of `'a`,
    // and has a valid pointer to it until then. The contract of `private()` is this function's.
    unsafe { (Device::from_raw(dev), &private::<T>(dev).client) }
}
