// SPDX-License-Identifier: GPL-2.0

//! Platform drivers that take part in power management.
//!
//! `kernel::platform::Adapter` sets neither `pm` nor `suppress_bind_attrs`; [`Adapter`] here does,
//! and leaves everything else to it.
//!
//! C header: [`include/linux/pm.h`](srctree/include/linux/pm.h)

use kernel::{
    bindings,
    device::{
        self,
        BoundInternal, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    driver::{
        DriverLayout,
        RegistrationOps, //
    },
    error::from_result,
    platform,
    prelude::*,
    types::Opaque, //
};

#[cfg(CONFIG_PM)]
use super::runtime_pm;

/// What a platform driver does when the system goes to sleep and wakes up.
///
/// All but `shutdown()` run with the device's interrupt disabled ("noirq" phase), after the
/// `suspend_noirq()` of all consumers and before their `resume_noirq()`. Nothing else of the
/// driver's user-visible work is going on: user space is frozen, and no driver is bound or unbound
/// meanwhile.
pub(crate) trait Pm: platform::Driver {
    /// The device is about to lose power: for suspend and poweroff alike.
    ///
    /// # Errors
    ///
    /// An error keeps the system awake.
    fn suspend_noirq<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// An image of the system is about to be made. What comes next is `resume_noirq()`, now in this
    /// kernel, and some day in the image.
    ///
    /// # Errors
    ///
    /// An error keeps the system from hibernating.
    fn freeze_noirq<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// The device is back, and may have lost everything or nothing: for resume and thaw; and for
    /// restore, when the device is as another kernel left it, which loaded the image.
    ///
    /// Restore has no callback of its own here, because devices in a power domain are not told:
    /// `genpd` calls this one.
    ///
    /// # Errors
    ///
    /// An error is logged by the PM core; the system goes on.
    fn resume_noirq<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// The system is about to be switched off, or another kernel to be started. May sleep.
    fn shutdown<'bound>(this: Pin<&Self::Data<'bound>>);
}

/// Registers a platform driver with its PM operations, and without `bind` and `unbind` in sysfs.
pub(crate) struct Adapter<T: Pm>(T);

// SAFETY: All three are what `platform::Adapter<T>`, which does the registration, has.
unsafe impl<T: Pm> DriverLayout for Adapter<T> {
    type DriverType = <platform::Adapter<T> as DriverLayout>::DriverType;
    type DriverData<'bound> = <platform::Adapter<T> as DriverLayout>::DriverData<'bound>;
    const DEVICE_DRIVER_OFFSET: usize =
        <platform::Adapter<T> as DriverLayout>::DEVICE_DRIVER_OFFSET;
}

// SAFETY: `unregister()` forwards to `platform::Adapter<T>`, as `register()` does.
unsafe impl<T: Pm> RegistrationOps for Adapter<T> {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: `reg` is not registered yet, so nobody else uses it; `PM_OPS` lives forever.
        unsafe {
            (*reg.get()).driver.pm = &Self::PM_OPS;
            (*reg.get()).driver.suppress_bind_attrs = true;
            (*reg.get()).shutdown = Some(Self::shutdown);
        }

        // SAFETY: The caller keeps `reg` as this function's contract, which is the same, says.
        unsafe { <platform::Adapter<T> as RegistrationOps>::register(reg, name, module) }
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: `reg` was registered by `register()`, hence by `platform::Adapter<T>`.
        unsafe { <platform::Adapter<T> as RegistrationOps>::unregister(reg) };
    }
}

impl<T: Pm> Adapter<T> {
    const PM_OPS: bindings::dev_pm_ops = bindings::dev_pm_ops {
        suspend_noirq: Some(Self::suspend_noirq),
        resume_noirq: Some(Self::resume_noirq),
        freeze_noirq: Some(Self::freeze_noirq),
        thaw_noirq: Some(Self::resume_noirq),
        poweroff_noirq: Some(Self::suspend_noirq),
        restore_noirq: Some(Self::resume_noirq),
        #[cfg(CONFIG_PM)]
        runtime_idle: Some(Self::runtime_idle),
        ..pin_init::zeroed()
    };

    /// Calls `f` with the driver's data for the device.
    ///
    /// # Safety
    ///
    /// To be called from a callback of a device that is bound to `T` and is not unbound meanwhile,
    /// with its `dev`.
    unsafe fn call(
        dev: *mut bindings::device,
        f: impl for<'bound> FnOnce(Pin<&T::Data<'bound>>) -> Result,
    ) -> c_int {
        // SAFETY: `struct device` is what `Device` transparently wraps, and by this function's
        // contract `dev` is bound during the call.
        let dev = unsafe { &*dev.cast::<device::Device<BoundInternal>>() };
        // SAFETY: By this function's contract the device is bound to `T`, whose probe stored its
        // data, and is not unbound during the call.
        let data = unsafe { dev.drvdata_borrow::<T::Data<'_>>() };

        from_result(|| f(data).map(|()| 0))
    }

    extern "C" fn suspend_noirq(dev: *mut bindings::device) -> c_int {
        // SAFETY: The PM core calls this for devices bound to this driver. It neither starts a
        // transition before all probing is done nor lets a driver be unbound during one.
        unsafe { Self::call(dev, T::suspend_noirq) }
    }

    extern "C" fn freeze_noirq(dev: *mut bindings::device) -> c_int {
        // SAFETY: As above.
        unsafe { Self::call(dev, T::freeze_noirq) }
    }

    extern "C" fn resume_noirq(dev: *mut bindings::device) -> c_int {
        // SAFETY: As above.
        unsafe { Self::call(dev, T::resume_noirq) }
    }

    /// Nobody needs the device any more. That a consumer needed it until now the PM core does not
    /// note by itself: only when the device was woken up for the first of them.
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

/// Says how many address bits the device can use for DMA of its own. For `probe()`.
///
/// # Errors
///
/// `EIO` when the platform cannot do that.
pub(crate) fn set_dma_mask<'a>(pdev: &platform::Device<device::Core<'a>>, mask: DmaMask) -> Result {
    // SAFETY: `Core` proves that the device is being probed, so no DMA API call for it can be under
    // way unless the driver that is probing makes one, which it cannot do during this call.
    unsafe { pdev.dma_set_mask_and_coherent(mask) }
}
