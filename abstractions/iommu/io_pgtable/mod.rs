// SPDX-License-Identifier: GPL-2.0

//! IO page tables whose owner flushes the TLB.
//!
//! [`kernel::iommu::pgtable`] serves hardware whose firmware flushes. Here the page table code
//! calls back into the driver, through [`FlushOps`].
//!
//! All tables are listed, for [`restore`]. Their drivers are those of `iommu::platform`.
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
/// Called in any context, also with interrupts off, from within a change of the table.
pub(crate) trait FlushOps: Send + Sync + 'static {
    /// Invalidates all translations, and waits until that is done.
    fn flush_all(&self);
}

/// Page and block sizes, as a bitmap: of the three levels that a table has here.
pub(crate) const PAGE_SIZES: usize = SZ_4K | SZ_2M | SZ_1G;
const BITS: RangeInclusive<u32> = 31..=40;

/// What table to make.
pub(crate) struct Config {
    /// The format of descriptors.
    pub(crate) format: Format,
    /// Any of [`quirk`].
    pub(crate) quirks: usize,
    /// Bits of input address, 31 to 40: with these there are three levels.
    pub(crate) ias: u32,
    /// Bits of output address.
    pub(crate) oas: u32,
    /// Whether the hardware's table walk sees the CPU's caches.
    pub(crate) coherent_walk: bool,
}

/// An IO page table, flushed by a `T`.
///
/// Mapping and unmapping need no lock, as long as no two callers touch the same range at once; that
/// is a precondition of the functions here.
///
/// # Invariants
///
/// - `ops` comes from `alloc_io_pgtable_ops()` for `format` and was not freed.
/// - `cookie` comes from `into_foreign()` of a `Pin<KBox<T>>`, is the cookie of `ops`, and is
///   owned.
pub(crate) struct IoPageTable<T: FlushOps> {
    ops: NonNull<bindings::io_pgtable_ops>,
    cookie: NonNull<c_void>,
    /// The page table code unmaps table pages for DMA by this device when it frees them, which may
    /// be after the device was unbound.
    _dev: ARef<Device>,
    format: Format,
    _flush: PhantomData<KBox<T>>,
}

// SAFETY: `struct io_pgtable_ops` is bound to no thread, and `T` is `Send`.
unsafe impl<T: FlushOps> Send for IoPageTable<T> {}
// SAFETY: The operations of `struct io_pgtable_ops` may run concurrently, and `T` is `Sync`.
unsafe impl<T: FlushOps> Sync for IoPageTable<T> {}

