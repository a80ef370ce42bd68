// SPDX-License-Identifier: GPL-2.0

//! IOMMU instances, and their registration with the core.

use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    types::Opaque, //
};

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
use super::arm_mapping::SharedMapping;
use super::Ops;
use crate::module_static;

module_static! {
    /// Held while the core goes through all devices for an instance that it is told of.
    ///
    /// If it were told of another one meanwhile, it would find some of that one's devices as well,
    /// and put them into groups that are in use when it comes to the others. Where it adds a device
    /// to a group that is in use, and here alone, it never calls `probe_finalize()`.
    static ONE_AT_A_TIME: ();
}

/// What the core keeps per IOMMU: a field of the driver's [`Ops::Instance`].
#[pin_data]
pub(crate) struct Instance {
    #[pin]
    raw: Opaque<bindings::iommu_device>,
    /// Devices that came too early; none any more once all devices that were there have been gone
    /// through.
    #[pin]
    early: Mutex<Option<KVec<ARef<Device>>>>,
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
            early <- new_mutex!(Some(KVec::new())),
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
    /// The core passes over a device that has a driver, if only for a moment, and warns of one that
    /// is found to have an IOMMU then, or that gets a driver in the moment of being found. So the
    /// driver is to be asked to come again ([`EPROBE_DEFER`]), and the device is put behind the
    /// instance in between. May sleep.
    pub(crate) fn is_too_early_for(&self, dev: &Device) -> bool {
        if !has_driver(dev) {
            return false;
        }

        match &mut *self.early.lock() {
            Some(devices) => {
                // Without memory for it the worst is that warning.
                let _ = devices.push(dev.into(), GFP_KERNEL);
                true
            }
            None => false,
        }
    }

    /// Puts the devices behind the instance that came too early. From now on none does. May sleep.
    fn open(&self) {
        loop {
            let mut early = self.early.lock();
            let next = match &mut *early {
                Some(devices) => devices.pop(),
                None => None,
            };
            let Some(dev) = next else {
                *early = None;
                return;
            };

            drop(early);
            configure(&dev);
        }
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

/// Whether a driver is bound to `dev`, or being bound.
fn has_driver(dev: &Device) -> bool {
    let dev = core::ptr::from_ref(dev).cast::<bindings::device>();

    // SAFETY: `Device` is a transparent wrapper of `struct device`. The driver core may change the
    // pointer at any time, so it is read once, and what it points to is not looked at.
    let driver = unsafe { (&raw const (*dev).driver).read_volatile() };
    !driver.is_null()
}

/// Has the bus of `dev` find out what is behind which IOMMU, as the core does for each device when
/// an IOMMU is registered; unless a driver is bound, which was found out before then. Sleeps until
/// no driver is being bound.
fn configure(dev: &ARef<Device>) {
    let raw = core::ptr::from_ref::<Device>(dev)
        .cast_mut()
        .cast::<bindings::device>();

    // SAFETY: `dev` is a reference to an initialised device, and this is what `device_lock()` does.
    // Who probes an IOMMU may take the lock of a device that is not bound: drivers of devices do
    // not wait for the one of an IOMMU with the lock held, they defer.
    unsafe { bindings::mutex_lock(&raw mut (*raw).mutex) };

    // SAFETY: `raw` is valid. A device that is in sysfs is not removed while it is locked.
    let (is_there, bus) = unsafe { ((*raw).kobj.state_in_sysfs() != 0, (*raw).bus) };
    if is_there && !bus.is_null() && !has_driver(dev) {
        // SAFETY: The bus of a device lives as long as that.
        if let Some(dma_configure) = unsafe { (*bus).dma_configure } {
            // The device says itself why it is not translated.
            //
            // SAFETY: It is called for a device of the bus which has no driver and, being locked,
            // gets none meanwhile, as the core calls it.
            unsafe { dma_configure(raw) };
        }
    }

    // SAFETY: It was locked above.
    unsafe { bindings::mutex_unlock(&raw mut (*raw).mutex) };
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
    /// Registers `instance`, the IOMMU that `dev` is, while there is a
    /// [`ClientWatch`](super::ClientWatch).
    ///
    /// The core calls back for devices behind it before this returns. May sleep, also until other
    /// instances are registered.
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

        let registered = ONE_AT_A_TIME.with(|()| {
            // SAFETY: `raw` is pinned in the `Arc`, which lives until it is unregistered in
            // `drop()`; the table lives forever.
            to_result(unsafe { bindings::iommu_device_register(raw, T::table().as_raw(), dev) })?;

            let core: &Instance = (*instance).as_ref();
            core.open();
            Ok(())
        });
        if let Err(e) = registered.unwrap_or_else(Err) {
            // SAFETY: The entry was added above.
            unsafe { bindings::iommu_device_sysfs_remove(raw) };
            return Err(e);
        }

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
