// SPDX-License-Identifier: GPL-2.0

//! Identification of the SoC.
//!
//! C header: [`include/linux/sys_soc.h`](srctree/include/linux/sys_soc.h)

use kernel::{
    bindings,
    prelude::*,
    str::as_char_ptr_in_const_context, //
};

/// Attributes that a SoC must have to match, as in `/sys/devices/soc0`. Strings may contain globs.
#[derive(Clone, Copy)]
pub(crate) enum Pattern {
    /// `family`
    Family(&'static CStr),
    /// `soc_id`
    Soc(&'static CStr),
    /// `soc_id` and `revision`
    Revision(&'static CStr, &'static CStr),
}

impl Pattern {
    const fn as_attribute(&self) -> bindings::soc_device_attribute {
        let mut raw: bindings::soc_device_attribute = pin_init::zeroed();

        match *self {
            Self::Family(family) => raw.family = as_char_ptr_in_const_context(family),
            Self::Soc(soc_id) => raw.soc_id = as_char_ptr_in_const_context(soc_id),
            Self::Revision(soc_id, revision) => {
                raw.soc_id = as_char_ptr_in_const_context(soc_id);
                raw.revision = as_char_ptr_in_const_context(revision);
            }
        }
        raw
    }
}

/// A table of SoCs, in the layout that `soc_device_match()` takes. For a `static`.
///
/// ```
/// # use kernel::soc_match::{Pattern, Table};
/// static EARLY: Table<2> = Table::new([
///     Pattern::Soc(c"r8a7796"),
///     Pattern::Revision(c"r8a7795", c"ES1.*"),
/// ]);
///
/// let has_erratum = EARLY.has_this_soc();
/// # let _ = has_erratum;
/// ```
///
/// # Invariants
///
/// `end` is all zero. Pointers in `soc` are null or point to `'static` NUL-terminated strings.
#[repr(C)]
pub(crate) struct Table<const N: usize> {
    soc: [bindings::soc_device_attribute; N],
    end: bindings::soc_device_attribute,
}

// SAFETY: Neither the table nor its strings are ever written.
unsafe impl<const N: usize> Sync for Table<N> {}

impl<const N: usize> Table<N> {
    /// Creates a table that matches any of `patterns`.
    pub(crate) const fn new(patterns: [Pattern; N]) -> Self {
        let mut soc = [pin_init::zeroed(); N];
        let mut i = 0;

        while i < N {
            soc[i] = patterns[i].as_attribute();
            i += 1;
        }
        // INVARIANT: `end` is zeroed, and `as_attribute()` takes its pointers from `&'static CStr`.
        Self {
            soc,
            end: pin_init::zeroed(),
        }
    }

    /// Returns whether the kernel knows the SoC, and the table matches it. May sleep.
    pub(crate) fn has_this_soc(&'static self) -> bool {
        #[cfg(not(CONFIG_SOC_BUS))]
        return false;

        // SAFETY: `repr(C)` makes `soc` and `end` one array. By the type invariant its strings are
        // valid, and its last entry is all zero, as the function requires.
        #[cfg(CONFIG_SOC_BUS)]
        !unsafe { bindings::soc_device_match(core::ptr::from_ref(self).cast()) }.is_null()
    }
}
