// SPDX-License-Identifier: GPL-2.0

//! What the firmware says about a device behind an IOMMU.

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
/// `raw` is valid, and so is the node that it refers to.
pub(crate) struct PhandleArgs<'a> {
    raw: &'a bindings::of_phandle_args,
    /// The IOMMU of the first reference, and the IDs of those before this one.
    all: Option<FwSpec<'a>>,
}

impl<'a> PhandleArgs<'a> {
    /// # Safety
    ///
    /// `args.np` is valid for `'a`.
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

    /// Returns the node of the IOMMU that the device's first reference is to: the core knows of no
    /// other one for it.
    pub(crate) fn first_node(&self) -> &'a FwNode {
        self.all.map_or_else(|| self.node(), |all| all.node())
    }

    /// Returns the cells after the phandle.
    pub(crate) fn args(&self) -> &'a [u32] {
        let count = usize::try_from(self.raw.args_count).unwrap_or(0);

        self.raw.args.get(..count).unwrap_or(&[])
    }
}

/// All references of a device to its IOMMU, as collected by the core.
///
/// # Invariants
///
/// `0` and its `ids` and `iommu_fwnode` are valid and do not change for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct FwSpec<'a>(NonNull<bindings::iommu_fwspec>, PhantomData<&'a Device>);

impl<'a> FwSpec<'a> {
    /// Returns what the core has for `dev`, if anything.
    ///
    /// # Safety
    ///
    /// Nobody must free or extend it during `'a`: the core does neither between the calls of
    /// `probe_device()` and `release_device()` of the driver, nor during them or `of_xlate()`.
    pub(super) unsafe fn of(dev: &'a Device) -> Option<Self> {
        let dev = core::ptr::from_ref(dev).cast::<bindings::device>();
        // SAFETY: `Device` is a transparent wrapper of `struct device`, so `dev` is valid. Its
        // `iommu` does not change meanwhile by this function's contract.
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

        // SAFETY: By the type invariant there are `num_ids` of them, valid for `'a`. They follow
        // the structure, so the pointer to them is not made of a reference to it.
        unsafe {
            core::slice::from_raw_parts((&raw const (*raw).ids).cast(), (*raw).num_ids as usize)
        }
    }
}
