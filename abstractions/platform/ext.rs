// SPDX-License-Identifier: GPL-2.0

//! What a platform driver does in `probe()` beside mapping registers.
//!
//! C headers: [`include/linux/ioport.h`](srctree/include/linux/ioport.h),
//! [`include/linux/platform_device.h`](srctree/include/linux/platform_device.h)

use kernel::{
    bindings,
    device,
    dma::{
        Device as _,
        DmaMask, //
    },
    platform,
    prelude::*, //
};

/// Requests the memory region number `index` of `pdev`, which no other driver can use until the
/// device is unbound. May sleep.
///
/// `IoRequest::iomap_exclusive()` of Linux 7.3 releases a region in another tree than it requests
/// it in, so that the device cannot be bound again.
///
/// # Errors
///
/// `ENODEV` when there is no such region, `EBUSY` when it is in use.
pub(crate) fn request_region(pdev: &platform::Device<device::Bound>, index: u32) -> Result {
    let resource = pdev.resource_by_index(index).ok_or(ENODEV)?;
    let dev: &device::Device<device::Bound> = pdev.as_ref();

    // SAFETY: The device is bound, and the region is released when it is unbound. Its name lives as
    // long as the device.
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

/// Returns whether there is a platform device called `name`. May sleep.
pub(crate) fn exists(name: &CStr) -> bool {
    // SAFETY: The bus is there as long as the kernel. `name` is valid during the call, and ends
    // with NUL, which is all that `device_match_name()` needs.
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

    // SAFETY: The reference that was returned is given back, once.
    unsafe { bindings::put_device(dev) };
    true
}

/// Tells how many address bits the device can use for DMA of its own. For `probe()`.
///
/// # Errors
///
/// `EIO` when the platform cannot do that.
pub(crate) fn set_dma_mask<'a>(pdev: &platform::Device<device::Core<'a>>, mask: DmaMask) -> Result {
    // SAFETY: `Core` proves that the device is being probed, so no DMA API call for it can be under
    // way unless the driver that is probing makes one, which it cannot do during this call.
    unsafe { pdev.dma_set_mask_and_coherent(mask) }
}
