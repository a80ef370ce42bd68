// SPDX-License-Identifier: GPL-2.0

//! Platform drivers of IOMMUs: they take part in power management, and are not unbound by user
//! space.
//!
//! [`kernel::platform::Adapter`] sets neither `pm` nor `suppress_bind_attrs`; [`Adapter`] here
//! does, and leaves everything else to it.
//!
//! C header: [`include/linux/pm.h`](srctree/include/linux/pm.h)

use core::marker::PhantomData;

use kernel::{
    acpi,
    bindings,
    device::{
        self,
        BoundInternal,
        Core, //
    },
    driver::{
        DriverLayout,
        RegistrationOps, //
    },
    error::from_result,
    of,
    platform,
    prelude::*,
    types::Opaque, //
};

use crate::abstractions::runtime_pm;

use super::io_pgtable;

/// What a platform driver does when the device or the system goes to sleep and wakes up.
///
/// The callbacks of system sleep but [`Self::wake`] run in the "noirq" phase, after those of all
/// consumers at suspend and before them at resume. User space is frozen then, and no driver is
/// bound or unbound.
pub(crate) trait Pm: platform::Driver {
    /// Prepares the device for sleep: the system sleeps, or is switched off after its image was
    /// written, or nothing has needed the device for its autosuspend delay. May sleep.
    ///
    /// # Errors
    ///
    /// An error keeps the device or the system awake.
    fn suspend<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Brings the device back, which may have lost everything or nothing: the system is awake.
    ///
    /// After [`Self::freeze_noirq`] this is thaw or restore. Restore has no callback of its own
    /// here: genpd calls this one for devices in a power domain.
    ///
    /// # Errors
    ///
    /// The PM core logs an error; the system goes on.
    fn resume<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Wakes the device up, which stays awake until [`Self::suspend`] or [`Self::freeze_noirq`]:
    /// the system is about to sleep. Runtime power management still works. May sleep.
    ///
    /// Where the system stays awake after all, the PM core resumes what it got to, and no more: a
    /// device then finds its suppliers as they were.
    ///
    /// # Errors
    ///
    /// An error keeps the system awake.
    fn wake<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Switches the device off: an image of the system is about to be made.
    ///
    /// # Errors
    ///
    /// An error keeps the system from hibernating.
    fn freeze_noirq<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Brings the device back, which something needs. May sleep.
    ///
    /// # Errors
    ///
    /// An error makes the device and its consumers unusable until it is bound again.
    #[cfg_attr(not(CONFIG_PM), allow(dead_code))]
    fn runtime_resume<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Switches the device off: the system ends, or starts another kernel. May sleep.
    fn shutdown<'bound>(this: Pin<&Self::Data<'bound>>);
}

/// `T` as the driver core sees it: without runtime callbacks once it is being unbound.
pub(crate) struct Driver<T>(PhantomData<T>);

impl<T: Pm> platform::Driver for Driver<T> {
    type IdInfo = T::IdInfo;
    type Data<'bound> = T::Data<'bound>;
    const OF_ID_TABLE: Option<of::IdTable<Self::IdInfo>> = T::OF_ID_TABLE;
    const ACPI_ID_TABLE: Option<acpi::IdTable<Self::IdInfo>> = T::ACPI_ID_TABLE;

    fn probe<'bound>(
        dev: &'bound platform::Device<Core<'_>>,
        id_info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        T::probe(dev, id_info)
    }

    fn unbind<'bound>(dev: &'bound platform::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        runtime_pm::end(dev.as_ref());
        T::unbind(dev, this);
    }
}

type Inner<T> = platform::Adapter<Driver<T>>;

/// Registers a platform driver with its PM operations, and without `bind` and `unbind` in sysfs.
pub(crate) struct Adapter<T: Pm>(PhantomData<T>);

// SAFETY: All three are those of `Inner<T>`, which does the registration.
unsafe impl<T: Pm> DriverLayout for Adapter<T> {
    type DriverType = <Inner<T> as DriverLayout>::DriverType;
    type DriverData<'bound> = <Inner<T> as DriverLayout>::DriverData<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = <Inner<T> as DriverLayout>::DEVICE_DRIVER_OFFSET;
}

// SAFETY: `unregister()` forwards to `Inner<T>`, as `register()` does.
unsafe impl<T: Pm> RegistrationOps for Adapter<T> {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: `reg` is not registered yet, so nothing else uses it; `PM_OPS` lives forever.
        unsafe {
            (*reg.get()).driver.pm = Self::PM_OPS;
            (*reg.get()).driver.suppress_bind_attrs = true;
            (*reg.get()).shutdown = Some(Self::shutdown);
        }

