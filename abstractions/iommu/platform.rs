// SPDX-License-Identifier: GPL-2.0

//! Platform drivers of IOMMUs: with power management, and without unbinding by user space.
//!
//! [`kernel::platform::Adapter`] sets neither `pm` nor `suppress_bind_attrs`. The [`Adapter`] here
//! sets both, and leaves everything else to it.
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
    dma::{
        Device as _,
        DmaMask, //
    },
    driver::{
        DriverLayout,
        RegistrationOps, //
    },
    error::from_result,
    of,
    platform,
    prelude::*,
    sync::barrier::{
        smp_mb,
        Write, //
    },
    types::Opaque, //
};

use crate::abstractions::runtime_pm;

use super::io_pgtable;

/// Power management callbacks of a platform driver.
///
/// Except for [`Self::wake`], the callbacks of system sleep run in the "noirq" phase: at suspend
/// after those of all consumers, at resume before them. During system sleep user space is frozen,
/// and no driver is bound or unbound.
pub(crate) trait Pm: platform::Driver {
    /// The addresses that the device reaches by DMA.
    const DMA_MASK: DmaMask;

    /// Prepares the device for sleep: at system suspend, when the system is switched off after its
    /// image was written, or after the autosuspend delay. May sleep. An error keeps the device or
    /// the system awake.
    fn suspend<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Restores the device, which may have lost everything or nothing, when the system wakes up.
    ///
    /// Also called for thaw and restore, after [`Self::freeze_noirq`]. These have no callbacks of
    /// their own, as genpd calls this one for devices in a power domain. The PM core logs an error,
    /// and the system goes on.
    fn resume<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Wakes the device up before the system sleeps, and keeps it awake until [`Self::suspend`] or
    /// [`Self::freeze_noirq`]. Runtime power management still works. May sleep.
    ///
    /// If the system then stays awake, the PM core resumes only the devices that it suspended.
    /// Their suppliers are as they were. An error keeps the system awake.
    fn wake<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Switches the device off before an image of the system is made, or before one is started. An
    /// error ends hibernation, or the return from it.
    fn freeze_noirq<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Restores the device when something needs it. May sleep.
    ///
    /// An error makes the device and its consumers unusable until the device is bound again.
    #[cfg_attr(not(CONFIG_PM), allow(dead_code))]
    fn runtime_resume<'bound>(this: Pin<&Self::Data<'bound>>) -> Result;

    /// Switches the device off when the system shuts down or starts another kernel. May sleep.
    fn shutdown<'bound>(this: Pin<&Self::Data<'bound>>);
}

/// Forwards to the platform driver `T`, and ends runtime power management before its data is
/// dropped.
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
        // SAFETY: The driver, which maps memory, is called later. A table that has outlived an
        // earlier binding may map a page meanwhile; at worst that fails, as without memory.
        let masked = unsafe { dev.dma_set_mask_and_coherent(T::DMA_MASK) };

        pin_init::pin_init_scope(move || {
            masked?;
            // Runtime PM may look for the data as soon as it is stored.
            Ok(T::probe(dev, id_info).pin_chain(|_| {
                smp_mb(Write);
                Ok(())
            }))
        })
    }

    fn unbind<'bound>(dev: &'bound platform::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        T::unbind(dev, this);
        runtime_pm::end(dev.as_ref());
    }
}

type Inner<T> = platform::Adapter<Driver<T>>;

/// Registers a platform driver with PM operations, and without `bind` and `unbind` in sysfs.
pub(crate) struct Adapter<T: Pm>(PhantomData<T>);

// SAFETY: All three items are those of `Inner<T>`, which fulfils the same requirements.
unsafe impl<T: Pm> DriverLayout for Adapter<T> {
    type DriverType = <Inner<T> as DriverLayout>::DriverType;
    type DriverData<'bound> = <Inner<T> as DriverLayout>::DriverData<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = <Inner<T> as DriverLayout>::DEVICE_DRIVER_OFFSET;
}

