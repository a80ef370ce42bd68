// SPDX-License-Identifier: GPL-2.0

//! What the core is given of a driver: a table of functions, and two domains that are always there.

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
/// For a `static`; made by [`iommu_ops_table!`](crate::iommu_ops_table).
#[repr(transparent)]
pub(crate) struct StaticDomain<T: Ops>(
    pub(super) Opaque<bindings::iommu_domain>,
    pub(super) PhantomData<T>,
);

// SAFETY: The core serialises its accesses, and nothing else makes any.
unsafe impl<T: Ops> Sync for StaticDomain<T> {}

// SAFETY: `raw` is only read, and the rest is atomic.
unsafe impl<T: Ops> Sync for OpsTable<T> {}

impl<T: Ops> OpsTable<T> {
    pub(super) fn as_raw(&'static self) -> *const bindings::iommu_ops {
        &self.raw
    }

    /// Keeps the module for good. A paging domain may outlive the clients for which the core holds
    /// the module: one of iommufd does, and is then freed by the module's code.
    pub(super) fn pin_module(&'static self) {
        #[cfg(CONFIG_MODULE_UNLOAD)]
        if !self.is_module_pinned.xchg(true, Relaxed) {
            // SAFETY: `owner` is the module that this code is in, or null. The core holds it for
            // the client that a domain is being made for.
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
