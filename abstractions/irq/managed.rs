// SPDX-License-Identifier: GPL-2.0

//! Interrupt handlers that go away with the device.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use kernel::{
    bindings,
    device::Bound,
    devres,
    irq::{
        Flags,
        Handler,
        Registration, //
    },
    platform,
    prelude::*, //
};

/// The number of an interrupt that a handler was requested for.
#[derive(Clone, Copy)]
pub(crate) struct Line(u32);

impl Line {
    /// Waits until handlers that run on other CPUs have returned. May sleep; not for the handler.
    pub(crate) fn synchronize(self) {
        // SAFETY: The function takes any number, also one without an interrupt by now.
        unsafe { bindings::synchronize_irq(self.0) };
    }

    /// Keeps the handler from being called until [`Self::enable`], and waits for it. Calls nest.
    /// May sleep.
    pub(crate) fn disable(self) {
        // SAFETY: As above.
        unsafe { bindings::disable_irq(self.0) };
    }

    /// Undoes one [`Self::disable`]. Any context.
    pub(crate) fn enable(self) {
        // SAFETY: As above; a call too many is warned of.
        unsafe { bindings::enable_irq(self.0) };
    }
}

/// Requests the interrupt number `index` of `pdev`; `handler` is called for it until the device is
/// unbound.
///
/// The handler may run before this returns. It is released by devres, which frees in the reverse
/// order of allocation. May sleep.
///
/// ```
/// # use kernel::{
/// #     device::Bound,
/// #     irq::{
/// #         managed,
/// #         Handler,
/// #         IrqReturn, //
/// #     },
/// #     platform, //
/// # };
/// struct Faults;
///
/// impl Handler for Faults {
///     fn handle(&self) -> IrqReturn {
///         IrqReturn::Handled
///     }
/// }
///
/// fn start(pdev: &platform::Device<Bound>) -> Result<managed::Line> {
///     managed::request(pdev, 0, c"faults", Faults)
/// }
/// ```
///
/// # Errors
///
/// `ENXIO` when the device has no such interrupt, and those of `request_irq()`. Prints nothing.
pub(crate) fn request<T: Handler + Send + 'static>(
    pdev: &platform::Device<Bound>,
    index: u32,
    name: &'static CStr,
    handler: T,
) -> Result<Line> {
    let request = pdev.optional_irq_by_index(index)?;
    let line = Line(request.irq());

    // SAFETY: The registration is handed to devres below, which runs its destructor when the device
    // is unbound; nobody else gets to own it.
    let registration =
        unsafe { Registration::new(request, Flags::TRIGGER_NONE, name, Ok(handler)) };

    // SAFETY: The lifetime in the type stands for "while `pdev` is bound". devres drops the
    // registration before that ends, so the longer lifetime is never made use of.
    let registration = unsafe {
        pin_init::cast_pin_init::<Registration<'_, T>, Registration<'static, T>, Error>(
            registration,
        )
    };

    devres::register(pdev.as_ref(), registration, GFP_KERNEL)?;
    Ok(line)
}
