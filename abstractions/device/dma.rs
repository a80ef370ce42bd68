// SPDX-License-Identifier: GPL-2.0

//! Properties of a device's DMA.
//!
//! C header: [`include/linux/dma-map-ops.h`](srctree/include/linux/dma-map-ops.h)

use kernel::device::Device;

use crate::abstractions::bindings;

/// Returns whether DMA of `dev` is coherent with the CPU's caches, as the firmware says of `dev`,
/// or of the host bridge of a PCI device. Known once a driver is about to be bound to the device.
pub(crate) fn is_coherent(dev: &Device) -> bool {
    let dev = core::ptr::from_ref(dev).cast_mut().cast();

    // SAFETY: `Device` is a transparent wrapper of `struct device`, so `dev` is valid.
    unsafe { bindings::dev_is_dma_coherent(dev) }
}
