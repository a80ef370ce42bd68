// SPDX-License-Identifier: GPL-2.0

//! What the kernel knows of a device's DMA.
//!
//! C header: [`include/linux/dma-map-ops.h`](srctree/include/linux/dma-map-ops.h)

use kernel::device::Device;

use crate::abstractions::bindings;

/// Returns whether DMA of `dev` sees what is in the CPU's caches, as the firmware describes it; for
/// a PCI device, that of its host bridge. Known once a driver is about to be bound to the device.
pub(crate) fn is_coherent(dev: &Device) -> bool {
    let dev = core::ptr::from_ref(dev).cast_mut().cast();

    // SAFETY: `Device` is a transparent wrapper of `struct device`.
    unsafe { bindings::dev_is_dma_coherent(dev) }
}
