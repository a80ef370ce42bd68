// SPDX-License-Identifier: GPL-2.0

//! Groups of the core: clients that always have the same translation.

use core::ptr::NonNull;

#[cfg(CONFIG_PCI)]
use kernel::pci;
use kernel::{
    bindings,
    device::Device,
    error::from_err_ptr,
    prelude::*, //
};

/// A reference to a `struct iommu_group`.
///
/// # Invariants
///
/// `raw` is valid, and one reference to it is owned. `ops` are those of the driver that was asked
/// for the group.
pub(crate) struct Group {
    raw: NonNull<bindings::iommu_group>,
    ops: *const bindings::iommu_ops,
}

// SAFETY: Groups are not tied to a thread, and references are counted atomically.
unsafe impl Send for Group {}
// SAFETY: With a `&Group` safe code only compares the pointer, and takes a reference atomically.
unsafe impl Sync for Group {}

impl Group {
    /// Returns whether the driver with `ops` was asked for the group, and not another one. The core
    /// attaches a client to the domain of its group.
    pub(super) fn is_of(&self, ops: *const bindings::iommu_ops) -> bool {
        core::ptr::eq(self.ops, ops)
    }

    /// Passes the reference to the core.
    pub(super) fn into_raw(self) -> *mut bindings::iommu_group {
        core::mem::ManuallyDrop::new(self).raw.as_ptr()
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Clone for Group {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant `raw` is valid.
        unsafe { bindings::iommu_group_ref_get(self.raw.as_ptr()) };

        // INVARIANT: A reference was just taken.
        Self {
            raw: self.raw,
            ops: self.ops,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: By the type invariant a reference is owned. It is given up here.
        unsafe { bindings::iommu_group_put(self.raw.as_ptr()) };
    }
}

/// A client whose group the core asks for.
///
/// # Invariants
///
/// The core is calling `device_group()` of `ops` for `dev`, which their driver has just accepted.
pub(crate) struct Grouping<'a> {
    dev: &'a Device,
    ops: *const bindings::iommu_ops,
}

impl<'a> Grouping<'a> {
    /// # Safety
    ///
    /// The core is calling `device_group()` of `ops` for `dev`, and `'a` ends with that call.
    pub(super) unsafe fn new(dev: &'a Device, ops: *const bindings::iommu_ops) -> Self {
        // INVARIANT: By this function's contract.
        Self { dev, ops }
    }

    /// # Safety
    ///
    /// `group` is an error pointer, or valid with a reference for the caller.
    unsafe fn group(&self, group: *mut bindings::iommu_group) -> Result<Group> {
        let raw = NonNull::new(from_err_ptr(group)?).ok_or(EINVAL)?;

        // INVARIANT: By this function's contract, and the type invariant.
        Ok(Group { raw, ops: self.ops })
    }

    /// Returns the device of the client.
    pub(crate) fn dev(&self) -> &'a Device {
        self.dev
    }

    fn as_raw(&self) -> *mut bindings::device {
        core::ptr::from_ref(self.dev).cast_mut().cast()
    }

    /// Returns the group that the client's bus demands: on PCI that of the functions that are not
    /// isolated from the client, else a new one. May sleep. Fails with `ENOMEM`, or an error of the
    /// PCI core.
    pub(crate) fn of_bus(&self) -> Result<Group> {
        #[cfg(CONFIG_PCI)]
        if <&pci::Device>::try_from(self.dev).is_ok() {
            // SAFETY: The device is valid, and a PCI device. The result comes with a reference.
            return unsafe { self.group(bindings::pci_device_group(self.as_raw())) };
        }
        self.of_its_own()
    }

    /// Returns a new group. May sleep. Fails with `ENOMEM`.
    pub(crate) fn of_its_own(&self) -> Result<Group> {
        // SAFETY: The device is valid. The result comes with a reference.
        unsafe { self.group(bindings::generic_device_group(self.as_raw())) }
    }

    /// Returns the one group of all clients of the IOMMU. May sleep. Fails with `ENOMEM`.
    pub(crate) fn of_iommu(&self) -> Result<Group> {
        // SAFETY: By the type invariant the device has its IOMMU. The result has a reference.
        unsafe { self.group(bindings::generic_single_device_group(self.as_raw())) }
    }
}
