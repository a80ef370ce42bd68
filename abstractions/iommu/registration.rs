// SPDX-License-Identifier: GPL-2.0

//! IOMMU instances, and their registration with the core.

use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    types::Opaque, //
};

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
use super::arm_mapping::SharedMapping;
use super::Ops;

/// What the core keeps per IOMMU: a field of the driver's [`Ops::Instance`].
#[pin_data]
pub(crate) struct Instance {
    #[pin]
    raw: Opaque<bindings::iommu_device>,
    /// Whether the core has gone through all devices that were there.
    is_open: Atomic<bool>,
    #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
    #[pin]
    mapping: SharedMapping,
}

// SAFETY: The core serialises its own accesses, and the driver makes none.
unsafe impl Send for Instance {}
// SAFETY: As above.
unsafe impl Sync for Instance {}

impl Instance {
    /// An instance that the core does not know yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::zeroed(),
            is_open: Atomic::new(false),
            #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
            mapping <- SharedMapping::new(),
        })
    }

    pub(super) fn as_raw(&self) -> *mut bindings::iommu_device {
        self.raw.get()
    }

    /// Whether `dev` has come too early: a driver is being bound to it, while the core is going
    /// through the devices to put those behind this instance that are.
    ///
    /// The core has a warning for devices that get an IOMMU when they have a driver already. One
    /// that is asked to come again ([`EPROBE_DEFER`]) is found by the core in between.
    pub(crate) fn is_too_early_for(&self, dev: &Device) -> bool {
        let dev = core::ptr::from_ref(dev).cast::<bindings::device>();

        // SAFETY: `Device` is a transparent wrapper of `struct device`. The driver core may change
        // the pointer at any time, so it is read once, and what it points to is not looked at.
        let driver = unsafe { (&raw const (*dev).driver).read_volatile() };
        !driver.is_null() && !self.is_open.load(Acquire)
    }

    /// The mapping of the devices behind the IOMMU that the core knows as `raw`.
    ///
    /// # Safety
    ///
    /// `raw` is registered for `'a`, or being registered, by a [`Registration`].
    #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
    pub(super) unsafe fn mapping<'a>(raw: *mut bindings::iommu_device) -> &'a SharedMapping {
        let raw = Opaque::cast_from(raw);

        // SAFETY: The registration keeps the instance, whose `raw` this is.
        unsafe { &(*kernel::container_of!(raw, Self, raw)).mapping }
    }
}

/// The registration of an [`Ops::Instance`] with the core, and its entry in sysfs.
///
/// When it is dropped, the core takes all devices away from the instance first.
///
/// # Invariants
///
/// `instance` is registered, and has an entry in sysfs.
pub(crate) struct Registration<T: Ops> {
    instance: Arc<T::Instance>,
}

impl<T: Ops> Registration<T> {
    /// Registers `instance`, the IOMMU that `dev` is.
    ///
    /// The core calls back for devices behind it before this returns. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the core; `instance` is then not registered.
    pub(crate) fn new(
        dev: &Device<Bound>,
        name: &CStr,
        instance: Arc<T::Instance>,
    ) -> Result<Self> {
        let raw = (*instance).as_ref().as_raw();
        let dev = core::ptr::from_ref(dev).cast_mut().cast();

        // SAFETY: `raw` is zeroed or was unregistered, `dev` is valid, and the strings are
        // NUL-terminated; the format takes one string.
        to_result(unsafe {
            bindings::iommu_device_sysfs_add(
                raw,
                dev,
                core::ptr::null_mut(),
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;

        // SAFETY: `raw` is pinned in the `Arc`, which lives until it is unregistered in `drop()`;
        // the table lives forever.
        let ret = unsafe { bindings::iommu_device_register(raw, T::table().as_raw(), dev) };
        if let Err(e) = to_result(ret) {
            // SAFETY: The entry was added above.
            unsafe { bindings::iommu_device_sysfs_remove(raw) };
            return Err(e);
        }

        let core: &Instance = (*instance).as_ref();
        core.is_open.store(true, Release);
        // INVARIANT: Both was just done.
        Ok(Self { instance })
    }
}

impl<T: Ops> Drop for Registration<T> {
    fn drop(&mut self) {
        let instance: &Instance = (*self.instance).as_ref();
        let raw = instance.as_raw();

        // SAFETY: The driver is being unbound. So no device behind the instance is bound, nor will
        // one be: the device links see to that.
        #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
        unsafe {
            instance.mapping.detach_all()
        };

        // SAFETY: By the type invariant it is registered and has an entry in sysfs.
        unsafe {
            bindings::iommu_device_unregister(raw);
            bindings::iommu_device_sysfs_remove(raw);
        }
    }
}
