// SPDX-License-Identifier: GPL-2.0

//! When the power of a device's domain is cut.
//!
//! C header: [`include/linux/pm_domain.h`](srctree/include/linux/pm_domain.h)

#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
use kernel::{
    bindings,
    sync::aref::ARef,
    types::Opaque, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::Arc, //
};

/// What a driver does about the power of its device's domain.
///
/// Both are called with the domain locked. They may sleep: domains that are locked with interrupts
/// off (`GENPD_FLAG_IRQ_SAFE`), as some are that CPUs are in, must not be watched.
#[cfg_attr(not(CONFIG_PM_GENERIC_DOMAINS), expect(dead_code))]
pub(crate) trait PowerOps: Send + Sync + 'static {
    /// The power is about to be cut: all devices in the domain sleep.
    fn before_off(&self);

    /// The power is back, or was not cut after all.
    fn after_on(&self);
}

/// Has `T` told about the power of a device's domain, until this is dropped.
///
/// A device that is in no domain, or in one whose power is never cut, hears nothing.
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
#[pin_data(PinnedDrop)]
pub(crate) struct PowerWatch<T: PowerOps> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    ops: Arc<T>,
    /// The device, if `block` is registered for its domain.
    dev: Option<ARef<Device>>,
}

// SAFETY: The notifier block is used by the domain's code only, which locks it.
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
unsafe impl<T: PowerOps> Send for PowerWatch<T> {}
// SAFETY: As above.
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
unsafe impl<T: PowerOps> Sync for PowerWatch<T> {}

/// `GENPD_NOTIFY_PRE_OFF`
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
const PRE_OFF: usize = 0;
/// `GENPD_NOTIFY_ON`
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
const ON: usize = 3;

/// `NOTIFY_DONE`
#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
const NOTIFY_DONE: c_int = 0;

#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
extern "C" {
    /// Declared in `include/linux/pm_domain.h`, which has no bindings. `dev` is a `struct device`,
    /// whose bindings are not FFI-safe to the letter.
    fn dev_pm_genpd_add_notifier(dev: *mut c_void, nb: *mut bindings::notifier_block) -> c_int;

    /// As above.
    fn dev_pm_genpd_remove_notifier(dev: *mut c_void) -> c_int;
}

#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
impl<T: PowerOps> PowerWatch<T> {
    /// Watches the domain of `dev`, which is being probed. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` when somebody else watches it for the device.
    pub(crate) fn new<'a>(dev: &'a Device<Bound>, ops: Arc<T>) -> impl PinInit<Self, Error> + 'a {
        let init = try_pin_init!(Self {
            block <- Opaque::ffi_init(|block: *mut bindings::notifier_block| {
                let init = bindings::notifier_block {
                    notifier_call: Some(Self::notify),
                    ..pin_init::zeroed()
                };
                // SAFETY: `block` is valid for writes.
                unsafe { block.write(init) };
            }),
            ops,
            dev: None,
        }? Error);

        init.pin_chain(move |this: Pin<&mut Self>| {
            let this = this.project();
            let raw = core::ptr::from_ref(dev).cast_mut().cast();

            // SAFETY: `dev` is valid and bound, so its domain does not change. The block is pinned,
            // and is removed before it goes away.
            match unsafe { dev_pm_genpd_add_notifier(raw, this.block.get()) } {
                0 => *this.dev = Some((&**dev).into()),
                // In no domain.
                error if error == ENODEV.to_errno() => (),
                error => return Err(Error::from_errno(error)),
            }
            Ok(())
        })
    }

    extern "C" fn notify(
        block: *mut bindings::notifier_block,
        event: usize,
        _data: *mut c_void,
    ) -> c_int {
        let block = Opaque::cast_from(block);
        // SAFETY: The domain's code passes the block that `new()` registered, which is a field of
        // `Self`, and is pinned there until it is removed.
        let this = unsafe { &*kernel::container_of!(block, Self, block) };

        match event {
            PRE_OFF => this.ops.before_off(),
            ON => this.ops.after_on(),
            _ => (),
        }
        NOTIFY_DONE
    }
}

#[cfg(CONFIG_PM_GENERIC_DOMAINS)]
#[pinned_drop]
impl<T: PowerOps> PinnedDrop for PowerWatch<T> {
    fn drop(self: Pin<&mut Self>) {
        if let Some(dev) = &self.dev {
            let dev = core::ptr::from_ref::<Device>(dev).cast_mut().cast();

            // SAFETY: The device is valid, and still in the domain that it was in when the block
            // was registered: it leaves after its driver's data is gone.
            unsafe { dev_pm_genpd_remove_notifier(dev) };
        }
    }
}

/// As above, where there are no power domains.
#[cfg(not(CONFIG_PM_GENERIC_DOMAINS))]
pub(crate) struct PowerWatch<T: PowerOps>(core::marker::PhantomData<T>);

#[cfg(not(CONFIG_PM_GENERIC_DOMAINS))]
impl<T: PowerOps> PowerWatch<T> {
    /// Does nothing.
    pub(crate) fn new<'a>(_dev: &'a Device<Bound>, _ops: Arc<T>) -> impl PinInit<Self, Error> + 'a {
        Ok(Self(core::marker::PhantomData))
    }
}
