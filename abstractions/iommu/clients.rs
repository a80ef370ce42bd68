// SPDX-License-Identifier: GPL-2.0

//! Who keeps the module of an IOMMU driver loaded: the devices that are bound to a driver of their
//! own.
//!
//! The core takes a reference to the module for each device that it puts behind an IOMMU, and gives
//! it back when the device is removed. Devices of the device tree never are, so the module could
//! never be unloaded. A device without a driver does no DMA, though, and has no need of the IOMMU.
//! So the reference is given back when the core is done with the device's probing, and one is held
//! while the device is bound.
//!
//! That the module cannot go away at the wrong moment rests on the driver core alone: the device
//! links from device to IOMMU (see [`device_link::add_for_client`]) have it unbind a device before
//! its IOMMU, and keep a device from being bound while its IOMMU is not.
//!
//! [`device_link::add_for_client`]: crate::abstractions::device_link::add_for_client

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    types::Opaque, //
};

use super::{
    registration,
    table::Callbacks,
    Ops, //
};
use crate::abstractions::module_static::Live;

/// What the `priv` of a device behind an IOMMU of `T` points to.
pub(super) struct Client<T: Ops> {
    pub(super) master: T::Master,
    /// Whether this device holds a reference to the module.
    holds_module: Atomic<bool>,
    /// Whether the core's reference was given back.
    has_let_go: Atomic<bool>,
}

impl<T: Ops> Client<T> {
    pub(super) fn new(master: T::Master) -> Self {
        Self {
            master,
            holds_module: Atomic::new(false),
            has_let_go: Atomic::new(false),
        }
    }

    /// The device is about to be bound, or is not bound any more.
    fn set_bound(&self, bound: bool) {
        if self.holds_module.xchg(bound, Relaxed) != bound {
            hold_module::<T>(bound);
        }
    }

    /// Whether the device is bound to a driver, or about to be.
    pub(super) fn is_bound(&self) -> bool {
        self.holds_module.load(Relaxed)
    }

    /// Gives the core's reference back, unless that was done before: when the core has put the
    /// device behind its IOMMU, and calls nothing of the driver any more to do so.
    pub(super) fn let_go_of_core_reference(&self) {
        if !self.has_let_go.xchg(true, Relaxed) {
            hold_module::<T>(false);
        }
    }

    /// Undoes [`Self::let_go_of_core_reference`], for the core is about to give it back itself.
    pub(super) fn retake_core_reference(&self) {
        self.set_bound(false);
        if self.has_let_go.xchg(false, Relaxed) {
            hold_module::<T>(true);
        }
    }
}

/// Takes a reference to the module of `T`, or gives one back.
pub(super) fn hold_module<T: Ops>(hold: bool) {
    #[cfg(CONFIG_MODULE_UNLOAD)]
    {
        let module = T::table().owner();

        // SAFETY: `module` is the module that this code is in, or null. A reference is given back
        // only after it was taken, by the core or here.
        unsafe {
            if hold {
                bindings::__module_get(module);
            } else {
                bindings::module_put(module);
            }
        }
    }
    #[cfg(not(CONFIG_MODULE_UNLOAD))]
    let _ = hold;
}

/// Watches the devices of one bus being bound and unbound, while it exists.
///
/// # Invariants
///
/// `block` is registered with `bus`.
#[pin_data(PinnedDrop)]
struct BusWatch<T: Ops> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    bus: *const bindings::bus_type,
    _ops: PhantomData<T>,
}

// SAFETY: The notifier block is used by the bus code only, which locks it; the bus is a `static`.
unsafe impl<T: Ops> Send for BusWatch<T> {}
// SAFETY: As above.
unsafe impl<T: Ops> Sync for BusWatch<T> {}

impl<T: Ops> BusWatch<T> {
    /// # Safety
    ///
    /// `bus` is registered, and stays so.
    unsafe fn new(bus: *const bindings::bus_type) -> impl PinInit<Self, Error> {
        // INVARIANT: The block is registered with `bus` when this succeeds.
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(move |block: *mut bindings::notifier_block| {
                // SAFETY: `block` is valid for writes, and pinned until `drop()` unregisters it.
                // `bus` is registered by this function's contract.
                to_result(unsafe {
                    block.write(bindings::notifier_block {
                        notifier_call: Some(Self::notify),
                        ..pin_init::zeroed()
                    });
                    bindings::bus_register_notifier(bus, block)
                })
            }),
            bus,
            _ops: PhantomData,
        })
    }

    extern "C" fn notify(
        _block: *mut bindings::notifier_block,
        event: usize,
        dev: *mut c_void,
    ) -> c_int {
        let bound = match event as u32 {
            bindings::bus_notifier_event_BUS_NOTIFY_BIND_DRIVER => true,
            bindings::bus_notifier_event_BUS_NOTIFY_UNBOUND_DRIVER
            | bindings::bus_notifier_event_BUS_NOTIFY_DRIVER_NOT_BOUND => false,
            _ => return 0,
        };

        // SAFETY: The bus passes a valid device. The core does not take it away from its IOMMU
        // meanwhile: it does so when the device was removed, which this event is before, or when
        // the IOMMU is unbound. That is done at the end of the module alone, since drivers made
        // with `abstractions::platform` have no `unbind` in sysfs. The module does not end while
        // the device holds it, which is until the end of this call for a device that was bound; and
        // one that is about to be has its device links checked, which fails while its IOMMU goes.
        if let Some(client) = unsafe { Callbacks::<T>::client_if_any(dev.cast()) } {
            client.set_bound(bound);
        }
        0
    }
}

#[pinned_drop]
impl<T: Ops> PinnedDrop for BusWatch<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered. This waits for callbacks under way.
        unsafe { bindings::bus_unregister_notifier(self.bus, self.block.get()) };
    }
}

/// Watches devices being bound and unbound, while it exists. To be made before the driver of the
/// IOMMUs is registered. Devices of other buses than these are not counted.
#[pin_data]
pub(crate) struct ClientWatch<T: Ops> {
    one_at_a_time: Live<(), registration::StaticLock>,
    #[pin]
    platform: BusWatch<T>,
    #[cfg(CONFIG_PCI)]
    #[pin]
    pci: BusWatch<T>,
}

impl<T: Ops> ClientWatch<T> {
    /// Starts watching. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` when it was called before, `ENOMEM`.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            one_at_a_time: registration::init(())?,
            // SAFETY: The platform bus is always registered.
            platform <- unsafe { BusWatch::new(&raw const bindings::platform_bus_type) },
            #[cfg(CONFIG_PCI)]
            // SAFETY: The PCI bus is always registered.
            pci <- unsafe { BusWatch::new(&raw const bindings::pci_bus_type) },
        })
    }
}
