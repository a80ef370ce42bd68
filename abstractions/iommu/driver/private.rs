// SPDX-License-Identifier: GPL-2.0

//! The driver's data that the core stores for each client.

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

/// The data that the `priv` of a client points to.
///
/// # Invariants
///
/// `instance` was registered when the client was accepted. Before it is unregistered, the core
/// releases the client, which drops this.
pub(super) struct Private<T: Ops> {
    pub(super) instance: Arc<Instance<T>>,
    pub(super) client: T::Client,
}

/// Returns the data that `probe_device()` stored for `dev`.
///
/// # Safety
///
/// `probe_device()` of `T` accepted `dev`, and `release_device()` is not called for it in `'a`.
pub(super) unsafe fn private<'a, T: Ops>(dev: *mut bindings::device) -> &'a Private<T> {
    // SAFETY: By this function's contract `probe_device()` stored a `KBox<Private<T>>`, and
    // `release_device()` does not take it back before the end of `'a`.
    unsafe { KBox::<Private<T>>::borrow((*(*dev).iommu).priv_) }
}

/// Returns the device of the client, and the driver's data.
///
/// # Safety
///
/// As for [`private`].
pub(super) unsafe fn device_and_client<'a, T: Ops>(
    dev: *mut bindings::device,
) -> (&'a Device, &'a T::Client) {
    // SAFETY: By this function's contract the core has not released `dev` before the end of `'a`,
    // and has a valid pointer to it until then. The contract of `private()` is this function's.
    unsafe { (Device::from_raw(dev), &private::<T>(dev).client) }
}
