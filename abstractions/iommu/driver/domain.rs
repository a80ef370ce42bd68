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
    super::io_pgtable::{
        FlushOps,
        IoPageTable,
        Table, //
    },
    ops::{
        Domain,
        Geometry,
        Ops, //
    },
    private::device_and_client, //
};

// SAFETY: The core serialises its own accesses to `raw`; `table` is `Send` and `Sync`.
unsafe impl<T: Ops> Send for Domain<T> {}
// SAFETY: As above.
unsafe impl<T: Ops> Sync for Domain<T> {}

impl<T: Ops> Domain<T> {
    /// Returns the driver's part.
    pub(crate) fn flush_ops(&self) -> &T::Flush {
        self.table.flush_ops()
    }

    /// Returns what the hardware must be told about the table.
    pub(crate) fn hardware(&self) -> Table {
        self.table.hardware()
    }

    /// Tells the fault handler that was set for the domain, and the `io_page_fault` trace event;
    /// returns whether the handler took care of the fault. Any context.
    pub(crate) fn report_fault(&self, dev: &Device, iova: u64) -> bool {
        let dev = core::ptr::from_ref(dev).cast_mut().cast();
        let is_freed = self.is_freed.lock();

        // SAFETY: `raw` and `dev` are valid. The owner of the handler frees the domain first, which
        // waits for this lock.
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

    fn new_arc(geometry: Geometry, table: IoPageTable<T::Flush>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                raw <- Opaque::ffi_init(|raw: *mut bindings::iommu_domain| {
                    let init = bindings::iommu_domain {
                        pgsize_bitmap: geometry.pgsize_bitmap,
                        geometry: bindings::iommu_domain_geometry {
                            aperture_start: 0,
                            // 32 bits on arm without LPAE, which is as much as there is.
                            aperture_end: geometry.last as bindings::dma_addr_t,
                            force_aperture: true,
                        },
                        ..pin_init::zeroed()
                    };
                    // SAFETY: `raw` is valid for writes.
                    unsafe { raw.write(init) };
                }),
                table,
                is_freed <- new_spinlock_irq!(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes a domain that the core owns.
    pub(super) fn new_raw(
        geometry: Geometry,
        table: IoPageTable<T::Flush>,
    ) -> Result<*mut bindings::iommu_domain> {
        let domain = Arc::into_raw(Self::new_arc(geometry, table)?);

        // SAFETY: The pointer is valid; only a field is pointed to, nothing is read.
        Ok(unsafe { Opaque::cast_into(&raw const (*domain).raw) })
    }

    fn from_raw(raw: *mut bindings::iommu_domain) -> *const Self {
        let raw = Opaque::cast_from(raw);

        // SAFETY: All domains whose `ops` are `Self::OPS` were made by `new_raw()`.
        unsafe { kernel::container_of!(raw, Self, raw) }
    }

    /// # Safety
    ///
    /// `raw` is a domain with [`Self::OPS`] that the core has not freed, and does not free in `'a`.
    unsafe fn borrow<'a>(raw: *mut bindings::iommu_domain) -> ArcBorrow<'a, Self> {
        // SAFETY: `new_raw()` made the pointer with `into_raw()`; the core keeps that reference by
        // this function's contract.
        unsafe { ArcBorrow::from_raw(Self::from_raw(raw)) }
    }

    extern "C" fn attach_dev(
        raw: *mut bindings::iommu_domain,
        dev: *mut bindings::device,
        _old: *mut bindings::iommu_domain,
    ) -> c_int {
        // SAFETY: The core passes a domain that has these ops, and keeps it during the call.
        let domain = unsafe { Self::borrow(raw) };
        // SAFETY: The core passes a device that `probe_device()` accepted.
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
        // SAFETY: The core passes a domain that has these ops, and keeps it during the call.
        let domain = unsafe { Self::borrow(raw) };

        // SAFETY: The users of the core own the ranges that they map, and pass their `gfp`;
        // `mapped` is the core's. They sleep from before the first IOMMU falls asleep until after
        // `restore()`, which the first one that wakes up calls.
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
        // SAFETY: The core passes a domain that has these ops, and keeps it during the call.
        let domain = unsafe { Self::borrow(raw) };

        // What is flushed is everything, so that nothing needs to be gathered.
        //
        // SAFETY: The users of the core own the ranges that they unmap, and sleep while
        // `restore()` runs, as above.
        unsafe { domain.table.unmap_pages(iova, size, count) }
    }

    extern "C" fn flush_iotlb_all(raw: *mut bindings::iommu_domain) {
        Self::iotlb_sync(raw, core::ptr::null_mut());
    }

    /// Flushes, for each page that is unmapped in strict mode.
    #[inline(never)]
    extern "C" fn iotlb_sync(
        raw: *mut bindings::iommu_domain,
        _gather: *mut bindings::iommu_iotlb_gather,
    ) {
        // SAFETY: The core passes a domain that has these ops, and keeps it during the call.
        unsafe { Self::borrow(raw) }.flush_ops().flush_all();
    }

    extern "C" fn iova_to_phys(
        raw: *mut bindings::iommu_domain,
        iova: bindings::dma_addr_t,
    ) -> bindings::phys_addr_t {
        // SAFETY: The core passes a domain that has these ops, and keeps it during the call.
        let domain = unsafe { Self::borrow(raw) };

        // SAFETY: The geometry does not change once the domain is made.
        let last = unsafe { (*domain.raw.get()).geometry.aperture_end };
        // The table would look at the lower bits alone.
        if iova > last {
            return 0;
        }
        // SAFETY: The users of the core own the ranges that they look up.
        unsafe { domain.table.iova_to_phys(iova as usize) }
    }

    extern "C" fn free(raw: *mut bindings::iommu_domain) {
        // SAFETY: `new_raw()` made the pointer with `into_raw()`, and the core gives up the
        // reference with this call.
        let domain = unsafe { Arc::from_raw(Self::from_raw(raw)) };

        *domain.is_freed.lock() = true;
    }
}
