// SPDX-License-Identifier: GPL-2.0

//! What the core keeps of a driver for each client.

use kernel::{
    bindings,
    device::Device,
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

use super::ops::{
    Instance,
    Ops, //
};

/// What the `priv` of a client points to.
///
/// # Invariants
///
/// `instance` was registered when the client was accepted. The core takes the client away, which
/// drops this, before it is unregistered.
pub(super) struct Private<T: Ops> {
    pub(super) instance: Arc<Instance<T>>,
    pub(super) client: T::Client,
}

/// Returns what `probe_device()` stored for `dev`.
///
/// # Safety
///
/// `probe_device()` of `T` accepted `dev`, and `release_device()` is not called for it in `'a`.
pub(super) unsafe fn private<'a, T: Ops>(dev: *mut bindings::device) -> &'a Private<T> {
    // SAFETY: By this function's contract `probe_device()` stored a `KBox<Private<T>>`, which
    // `release_device()` did not take back yet, nor does it in `'a`.
    unsafe { KBox::<Private<T>>::borrow((*(*dev).iommu).priv_) }
}

/// Returns the client as a device, and what the driver keeps for it.
///
/// # Safety
///
/// As for [`private`].
pub(super) unsafe fn device_and_client<'a, T: Ops>(
    dev: *mut bindings::device,
) -> (&'a Device, &'a T::Client) {
    // SAFETY: The core holds a reference to a device that it has not released; the rest is this
    // function's contract, too.
    unsafe { (Device::from_raw(dev), &private::<T>(dev).client) }
}
