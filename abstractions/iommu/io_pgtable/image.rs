// SPDX-License-Identifier: GPL-2.0

//! Cleaning of tables from the CPU's caches after an image of the system was restored.

use core::ptr::NonNull;

use kernel::{
    prelude::*,
    sizes::SZ_4K, //
};

use super::format::Format;
use crate::abstractions::{
    bindings,
    module_lock, //
};

module_lock! {
    static TABLES: Tables = Tables {
        list: KVec::new(),
        are_stale: false,
    }; lock TablesLock
}

/// The list of all tables.
struct Tables {
    list: KVec<Listed>,
    /// Whether the tables may be those of an image that was just restored.
    are_stale: bool,
}

/// A table and its format.
///
/// # Invariants
///
/// `0` comes from `alloc_io_pgtable_ops()` for format `1`, and is not freed while it is listed.
struct Listed(NonNull<bindings::io_pgtable_ops>, Format);

// SAFETY: `struct io_pgtable_ops` is not tied to a thread.
unsafe impl Send for Listed {}

/// Makes the list available, which tables need. For the module's `init()`.
// Inlined, so that it is part of the text of `init()`, which is freed afterwards.
#[inline(always)]
pub(crate) fn start() {
    TABLES.start();
}

/// Adds a table to the list.
///
/// Fails with `ENODEV` before [`start`], `ENOMEM` when there is no memory for the entry.
///
/// # Safety
///
/// `ops` comes from `alloc_io_pgtable_ops()` for `format`, and is not freed before [`remove`].
pub(super) unsafe fn add(ops: NonNull<bindings::io_pgtable_ops>, format: Format) -> Result {
    // INVARIANT: By this function's contract.
    TABLES.lock()?.list.push(Listed(ops, format), GFP_KERNEL)?;
    Ok(())
}

/// Removes a table from the list, if the list contains it.
pub(super) fn remove(ops: NonNull<bindings::io_pgtable_ops>) {
    if let Ok(mut tables) = TABLES.lock() {
        tables.list.retain(|listed| listed.0 != ops);
        if tables.list.is_empty() {
            // Frees the memory of the list: a `static` is not dropped.
            tables.list = KVec::new();
        }
    }
}

/// Notes that an image of the system is about to be made, with the tables in their present state.
pub(in crate::abstractions::iommu) fn freeze() {
    if let Ok(mut tables) = TABLES.lock() {
        tables.are_stale = true;
    }
}

/// Cleans all tables from the CPU's caches, once after [`freeze`]. An image is restored through the
/// caches, and cleaned from them only as far as the CPUs need it. May sleep.
pub(in crate::abstractions::iommu) fn restore() {
    let Ok(mut tables) = TABLES.lock() else {
        return;
    };

    if core::mem::take(&mut tables.are_stale) {
        for table in &tables.list {
            // SAFETY: The contracts of mapping and unmapping exclude this; the lock excludes
            // freeing.
            unsafe { table.clean() };
        }
    }
}

impl Listed {
    /// Cleans the table from the CPU's caches. To be called with the list locked.
    ///
    /// # Safety
    ///
    /// The table does not change during the call.
    unsafe fn clean(&self) {
        // SAFETY: By the type invariant `0` comes from `alloc_io_pgtable_ops()`, which returns a
        // field of a `struct io_pgtable`, and is not freed.
        let cfg =
            unsafe { &(*kernel::container_of!(self.0.as_ptr(), bindings::io_pgtable, ops)).cfg };
        if cfg.coherent_walk {
            return;
        }
        // Each entry of level 1 covers 1 GiB.
        let bytes = size_of::<u64>() << (cfg.ias - 30);

        // SAFETY: By the type invariant the table has this format; `BITS` gives it two more levels.
        // It does not change by this function's contract, and its owner keeps `iommu_dev` valid.
        unsafe { clean_level(cfg.iommu_dev, self.1.table(cfg).base, bytes, 2) };
    }
}

/// Cleans `bytes` of entries at the physical address `base`, and the `below` levels of tables that
/// they point to, from the CPU's caches.
///
/// # Safety
///
/// At `base` is a table of long descriptors that was allocated for `dev`, which is valid and whose
/// walk is not coherent. The table does not change during the call.
unsafe fn clean_level(dev: *mut bindings::device, base: u64, bytes: usize, below: u32) {
    const NEXT_TABLE: u64 = 3;
    const ADDRESS: u64 = 0xff_ffff_f000;

    // SAFETY: `memremap()` accepts any range. RAM needs no new mapping, as it is in the linear one.
    let entries = unsafe {
        bindings::memremap(
            base as bindings::phys_addr_t,
            bytes,
            bindings::MEMREMAP_WB as usize,
        )
    };
    if entries.is_null() {
        return;
    }

    // SAFETY: `dev` is valid, and the table is in RAM. The page table code, which wants DMA
    // addresses to be physical ones, has mapped it for DMA by `dev`, whose walk is not coherent.
    unsafe {
        bindings::dma_sync_single_for_device(
            dev,
            base as bindings::dma_addr_t,
            bytes,
            bindings::dma_data_direction::DMA_TO_DEVICE,
        )
    };
    for i in 0..bytes / size_of::<u64>() {
        // SAFETY: The entry is within the table, which does not change by this function's contract.
        let entry = unsafe { entries.cast::<u64>().add(i).read() };
        if below > 0 && entry & NEXT_TABLE == NEXT_TABLE {
            // SAFETY: By the format the entry points to a page of the next level, of this table.
            unsafe { clean_level(dev, entry & ADDRESS, SZ_4K, below - 1) };
        }
    }
    // SAFETY: `entries` comes from `memremap()`.
    unsafe { bindings::memunmap(entries) };
}
