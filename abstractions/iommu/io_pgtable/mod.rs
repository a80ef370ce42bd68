// SPDX-License-Identifier: GPL-2.0

//! IO page tables whose owner flushes the TLB.
//!
//! [`kernel::iommu::pgtable`] supports hardware whose firmware flushes the TLB. Here the page table
//! code calls the driver for that, through [`FlushOps`].
//!
//! All tables are listed for [`restore`], which the drivers of `iommu::platform` call on resume.
//!
//! C header: [`include/linux/io-pgtable.h`](srctree/include/linux/io-pgtable.h)

mod format;
mod image;

use core::{
    marker::PhantomData,
    ops::RangeInclusive,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sizes::{
        SZ_1G,
        SZ_2M,
        SZ_4K, //
    },
    sync::aref::ARef,
    types::ForeignOwnable, //
};

pub(super) use self::image::{
    freeze,
    restore, //
};
pub(crate) use self::{
    format::{
        quirk,
        Format,
        Table, //
    },
    image::start, //
};

/// Invalidation of cached translations.
///
/// Called while a table is changed, in any context, also with interrupts off.
pub(crate) trait FlushOps: Send + Sync + 'static {
    /// Invalidates all translations, and waits until that is done.
    fn flush_all(&self);
}

/// Page and block sizes of the three levels of a table, as a bitmap.
const PAGE_SIZES: usize = SZ_4K | SZ_2M | SZ_1G;
const BITS: RangeInclusive<u32> = 31..=40;

/// The configuration of a table.
pub(crate) struct Config {
    /// The format of descriptors.
    pub(crate) format: Format,
    /// A combination of constants in [`quirk`].
    pub(crate) quirks: usize,
    /// Bits of input address, 31 to 40, so that there are three levels.
    pub(crate) ias: u32,
    /// Bits of output address.
    pub(crate) oas: u32,
}

/// A device whose hardware walks tables. The DMA API may be used for it.
///
/// Unlike a bound device it gives no access to resources that devres manages: some may be gone
/// while the IOMMU core still asks for tables.
///
/// # Invariants
///
/// Devres has not released all resources of the device.
#[derive(Clone, Copy)]
pub(crate) struct DmaDevice<'a>(&'a Device);

impl<'a> DmaDevice<'a> {
    /// # Safety
    ///
    /// Devres does not release all resources of `dev` before the end of `'a`.
    pub(super) unsafe fn new(dev: &'a Device) -> Self {
        // INVARIANT: By this function's contract.
        Self(dev)
    }
}

impl<'a> From<&'a Device<Bound>> for DmaDevice<'a> {
    fn from(dev: &'a Device<Bound>) -> Self {
        // INVARIANT: The device stays bound until the end of `'a`.
        Self(dev)
    }
}

/// An IO page table, with a `T` that flushes the TLB.
///
/// Mapping and unmapping take no lock. So the functions here require that no two callers access a
/// range concurrently.
///
/// # Invariants
///
/// - `ops` comes from `alloc_io_pgtable_ops()` for `format`, and is owned.
/// - `cookie` comes from `into_foreign()` of a `Pin<KBox<T>>`, is the cookie of `ops`, and is
///   owned.
pub(crate) struct IoPageTable<T: FlushOps> {
    ops: NonNull<bindings::io_pgtable_ops>,
    cookie: NonNull<c_void>,
    /// The device for which the page table code maps table pages for DMA. It unmaps them when it
    /// frees them, which may be after the device was unbound.
    _dev: ARef<Device>,
    format: Format,
    _flush: PhantomData<KBox<T>>,
}

// SAFETY: `struct io_pgtable_ops` is not tied to a thread, and `T` is `Send`.
unsafe impl<T: FlushOps> Send for IoPageTable<T> {}
// SAFETY: Operations may run concurrently, within the contracts below, and `T` is `Sync`.
unsafe impl<T: FlushOps> Sync for IoPageTable<T> {}

