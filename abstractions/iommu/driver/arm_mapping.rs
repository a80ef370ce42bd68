// SPDX-License-Identifier: GPL-2.0

//! The DMA API of 32-bit Arm.
//!
//! Instead of the core's default domains it has "mappings": a paging domain and an allocator of
//! IOVAs, attached to a client. By default it creates one for each client that is bound, for which
//! an IOMMU has too few contexts. So all clients of an IOMMU share one mapping.
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

// SAFETY: The allocator has its own lock, and references are counted atomically.
unsafe impl Send for Mapping {}

impl Mapping {
    /// The first IOVA. It is not 0, which the DMA API takes for no address when it unmaps.
    const BASE: bindings::dma_addr_t = SZ_1G as bindings::dma_addr_t;
    /// The number of IOVAs. Memory for those in use is allocated as needed.
    const SIZE: u64 = SZ_2G as u64;

    /// Creates a mapping with a domain for the IOMMU of `dev`. May sleep.
    fn new(dev: &Device) -> Result<Self> {
        // SAFETY: `dev` is valid. The range lies within 32 bits.
        let mapping =
            unsafe { bindings::arm_iommu_create_mapping(as_raw(dev), Self::BASE, Self::SIZE) };

        // INVARIANT: The mapping was just created, and comes with a reference.
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

/// The mapping of all clients behind one IOMMU, created for the first one.
///
/// The core calls [`Self::forget`] with the lock of the group taken, which attaching takes, too. So
/// nothing is attached under the lock here.
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
    /// The core has probed `dev` behind this IOMMU. `dev` is not bound to a driver yet.
    pub(super) unsafe fn attach(&self, dev: &Device) -> Result {
        let mapping = {
            let mut mapping = self.mapping.lock();

            if mapping.is_none() {
                *mapping = Some(Mapping::new(dev)?);
            }
            mapping.as_ref().ok_or(ENODEV)?.0
        };

        // SAFETY: `dev` is valid, and by this function's contract it has no driver, hence does no
        // DMA. The call fails unless `dev` is alone in its group. `self` owns the mapping.
        to_result(unsafe { bindings::arm_iommu_attach_device(as_raw(dev), mapping.as_ptr()) })?;

        // The architecture itself sets up DMA of a device that has nothing attached, and undoes
        // that when the device is unbound. It would also undo this, and put the mapping twice. The
        // mapping stays attached until the client is released.
        //
        // SAFETY: `dev` is valid. Only this call configures it at present.
        unsafe {
            let archdata = &raw mut (*as_raw(dev)).archdata;

            bindings::dev_archdata::set_dma_ops_setup_raw(archdata, 0);
        }
        Ok(())
    }

    /// Drops the reference of `dev`, if any: `dev` is being removed, or released by its IOMMU.
    ///
    /// # Safety
    ///
    /// `dev` does no DMA during this call and after it.
    pub(super) unsafe fn forget(&self, dev: &Device) {
        let Some(own) = self.mapping.lock().as_ref().map(|mapping| mapping.0) else {
            return;
        };
        let raw = as_raw(dev);

        // SAFETY: `dev` is valid, and does no DMA by this function's contract, so nothing accesses
        // its mapping and DMA operations. If the mapping is attached, `dev` owns a reference to it.
        unsafe {
            if core::ptr::eq((*raw).archdata.mapping, own.as_ptr()) {
                bindings::arm_iommu_release_mapping(own.as_ptr());
                (*raw).archdata.mapping = core::ptr::null_mut();
                (*raw).dma_ops = core::ptr::null_mut();
            }
        }
    }
}