// SAFETY: Both functions forward to `Inner<T>`, so `unregister()` is valid after `register()`.
unsafe impl<T: Pm> RegistrationOps for Adapter<T>
where
    // Callbacks of runtime PM may run beside others.
    for<'bound> T::Data<'bound>: Sync,
{
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: `reg` is initialised and not registered yet, so nothing else accesses it.
        unsafe {
            (*reg.get()).driver.pm = Self::PM_OPS;
            (*reg.get()).driver.suppress_bind_attrs = true;
            (*reg.get()).shutdown = Some(Self::shutdown);
        }

        // SAFETY: By this function's contract `reg` is pinned and valid until it is unregistered.
        unsafe { <Inner<T> as RegistrationOps>::register(reg, name, module) }
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: By this function's contract `register()` has registered `reg`, with `Inner<T>`.
        unsafe { <Inner<T> as RegistrationOps>::unregister(reg) };
    }
}

impl<T: Pm> Adapter<T>
where
    for<'bound> T::Data<'bound>: Sync,
{
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

    /// Calls `f` with the driver's data of the device. Returns `-EAGAIN` as long as there is none.
    ///
    /// # Safety
    ///
    /// `dev` is valid, and bound to `T` or being probed by it. It is not unbound and its data is
    /// not dropped during the call.
    unsafe fn call(
        dev: *mut bindings::device,
        f: impl for<'bound> FnOnce(Pin<&T::Data<'bound>>) -> Result,
    ) -> c_int {
        // SAFETY: By this function's contract `dev` is valid.
        if unsafe { bindings::dev_get_drvdata(dev) }.is_null() {
            return EAGAIN.to_errno();
        }
        // SAFETY: `Device` is a transparent wrapper of `struct device`. By this function's contract
        // `dev` is bound during the call; a probe that has stored its data counts as that.
        let dev = unsafe { &*dev.cast::<device::Device<BoundInternal>>() };
        // SAFETY: There is data. By this function's contract it is that of `T`, and is not dropped.
        let data = unsafe { dev.drvdata_borrow::<T::Data<'_>>() };

        from_result(|| f(data).map(|()| 0))
    }

    extern "C" fn suspend(dev: *mut bindings::device) -> c_int {
        // SAFETY: The PM core calls this for devices of this driver. It unbinds none during system
        // sleep. Before data is dropped, `Driver::unbind()` disables runtime PM, which waits for
        // callbacks. Nothing else has the `Core` that enabling it again takes.
        unsafe { Self::call(dev, T::suspend) }
    }

    /// Also serves thaw and restore, for which power domains call no other callback.
    extern "C" fn resume(dev: *mut bindings::device) -> c_int {
        io_pgtable::restore();
        // SAFETY: As in `suspend()`.
        unsafe { Self::call(dev, T::resume) }
    }

    extern "C" fn wake(dev: *mut bindings::device) -> c_int {
        // SAFETY: As in `suspend()`.
        unsafe { Self::call(dev, T::wake) }
    }

    extern "C" fn freeze_noirq(dev: *mut bindings::device) -> c_int {
        io_pgtable::freeze();
        // SAFETY: As in `suspend()`.
        unsafe { Self::call(dev, T::freeze_noirq) }
    }

    #[cfg(CONFIG_PM)]
    extern "C" fn runtime_resume(dev: *mut bindings::device) -> c_int {
        // SAFETY: As in `suspend()`.
        unsafe { Self::call(dev, T::runtime_resume) }
    }

    /// Restarts the autosuspend delay when nothing needs the device. The PM core itself does that
    /// only when it resumes the device.
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

        // SAFETY: The bus passes a valid device of this driver. `device_shutdown()` holds the
        // device's lock, which probing and unbinding take, too.
        unsafe { Self::call(&raw mut (*pdev).dev, shutdown) };
    }
}
