// SPDX-License-Identifier: GPL-2.0

//! Interrupt handlers that go away with the device.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use kernel::{
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

/// Requests the interrupt number `index` of `pdev` and has `handler` called for it until the device
/// is unbound.
///
/// The handler may run before this returns. It is released by devres, which frees in the reverse
/// order of allocation: what `handler` uses must have been made device-managed before, or be owned
/// by it. May sleep.
///
/// # Errors
///
/// `ENXIO` when the device has no such interrupt, and those of `request_irq()`. Prints nothing.
pub(crate) fn request_managed<T: Handler + Send + 'static>(
    pdev: &platform::Device<Bound>,
    index: u32,
    name: &'static CStr,
    handler: T,
) -> Result {
    let request = pdev.optional_irq_by_index(index)?;

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

    devres::register(pdev.as_ref(), registration, GFP_KERNEL)
}
