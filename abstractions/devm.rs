// SPDX-License-Identifier: GPL-2.0

//! Device-managed memory.
//!
//! C header: [`include/linux/device/devres.h`](srctree/include/linux/device/devres.h)

use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};
use pin_init::Zeroable;

/// Allocates `len` zeroed elements that live as long as `dev` stays bound to its driver.
///
/// The slice belongs to the caller until the driver core frees it, after the driver's private data
/// was dropped. `T: Copy`, because nothing drops the elements.
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM` when the memory is not to be had, `EOVERFLOW` when its size has no `usize`.
pub(crate) fn zeroed_slice<T: Zeroable + Copy>(
    dev: &Device<Bound>,
    len: usize,
) -> Result<&mut [T]> {
    let size = len.checked_mul(size_of::<T>()).ok_or(EOVERFLOW)?;
    if size == 0 {
        return Ok(&mut []);
    }

    // `devm_kmalloc()` aligns to `ARCH_DMA_MINALIGN`, at least to 8 bytes.
    const { assert!(align_of::<T>() <= 8) };

    let dev_ptr = core::ptr::from_ref(dev).cast_mut().cast();
    let gfp = bindings::GFP_KERNEL | (1 << bindings::___GFP_ZERO_BIT);
    // SAFETY: `Device` is a transparent wrapper of `struct device`, and `dev` is valid and bound.
    let ptr = unsafe { bindings::devm_kmalloc(dev_ptr, size, gfp) };
    if ptr.is_null() {
        return Err(ENOMEM);
    }

    // SAFETY: `ptr` is the start of `size` bytes, zeroed (`__GFP_ZERO`), which is a valid value for
    // `T: Zeroable`. The allocation is new, hence not aliased. devres frees it when the device is
    // unbound, which cannot happen before the lifetime of `dev: &Device<Bound>` ends.
    Ok(unsafe { core::slice::from_raw_parts_mut(ptr.cast(), len) })
}
