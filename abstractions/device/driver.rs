// SPDX-License-Identifier: GPL-2.0

//! The driver of a device.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h)

use kernel::device::Device;

use crate::abstractions::bindings;

/// Returns whether a driver is bound to `dev`, or being bound. Any context.
pub(crate) fn has_driver(dev: &Device) -> bool {
    let dev: *const bindings::device = core::ptr::from_ref(dev).cast();

    // SAFETY: `dev` comes from a reference, hence it is valid. The driver core may change the
    // pointer concurrently, so it is read once, and never dereferenced.
    let driver = unsafe { (&raw const (*dev).driver).read_volatile() };
    !driver.is_null()
}
