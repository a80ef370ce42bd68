// SPDX-License-Identifier: GPL-2.0

//! Device-managed memory.
//!
//! C header: [`include/linux/device/devres.h`](srctree/include/linux/device/devres.h)

use core::ops::{
    Deref,
    DerefMut, //
};

use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};
use pin_init::Zeroable;

/// Zeroed elements that live as long as a device stays bound to its driver.
///
/// They belong to the holder until the driver core frees them, after the driver's private data was
/// dropped. `T: Copy`, because nothing drops the elements.
pub(crate) struct Slice<'bound, T: Zeroable + Copy>(&'bound mut [T]);

impl<'bound, T: Zeroable + Copy> Slice<'bound, T> {
    /// Allocates `len` elements. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the memory is not to be had, `EOVERFLOW` when its size has no `usize`.
    pub(crate) fn zeroed(dev: &'bound Device<Bound>, len: usize) -> Result<Self> {
        // `devm_kmalloc()` aligns for any type of C.
        const { assert!(align_of::<T>() <= align_of::<u64>()) };

        let size = len.checked_mul(size_of::<T>()).ok_or(EOVERFLOW)?;
        if size == 0 {
            return Ok(Self(&mut []));
        }

        let dev = core::ptr::from_ref(dev).cast_mut().cast();
        let gfp = bindings::GFP_KERNEL | (1 << bindings::___GFP_ZERO_BIT);
        // SAFETY: `Device` is a transparent wrapper of `struct device`; it is valid and bound.
        let ptr = unsafe { bindings::devm_kmalloc(dev, size, gfp) };
        if ptr.is_null() {
            return Err(ENOMEM);
        }

        // SAFETY: `ptr` is the start of `size` bytes, zeroed (`__GFP_ZERO`), which is a valid value
        // of `T: Zeroable`. The allocation is new, hence not aliased. devres frees it when the
        // device is unbound, which does not happen before `'bound` ends.
        Ok(Self(unsafe {
            core::slice::from_raw_parts_mut(ptr.cast(), len)
        }))
    }
}

impl<T: Zeroable + Copy> Deref for Slice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0
    }
}

impl<T: Zeroable + Copy> DerefMut for Slice<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0
    }
}
