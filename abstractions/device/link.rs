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

/// Adds a managed link, and wakes `supplier` up.
fn add<A: DeviceContext>(consumer: &Device<A>, supplier: &Device, flags: u32) -> Result {
    // SAFETY: `Device` is a transparent wrapper of `struct device`, so both pointers are valid.
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

/// Makes `consumer`, which is being probed, depend on `supplier`, which is bound.
///
/// The driver core then unbinds `consumer` before `supplier`, suspends it first and resumes it
/// last, and keeps `supplier` awake while `consumer` is. It removes the link when `consumer` is
/// unbound. May sleep.
///
/// Fails with `EINVAL` when the link would close a circle, `supplier` is not registered or cannot
/// be woken up, or there is no memory.
pub(crate) fn add_managed(consumer: &Device<Bound>, supplier: &Device) -> Result {
    add(consumer, supplier, bindings::DL_FLAG_AUTOREMOVE_CONSUMER)
}

/// Makes `client`, with or without a driver, depend on `supplier`, which is being probed or bound,
/// until `supplier` is unbound.
///
/// For a bus master behind an IOMMU. The driver core binds it only while the IOMMU is bound, and
/// unbinds and suspends it first, and resumes it last. The IOMMU is awake while the client is, and
/// until the client first sleeps: for a client without runtime power management, for ever. The
/// driver core removes the link when `supplier` is unbound or `client` is removed. May sleep.
///
/// Fails with `EINVAL` when the link would close a circle, `supplier` is not registered or cannot
/// be woken up, or there is no memory.
pub(crate) fn add_for_client(client: &Device, supplier: &Device) -> Result {
    add(client, supplier, bindings::DL_FLAG_AUTOREMOVE_SUPPLIER)
}
