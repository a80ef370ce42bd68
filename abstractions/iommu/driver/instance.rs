// SPDX-License-Identifier: GPL-2.0

//! IOMMU instances, and their registration with the core.

use kernel::{
    bindings,
    device::{
        property::FwNode,
        Bound,
        Device, //
    },
    devres,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    types::Opaque, //
};

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
use super::arm_mapping::SharedMapping;
use super::{
    super::io_pgtable::DmaDevice,
    ops::*, //
};

// SAFETY: The core serialises its accesses to `raw`. All other fields are `Send` and `Sync`.
unsafe impl<T: Ops> Send for Instance<T> {}
// SAFETY: As above.
unsafe impl<T: Ops> Sync for Instance<T> {}

impl<T: Ops> Instance<T> {
    /// Creates the instance of the IOMMU `dev`, for the driver with `table`. The core does not know
    /// it yet. May sleep. Fails with `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        table: &'static OpsTable<T>,
        data: T::Instance,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                raw <- Opaque::zeroed(),
                dev: (&**dev).into(),
                table,
                data,
                is_taken: Atomic::new(false),
                is_registered: Atomic::new(false),
                #[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
                mapping <- SharedMapping::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the driver's data.
    pub(crate) fn data(&self) -> &T::Instance {
        &self.data
    }

    /// Returns whether `node` describes this instance.
    pub(crate) fn is_described_by(&self, node: &FwNode) -> bool {
        self.dev
            .fwnode()
            .is_some_and(|own| core::ptr::eq(own, node))
    }

    /// Returns the core's part, if the instance is registered or being registered.
    pub(super) fn as_registered(&self) -> Option<*mut bindings::iommu_device> {
        self.is_registered.load(Relaxed).then_some(self.raw.get())
    }

    /// Returns the device of the IOMMU.
    ///
    /// # Safety
    ///
    /// The instance is registered during the lifetime of the result.
    pub(super) unsafe fn hwdev(&self) -> DmaDevice<'_> {
        // SAFETY: By this function's contract the instance is registered. The registration is a
        // resource that devres releases.
        unsafe { DmaDevice::new(&self.dev) }
    }
}

/// The registration of an [`Instance`] with the core, and its entry in sysfs.
///
/// # Invariants
///
/// `0` is registered, has an entry in sysfs, and has no other registration.
struct Registration<T: Ops>(Arc<Instance<T>>);

/// Registers `instance`, that of `dev`, until `dev` is unbound. The core then releases all clients
/// of the instance.
///
/// The core calls the driver for clients behind the instance before this returns. devres
/// unregisters it, after the driver's data of `dev` was dropped. May sleep.
///
/// Fails with `EINVAL` when the instance is not that of `dev`, `EBUSY` when it is registered
/// already, `ENOMEM`, or an error of the core. This call has then registered nothing.
pub(crate) fn register_managed<T: Ops>(dev: &Device<Bound>, instance: Arc<Instance<T>>) -> Result {
    if !core::ptr::eq(&**dev, &*instance.dev) {
        return Err(EINVAL);
    }
    if instance.is_taken.xchg(true, Full) {
        return Err(EBUSY);
    }

    register(dev, &instance).inspect_err(|_| instance.is_taken.store(false, Release))?;
    // INVARIANT: `instance` was just registered, and `is_taken` excludes another time.
    devres::register(dev, Registration(instance), GFP_KERNEL)
}

fn register<T: Ops>(dev: &Device<Bound>, instance: &Instance<T>) -> Result {
    let raw = instance.raw.get();
    let hwdev = core::ptr::from_ref(dev).cast_mut().cast();

    // SAFETY: `raw` is zeroed or was unregistered, and `hwdev` is valid. The strings are
    // NUL-terminated, and the format takes one.
    to_result(unsafe {
        bindings::iommu_device_sysfs_add(
            raw,
            hwdev,
            core::ptr::null_mut(),
            c"%s".as_char_ptr(),
            dev.name().as_char_ptr(),
        )
    })?;

    instance.is_registered.store(true, Relaxed);
    // SAFETY: `raw` is pinned in the `Arc`, which the registration owns until `raw` is
    // unregistered. Nothing else registers it. The table is `'static`, and `hwdev` is valid.
    to_result(unsafe { bindings::iommu_device_register(raw, instance.table.as_raw(), hwdev) })
        .inspect_err(|_| {
            instance.is_registered.store(false, Relaxed);
            // SAFETY: The entry in sysfs was added above.
            unsafe { bindings::iommu_device_sysfs_remove(raw) };
        })
}

impl<T: Ops> Drop for Registration<T> {
    fn drop(&mut self) {
        let raw = self.0.raw.get();

        // From now on no client is accepted.
        self.0.is_registered.store(false, Relaxed);
        // SAFETY: By the type invariant it is registered and has an entry in sysfs.
        unsafe {
            bindings::iommu_device_unregister(raw);
            bindings::iommu_device_sysfs_remove(raw);
        }
        self.0.is_taken.store(false, Release);
    }
}
