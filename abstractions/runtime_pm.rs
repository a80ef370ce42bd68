// SPDX-License-Identifier: GPL-2.0

//! Runtime power management: a device sleeps while nothing needs it.
//!
//! C header: [`include/linux/pm_runtime.h`](srctree/include/linux/pm_runtime.h)

#[cfg(CONFIG_PM)]
use kernel::error::to_result;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::aref::ARef, //
};

#[cfg(CONFIG_PM)]
use crate::abstractions::bindings;

#[cfg(CONFIG_PM)]
fn raw(dev: &Device) -> *mut bindings::device {
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Count a user.
#[cfg(CONFIG_PM)]
const RPM_GET_PUT: c_int = bindings::RPM_GET_PUT as c_int;

/// Runtime power management of a device is on until this is dropped.
///
/// ```
/// # use kernel::{
/// #     device::{
/// #         Bound,
/// #         Device, //
/// #     },
/// #     runtime_pm::Enabled, //
/// # };
/// fn end_of_probe(dev: &Device<Bound>) -> Result<Enabled> {
///     Enabled::new(dev, 100)
/// }
/// ```
pub(crate) struct Enabled(ARef<Device>);

impl Enabled {
    /// Makes `dev`, which is awake, sleep `delay_ms` milliseconds after its last use. May sleep.
    ///
    /// # Errors
    ///
    /// Runtime power management of the device is on already.
    pub(crate) fn new(dev: &Device<Bound>, delay_ms: i32) -> Result<Self> {
        #[cfg(CONFIG_PM)]
        {
            set_active(dev)?;
            let dev = raw(dev);
            // SAFETY: `dev` is valid.
            unsafe {
                bindings::pm_runtime_set_autosuspend_delay(dev, delay_ms);
                bindings::__pm_runtime_use_autosuspend(dev, true);
                bindings::pm_runtime_enable(dev);
            }
        }
        #[cfg(not(CONFIG_PM))]
        let _ = delay_ms;

        Ok(Self((&**dev).into()))
    }

    /// Wakes the device up, which stays awake from then on. May sleep.
    ///
    /// # Errors
    ///
    /// The device cannot be woken up.
    pub(crate) fn keep_awake(&self) -> Result {
        #[cfg(CONFIG_PM)]
        {
            let dev = raw(&self.0);
            // SAFETY: The device is valid.
            let result = unsafe { bindings::__pm_runtime_resume(dev, RPM_GET_PUT) };
            to_result(result.min(0))?;
        }
        Ok(())
    }

    /// Wakes the device up once. While the system goes to sleep, the PM core keeps it awake then.
    /// May sleep.
    ///
    /// # Errors
    ///
    /// The device cannot be woken up.
    pub(crate) fn wake(&self) -> Result {
        #[cfg(CONFIG_PM)]
        // SAFETY: The device is valid.
        to_result(unsafe { bindings::__pm_runtime_resume(raw(&self.0), 0) }.min(0))?;
        Ok(())
    }

    /// Notes that the device is awake, while the PM core does not look: in the noirq phase.
    ///
    /// # Errors
    ///
    /// A supplier of the device is asleep.
    pub(crate) fn set_active(&self) -> Result {
        set_active(&self.0)
    }
}

fn set_active(dev: &Device) -> Result {
    #[cfg(CONFIG_PM)]
    // SAFETY: `dev` is valid.
    to_result(unsafe {
        bindings::__pm_runtime_set_status(raw(dev), bindings::rpm_status_RPM_ACTIVE as u32)
    })?;
    #[cfg(not(CONFIG_PM))]
    let _ = dev;
    Ok(())
}

/// Notes that `dev` was busy until now, from when on its delay is counted.
#[cfg(CONFIG_PM)]
pub(crate) fn mark_last_busy(dev: &Device) {
    // SAFETY: `dev` is valid. It may be called anywhere.
    unsafe { bindings::pm_runtime_mark_last_busy(raw(dev)) };
}

/// Wakes `dev` up and switches runtime power management off, if it is on: no callback runs from
/// then on. May sleep.
pub(crate) fn end(dev: &Device) {
    #[cfg(CONFIG_PM)]
    // SAFETY: The device is valid. Callbacks that run are waited for. The count that keeps the
    // device awake until then is given back.
    unsafe {
        let raw = raw(dev);
        if (*raw).power.disable_depth() != 0 {
            return;
        }
        // A device that cannot be woken up stays asleep.
        bindings::__pm_runtime_resume(raw, RPM_GET_PUT);
        bindings::__pm_runtime_use_autosuspend(raw, false);
        bindings::__pm_runtime_disable(raw, false);
        bindings::__pm_runtime_idle(raw, RPM_GET_PUT);
    }
    #[cfg(not(CONFIG_PM))]
    let _ = dev;
}

impl Drop for Enabled {
    fn drop(&mut self) {
        #[cfg(CONFIG_PM)]
        end(&self.0);
    }
}
