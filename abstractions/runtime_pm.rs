// SPDX-License-Identifier: GPL-2.0

//! Runtime power management: a device sleeps while nobody needs it, and its power may be cut.
//!
//! C header: [`include/linux/pm_runtime.h`](srctree/include/linux/pm_runtime.h)

#[cfg(CONFIG_PM)]
use kernel::{
    bindings,
    error::to_result, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::aref::ARef, //
};

#[cfg(CONFIG_PM)]
fn raw(dev: &Device) -> *mut bindings::device {
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Runtime power management of a device is on until this is dropped.
///
/// What must not be lost with the power is not its matter: see
/// [`PowerWatch`](super::power_domain::PowerWatch).
pub(crate) struct Enabled(#[cfg_attr(not(CONFIG_PM), expect(dead_code))] ARef<Device>);

impl Enabled {
    /// Has `dev`, which is awake, go to sleep once nobody has needed it for `delay_ms`. May sleep.
    ///
    /// # Errors
    ///
    /// When runtime power management of the device is on already.
    pub(crate) fn new(dev: &Device<Bound>, delay_ms: i32) -> Result<Self> {
        #[cfg(CONFIG_PM)]
        {
            let dev = raw(dev);
            // SAFETY: `dev` is valid.
            to_result(unsafe {
                bindings::__pm_runtime_set_status(dev, bindings::rpm_status_RPM_ACTIVE as u32)
            })?;
            // SAFETY: As above.
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
}

/// Takes note that `dev` has been busy until now, from when on its delay is counted.
#[cfg(CONFIG_PM)]
pub(super) fn mark_last_busy(dev: &Device) {
    // SAFETY: It may be called anywhere.
    let now = unsafe { bindings::ktime_get_mono_fast_ns() };

    // SAFETY: `dev` is valid. The PM core reads and writes this anywhere, at once, as is done here.
    unsafe { (&raw mut (*raw(dev)).power.last_busy).write_volatile(now) };
}

impl Drop for Enabled {
    fn drop(&mut self) {
        #[cfg(CONFIG_PM)]
        // SAFETY: The device is valid. Callbacks that run are waited for.
        unsafe {
            bindings::__pm_runtime_use_autosuspend(raw(&self.0), false);
            bindings::__pm_runtime_disable(raw(&self.0), true);
        }
    }
}
