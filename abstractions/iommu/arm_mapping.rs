// SPDX-License-Identifier: GPL-2.0

//! The DMA API of 32-bit Arm.
//!
//! It does not use the default domains of the core. What it needs is a "mapping": a paging domain
//! and an allocator of IOVAs, attached to a device. Left to itself it makes one for each device
//! when that is bound, for which hardware has too few contexts, and which devices that share one
//! cannot have. So the devices behind an IOMMU get one mapping in common, when they are found.
//!
//! C header: [`arch/arm/include/asm/dma-iommu.h`](srctree/arch/arm/include/asm/dma-iommu.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
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
        aref::ARef,
        new_mutex,
        Mutex, //
    },
};

// Declared in `asm/dma-iommu.h`, which has no bindings. `dev` is a `struct device`, whose bindings
// are not FFI-safe to the letter.
extern "C" {
    fn arm_iommu_create_mapping(
        dev: *mut c_void,
        base: bindings::dma_addr_t,
        size: u64,
    ) -> *mut bindings::dma_iommu_mapping;
    fn arm_iommu_release_mapping(mapping: *mut bindings::dma_iommu_mapping);
    fn arm_iommu_attach_device(
        dev: *mut c_void,
        mapping: *mut bindings::dma_iommu_mapping,
    ) -> c_int;
    fn arm_iommu_detach_device(dev: *mut c_void);
}

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
        let mapping = unsafe { arm_iommu_create_mapping(as_raw(dev), Self::BASE, Self::SIZE) };

        // INVARIANT: It was just made, and comes with a reference.
        NonNull::new(from_err_ptr(mapping)?).map(Self).ok_or(ENODEV)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariant a reference is owned.
        unsafe { arm_iommu_release_mapping(self.0.as_ptr()) };
    }
}

fn as_raw(dev: &Device) -> *mut c_void {
    core::ptr::from_ref(dev).cast_mut().cast()
}

struct Inner {
    mapping: Option<Mapping>,
    /// The devices that are attached to it, or about to be.
    devices: KVec<ARef<Device>>,
}

/// The mapping of all devices behind one IOMMU; made for the first one.
///
/// The core calls [`Self::forget`] with the group's lock held, which attaching and detaching take:
/// they are never done under the lock here.
#[pin_data]
pub(super) struct SharedMapping {
    #[pin]
    inner: Mutex<Inner>,
}

impl SharedMapping {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_mutex!(Inner {
                mapping: None,
                devices: KVec::new(),
            }),
        })
    }

    /// Has the DMA API translate for `dev` from now on. May sleep.
    ///
    /// # Safety
    ///
    /// The core knows `dev` as one that is behind this IOMMU, and alone in its group. It is not
    /// bound to a driver yet.
    pub(super) unsafe fn attach(&self, dev: &Device) -> Result {
        let mapping = self.enter(dev)?;

        // SAFETY: `dev` is valid, and does no DMA by this function's contract. The mapping is
        // valid: `inner` keeps it until `detach_all()`.
        to_result(unsafe { arm_iommu_attach_device(as_raw(dev), mapping.as_ptr()) }).inspect_err(
            |_| {
                self.leave(dev);
            },
        )?;

        // The architecture sets up the DMA of a device that has nothing attached, and takes what it
        // finds there for its own when the device is unbound: it would put the mapping twice. What
        // is attached here stays until the device or the IOMMU goes.
        //
        // SAFETY: `dev` is valid. It is being configured by this call, so nobody else does.
        unsafe {
            let archdata = &raw mut (*as_raw(dev).cast::<bindings::device>()).archdata;

            bindings::dev_archdata::set_dma_ops_setup_raw(archdata, 0);
        }
        Ok(())
    }

    /// Takes note of `dev`; returns the mapping.
    fn enter(&self, dev: &Device) -> Result<NonNull<bindings::dma_iommu_mapping>> {
        let mut inner = self.inner.lock();

        if inner.mapping.is_none() {
            inner.mapping = Some(Mapping::new(dev)?);
        }
        inner.devices.push(dev.into(), GFP_KERNEL)?;
        inner.mapping.as_ref().map(|m| m.0).ok_or(ENODEV)
    }

    /// Takes note that `dev` is not attached; returns whether it was.
    fn leave(&self, dev: &Device) -> bool {
        let mut inner = self.inner.lock();
        let before = inner.devices.len();

        inner.devices.retain(|other| !core::ptr::eq(&**other, dev));
        inner.devices.len() < before
    }

    /// `dev` is being removed, or taken away from its IOMMU, by the core, which has forgotten what
    /// was attached to it.
    ///
    /// # Safety
    ///
    /// `dev` does no DMA any more.
    pub(super) unsafe fn forget(&self, dev: &Device) {
        if !self.leave(dev) {
            return;
        }
        let raw = as_raw(dev).cast::<bindings::device>();

        // SAFETY: `dev` is valid, and nobody uses these by this function's contract. It was
        // attached, so there is a mapping, of which it owns a reference.
        unsafe {
            arm_iommu_release_mapping((*raw).archdata.mapping);
            (*raw).archdata.mapping = core::ptr::null_mut();
            (*raw).dma_ops = core::ptr::null_mut();
        }
    }

    /// Gives all devices back to the DMA API as they were, and the mapping up. May sleep.
    ///
    /// # Safety
    ///
    /// None of them is bound to a driver, nor will be while it is behind this IOMMU.
    pub(super) unsafe fn detach_all(&self) {
        let (devices, mapping) = {
            let mut inner = self.inner.lock();

            (core::mem::take(&mut inner.devices), inner.mapping.take())
        };

        for dev in &devices {
            // SAFETY: It is valid and attached, and does no DMA by this function's contract.
            unsafe { arm_iommu_detach_device(as_raw(dev)) };
        }
        drop(mapping);
    }
}
