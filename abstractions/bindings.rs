// SPDX-License-Identifier: GPL-2.0

//! The kernel's bindings, with the items that they lack: constants that are macros in C, and
//! functions that are inline in C or whose headers have no bindings.
//!
//! In the kernel's tree, these are in `bindings_helper.h` and `rust/helpers/`.

/// Does what the inline function does, but without checking whether the device needs it.
pub(crate) use kernel::bindings::__dma_sync_single_for_device as dma_sync_single_for_device;
pub(crate) use kernel::bindings::*;

/// Removes the link when the consumer's driver is unbound.
pub(crate) const DL_FLAG_AUTOREMOVE_CONSUMER: u32 = 1 << 1;
/// Keeps the supplier awake while the consumer is.
pub(crate) const DL_FLAG_PM_RUNTIME: u32 = 1 << 2;
/// Wakes the supplier up at once, and keeps it awake until the consumer first sleeps.
pub(crate) const DL_FLAG_RPM_ACTIVE: u32 = 1 << 3;
/// Removes the link when the supplier's driver is unbound.
pub(crate) const DL_FLAG_AUTOREMOVE_SUPPLIER: u32 = 1 << 4;

/// Sets NSTABLE and NS in every descriptor.
pub(crate) const IO_PGTABLE_QUIRK_ARM_NS: usize = 1 << 0;

// For the lint, some types of the bindings are not FFI-safe.
#[allow(improper_ctypes)]
extern "C" {
    /// Adds the regions that the firmware reserves for a device: in the device tree,
    /// `iommu-addresses` of its `memory-region`s. Declared in `drivers/iommu/dma-iommu.h`.
    #[cfg(CONFIG_IOMMU_DMA)]
    pub(crate) fn iommu_dma_get_resv_regions(dev: *mut device, list: *mut list_head);
}

// Declared in `asm/dma-iommu.h`.
#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
#[allow(improper_ctypes)]
extern "C" {
    pub(crate) fn arm_iommu_create_mapping(
        dev: *mut device,
        base: dma_addr_t,
        size: u64,
    ) -> *mut dma_iommu_mapping;
    pub(crate) fn arm_iommu_release_mapping(mapping: *mut dma_iommu_mapping);
    pub(crate) fn arm_iommu_attach_device(
        dev: *mut device,
        mapping: *mut dma_iommu_mapping,
    ) -> kernel::ffi::c_int;
}

/// Does what the inline function of this name does.
///
/// # Safety
///
/// `dev` is valid.
pub(crate) unsafe fn dev_is_dma_coherent(dev: *mut device) -> bool {
    // On other architectures all DMA is coherent.
    if !cfg!(any(
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE,
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU,
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL
    )) {
        return true;
    }

    let flag = struct_device_flags_DEV_FLAG_DMA_COHERENT as usize;
    let bits = usize::BITS as usize;
    // SAFETY: By this function's contract `dev` is valid. The bitmap has a bit for each flag. Other
    // bits may change concurrently, so the word is read once, as `test_bit()` does.
    let word = unsafe { (&raw const (*dev).flags[flag / bits]).read_volatile() };

    word >> (flag % bits) & 1 != 0
}

/// Does what the inline function of this name does.
///
/// # Safety
///
/// `dev` is valid.
#[cfg(CONFIG_PM)]
pub(crate) unsafe fn pm_runtime_mark_last_busy(dev: *mut device) {
    // SAFETY: The function has no preconditions.
    let now = unsafe { ktime_get_mono_fast_ns() };

    // SAFETY: By this function's contract `dev` is valid. C code accesses the field without a lock,
    // too, by `READ_ONCE()` and `WRITE_ONCE()`.
    unsafe { (&raw mut (*dev).power.last_busy).write_volatile(now) };
}
