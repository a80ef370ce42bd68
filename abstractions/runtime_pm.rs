// SPDX-License-Identifier: GPL-2.0

//! Runtime power management: a device sleeps while nothing needs it.
//!
//! C header: [`include/linux/pm_runtime.h`](srctree/include/linux/pm_runtime.h)

#[cfg(CONFIG_PM)]
use kernel::error::to_result;
use kernel::{
    device::{
        Core,
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

/// Changes the usage count.
#[cfg(CONFIG_PM)]
const RPM_GET_PUT: c_int = bindings::RPM_GET_PUT as c_int;

/// Runtime power management of a device, which is enabled until this is dropped.
///
/// ```
/// # use kernel::{
/// #     device::{
/// #         Core,
/// #         Device, //
/// #     },
/// #     runtime_pm::Enabled, //
/// # };
/// fn end_of_probe(dev: &Device<Core<'_>>) -> Result<Enabled> {
///     Enabled::new(dev, 100)
/// }
/// ```
pub(crate) struct Enabled(ARef<Device>);

impl Enabled {
    /// Lets `dev`, which is awake, sleep `delay_ms` milliseconds after its last use. May sleep.
    ///
    /// Fails with `EAGAIN` when it is enabled already, `EBUSY` when the parent sleeps, or an error
    /// of a supplier.
    pub(crate) fn new(dev: &Device<Core<'_>>, delay_ms: i32) -> Result<Self> {
        let dev: &Device = dev;
        #[cfg(CONFIG_PM)]
        {
            set_active(dev)?;
            let dev = raw(dev);
            // SAFETY: `dev` comes from a reference, hence it is valid.
            unsafe {
                bindings::pm_runtime_set_autosuspend_delay(dev, delay_ms);
                bindings::__pm_runtime_use_autosuspend(dev, true);
                bindings::pm_runtime_enable(dev);
            }
        }
        #[cfg(not(CONFIG_PM))]
        let _ = delay_ms;

        Ok(Self(dev.into()))
    }

    /// Wakes the device up, and keeps it awake from then on. May sleep. Fails if the device cannot
    /// be woken up.
    pub(crate) fn keep_awake(&self) -> Result {
        #[cfg(CONFIG_PM)]
        {
            let dev = raw(&self.0);
            // SAFETY: The `ARef` keeps the device valid.
            let result = unsafe { bindings::__pm_runtime_resume(dev, RPM_GET_PUT) };
            to_result(result.min(0))?;
        }
        Ok(())
    }

    /// Wakes the device up once. During system suspend, the PM core keeps it awake from then on.
    /// May sleep. Fails if the device cannot be woken up.
    pub(crate) fn wake(&self) -> Result {
        #[cfg(CONFIG_PM)]
        // SAFETY: The `ARef` keeps the device valid.
        to_result(unsafe { bindings::__pm_runtime_resume(raw(&self.0), 0) }.min(0))?;
        Ok(())
    }

    /// Marks the device as awake while runtime PM is disabled: in the noirq phase. May sleep. Fails
    /// with `EAGAIN` while runtime PM is enabled, or as in [`Self::new`].
    pub(crate) fn set_active(&self) -> Result {
        set_active(&self.0)
    }
}

fn set_active(dev: &Device) -> Result {
    #[cfg(CONFIG_PM)]
    // SAFETY: `dev` comes from a reference, hence it is valid.
    to_result(unsafe {
        bindings::__pm_runtime_set_status(raw(dev), bindings::rpm_status_RPM_ACTIVE as u32)
    })?;
    #[cfg(not(CONFIG_PM))]
    let _ = dev;
    Ok(())
}

/// Restarts the autosuspend delay of `dev`. Any context.
#[cfg(CONFIG_PM)]
pub(crate) fn mark_last_busy(dev: &Device) {
    // SAFETY: `dev` comes from a reference, hence it is valid.
    unsafe { bindings::pm_runtime_mark_last_busy(raw(dev)) };
}

/// Wakes `dev` up and disables its runtime power management, if it is enabled. Waits for callbacks;
/// none runs from then on. May sleep.
pub(crate) fn end(dev: &Device) {
    #[cfg(CONFIG_PM)]
    // SAFETY: `dev` comes from a reference, hence it is valid. `disable_depth` is read without the
    // lock of the PM core, as `pm_runtime_enabled()` does. The usage count ends as it was.
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
