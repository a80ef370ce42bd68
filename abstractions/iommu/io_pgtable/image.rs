// SPDX-License-Identifier: GPL-2.0

//! Tables that an image of the system brings back.

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

/// All tables.
struct Tables {
    list: KVec<Listed>,
    /// Whether they may be those of an image that was just restored.
    are_stale: bool,
}

/// A table of this format.
///
/// # Invariants
///
/// It comes from `alloc_io_pgtable_ops()` for that format, and is not freed while it is listed.
struct Listed(NonNull<bindings::io_pgtable_ops>, Format);

// SAFETY: `struct io_pgtable_ops` is bound to no thread.
unsafe impl Send for Listed {}

/// Makes tables available. For the module's `init()`.
// Inlined into it, whose text is freed when it is done.
#[inline(always)]
pub(crate) fn start() {
    TABLES.start();
}

/// Lists a table.
///
/// # Errors
///
/// `ENOMEM` when there is no memory for that.
///
/// # Safety
///
/// `ops` comes from `alloc_io_pgtable_ops()` for `format`, and is not freed before it was given to
/// [`remove`].
pub(super) unsafe fn add(ops: NonNull<bindings::io_pgtable_ops>, format: Format) -> Result {
    // INVARIANT: By this function's contract.
    TABLES.lock()?.list.push(Listed(ops, format), GFP_KERNEL)?;
    Ok(())
}

/// Removes a table from the list, if it is there.
pub(super) fn remove(ops: NonNull<bindings::io_pgtable_ops>) {
    if let Ok(mut tables) = TABLES.lock() {
        tables.list.retain(|listed| listed.0 != ops);
        if tables.list.is_empty() {
            // A `static` is not dropped.
            tables.list = KVec::new();
        }
    }
}

/// Notes that an image of the system is about to be made, which has the tables as they are now.
pub(in crate::abstractions::iommu) fn freeze() {
    if let Ok(mut tables) = TABLES.lock() {
        tables.are_stale = true;
    }
}

/// Cleans all tables from the CPU's caches, once after [`freeze`]: an image is restored through the
/// caches, and not cleaned further than the CPUs themselves need it. May sleep.
pub(in crate::abstractions::iommu) fn restore() {
    let Ok(mut tables) = TABLES.lock() else {
        return;
    };

    if core::mem::take(&mut tables.are_stale) {
        for table in &tables.list {
            // SAFETY: By their contracts nothing is mapped or unmapped meanwhile.
            unsafe { table.clean() };
        }
    }
}

impl Listed {
    /// Cleans it. To be called with the list locked.
    ///
    /// # Safety
    ///
    /// The table does not change meanwhile.
    unsafe fn clean(&self) {
        // SAFETY: By the type invariant `ops` comes from `alloc_io_pgtable_ops()`, which returns a
        // field of a `struct io_pgtable`, and is not freed.
        let cfg =
            unsafe { &(*kernel::container_of!(self.0.as_ptr(), bindings::io_pgtable, ops)).cfg };
        // Entries of level 1 are for 1 GiB each.
        let bytes = size_of::<u64>() << (cfg.ias - 30);

        // SAFETY: By the type invariant it was allocated for this format, with two levels below the
        // first one.
        unsafe { clean_level(cfg.iommu_dev, self.1.table(cfg).base, bytes, 2) };
    }
}

/// Cleans `bytes` of entries at the physical address `base`, and the `below` levels that they point
/// to.
///
/// # Safety
///
/// A table of long descriptors that is read by `dev` is there, and does not change meanwhile.
unsafe fn clean_level(dev: *mut bindings::device, base: u64, bytes: usize, below: u32) {
    const NEXT_TABLE: u64 = 3;
    const ADDRESS: u64 = 0xff_ffff_f000;

    // SAFETY: RAM is where it is in the kernel's own mapping; nothing is allocated.
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

    // SAFETY: The page table code has mapped it for DMA by `dev`, 1:1.
    unsafe {
        bindings::dma_sync_single_for_device(
            dev,
            base as bindings::dma_addr_t,
            bytes,
            bindings::dma_data_direction::DMA_TO_DEVICE,
        )
    };
    for i in 0..bytes / size_of::<u64>() {
        // SAFETY: Within the table, which does not change.
        let entry = unsafe { entries.cast::<u64>().add(i).read() };
        if below > 0 && entry & NEXT_TABLE == NEXT_TABLE {
            // SAFETY: By the format the entry points to a page of the next level.
            unsafe { clean_level(dev, entry & ADDRESS, SZ_4K, below - 1) };
        }
    }
    // SAFETY: It was mapped above.
    unsafe { bindings::memunmap(entries) };
}
