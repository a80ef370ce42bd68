// SPDX-License-Identifier: GPL-2.0

//! Which SoC this is.
//!
//! C header: [`include/linux/sys_soc.h`](srctree/include/linux/sys_soc.h)

#[cfg(CONFIG_SOC_BUS)]
use kernel::bindings;
use kernel::prelude::*;

/// What a SoC must be to match; `None` matches anything. Strings may contain globs.
#[derive(Clone, Copy)]
#[cfg_attr(not(CONFIG_SOC_BUS), expect(dead_code))]
pub(crate) struct Pattern {
    /// `/sys/devices/soc0/family`
    pub(crate) family: Option<&'static CStr>,
    /// `/sys/devices/soc0/soc_id`
    pub(crate) soc_id: Option<&'static CStr>,
    /// `/sys/devices/soc0/revision`
    pub(crate) revision: Option<&'static CStr>,
}

impl Pattern {
    /// Matches every SoC; to be narrowed with the struct update syntax.
    pub(crate) const ANY: Self = Self {
        family: None,
        soc_id: None,
        revision: None,
    };

    /// Whether the running SoC is known to the kernel and matches. May sleep.
    pub(crate) fn matches(&self) -> bool {
        #[cfg(not(CONFIG_SOC_BUS))]
        return false;

        #[cfg(CONFIG_SOC_BUS)]
        self.matches_soc_bus()
    }

    #[cfg(CONFIG_SOC_BUS)]
    fn matches_soc_bus(&self) -> bool {
        let ptr = |s: Option<&'static CStr>| s.map_or(core::ptr::null(), CStr::as_char_ptr);
        let table = [
            bindings::soc_device_attribute {
                family: ptr(self.family),
                soc_id: ptr(self.soc_id),
                revision: ptr(self.revision),
                ..pin_init::zeroed()
            },
            pin_init::zeroed(),
        ];

        // SAFETY: `table` ends with an entry that is all zero, as the function requires, and its
        // strings are NUL-terminated and live forever.
        !unsafe { bindings::soc_device_match(table.as_ptr()) }.is_null()
    }
}
