// SPDX-License-Identifier: GPL-2.0

//! Functions for the `probe()` of platform drivers, besides the mapping of registers.
//!
//! C headers: [`include/linux/ioport.h`](srctree/include/linux/ioport.h),
//! [`include/linux/platform_device.h`](srctree/include/linux/platform_device.h)

use kernel::{
    bindings,
    device,
    platform,
    prelude::*, //
};

/// Requests memory region `index` of `pdev`. No other driver can request it until the device is
/// unbound. May sleep.
///
/// `IoRequest::iomap_exclusive()` of Linux 7.3 requests a region in one tree of resources and
/// releases it in another, so that the device cannot be bound again.
///
/// Fails with `ENODEV` when there is no such region, `EBUSY` when it is in use or there is no
/// memory.
pub(crate) fn request_region(pdev: &platform::Device<device::Bound>, index: u32) -> Result {
    let resource = pdev.resource_by_index(index).ok_or(ENODEV)?;
    let dev: &device::Device<device::Bound> = pdev.as_ref();

    // SAFETY: `dev` is valid and bound, so devres releases the region when it is unbound. The tree
    // is static. The name is NUL-terminated, and outlives the region with the device.
    let region = unsafe {
        bindings::__devm_request_region(
            core::ptr::from_ref(dev).cast_mut().cast(),
            &raw mut bindings::iomem_resource,
            resource.start(),
            resource.size(),
            dev.name().as_char_ptr(),
        )
    };
    if region.is_null() {
        return Err(EBUSY);
    }
    Ok(())
}

/// Returns whether a platform device with this name exists. May sleep.
pub(crate) fn exists(name: &CStr) -> bool {
    // SAFETY: The bus is static, and null stands for its first device. `name` is valid during the
    // call and NUL-terminated, as `device_match_name()` requires.
    let dev = unsafe {
        bindings::bus_find_device(
            &raw const bindings::platform_bus_type,
            core::ptr::null_mut(),
            name.as_char_ptr().cast(),
            Some(bindings::device_match_name),
        )
    };
    if dev.is_null() {
        return false;
    }

    // SAFETY: `bus_find_device()` returned a reference. It is dropped here, once.
    unsafe { bindings::put_device(dev) };
    true
}
