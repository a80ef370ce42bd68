// SPDX-License-Identifier: GPL-2.0

//! The tables that a driver passes to the core: of its functions, and of two static domains.

use core::marker::PhantomData;

use kernel::{
    bindings,
    sync::atomic::Relaxed,
    types::Opaque, //
};

use super::ops::{
    Ops,
    OpsTable, //
};

/// A domain that all clients of a driver share: identity or blocked.
///
/// For a `static`. Created by [`iommu_ops_table!`](crate::iommu_ops_table).
#[repr(transparent)]
pub(crate) struct StaticDomain<T: Ops>(
    pub(super) Opaque<bindings::iommu_domain>,
    pub(super) PhantomData<T>,
);

// SAFETY: Only the core accesses the domain, and serialises its accesses.
unsafe impl<T: Ops> Sync for StaticDomain<T> {}

// SAFETY: `raw` is never written, and the other field is atomic.
unsafe impl<T: Ops> Sync for OpsTable<T> {}

impl<T: Ops> OpsTable<T> {
    pub(super) fn as_raw(&'static self) -> *const bindings::iommu_ops {
        &self.raw
    }

    /// Takes a reference to the module for good. The core has references for clients only, and a
    /// paging domain may outlive these: that of iommufd does, and is freed by code of the module.
    pub(super) fn pin_module(&'static self) {
        #[cfg(CONFIG_MODULE_UNLOAD)]
        if !self.is_module_pinned.xchg(true, Relaxed) {
            // SAFETY: `owner` is the driver's module, or null. The core has a reference to it for
            // the client for which a domain is being allocated.
            unsafe { bindings::__module_get(self.raw.owner) };
        }
        #[cfg(not(CONFIG_MODULE_UNLOAD))]
        let _ = Relaxed;
    }
}

/// Declares the [`OpsTable`] of a driver:
///
/// ```ignore
/// iommu_ops_table!(static MY_OPS: MyDriver, in MyModule);
/// ```
#[macro_export]
macro_rules! iommu_ops_table {
    (static $name:ident: $driver:ty, in $module:ty) => {
        static $name: $crate::abstractions::iommu::driver::OpsTable<$driver> = {
            static IDENTITY: $crate::abstractions::iommu::driver::StaticDomain<$driver> =
                $crate::abstractions::iommu::driver::StaticDomain::identity();
            static BLOCKED: $crate::abstractions::iommu::driver::StaticDomain<$driver> =
                $crate::abstractions::iommu::driver::StaticDomain::blocked();

            $crate::abstractions::iommu::driver::OpsTable::new(
                &<$module as ::kernel::ModuleMetadata>::THIS_MODULE,
                &IDENTITY,
                &BLOCKED,
            )
        };
    };
}
