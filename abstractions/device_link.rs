// SPDX-License-Identifier: GPL-2.0

//! Device links: who depends on whom, for the driver core and for power management.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h),
//! description: `Documentation/driver-api/device_link.rst`

use core::ptr::NonNull;

use kernel::{
    bindings,
    device::{
        Bound,
        Device,
        DeviceContext, //
    },
    prelude::*, //
};

/// The link does not follow the drivers' states; whoever added it deletes it.
const DL_FLAG_STATELESS: u32 = 1 << 0;
/// The link follows the drivers' states and goes away with the consumer's driver.
const DL_FLAG_AUTOREMOVE_CONSUMER: u32 = 1 << 1;

fn add<A: DeviceContext, B: DeviceContext>(
    consumer: &Device<A>,
    supplier: &Device<B>,
    flags: u32,
) -> Result<NonNull<bindings::device_link>> {
    // SAFETY: `Device` is a transparent wrapper of `struct device`; both references are valid.
    let link = unsafe {
        bindings::device_link_add(
            core::ptr::from_ref(consumer).cast_mut().cast(),
            core::ptr::from_ref(supplier).cast_mut().cast(),
            flags,
        )
    };

    NonNull::new(link).ok_or(EINVAL)
}

/// Makes `consumer`, which is being probed, depend on `supplier` for as long as it is bound.
///
/// The driver core then unbinds `consumer` before `supplier`, suspends it first and resumes it
/// last. The link goes away by itself when `consumer` is unbound.
///
/// May sleep.
///
/// # Errors
///
/// `EINVAL` when the link would close a circle, or one of the devices is not registered.
pub(crate) fn add_managed(consumer: &Device<Bound>, supplier: &Device) -> Result {
    add(consumer, supplier, DL_FLAG_AUTOREMOVE_CONSUMER).map(|_| ())
}

/// A dependency that orders suspend and resume only, and lasts until it is dropped.
///
/// For a consumer whose driver is not the caller, like a bus master behind an IOMMU: the consumer
/// suspends before the supplier and resumes after it, whatever it is bound to.
///
/// # Invariants
///
/// `0` is a link that this value added, not yet deleted.
pub(crate) struct OrderLink(NonNull<bindings::device_link>);

// SAFETY: `device_link_del()` takes the locks it needs and may be called from any thread.
unsafe impl Send for OrderLink {}
// SAFETY: Nothing can be done with a shared reference.
unsafe impl Sync for OrderLink {}

impl OrderLink {
    /// Adds the link. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the link would close a circle, or one of the devices is not registered.
    pub(crate) fn new(consumer: &Device, supplier: &Device) -> Result<Self> {
        // INVARIANT: A stateless link is deleted by whoever added it, which is the returned value.
        add(consumer, supplier, DL_FLAG_STATELESS).map(Self)
    }
}

impl Drop for OrderLink {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the link was added by `new()` and not deleted since.
        unsafe { bindings::device_link_del(self.0.as_ptr()) };
    }
}
