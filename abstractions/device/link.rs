// SPDX-License-Identifier: GPL-2.0

//! Device links: dependencies between devices, for the driver core and for power management.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h),
//! description: `Documentation/driver-api/device_link.rst`

use kernel::{
    device::{
        Bound,
        Device,
        DeviceContext, //
    },
    prelude::*, //
};

use crate::abstractions::bindings;

/// Adds a link that wakes `supplier` up.
fn add<A: DeviceContext>(consumer: &Device<A>, supplier: &Device, flags: u32) -> Result {
    // SAFETY: `Device` is a transparent wrapper of `struct device`; both references are valid.
    let link = unsafe {
        bindings::device_link_add(
            core::ptr::from_ref(consumer).cast_mut().cast(),
            core::ptr::from_ref(supplier).cast_mut().cast(),
            flags | bindings::DL_FLAG_PM_RUNTIME | bindings::DL_FLAG_RPM_ACTIVE,
        )
    };

    if link.is_null() {
        return Err(EINVAL);
    }
    Ok(())
}

/// Makes `consumer`, which is being probed, depend on `supplier` for as long as it is bound.
///
/// The driver core then unbinds `consumer` before `supplier`, suspends it first and resumes it
/// last, and keeps `supplier` awake while `consumer` is. The link goes away by itself when
/// `consumer` is unbound. May sleep.
///
/// # Errors
///
/// `EINVAL` when the link would close a circle, one of the devices is not registered, or `supplier`
/// cannot be woken up.
pub(crate) fn add_managed(consumer: &Device<Bound>, supplier: &Device) -> Result {
    add(consumer, supplier, bindings::DL_FLAG_AUTOREMOVE_CONSUMER)
}

/// Makes `client`, of whatever driver, depend on `supplier`, which is being probed or bound, for as
/// long as that is bound.
///
/// For a bus master behind an IOMMU: it is not bound while the IOMMU is not, is unbound before it,
/// suspends first and resumes last. The IOMMU is awake while the client is; it also counts as awake
/// until the client first sleeps, which for a client without runtime power management is for ever.
/// The link goes away by itself when `supplier` is unbound, or `client` is removed. May sleep.
///
/// # Errors
///
/// `EINVAL` when the link would close a circle, one of the devices is not registered, or `supplier`
/// cannot be woken up.
pub(crate) fn add_for_client(client: &Device, supplier: &Device) -> Result {
    add(client, supplier, bindings::DL_FLAG_AUTOREMOVE_SUPPLIER)
}
