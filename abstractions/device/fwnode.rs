// SPDX-License-Identifier: GPL-2.0

//! References from one firmware node to another.
//!
//! C header: [`include/linux/property.h`](srctree/include/linux/property.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    device::property::FwNode,
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef, //
};

/// Returns the first node that property `name` of `node` refers to. Fails with `ENOENT` when there
/// is no such property or no such node.
pub(crate) fn reference(node: &FwNode, name: &CStr) -> Result<ARef<FwNode>> {
    let node = core::ptr::from_ref(node).cast_mut().cast();

    // SAFETY: `FwNode` is a transparent wrapper of `struct fwnode_handle`, and `name` is
    // NUL-terminated.
    let found = unsafe { bindings::fwnode_find_reference(node, name.as_char_ptr(), 0) };
    let found = NonNull::new(from_err_ptr(found)?).ok_or(ENOENT)?;

    // SAFETY: `fwnode_find_reference()` returned the node with a reference for the caller.
    Ok(unsafe { ARef::from_raw(found.cast()) })
}

/// Returns whether the device of `node` is available: in the device tree, by its `status`.
pub(crate) fn is_available(node: &FwNode) -> bool {
    let node = core::ptr::from_ref(node).cast();

    // SAFETY: `FwNode` is a transparent wrapper of `struct fwnode_handle`, so `node` is valid.
    unsafe { bindings::fwnode_device_is_available(node) }
}
