// SPDX-License-Identifier: GPL-2.0

//! Which devices may be translated.
//!
//! The default is upstream's policy, fact for fact: on R-Car Gen3, Gen4 and RZ/G2 only PCI devices
//! and verified devices, on some of these SoCs none, on all others every device. The module
//! parameter `allow` adds devices by name.

use kernel::{
    device::Device,
    prelude::*,
    str::{
        BStr,
        CString, //
    },
};

use crate::abstractions::{
    module_param::string::StringParam,
    platform::ext,
    soc_match::{
        Pattern,
        Table, //
    },
};

use crate::regs::IMSCTLR;

/// The module parameter `allow`: names of devices to be translated besides those that are by
/// default, separated by commas.
pub(crate) static ALLOW: StringParam = StringParam::absent();

/// SoCs on which only PCI devices and listed devices are translated.
static OPT_IN: Table<3> = Table::new([
    Pattern::Family(c"R-Car Gen3"),
    Pattern::Family(c"R-Car Gen4"),
    Pattern::Family(c"RZ/G2"),
]);

/// SoCs with an unusable IPMMU.
static DENIED: Table<3> = Table::new([
    Pattern::Soc(c"r8a774a1"),
    Pattern::Revision(c"r8a7795", c"ES2.*"),
    Pattern::Soc(c"r8a7796"),
]);

/// SoCs with hardware restriction 100: the caches inside an IPMMU must be off. The firmware (TF-A's
/// BL2) does this where there is power at boot, the system elsewhere. H3 ES2.0 has the restriction,
/// too, and is denied.
static RESTRICTION_100: Table<2> = Table::new([
    Pattern::Revision(c"r8a77965", c"ES1.*"),
    Pattern::Revision(c"r8a77990", c"ES1.*"),
]);

/// SoCs that can walk tables of stage 2. Source: Xen's driver. M3-W+ is an M3-W of cut 3.0.
static STAGE_2: Table<5> = Table::new([
    Pattern::Revision(c"r8a7795", c"ES3.*"),
    Pattern::Soc(c"r8a77961"),
    Pattern::Soc(c"r8a77965"),
    Pattern::Soc(c"r8a779f0"),
    Pattern::Soc(c"r8a779g0"),
]);

/// Devices that are known to work behind the IPMMU: SDHI0 to SDHI3.
const VERIFIED: [&CStr; 4] = [
    c"ee100000.mmc",
    c"ee120000.mmc",
    c"ee140000.mmc",
    c"ee160000.mmc",
];

/// Returns whether the SoC is known to walk tables of stage 2. May sleep.
pub(crate) fn has_stage_2() -> bool {
    STAGE_2.has_this_soc()
}

/// Returns what IMSCTLR must have besides the bits that the firmware set. May sleep.
pub(crate) fn required_imsctlr(is_root: bool) -> IMSCTLR {
    let imsctlr = IMSCTLR::from(0);

    if !RESTRICTION_100.has_this_soc() {
        imsctlr
    } else if is_root {
        imsctlr.with_const_discache::<6>()
    } else {
        imsctlr.with_const_discache::<7>()
    }
}

/// Returns whether `dev` may be translated. May sleep. Fails with the reason why it may not, for
/// the log.
pub(crate) fn check(dev: &Device) -> Result<(), &'static str> {
    if !OPT_IN.has_this_soc() {
        return Ok(());
    }
    if DENIED.has_this_soc() {
        return Err("the IPMMU of this SoC revision cannot be used");
    }

    let name = dev.name();
    let listed = is_pci(dev)
        || VERIFIED.contains(&name)
        || ALLOW
            .get()
            .is_some_and(|list| is_in(list.to_bytes(), name.to_bytes()));

    if listed {
        Ok(())
    } else {
        Err("not verified on this SoC, see the module parameter allow=")
    }
}

/// Warns of names in `allow` without a platform device. They are most likely misspelt, as devices
/// of the device tree exist before drivers. For the module's `init()`. May sleep.
pub(crate) fn tell_unknown_names() {
    let list = ALLOW.get().map_or(&[][..], CStr::to_bytes);

    for entry in entries(list) {
        // Without memory for a copy there is no warning, which does no harm.
        let is_unknown = CString::try_from_fmt(fmt!("{}", BStr::from_bytes(entry)))
            .is_ok_and(|name| !ext::exists(&name));
        if is_unknown {
            pr_warn!("allow: no platform device {}\n", BStr::from_bytes(entry));
        }
    }
}

fn is_pci(dev: &Device) -> bool {
    #[cfg(CONFIG_PCI)]
    return <&kernel::pci::Device>::try_from(dev).is_ok();
    #[cfg(not(CONFIG_PCI))]
    {
        let _ = dev;
        false
    }
}

/// Returns the comma-separated names in `list`, without the blanks around them.
fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let entries = list.split(|&c| c == b',');
    entries
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
}

/// Returns whether `name` is one of the names in `list`.
fn is_in(list: &[u8], name: &[u8]) -> bool {
    entries(list).any(|entry| entry == name)
}

#[kunit_tests(ipmmu_policy)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_of_the_list() {
        let list = b"e6700000.dma-controller, e7300000.dma-controller";

        assert!(is_in(list, b"e6700000.dma-controller"));
        assert!(is_in(list, b"e7300000.dma-controller"));
        assert!(!is_in(list, b"e7310000.dma-controller"));
        assert!(!is_in(list, b"e6700000.dma"));
        assert!(!is_in(b"", b"e6700000.dma-controller"));
        assert!(entries(b", ,").next().is_none());
    }
}