        // SAFETY: The caller keeps `reg` as this function's contract says, which is the same.
        unsafe { <Inner<T> as RegistrationOps>::register(reg, name, module) }
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: `reg` was registered by `register()`, hence by `Inner<T>`.
        unsafe { <Inner<T> as RegistrationOps>::unregister(reg) };
    }
}

impl<T: Pm> Adapter<T> {
    const PM_OPS: &'static bindings::dev_pm_ops = &bindings::dev_pm_ops {
        suspend: Some(Self::wake),
        suspend_noirq: Some(Self::suspend),
        resume_noirq: Some(Self::resume),
        freeze: Some(Self::wake),
        freeze_noirq: Some(Self::freeze_noirq),
        thaw_noirq: Some(Self::resume),
        poweroff: Some(Self::wake),
        poweroff_noirq: Some(Self::suspend),
        restore_noirq: Some(Self::resume),
        #[cfg(CONFIG_PM)]
        runtime_suspend: Some(Self::suspend),
        #[cfg(CONFIG_PM)]
        runtime_resume: Some(Self::runtime_resume),
        #[cfg(CONFIG_PM)]
        runtime_idle: Some(Self::runtime_idle),
        ..pin_init::zeroed()
    };

    /// Calls `f` with the driver's data for the device; returns `-EAGAIN` while there is none yet.
    ///
    /// # Safety
    ///
    /// To be called from a callback for a device that is bound to `T`, or being probed, and whose
    /// data is not dropped meanwhile.
    unsafe fn call(
        dev: *mut bindings::device,
        f: impl for<'bound> FnOnce(Pin<&T::Data<'bound>>) -> Result,
    ) -> c_int {
        // SAFETY: `dev` is valid.
        if unsafe { bindings::dev_get_drvdata(dev) }.is_null() {
            return EAGAIN.to_errno();
        }
        // SAFETY: `struct device` is what `Device` transparently wraps, and by this function's
        // contract `dev` is bound during the call.
        let dev = unsafe { &*dev.cast::<device::Device<BoundInternal>>() };
        // SAFETY: There is data, which by this function's contract is that of `T`, and stays.
        let data = unsafe { dev.drvdata_borrow::<T::Data<'_>>() };

        from_result(|| f(data).map(|()| 0))
    }

    extern "C" fn suspend(dev: *mut bindings::device) -> c_int {
        // SAFETY: The PM core calls this for devices bound to this driver: while the system sleeps
        // none is unbound; while runtime PM is on the data is not dropped, for `Driver::unbind()`
        // switches that off before, and waits for callbacks.
        unsafe { Self::call(dev, T::suspend) }
    }

    /// Also for thaw and restore, for which power domains call nothing else.
    extern "C" fn resume(dev: *mut bindings::device) -> c_int {
        io_pgtable::restore();
        // SAFETY: As above.
        unsafe { Self::call(dev, T::resume) }
    }

    extern "C" fn wake(dev: *mut bindings::device) -> c_int {
        // SAFETY: As above.
        unsafe { Self::call(dev, T::wake) }
    }

    extern "C" fn freeze_noirq(dev: *mut bindings::device) -> c_int {
        io_pgtable::freeze();
        // SAFETY: As above.
        unsafe { Self::call(dev, T::freeze_noirq) }
    }

    #[cfg(CONFIG_PM)]
    extern "C" fn runtime_resume(dev: *mut bindings::device) -> c_int {
        // SAFETY: As above.
        unsafe { Self::call(dev, T::runtime_resume) }
    }

    /// Counts the delay from now: nothing needs the device any more. The PM core notes by itself
    /// that the device was needed only when it was woken up for that.
    #[cfg(CONFIG_PM)]
    extern "C" fn runtime_idle(dev: *mut bindings::device) -> c_int {
        // SAFETY: The PM core passes a valid device.
        runtime_pm::mark_last_busy(unsafe { device::Device::from_raw(dev) });
        0
    }

    extern "C" fn shutdown(pdev: *mut bindings::platform_device) {
        let shutdown = |data: Pin<&T::Data<'_>>| {
            T::shutdown(data);
            Ok(())
        };

        // SAFETY: The bus calls this for devices bound to this driver. The driver core holds the
        // device's lock, without which it is not unbound.
        unsafe { Self::call(&raw mut (*pdev).dev, shutdown) };
    }
}
