// SPDX-License-Identifier: GPL-2.0

//! Interrupt handlers that are freed when the device is unbound.
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

/// The number of an interrupt for which a handler was requested.
#[derive(Clone, Copy)]
pub(crate) struct Line(u32);

impl Line {
    /// Waits until handlers on other CPUs return. Not to be called by the handler. May sleep.
    pub(crate) fn synchronize(self) {
        // SAFETY: The function accepts any number, also that of an interrupt that was freed.
        unsafe { bindings::synchronize_irq(self.0) };
    }

    /// Disables the interrupt until [`Self::enable`], and waits for its handler. Calls nest. Not to
    /// be called by the handler. May sleep.
    pub(crate) fn disable(self) {
        // SAFETY: As in `synchronize()`, any number is accepted.
        unsafe { bindings::disable_irq(self.0) };
    }

    /// Undoes one [`Self::disable`]. Any context, unless the interrupt chip is behind a slow bus.
    pub(crate) fn enable(self) {
        // SAFETY: As in `synchronize()`, any number is accepted. Unbalanced calls are warned of.
        unsafe { bindings::enable_irq(self.0) };
    }
}

/// Requests interrupt `index` of `pdev`, and calls `handler` for it until the device is unbound.
///
/// The handler may run before this returns. devres frees it, in the reverse order of allocation.
/// May sleep.
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
/// Fails with `ENXIO` when the device has no such interrupt, or an error of `request_irq()`. Prints
/// nothing.
pub(crate) fn request<T: Handler + Send + 'static>(
    pdev: &platform::Device<Bound>,
    index: u32,
    name: &'static CStr,
    handler: T,
) -> Result<Line> {
    let request = pdev.optional_irq_by_index(index)?;
    let line = Line(request.irq());

    // SAFETY: The registration is not leaked: devres, to which it is passed below, drops it when
    // the device is unbound, or at once after an error.
    let registration =
        unsafe { Registration::new(request, Flags::TRIGGER_NONE, name, Ok(handler)) };

    // SAFETY: The types differ in a lifetime only, hence not in layout. It stands for the time that
    // `pdev` is bound, and devres drops the registration before that ends.
    let registration = unsafe {
        pin_init::cast_pin_init::<Registration<'_, T>, Registration<'static, T>, Error>(
            registration,
        )
    };

    devres::register(pdev.as_ref(), registration, GFP_KERNEL)?;
    Ok(line)
}
