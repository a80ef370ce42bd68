// SPDX-License-Identifier: GPL-2.0

//! What the kernel knows of a device's DMA.
//!
//! C header: [`include/linux/dma-map-ops.h`](srctree/include/linux/dma-map-ops.h)

use kernel::{
    bindings,
    device::Device, //
};

/// Returns whether DMA of `dev` sees what is in the CPU's caches, as the firmware describes it; for
/// a PCI device, that of its host bridge. Known once a driver is about to be bound to the device.
pub(crate) fn is_coherent(dev: &Device) -> bool {
    // As `dev_is_dma_coherent()`, which is inline: elsewhere all DMA is coherent.
    if !cfg!(any(
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE,
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU,
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL
    )) {
        return true;
    }

    let dev: *const bindings::device = core::ptr::from_ref(dev).cast();
    let flag = bindings::struct_device_flags_DEV_FLAG_DMA_COHERENT as usize;
    let bits = usize::BITS as usize;
    // SAFETY: `dev` is valid, and the bitmap long enough for all flags. Others may change at the
    // same time, atomically.
    let word = unsafe { (&raw const (*dev).flags[flag / bits]).read_volatile() };

    word >> (flag % bits) & 1 != 0
}

/// Returns whether a driver is bound to `dev`, or being bound. Any context.
pub(crate) fn has_driver(dev: &Device) -> bool {
    let dev: *const bindings::device = core::ptr::from_ref(dev).cast();

    // SAFETY: `dev` is valid. The driver core may change the pointer at any time, so it is read
    // once, and what it points to is not looked at.
    let driver = unsafe { (&raw const (*dev).driver).read_volatile() };
    !driver.is_null()
}