impl<T: FlushOps> IoPageTable<T> {
    const FLUSH_OPS: &'static bindings::iommu_flush_ops = &bindings::iommu_flush_ops {
        tlb_flush_all: Some(Self::tlb_flush_all),
        tlb_flush_walk: Some(Self::tlb_flush_walk),
        tlb_add_page: None,
    };

    /// Creates an empty table for the hardware of `dev`, whose TLB `flush` flushes. Walks of the
    /// table are not coherent with the CPU's caches. May sleep.
    ///
    /// Fails with `EINVAL` when there would not be three levels, `ENODEV` before [`start`],
    /// `ENOMEM` when there is no memory or the format does not support the configuration.
    pub(crate) fn new(dev: DmaDevice<'_>, config: Config, flush: Pin<KBox<T>>) -> Result<Self> {
        if !BITS.contains(&config.ias) {
            return Err(EINVAL);
        }

        let cookie = NonNull::new(flush.into_foreign()).ok_or(ENOMEM)?;
        let mut cfg = bindings::io_pgtable_cfg {
            quirks: config.quirks,
            pgsize_bitmap: PAGE_SIZES,
            ias: config.ias,
            oas: config.oas,
            tlb: Self::FLUSH_OPS,
            iommu_dev: core::ptr::from_ref(dev.0).cast_mut().cast(),
            ..pin_init::zeroed()
        };

        // SAFETY: `cfg` is valid during the call and copied by it. Its `tlb` is `'static`, for this
        // type of cookie. `_dev` owns a reference to `iommu_dev`.
        let ops = unsafe {
            bindings::alloc_io_pgtable_ops(config.format.id(), &mut cfg, cookie.as_ptr())
        };
        let Some(ops) = NonNull::new(ops) else {
            // SAFETY: `cookie` comes from `into_foreign()` above. The failed call did not store it.
            drop(unsafe { Pin::<KBox<T>>::from_foreign(cookie.as_ptr()) });
            return Err(ENOMEM);
        };

        // INVARIANT: `ops` was just allocated for this format with `cookie`. Both are owned here.
        let table = Self {
            ops,
            cookie,
            _dev: dev.0.into(),
            format: config.format,
            _flush: PhantomData,
        };
        // SAFETY: `ops` comes from `alloc_io_pgtable_ops()` for this format. `drop()` removes it
        // from the list before it frees it.
        unsafe { image::add(ops, config.format)? };
        Ok(table)
    }

    /// Returns the driver's data, which flushes the TLB.
    #[inline]
    pub(crate) fn flush_ops(&self) -> &T {
        // SAFETY: By the type invariant `cookie` comes from `into_foreign()`. Only `drop()` takes
        // it back, after all borrows of `self`.
        unsafe { Pin::<KBox<T>>::borrow(self.cookie.as_ptr()) }.get_ref()
    }

    /// Returns what the hardware needs to know about the table.
    pub(crate) fn hardware(&self) -> Table {
        // SAFETY: By the type invariant the table was allocated for `format`.
        unsafe { self.format.table(self.config()) }
    }

    /// Returns the configuration of the table, as the page table code completed it.
    pub(super) fn config(&self) -> &bindings::io_pgtable_cfg {
        // SAFETY: By the type invariant `ops` comes from `alloc_io_pgtable_ops()`, which returns a
        // field of a `struct io_pgtable`, and is not freed before `self`.
        unsafe { &(*kernel::container_of!(self.ops.as_ptr(), bindings::io_pgtable, ops)).cfg }
    }

    /// Maps `count` pages of `size` bytes from `iova` to `paddr`.
    ///
    /// Adds the number of mapped bytes to `mapped`, also after an error. Returns 0 or the error
    /// code, as the C function does: C code calls this for each page.
    ///
    /// # Safety
    ///
    /// - No other operation on this table accesses the range concurrently.
    /// - [`restore`] does not run concurrently.
    /// - `gfp` is a valid `gfp_t` for the calling context.
    /// - `mapped` is valid for reads and writes.
    #[expect(clippy::too_many_arguments, reason = "those of the C function")]
    pub(crate) unsafe fn map_pages(
        &self,
        iova: usize,
        paddr: bindings::phys_addr_t,
        size: usize,
        count: usize,
        prot: i32,
        gfp: bindings::gfp_t,
        mapped: *mut usize,
    ) -> c_int {
        let ops = self.ops.as_ptr();

        // SAFETY: By the type invariant `ops` is valid; every format sets `map_pages`. The range,
        // `gfp` and `mapped` are as the C function requires, by this function's contract.
        unsafe {
            (*ops).map_pages.unwrap_unchecked()(ops, iova, paddr, size, count, prot, gfp, mapped)
        }
    }

    /// Unmaps `count` pages of `size` bytes from `iova`. Returns the number of unmapped bytes. Does
    /// not gather ranges for a later flush, as `T` flushes everything.
    ///
    /// # Safety
    ///
    /// - No other operation on this table accesses the range concurrently.
    /// - [`restore`] does not run concurrently.
    pub(crate) unsafe fn unmap_pages(&self, iova: usize, size: usize, count: usize) -> usize {
        let ops = self.ops.as_ptr();

        // SAFETY: By the type invariant `ops` is valid; every format sets `unmap_pages`, which
        // accepts null for `gather`. By this function's contract nothing else accesses the range.
        unsafe {
            (*ops).unmap_pages.unwrap_unchecked()(ops, iova, size, count, core::ptr::null_mut())
        }
    }

    /// Returns the physical address that `iova` is mapped to, or 0 if it is not mapped.
    ///
    /// # Safety
    ///
    /// No other operation on this table accesses `iova` concurrently.
    pub(crate) unsafe fn iova_to_phys(&self, iova: usize) -> bindings::phys_addr_t {
        let ops = self.ops.as_ptr();

        // SAFETY: By the type invariant `ops` is valid; every format sets `iova_to_phys`. By this
        // function's contract nothing else accesses the range.
        unsafe { (*ops).iova_to_phys.unwrap_unchecked()(ops, iova) }
    }

    #[inline(never)]
    extern "C" fn tlb_flush_all(cookie: *mut c_void) {
        // SAFETY: The page table code passes the cookie, which by the type invariant comes from
        // `into_foreign()`. `drop()` takes it back only after it has freed the table.
        let flush = unsafe { Pin::<KBox<T>>::borrow(cookie) };

        flush.flush_all();
    }

    /// Flushes everything, as [`FlushOps`] has no narrower function.
    extern "C" fn tlb_flush_walk(_iova: usize, _size: usize, _granule: usize, cookie: *mut c_void) {
        Self::tlb_flush_all(cookie);
    }
}

impl<T: FlushOps> Drop for IoPageTable<T> {
    fn drop(&mut self) {
        image::remove(self.ops);
        // SAFETY: By the type invariant `ops` is valid, and `self` is its only owner.
        unsafe { bindings::free_io_pgtable_ops(self.ops.as_ptr()) };

        // SAFETY: By the type invariant `cookie` comes from `into_foreign()` and is owned. Its only
        // other user, the table, was freed above.
        drop(unsafe { Pin::<KBox<T>>::from_foreign(self.cookie.as_ptr()) });
    }
}
