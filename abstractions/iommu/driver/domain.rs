// SPDX-License-Identifier: GPL-2.0

//! Paging domains: address spaces made of mappings.

use kernel::{
    bindings,
    device::Device,
    error::from_result,
    prelude::*,
    sync::{
        new_spinlock_irq,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

use super::{
    super::io_pgtable::*,
    ops::*, //
};

// SAFETY: The core serialises its accesses to `raw`. All other fields are `Send` and `Sync`.
unsafe impl<T: Ops> Send for Domain<T> {}
// SAFETY: As above.
unsafe impl<T: Ops> Sync for Domain<T> {}

impl<T: Ops> Domain<T> {
    /// Returns the driver's data.
    pub(crate) fn flush_ops(&self) -> &T::Flush {
        self.table.flush_ops()
    }

    /// Returns what the hardware needs to know about the table.
    pub(crate) fn hardware(&self) -> Table {
        self.table.hardware()
    }

    /// Reports a fault to the handler that was set for the domain and to the `io_page_fault` trace
    /// event. Returns whether the handler took care of it. Any context.
    pub(crate) fn report_fault(&self, dev: &Device, iova: u64) -> bool {
        let dev = core::ptr::from_ref(dev).cast_mut().cast();
        let is_freed = self.is_freed.lock();

        // SAFETY: `raw` and `dev` are valid. The handler is valid until its owner has freed the
        // domain, and `free()` waits for the lock that is taken here.
        !*is_freed
            && unsafe { bindings::report_iommu_fault(self.raw.get(), dev, iova as usize, 0) == 0 }
    }

    pub(super) const OPS: bindings::iommu_domain_ops = bindings::iommu_domain_ops {
        attach_dev: Some(Self::attach_dev),
        map_pages: Some(Self::map_pages),
        unmap_pages: Some(Self::unmap_pages),
        flush_iotlb_all: Some(Self::flush_iotlb_all),
        iotlb_sync: Some(Self::iotlb_sync),
        iova_to_phys: Some(Self::iova_to_phys),
        free: Some(Self::free),
        ..pin_init::zeroed()
    };

    fn new_arc(table: IoPageTable<T::Flush>) -> Result<Arc<Self>> {
        let (pgsize_bitmap, bits) = (table.config().pgsize_bitmap, table.config().ias);

        Arc::pin_init(
            pin_init!(Self {
                raw <- Opaque::ffi_init(|raw: *mut bindings::iommu_domain| {
                    let init = bindings::iommu_domain {
                        pgsize_bitmap,
                        geometry: bindings::iommu_domain_geometry {
                            aperture_start: 0,
                            // 32 bits on arm without LPAE, where DMA addresses have no more.
                            aperture_end: ((1u64 << bits) - 1) as bindings::dma_addr_t,
                            force_aperture: true,
                        },
                        ..pin_init::zeroed()
                    };
                    // SAFETY: `ffi_init()` passes a pointer that is valid for writes.
                    unsafe { raw.write(init) };
                }),
                table,
                is_freed <- new_spinlock_irq!(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Creates a domain that the core owns.
    pub(super) fn new_raw(table: IoPageTable<T::Flush>) -> Result<*mut bindings::iommu_domain> {
        let domain = Arc::into_raw(Self::new_arc(table)?);

        // SAFETY: `domain` is valid, so the field is in bounds. Nothing is read.
        Ok(unsafe { Opaque::cast_into(&raw const (*domain).raw) })
    }

    /// # Safety
    ///
    /// `raw` is a domain with [`Self::OPS`].
    unsafe fn from_raw(raw: *mut bindings::iommu_domain) -> *const Self {
        let raw = Opaque::cast_from(raw);

        // SAFETY: By this function's contract `raw` is the field of a `Self`.
        unsafe { kernel::container_of!(raw, Self, raw) }
    }

    /// # Safety
    ///
    /// `raw` is a domain with [`Self::OPS`] that the core has not freed, and does not free in `'a`.
    unsafe fn borrow<'a>(raw: *mut bindings::iommu_domain) -> ArcBorrow<'a, Self> {
        // SAFETY: The pointer comes from `Arc::into_raw()` in `new_raw()`. By this function's
        // contract the core does not give up that reference in `'a`.
        unsafe { ArcBorrow::from_raw(Self::from_raw(raw)) }
    }

    extern "C" fn attach_dev(
        raw: *mut bindings::iommu_domain,
        dev: *mut bindings::device,
        _old: *mut bindings::iommu_domain,
    ) -> c_int {
        // SAFETY: The core passes a domain with these ops, and does not free it during the call.
        let domain = unsafe { Self::borrow(raw) };
        // SAFETY: `probe_device()` accepted the device, and the core does not release it meanwhile.
        let (dev, client) = unsafe { device_and_client::<T>(dev) };

        from_result(|| T::attach_paging(dev, client, domain).map(|()| 0))
    }

    extern "C" fn map_pages(
        raw: *mut bindings::iommu_domain,
        iova: usize,
        paddr: bindings::phys_addr_t,
        size: usize,
        count: usize,
        prot: c_int,
        gfp: bindings::gfp_t,
        mapped: *mut usize,
    ) -> c_int {
        // SAFETY: The core passes a domain with these ops, and does not free it during the call.
        let domain = unsafe { Self::borrow(raw) };

        // SAFETY: Callers of the core own the ranges that they map, and pass a `gfp` for their
        // context; `mapped` is the core's. They are asleep from before the first IOMMU suspends
        // until after `restore()`, which the first IOMMU that resumes calls.
        unsafe {
            domain
                .table
                .map_pages(iova, paddr, size, count, prot, gfp, mapped)
        }
    }

    extern "C" fn unmap_pages(
        raw: *mut bindings::iommu_domain,
        iova: usize,
        size: usize,
        count: usize,
        _gather: *mut bindings::iommu_iotlb_gather,
    ) -> usize {
        // SAFETY: The core passes a domain with these ops, and does not free it during the call.
        let domain = unsafe { Self::borrow(raw) };

        // Everything is flushed, so nothing needs to be gathered.
        //
        // SAFETY: Callers of the core own the ranges that they unmap, and are asleep while
        // `restore()` runs, as in `map_pages()`.
        unsafe { domain.table.unmap_pages(iova, size, count) }
    }

    extern "C" fn flush_iotlb_all(raw: *mut bindings::iommu_domain) {
        Self::iotlb_sync(raw, core::ptr::null_mut());
    }

    /// Flushes the TLB: in strict mode for each page that is unmapped.
    #[inline(never)]
    extern "C" fn iotlb_sync(
        raw: *mut bindings::iommu_domain,
        _gather: *mut bindings::iommu_iotlb_gather,
    ) {
        // SAFETY: The core passes a domain with these ops, and does not free it during the call.
        unsafe { Self::borrow(raw) }.flush_ops().flush_all();
    }

    extern "C" fn iova_to_phys(
        raw: *mut bindings::iommu_domain,
        iova: bindings::dma_addr_t,
    ) -> bindings::phys_addr_t {
        // SAFETY: The core passes a domain with these ops, and does not free it during the call.
        let domain = unsafe { Self::borrow(raw) };

        // SAFETY: `raw` is valid. Its geometry does not change after the domain was created.
        let last = unsafe { (*domain.raw.get()).geometry.aperture_end };
        // The page table code would ignore the upper bits.
        if iova > last {
            return 0;
        }
        // SAFETY: Callers of the core own the ranges that they look up.
        unsafe { domain.table.iova_to_phys(iova as usize) }
    }

    extern "C" fn free(raw: *mut bindings::iommu_domain) {
        // SAFETY: The pointer comes from `Arc::into_raw()` in `new_raw()`. The core gives up that
        // reference with this call.
        let domain = unsafe { Arc::from_raw(Self::from_raw(raw)) };

        *domain.is_freed.lock() = true;
    }
}
