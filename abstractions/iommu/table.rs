// SPDX-License-Identifier: GPL-2.0

//! The tables of functions that the core calls.

use core::marker::PhantomData;

use kernel::{
    bindings,
    device::Device,
    error::from_result,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

#[cfg(CONFIG_PCI)]
use super::super::bus;
#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
use super::Instance;
use super::{
    clients::{
        hold_module,
        Client, //
    },
    Capability,
    Domain,
    FwSpec,
    Ops,
    PhandleArgs, //
};

/// A domain that all devices of a driver share: identity or blocked.
///
/// For a `static`; made by [`iommu_ops_table!`](crate::iommu_ops_table).
#[repr(transparent)]
pub(crate) struct StaticDomain<T: Ops>(Opaque<bindings::iommu_domain>, PhantomData<T>);

// SAFETY: The core serialises its accesses, and nobody else makes any.
unsafe impl<T: Ops> Sync for StaticDomain<T> {}

impl<T: Ops> StaticDomain<T> {
    /// The domain in which devices see physical addresses.
    pub(crate) const fn identity() -> Self {
        Self::new(IOMMU_DOMAIN_IDENTITY, &Callbacks::<T>::IDENTITY_OPS)
    }

    /// The domain in which devices reach no memory.
    pub(crate) const fn blocked() -> Self {
        Self::new(IOMMU_DOMAIN_BLOCKED, &Callbacks::<T>::BLOCKED_OPS)
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

/// `IOMMU_DOMAIN_BLOCKED`.
const IOMMU_DOMAIN_BLOCKED: u32 = 0;
/// `IOMMU_DOMAIN_IDENTITY`, which is `__IOMMU_DOMAIN_PT`.
const IOMMU_DOMAIN_IDENTITY: u32 = 1 << 2;

/// The `struct iommu_ops` of a driver.
///
/// For a `static`; made by [`iommu_ops_table!`](crate::iommu_ops_table).
#[repr(transparent)]
pub(crate) struct OpsTable<T: Ops>(bindings::iommu_ops, PhantomData<T>);

// SAFETY: Only read.
unsafe impl<T: Ops> Sync for OpsTable<T> {}

impl<T: Ops> OpsTable<T> {
    /// The table for `T`, a driver in the module `owner`.
    pub(crate) const fn new(
        owner: &ThisModule,
        identity: &'static StaticDomain<T>,
        blocked: &'static StaticDomain<T>,
    ) -> Self {
        Self(
            bindings::iommu_ops {
                capable: Some(Callbacks::<T>::capable),
                domain_alloc_paging: Some(Callbacks::<T>::domain_alloc_paging),
                probe_device: Some(Callbacks::<T>::probe_device),
                probe_finalize: Some(Callbacks::<T>::probe_finalize),
                release_device: Some(Callbacks::<T>::release_device),
                get_resv_regions: Some(Callbacks::<T>::get_resv_regions),
                device_group: Some(Callbacks::<T>::device_group),
                of_xlate: Some(Callbacks::<T>::of_xlate),
                default_domain_ops: &Domain::<T>::OPS,
                owner: owner.as_ptr(),
                identity_domain: identity.0.get(),
                blocked_domain: blocked.0.get(),
                ..pin_init::zeroed()
            },
            PhantomData,
        )
    }

    /// The module that the driver is in; null if it is built in.
    #[cfg(CONFIG_MODULE_UNLOAD)]
    pub(super) fn owner(&'static self) -> *mut bindings::module {
        self.0.owner
    }

    pub(super) fn as_raw(&'static self) -> *const bindings::iommu_ops {
        &self.0
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
        static $name: $crate::abstractions::iommu::OpsTable<$driver> = {
            static IDENTITY: $crate::abstractions::iommu::StaticDomain<$driver> =
                $crate::abstractions::iommu::StaticDomain::identity();
            static BLOCKED: $crate::abstractions::iommu::StaticDomain<$driver> =
                $crate::abstractions::iommu::StaticDomain::blocked();

            $crate::abstractions::iommu::OpsTable::new(
                &<$module as ::kernel::ModuleMetadata>::THIS_MODULE,
                &IDENTITY,
                &BLOCKED,
            )
        };
    };
}

extern "C" {
    /// Adds what the firmware reserves for a device: in the device tree, `iommu-addresses` of its
    /// `memory-region`s. Declared in `drivers/iommu/dma-iommu.h`, which has no bindings.
    ///
    /// `dev` is a `struct device`, whose bindings are not FFI-safe to the letter.
    #[cfg(CONFIG_IOMMU_DMA)]
    fn iommu_dma_get_resv_regions(dev: *mut c_void, list: *mut bindings::list_head);
}

/// The C side of `T`.
pub(super) struct Callbacks<T: Ops>(PhantomData<T>);

impl<T: Ops> Callbacks<T> {
    const IDENTITY_OPS: bindings::iommu_domain_ops = bindings::iommu_domain_ops {
        attach_dev: Some(Self::identity_attach_dev),
        ..pin_init::zeroed()
    };

    const BLOCKED_OPS: bindings::iommu_domain_ops = bindings::iommu_domain_ops {
        attach_dev: Some(Self::blocked_attach_dev),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `dev` is valid for `'a`.
    unsafe fn device<'a>(dev: *mut bindings::device) -> &'a Device {
        // SAFETY: `Device` is a transparent wrapper of `struct device`, which is reference-counted;
        // by this function's contract it is valid for `'a`.
        unsafe { Device::from_raw(dev) }
    }

    /// # Safety
    ///
    /// `probe_device()` accepted `dev`, and `release_device()` is not called for it in `'a`.
    pub(super) unsafe fn device_and_master<'a>(
        dev: *mut bindings::device,
    ) -> (&'a Device, &'a T::Master) {
        // SAFETY: The core holds a reference to a device that it has not released; the rest is this
        // function's contract, too.
        unsafe { (Self::device(dev), &Self::client(dev).master) }
    }

    /// # Safety
    ///
    /// `probe_device()` accepted `dev`, and `release_device()` is not called for it in `'a`.
    unsafe fn client<'a>(dev: *mut bindings::device) -> &'a Client<T> {
        // SAFETY: By this function's contract `probe_device()` stored a `KBox<Client<T>>`, which
        // `release_device()` did not take back yet, nor does it in `'a`.
        unsafe { KBox::<Client<T>>::borrow((*(*dev).iommu).priv_) }
    }

    /// What `probe_device()` stored for `dev`, if it is behind an IOMMU of `T`.
    ///
    /// # Safety
    ///
    /// `dev` is valid, and `release_device()` is not called for it in `'a`.
    pub(super) unsafe fn client_if_any<'a>(dev: *mut bindings::device) -> Option<&'a Client<T>> {
        // SAFETY: `dev` is valid by this function's contract. The core sets `iommu_group` after
        // `probe_device()` succeeded and clears it when it releases the device; in between `iommu`
        // and what it points to are valid. Without a group `iommu` may be freed at any time, and
        // must not be looked at.
        let iommu = unsafe {
            if (*dev).iommu_group.is_null() {
                return None;
            }
            &*(*dev).iommu
        };
        // SAFETY: As above.
        let ops = unsafe { iommu.iommu_dev.as_ref() }?.ops;

        if !core::ptr::eq(ops, T::table().as_raw()) {
            return None;
        }
        // SAFETY: The IOMMU is one of `T`, so `probe_device()` stored a `KBox<Client<T>>` before
        // the core set `iommu_dev`; by this function's contract it is not taken back in `'a`.
        Some(unsafe { KBox::<Client<T>>::borrow(iommu.priv_) })
    }

    extern "C" fn capable(dev: *mut bindings::device, cap: bindings::iommu_cap) -> bool {
        // SAFETY: The core asks about devices that `probe_device()` accepted.
        let (dev, master) = unsafe { Self::device_and_master(dev) };
        let capability = match cap {
            bindings::iommu_cap_IOMMU_CAP_CACHE_COHERENCY => Capability::CacheCoherency,
            bindings::iommu_cap_IOMMU_CAP_DEFERRED_FLUSH => Capability::DeferredFlush,
            _ => return false,
        };

        T::capable(dev, master, capability)
    }

    extern "C" fn of_xlate(
        dev: *mut bindings::device,
        args: *const bindings::of_phandle_args,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core passes a valid device.
            let device = unsafe { Self::device(dev) };
            // SAFETY: The core passes valid arguments, and keeps the node that they refer to during
            // the call; it holds its probe lock, too. IDs are added when `args` is used no more.
            let args = unsafe { PhandleArgs::new(&*args, FwSpec::of(device)) };
            let id = T::of_xlate(device, args)?;

            // SAFETY: `dev` is valid and has a `fwspec`, to which the core lets drivers add IDs in
            // this callback.
            kernel::error::to_result(unsafe { bindings::iommu_fwspec_add_ids(dev, &id, 1) })?;
            Ok(0)
        })
    }

    extern "C" fn probe_device(dev: *mut bindings::device) -> *mut bindings::iommu_device {
        let probe = || -> Result<*mut bindings::iommu_device> {
            // SAFETY: The core passes a valid device.
            let device = unsafe { Self::device(dev) };
            // SAFETY: The core holds its probe lock during this call.
            let fwspec = unsafe { FwSpec::of(device) }.ok_or(ENODEV)?;
            let (instance, master) = T::probe_device(device, fwspec)?;
            let client = KBox::new(Client::<T>::new(master), GFP_KERNEL)?;

            // SAFETY: `dev` has its `iommu`, and the core holds its probe lock.
            unsafe { bindings::dev_iommu_priv_set(dev, client.into_foreign()) };

            // The core uses the instance until it is unregistered, which takes the device away
            // from it. The registration owns an `Arc` of the instance for that long.
            Ok((*instance).as_ref().as_raw())
        };

        // With any other error the core would give up the whole IOMMU, when it is registered.
        probe().unwrap_or_else(|_| {
            // SAFETY: Makes an error pointer, touches nothing.
            unsafe { bindings::ERR_PTR(ENODEV.to_errno() as isize).cast() }
        })
    }

    extern "C" fn release_device(dev: *mut bindings::device) {
        // SAFETY: The core calls this once, after a `probe_device()` that succeeded, and nothing
        // for the device afterwards; so the box that is stored there can be taken back.
        let client = unsafe { KBox::<Client<T>>::from_foreign((*(*dev).iommu).priv_) };
        // SAFETY: The core passes a valid device.
        let dev = unsafe { Self::device(dev) };

        client.retake_core_reference();
        // SAFETY: The device is still behind the IOMMU that the core names, which is registered.
        // No driver is bound to it: this is called when it is removed, or its IOMMU is unbound.
        #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
        unsafe {
            Instance::mapping(Self::iommu_device(dev)).forget(dev)
        };
        T::attach_identity(dev, &client.master);
    }

    /// The IOMMU that `dev` is behind, as the core knows it.
    ///
    /// # Safety
    ///
    /// `probe_device()` accepted `dev`, and the core has not released it.
    #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
    unsafe fn iommu_device(dev: &Device) -> *mut bindings::iommu_device {
        let raw = core::ptr::from_ref(dev).cast::<bindings::device>();

        // SAFETY: By this function's contract `iommu` is valid.
        unsafe { (*(*raw).iommu).iommu_dev }
    }

    /// The device is behind its IOMMU, and not bound yet. The core calls this again when another
    /// device has joined its group.
    extern "C" fn probe_finalize(dev: *mut bindings::device) {
        #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
        {
            // SAFETY: The core passes a valid device.
            let dev = unsafe { Self::device(dev) };

            // SAFETY: `probe_device()` just accepted the device, whose IOMMU is registered
            // therefore. `device_group()` gave it a group of its own. The core calls this before a
            // driver is bound to it.
            if let Err(e) = unsafe { Instance::mapping(Self::iommu_device(dev)).attach(dev) } {
                dev_err!(dev, "cannot be mapped for DMA behind the IOMMU: {:?}\n", e);
            }
        }

        // SAFETY: `probe_device()` accepted the device, and the core does not release it before it
        // is removed or its IOMMU goes, each of which waits for its probing.
        unsafe { Self::client(dev) }.let_go_of_core_reference();
    }

    extern "C" fn device_group(dev: *mut bindings::device) -> *mut bindings::iommu_group {
        if cfg!(CONFIG_ARM_DMA_USE_IOMMU) {
            // The DMA API attaches to devices that are alone in their group only. It has all of an
            // IOMMU see the same, also those that cannot be told apart.
            //
            // SAFETY: The core passes a valid device.
            return unsafe { bindings::generic_device_group(dev) };
        }

        // SAFETY: The core passes a device that `probe_device()` accepted.
        let (device, master) = unsafe { Self::device_and_master(dev) };
        let shared = T::with_alias(device, master, |alias| {
            let alias = core::ptr::from_ref(alias).cast_mut().cast();

            // SAFETY: `alias` is valid, and so is its group: the core puts it after it released the
            // device, which the driver keeps it from during this call. It comes with a reference,
            // as the core wants it.
            unsafe { bindings::iommu_group_get(alias) }
        });
        if let Some(group) = shared.filter(|group| !group.is_null()) {
            return group;
        }

        // SAFETY: The core passes a valid device.
        #[cfg(CONFIG_PCI)]
        if bus::is_pci(unsafe { Self::device(dev) }) {
            // SAFETY: `dev` is valid and a PCI device.
            return unsafe { bindings::pci_device_group(dev) };
        }

        // SAFETY: The core passes a valid device.
        unsafe { bindings::generic_device_group(dev) }
    }

    extern "C" fn get_resv_regions(dev: *mut bindings::device, list: *mut bindings::list_head) {
        #[cfg(CONFIG_IOMMU_DMA)]
        // SAFETY: The core passes a valid device, and a list for the regions.
        unsafe {
            iommu_dma_get_resv_regions(dev.cast(), list)
        };
        #[cfg(not(CONFIG_IOMMU_DMA))]
        let _ = (dev, list);
    }

    extern "C" fn domain_alloc_paging(dev: *mut bindings::device) -> *mut bindings::iommu_domain {
        // SAFETY: The core passes a device that `probe_device()` accepted.
        let client = unsafe { Self::client(dev) };

        // A domain that somebody allocates for a device in use may outlive the use: one of iommufd
        // does. It then holds the module by itself. Default domains go away with their group.
        let holds_module = client.is_bound();

        match T::alloc_paging(&client.master)
            .and_then(|(geometry, paging)| Domain::<T>::new_raw(geometry, paging, holds_module))
        {
            Ok(domain) => {
                if holds_module {
                    hold_module::<T>(true);
                }
                domain
            }
            // SAFETY: Makes an error pointer, touches nothing.
            Err(e) => unsafe { bindings::ERR_PTR(e.to_errno() as isize).cast() },
        }
    }

    extern "C" fn identity_attach_dev(
        _domain: *mut bindings::iommu_domain,
        dev: *mut bindings::device,
        _old: *mut bindings::iommu_domain,
    ) -> c_int {
        // SAFETY: The core passes a device that `probe_device()` accepted.
        let (dev, master) = unsafe { Self::device_and_master(dev) };

        T::attach_identity(dev, master);
        0
    }

    extern "C" fn blocked_attach_dev(
        _domain: *mut bindings::iommu_domain,
        dev: *mut bindings::device,
        _old: *mut bindings::iommu_domain,
    ) -> c_int {
        // SAFETY: The core passes a device that `probe_device()` accepted.
        let (dev, master) = unsafe { Self::device_and_master(dev) };

        from_result(|| T::attach_blocked(dev, master).map(|()| 0))
    }
}
