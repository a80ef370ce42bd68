// SPDX-License-Identifier: GPL-2.0

//! The functions that the core calls, except for those of paging domains, and their tables.

use core::marker::PhantomData;

use kernel::{
    device::Device,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::atomic::Atomic,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

use crate::abstractions::{
    bindings,
    device::driver::has_driver, //
};

use super::{
    fwspec::*,
    group::Grouping,
    ops::*, //
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

impl<T: Ops> StaticDomain<T> {
    /// Creates the domain in which DMA of clients is not translated.
    pub(crate) const fn identity() -> Self {
        Self::new(
            bindings::IOMMU_DOMAIN_IDENTITY,
            &Callbacks::<T>::IDENTITY_OPS,
        )
    }

    /// Creates the domain in which all DMA of clients is blocked.
    pub(crate) const fn blocked() -> Self {
        Self::new(bindings::IOMMU_DOMAIN_BLOCKED, &Callbacks::<T>::BLOCKED_OPS)
    }

    const fn new(type_: u32, ops: &'static bindings::iommu_domain_ops) -> Self {
        Self(
            Opaque::new(bindings::iommu_domain {
                type_,
                ops,
                ..pin_init::zeroed()
            }),
            PhantomData,
        )
    }
}

impl<T: Ops> OpsTable<T> {
    /// Creates the table for `T`, a driver in the module `owner`.
    pub(crate) const fn new(
        owner: &ThisModule,
        identity: &'static StaticDomain<T>,
        blocked: &'static StaticDomain<T>,
    ) -> Self {
        Self {
            raw: bindings::iommu_ops {
                capable: Some(Callbacks::<T>::capable),
                domain_alloc_paging: Some(Callbacks::<T>::domain_alloc_paging),
                probe_device: Some(Callbacks::<T>::probe_device),
                #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
                probe_finalize: Some(Callbacks::<T>::probe_finalize),
                release_device: Some(Callbacks::<T>::release_device),
                get_resv_regions: Some(Callbacks::<T>::get_resv_regions),
                device_group: Some(Callbacks::<T>::device_group),
                of_xlate: Some(Callbacks::<T>::of_xlate),
                default_domain_ops: &Domain::<T>::OPS,
                owner: owner.as_ptr(),
                identity_domain: identity.0.get(),
                // Arm's own DMA API attaches single clients, and needs an empty domain for it.
                blocked_domain: if cfg!(CONFIG_ARM_DMA_USE_IOMMU) {
                    core::ptr::null_mut()
                } else {
                    blocked.0.get()
                },
                ..pin_init::zeroed()
            },
            is_module_pinned: Atomic::new(false),
            _ops: PhantomData,
        }
    }
}

/// Returns the error for the core when `dev` is refused with `e`, as an error pointer.
///
/// When an IOMMU is registered, the core gives it up after any error but `ENODEV`. When a driver is
/// being bound, the core probes `dev` alone, and lets the driver go on without the IOMMU after any
/// error but `EPROBE_DEFER`.
fn refusal<R>(dev: &Device, e: Error) -> *mut R {
    let e = if e != ENODEV && has_driver(dev) {
        EPROBE_DEFER
    } else {
        ENODEV
    };

    // SAFETY: The function converts a number to a pointer, and accesses no memory.
    unsafe { bindings::ERR_PTR(e.to_errno() as isize).cast() }
}

/// The C functions for `T`.
pub(super) struct Callbacks<T: Ops>(PhantomData<T>);

impl<T: Ops> Callbacks<T> {
    pub(super) const IDENTITY_OPS: bindings::iommu_domain_ops = bindings::iommu_domain_ops {
        attach_dev: Some(Self::identity_attach_dev),
        ..pin_init::zeroed()
    };

    pub(super) const BLOCKED_OPS: bindings::iommu_domain_ops = bindings::iommu_domain_ops {
        attach_dev: Some(Self::blocked_attach_dev),
        ..pin_init::zeroed()
    };

    pub(super) extern "C" fn capable(dev: *mut bindings::device, cap: bindings::iommu_cap) -> bool {
        match cap {
            // The effect of a client's attributes depends on the bus, which the firmware describes.
            // VFIO and iommufd refuse a client without this capability.
            bindings::iommu_cap_IOMMU_CAP_CACHE_COHERENCY => {
                // SAFETY: The core passes a valid device.
                unsafe { bindings::dev_is_dma_coherent(dev) }
            }
            // A flush drops all translations, whenever it comes.
            bindings::iommu_cap_IOMMU_CAP_DEFERRED_FLUSH => true,
            _ => false,
        }
    }

    pub(super) extern "C" fn of_xlate(
        dev: *mut bindings::device,
        args: *const bindings::of_phandle_args,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core passes a valid device.
            let device = unsafe { Device::from_raw(dev) };
            // SAFETY: The core passes valid arguments with a reference to their node. It has locked
            // its probe lock, so nothing else adds IDs. One is added below, where `args` is gone.
            let args = unsafe { PhandleArgs::new(&*args, FwSpec::of(device)) };
            let id = T::of_xlate(device, args)?;

            // SAFETY: `dev` is valid. In this callback drivers may add IDs to its `fwspec`.
            let added = to_result(unsafe { bindings::iommu_fwspec_add_ids(dev, &id, 1) });
            // Defers the driver, as in `refusal()`. The error has no other effect.
            added.map_err(|_| EPROBE_DEFER).map(|()| 0)
        })
    }

    pub(super) extern "C" fn probe_device(
        dev: *mut bindings::device,
    ) -> *mut bindings::iommu_device {
        // SAFETY: The core passes a valid device.
        let device = unsafe { Device::from_raw(dev) };
        let probe = || -> Result<*mut bindings::iommu_device> {
            // SAFETY: The core has locked its probe lock, and leaves the `fwspec` as it is.
            let fwspec = unsafe { FwSpec::of(device) }.ok_or(ENODEV)?;
            let (instance, client) = T::probe_device(device, fwspec)?;
            // The core refers to the instance until that is unregistered, which releases the
            // client. An instance of another node might be unregistered at this moment. The core
            // has found that of this node among the registered ones.
            let raw = instance
                .as_registered()
                .filter(|_| instance.is_described_by(fwspec.node()))
                .ok_or(ENODEV)?;
            // INVARIANT: The core has found this node registered. No other registered instance has
            // it: both would have the same name in sysfs.
            let private = KBox::new(Private { instance, client }, GFP_KERNEL)?;

            // SAFETY: `dev` has its `iommu`, and the core has locked its probe lock.
            unsafe { bindings::dev_iommu_priv_set(dev, private.into_foreign()) };
            Ok(raw)
        };

        probe().unwrap_or_else(|e| refusal(device, e))
    }

    pub(super) extern "C" fn release_device(dev: *mut bindings::device) {
        // SAFETY: The core calls this once after `probe_device()` succeeded, and nothing for the
        // device afterwards. So the box that is stored there can be taken back.
        let private = unsafe { KBox::<Private<T>>::from_foreign((*(*dev).iommu).priv_) };
        // SAFETY: The core passes a valid device.
        let device = unsafe { Device::from_raw(dev) };

        // SAFETY: The device does no DMA: it is being removed, or its IOMMU is unbound, before
        // which the link between them has unbound its driver.
        #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
        unsafe {
            private.instance.mapping.forget(device)
        };
        T::release_device(device, &private.client);
    }

    /// Attaches the mapping of the DMA API to a client that is not bound yet.
    #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
    pub(super) extern "C" fn probe_finalize(dev: *mut bindings::device) {
        // SAFETY: The core passes a device that `probe_device()` accepted, hence a valid one.
        let (device, private) = unsafe { (Device::from_raw(dev), private::<T>(dev)) };

        // SAFETY: The core calls this after it has probed the device behind this instance, and
        // before a driver is bound to the device.
        if let Err(e) = unsafe { private.instance.mapping.attach(device) } {
            dev_err!(device, "Failed to attach the DMA mapping: {:?}\n", e);
        }
    }

    pub(super) extern "C" fn device_group(
        dev: *mut bindings::device,
    ) -> *mut bindings::iommu_group {
        // SAFETY: `probe_device()` accepted the device, and the core does not release it meanwhile.
        let (device, private) = unsafe { (Device::from_raw(dev), private::<T>(dev)) };
        let ops = private.instance.table.as_raw();
        // SAFETY: The core is calling `device_group()` of `ops` for this device.
        let grouping = unsafe { Grouping::new(device, ops) };

        match T::device_group(grouping, &private.client) {
            Ok(group) if group.is_of(ops) => group.into_raw(),
            Ok(_) => refusal(device, EINVAL),
            Err(e) => refusal(device, e),
        }
    }

    pub(super) extern "C" fn get_resv_regions(
        dev: *mut bindings::device,
        list: *mut bindings::list_head,
    ) {
        #[cfg(CONFIG_IOMMU_DMA)]
        // SAFETY: The list is valid, and the device has a `fwspec`, as `probe_device()` requires.
        unsafe {
            bindings::iommu_dma_get_resv_regions(dev, list)
        };
        #[cfg(not(CONFIG_IOMMU_DMA))]
        let _ = (dev, list);
    }

    pub(super) extern "C" fn domain_alloc_paging(
        dev: *mut bindings::device,
    ) -> *mut bindings::iommu_domain {
        // SAFETY: `probe_device()` accepted the device, and the core does not release it meanwhile.
        let private = unsafe { private::<T>(dev) };
        // SAFETY: By the invariant of `Private` the instance is registered until the client is
        // released, which does not happen during this call.
        let hwdev = unsafe { private.instance.hwdev() };

        match T::alloc_paging(&private.client, hwdev).and_then(Domain::<T>::new_raw) {
            Ok(domain) => {
                private.instance.table.pin_module();
                domain
            }
            // SAFETY: The function converts a number to a pointer, and accesses no memory.
            Err(e) => unsafe { bindings::ERR_PTR(e.to_errno() as isize).cast() },
        }
    }

    extern "C" fn identity_attach_dev(
        _domain: *mut bindings::iommu_domain,
        dev: *mut bindings::device,
        _old: *mut bindings::iommu_domain,
    ) -> c_int {
        // SAFETY: `probe_device()` accepted the device, and the core does not release it meanwhile.
        let (dev, client) = unsafe { device_and_client::<T>(dev) };

        T::attach_identity(dev, client);
        0
    }

    extern "C" fn blocked_attach_dev(
        _domain: *mut bindings::iommu_domain,
        dev: *mut bindings::device,
        _old: *mut bindings::iommu_domain,
    ) -> c_int {
        // SAFETY: `probe_device()` accepted the device, and the core does not release it meanwhile.
        let (dev, client) = unsafe { device_and_client::<T>(dev) };

        T::attach_blocked(dev, client);
        0
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
