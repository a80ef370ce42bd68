// SPDX-License-Identifier: GPL-2.0

//! The bindings, and what they lack: constants that are macros, and functions whose headers have
//! none or that are inline in C.
//!
//! In the kernel's tree, `bindings_helper.h` and `rust/helpers/` have these.

pub(crate) use kernel::bindings::*;

/// The link goes away with the consumer's driver.
pub(crate) const DL_FLAG_AUTOREMOVE_CONSUMER: u32 = 1 << 1;
/// The supplier is awake while the consumer is.
pub(crate) const DL_FLAG_PM_RUNTIME: u32 = 1 << 2;
/// The supplier is awake already, and stays so until the consumer first sleeps.
pub(crate) const DL_FLAG_RPM_ACTIVE: u32 = 1 << 3;
/// The link goes away with the supplier's driver.
pub(crate) const DL_FLAG_AUTOREMOVE_SUPPLIER: u32 = 1 << 4;

/// Set NSTABLE and NS in every descriptor.
pub(crate) const IO_PGTABLE_QUIRK_ARM_NS: usize = 1 << 0;

// The types of bindings are not FFI-safe to the letter.
#[allow(improper_ctypes)]
extern "C" {
    /// Adds what the firmware reserves for a device: in the device tree, `iommu-addresses` of its
    /// `memory-region`s. Declared in `drivers/iommu/dma-iommu.h`.
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

/// As the inline function of this name.
///
/// # Safety
///
/// `dev` is valid.
pub(crate) unsafe fn dev_is_dma_coherent(dev: *mut device) -> bool {
    // Elsewhere all DMA is coherent.
    if !cfg!(any(
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE,
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU,
        CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL
    )) {
        return true;
    }

    let flag = struct_device_flags_DEV_FLAG_DMA_COHERENT as usize;
    let bits = usize::BITS as usize;
    // SAFETY: By this function's contract `dev` is valid, and the bitmap is long enough for all
    // flags. Others may change at the same time, atomically.
    let word = unsafe { (&raw const (*dev).flags[flag / bits]).read_volatile() };

    word >> (flag % bits) & 1 != 0
}

/// As the inline function of this name, but that it does not ask whether the CPU's caches matter.
///
/// # Safety
///
/// The range is mapped for DMA by `dev`, which is valid.
pub(crate) unsafe fn dma_sync_single_for_device(
    dev: *mut device,
    addr: dma_addr_t,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: By this function's contract.
    unsafe { __dma_sync_single_for_device(dev, addr, size, dir) };
}

/// As the inline function of this name.
///
/// # Safety
///
/// `dev` is valid.
#[cfg(CONFIG_PM)]
pub(crate) unsafe fn pm_runtime_mark_last_busy(dev: *mut device) {
    // SAFETY: It may be called anywhere.
    let now = unsafe { ktime_get_mono_fast_ns() };

    // SAFETY: By this function's contract `dev` is valid. The PM core reads and writes this
    // anywhere, at once, as is done here.
    unsafe { (&raw mut (*dev).power.last_busy).write_volatile(now) };
}
