// SPDX-License-Identifier: GPL-2.0

//! The firmware's description of a device behind an IOMMU.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    device::{
        property::FwNode,
        Device, //
    },
};

/// One reference of a device to its IOMMU: `<&iommu arg0 arg1 …>` in the device tree.
///
/// # Invariants
///
/// The node that `raw.np` points to is valid for `'a`.
pub(crate) struct PhandleArgs<'a> {
    raw: &'a bindings::of_phandle_args,
    /// The IOMMU of the first reference, and the IDs of those before this one.
    all: Option<FwSpec<'a>>,
}

impl<'a> PhandleArgs<'a> {
    /// # Safety
    ///
    /// The node that `raw.np` points to is valid for `'a`.
    pub(super) unsafe fn new(raw: &'a bindings::of_phandle_args, all: Option<FwSpec<'a>>) -> Self {
        // INVARIANT: By this function's contract.
        Self { raw, all }
    }

    /// Returns the IOMMU's node.
    pub(crate) fn node(&self) -> &'a FwNode {
        // SAFETY: By the type invariant `np` is valid for `'a`; `FwNode` is a transparent wrapper
        // of `struct fwnode_handle`.
        unsafe { &*(&raw const (*self.raw.np).fwnode).cast::<FwNode>() }
    }

    /// Returns the node of the IOMMU that the device's first reference names. The core knows no
    /// other IOMMU of the device.
    pub(crate) fn first_node(&self) -> &'a FwNode {
        self.all.map_or_else(|| self.node(), |all| all.node())
    }

    /// Returns the cells after the phandle.
    pub(crate) fn args(&self) -> &'a [u32] {
        let count = usize::try_from(self.raw.args_count).unwrap_or(0);

        self.raw.args.get(..count).unwrap_or(&[])
    }
}

/// All references of a device to its IOMMU, as the core has collected them.
///
/// # Invariants
///
/// What `0` points to, its `ids` and its `iommu_fwnode` are valid and do not change for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct FwSpec<'a>(NonNull<bindings::iommu_fwspec>, PhantomData<&'a Device>);

impl<'a> FwSpec<'a> {
    /// Returns the references that the core has collected for `dev`, if any.
    ///
    /// # Safety
    ///
    /// The `fwspec` of `dev` is neither freed nor extended during `'a`. The core does neither from
    /// the call of `probe_device()` to that of `release_device()`, nor during them or `of_xlate()`.
    pub(super) unsafe fn of(dev: &'a Device) -> Option<Self> {
        let dev = core::ptr::from_ref(dev).cast::<bindings::device>();
        // SAFETY: `Device` is a transparent wrapper of `struct device`, so `dev` is valid. By this
        // function's contract its `iommu` does not change.
        let fwspec = unsafe { (*dev).iommu.as_ref()?.fwspec };

        // INVARIANT: By this function's contract.
        Some(Self(NonNull::new(fwspec)?, PhantomData))
    }

    /// Returns the IOMMU's node.
    pub(crate) fn node(&self) -> &'a FwNode {
        // SAFETY: By the type invariant the node is valid for `'a`; `FwNode` is a transparent
        // wrapper of `struct fwnode_handle`.
        unsafe { &*(*self.0.as_ptr()).iommu_fwnode.cast::<FwNode>() }
    }

    /// Returns the IDs that `of_xlate()` returned.
    pub(crate) fn ids(&self) -> &'a [u32] {
        let raw = self.0.as_ptr();

        // SAFETY: By the type invariant `num_ids` IDs are valid for `'a`. They are behind the
        // structure, so the pointer to them is not derived from a reference to it.
        unsafe {
            core::slice::from_raw_parts((&raw const (*raw).ids).cast(), (*raw).num_ids as usize)
        }
    }
}