impl<T: FlushOps> IoPageTable<T> {
    const FLUSH_OPS: &'static bindings::iommu_flush_ops = &bindings::iommu_flush_ops {
        tlb_flush_all: Some(Self::tlb_flush_all),
        tlb_flush_walk: Some(Self::tlb_flush_walk),
        tlb_add_page: None,
    };

    /// Makes an empty table, read by the hardware behind `dev` and flushed by `flush`.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` when there are not three levels, `ENOMEM` when it cannot be allocated, or the
    /// configuration does not suit the format.
    pub(crate) fn new(dev: &Device<Bound>, config: Config, flush: Pin<KBox<T>>) -> Result<Self> {
        if !BITS.contains(&config.ias) {
            return Err(EINVAL);
        }

        let cookie = NonNull::new(flush.into_foreign()).ok_or(ENOMEM)?;
        let mut cfg = bindings::io_pgtable_cfg {
            quirks: config.quirks,
            pgsize_bitmap: PAGE_SIZES,
            ias: config.ias,
            oas: config.oas,
            coherent_walk: config.coherent_walk,
            tlb: Self::FLUSH_OPS,
            iommu_dev: core::ptr::from_ref(dev).cast_mut().cast(),
            ..pin_init::zeroed()
        };

        // SAFETY: `cfg` is valid during the call and copied by it. Its `tlb` lives forever, and the
        // functions there take the cookie that is given here. `iommu_dev` is kept alive by `_dev`.
        let ops = unsafe {
            bindings::alloc_io_pgtable_ops(config.format.id(), &mut cfg, cookie.as_ptr())
        };
        let Some(ops) = NonNull::new(ops) else {
            // SAFETY: `cookie` comes from `into_foreign()` above, and nobody else got it.
            drop(unsafe { Pin::<KBox<T>>::from_foreign(cookie.as_ptr()) });
            return Err(ENOMEM);
        };

        // INVARIANT: Both pointers were just obtained as the invariants say.
        let table = Self {
            ops,
            cookie,
            _dev: (&**dev).into(),
            format: config.format,
            _flush: PhantomData,
        };
        // SAFETY: It comes from `alloc_io_pgtable_ops()` for this format. Dropping the table
        // removes it before it is freed.
        unsafe { image::add(ops, config.format)? };
        Ok(table)
    }

    /// Returns what flushes.
    #[inline]
    pub(crate) fn flush_ops(&self) -> &T {
        // SAFETY: By the type invariant `cookie` comes from `into_foreign()`. It is taken back when
        // `self` is dropped.
        unsafe { Pin::<KBox<T>>::borrow(self.cookie.as_ptr()) }.get_ref()
    }

    /// Returns what the hardware must be told about this table.
    pub(crate) fn hardware(&self) -> Table {
        // SAFETY: By the type invariant `ops` is valid, and the `ops` that
        // `alloc_io_pgtable_ops()` returns is a field of a `struct io_pgtable`.
        let table = unsafe { kernel::container_of!(self.ops.as_ptr(), bindings::io_pgtable, ops) };

        // SAFETY: By the type invariant `table` was allocated for `format`.
        unsafe { self.format.table(&(*table).cfg) }
    }

    /// Maps `count` pages of `size` bytes from `iova` to `paddr`.
    ///
    /// Adds to `mapped` how many bytes were mapped, also when there is an error after some. Returns
    /// 0 or the error, as C has it: this is called by C for each page.
    ///
    /// # Safety
    ///
    /// - No other operation on this table touches the range meanwhile.
    /// - [`restore`] does not run meanwhile.
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

        // SAFETY: By the type invariant `ops` is valid; every format sets `map_pages`. The caller
        // vouches for the range, `gfp` and `mapped`.
        unsafe {
            (*ops).map_pages.unwrap_unchecked()(ops, iova, paddr, size, count, prot, gfp, mapped)
        }
    }

    /// Unmaps `count` pages of `size` bytes from `iova`; returns how many bytes were unmapped.
    /// Which they were is noted nowhere: `T` flushes everything.
    ///
    /// # Safety
    ///
    /// - No other operation on this table touches the range meanwhile.
    /// - [`restore`] does not run meanwhile.
    pub(crate) unsafe fn unmap_pages(&self, iova: usize, size: usize, count: usize) -> usize {
        let ops = self.ops.as_ptr();

        // SAFETY: By the type invariant `ops` is valid; every format sets `unmap_pages`. The caller
        // vouches for the range. Without a `gather` it gathers nothing.
        unsafe {
            (*ops).unmap_pages.unwrap_unchecked()(ops, iova, size, count, core::ptr::null_mut())
        }
    }

    /// Returns the physical address that `iova` is mapped to; 0 when it is not.
    ///
    /// # Safety
    ///
    /// No other operation on this table touches `iova` meanwhile.
    pub(crate) unsafe fn iova_to_phys(&self, iova: usize) -> bindings::phys_addr_t {
        let ops = self.ops.as_ptr();

        // SAFETY: By the type invariant `ops` is valid; every format sets `iova_to_phys`. The
        // caller vouches for the range.
        unsafe { (*ops).iova_to_phys.unwrap_unchecked()(ops, iova) }
    }

    #[inline(never)]
    extern "C" fn tlb_flush_all(cookie: *mut c_void) {
        // SAFETY: The page table code passes the cookie, which by the type invariant comes from
        // `into_foreign()` and is taken back only after the table is freed.
        let flush = unsafe { Pin::<KBox<T>>::borrow(cookie) };

        flush.flush_all();
    }

    /// Less than everything cannot be flushed.
    extern "C" fn tlb_flush_walk(_iova: usize, _size: usize, _granule: usize, cookie: *mut c_void) {
        Self::tlb_flush_all(cookie);
    }
}

impl<T: FlushOps> Drop for IoPageTable<T> {
    fn drop(&mut self) {
        image::remove(self.ops);
        // SAFETY: By the type invariant `ops` is valid, and `self` is its only owner.
        unsafe { bindings::free_io_pgtable_ops(self.ops.as_ptr()) };

        // SAFETY: By the type invariant `cookie` comes from `into_foreign()`; the only other user,
        // the table, is gone.
        drop(unsafe { Pin::<KBox<T>>::from_foreign(self.cookie.as_ptr()) });
    }
}
