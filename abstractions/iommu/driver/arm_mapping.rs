// SPDX-License-Identifier: GPL-2.0

//! The DMA API of 32-bit Arm.
//!
//! It does not use the default domains of the core, but a "mapping": a paging domain and an
//! allocator of IOVAs, attached to a client. By itself it makes one for each client when that is
//! bound, for which an IOMMU has too few contexts. So all clients of an IOMMU get one mapping in
//! common.
//!
//! C header: [`arch/arm/include/asm/dma-iommu.h`](srctree/arch/arm/include/asm/dma-iommu.h)

use core::ptr::NonNull;

use kernel::{
    device::Device,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sizes::{
        SZ_1G,
        SZ_2G, //
    },
    sync::{
        new_mutex,
        Mutex, //
    },
};

use crate::abstractions::bindings;

/// A reference to a `struct dma_iommu_mapping`.
///
/// # Invariants
///
/// `0` is valid, and one reference to it is owned.
struct Mapping(NonNull<bindings::dma_iommu_mapping>);

// SAFETY: The kernel locks the allocator, and counts references atomically.
unsafe impl Send for Mapping {}

impl Mapping {
    /// The first IOVA. Not 0, which the DMA API takes for no address when it unmaps.
    const BASE: bindings::dma_addr_t = SZ_1G as bindings::dma_addr_t;
    /// IOVAs that there are at most; memory for those that are in use is taken as needed.
    const SIZE: u64 = SZ_2G as u64;

    /// Makes a mapping with a domain that suits `dev`. May sleep.
    fn new(dev: &Device) -> Result<Self> {
        // SAFETY: `dev` is valid. The range lies within 32 bits.
        let mapping =
            unsafe { bindings::arm_iommu_create_mapping(as_raw(dev), Self::BASE, Self::SIZE) };

        // INVARIANT: It was just made, and comes with a reference.
        NonNull::new(from_err_ptr(mapping)?).map(Self).ok_or(ENODEV)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariant a reference is owned.
        unsafe { bindings::arm_iommu_release_mapping(self.0.as_ptr()) };
    }
}

fn as_raw(dev: &Device) -> *mut bindings::device {
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// The mapping of all clients behind one IOMMU; made for the first one.
///
/// The core calls [`Self::forget`] with the group's lock held, which attaching takes: that is never
/// done under the lock here.
#[pin_data]
pub(super) struct SharedMapping {
    #[pin]
    mapping: Mutex<Option<Mapping>>,
}

impl SharedMapping {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            mapping <- new_mutex!(None),
        })
    }

    /// Attaches the mapping to `dev`. May sleep.
    ///
    /// # Safety
    ///
    /// The core knows `dev` as one that is behind this IOMMU, and alone in its group. It is not
    /// bound to a driver yet.
    pub(super) unsafe fn attach(&self, dev: &Device) -> Result {
        let mapping = {
            let mut mapping = self.mapping.lock();

            if mapping.is_none() {
                *mapping = Some(Mapping::new(dev)?);
            }
            mapping.as_ref().ok_or(ENODEV)?.0
        };

        // SAFETY: `dev` is valid, and does no DMA by this function's contract. `self` keeps the
        // mapping.
        to_result(unsafe { bindings::arm_iommu_attach_device(as_raw(dev), mapping.as_ptr()) })?;

        // The architecture sets up the DMA of a device that has nothing attached, and takes what it
        // finds there for its own when the device is unbound: it would put the mapping twice. What
        // is attached here stays until the client is released.
        //
        // SAFETY: `dev` is valid. It is being configured by this call, and by nothing else.
        unsafe {
            let archdata = &raw mut (*as_raw(dev)).archdata;

            bindings::dev_archdata::set_dma_ops_setup_raw(archdata, 0);
        }
        Ok(())
    }

    /// Gives back what the core has forgotten: `dev` is being removed, or taken away from its
    /// IOMMU.
    ///
    /// # Safety
    ///
    /// `dev` does no DMA any more.
    pub(super) unsafe fn forget(&self, dev: &Device) {
        let Some(own) = self.mapping.lock().as_ref().map(|mapping| mapping.0) else {
            return;
        };
        let raw = as_raw(dev);

        // SAFETY: `dev` is valid, and nothing uses these by this function's contract. If the
        // mapping is attached to it, it owns a reference.
        unsafe {
            if core::ptr::eq((*raw).archdata.mapping, own.as_ptr()) {
                bindings::arm_iommu_release_mapping(own.as_ptr());
                (*raw).archdata.mapping = core::ptr::null_mut();
                (*raw).dma_ops = core::ptr::null_mut();
            }
        }
    }
}
