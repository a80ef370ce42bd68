// SPDX-License-Identifier: GPL-2.0

//! Which bus a device is on.

use kernel::device::Device;

/// Whether `dev` is a PCI device.
pub(crate) fn is_pci(dev: &Device) -> bool {
    #[cfg(CONFIG_PCI)]
    {
        use kernel::bindings;

        let dev = core::ptr::from_ref(dev).cast::<bindings::device>();
        // SAFETY: `Device` is a transparent wrapper of `struct device`, whose `bus` does not change
        // once the device is registered. The bus type is only pointed to.
        unsafe { core::ptr::eq((*dev).bus, &raw const bindings::pci_bus_type) }
    }
    #[cfg(not(CONFIG_PCI))]
    {
        let _ = dev;
        false
    }
}
