// SPDX-License-Identifier: GPL-2.0

//! Which devices may be translated.
//!
//! Upstream's policy is the default, fact for fact: on R-Car Gen3, Gen4 and RZ/G2 only the devices
//! that were verified, on some SoCs none, on all others every device. The module parameter `allow`
//! adds devices by name.

use kernel::{
    device::Device,
    prelude::*,
    str::{
        BStr,
        CString, //
    },
};

use crate::{
    abstractions::{
        param::StringParam,
        platform,
        soc::{
            Pattern,
            Table, //
        },
    },
    regs::IMSCTLR,
};

/// The module parameter `allow`: names of devices that are translated beside those that are by
/// default, separated by commas.
pub(crate) static ALLOW: StringParam = StringParam::new();

/// SoCs on which only listed devices are translated.
static OPT_IN: Table<3> = Table::new([
    Pattern {
        family: Some(c"R-Car Gen3"),
        ..Pattern::ANY
    },
    Pattern {
        family: Some(c"R-Car Gen4"),
        ..Pattern::ANY
    },
    Pattern {
        family: Some(c"RZ/G2"),
        ..Pattern::ANY
    },
]);

/// SoCs whose IPMMU cannot be used.
static DENIED: Table<3> = Table::new([
    Pattern {
        soc_id: Some(c"r8a774a1"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a7795"),
        revision: Some(c"ES2.*"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a7796"),
        ..Pattern::ANY
    },
]);

/// SoCs with hardware restriction 100: caches of an IPMMU must be off. The firmware (TF-A's BL2)
/// sees to that where there is power at boot, the system elsewhere. H3 ES2.0 has it, too, and is
/// denied.
static RESTRICTION_100: Table<2> = Table::new([
    Pattern {
        soc_id: Some(c"r8a77965"),
        revision: Some(c"ES1.*"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a77990"),
        revision: Some(c"ES1.*"),
        ..Pattern::ANY
    },
]);

/// SoCs that walk tables of stage 2. Source: Xen's driver. M3-W+ is an M3-W of cut 3.0.
static STAGE_2: Table<5> = Table::new([
    Pattern {
        soc_id: Some(c"r8a7795"),
        revision: Some(c"ES3.*"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a77961"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a77965"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a779f0"),
        ..Pattern::ANY
    },
    Pattern {
        soc_id: Some(c"r8a779g0"),
        ..Pattern::ANY
    },
]);

/// Devices that are known to work behind the IPMMU: SDHI0 to SDHI3.
const VERIFIED: [&CStr; 4] = [
    c"ee100000.mmc",
    c"ee120000.mmc",
    c"ee140000.mmc",
    c"ee160000.mmc",
];

/// Why a device is not translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The IPMMU of this SoC must not be used.
    SocDenied,
    /// Not among the devices that are translated on this SoC.
    NotListed,
}

impl Refusal {
    /// Returns the reason for the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::SocDenied => "the IPMMU of this SoC revision cannot be used",
            Self::NotListed => "not verified on this SoC, see the module parameter allow=",
        }
    }
}

/// Returns whether the SoC is known to walk tables of stage 2. May sleep.
pub(crate) fn has_stage_2() -> bool {
    STAGE_2.has_this_soc()
}

/// Returns what IMSCTLR must have beside what the firmware set. May sleep.
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

/// Returns whether `dev` may be translated. May sleep.
///
/// # Errors
///
/// Why it may not.
pub(crate) fn check(dev: &Device) -> Result<(), Refusal> {
    if !OPT_IN.has_this_soc() {
        return Ok(());
    }
    if DENIED.has_this_soc() {
        return Err(Refusal::SocDenied);
    }

    let name = dev.name();
    let listed = is_pci(dev)
        || VERIFIED.contains(&name)
        || ALLOW
            .get()
            .is_some_and(|list| is_in(list.to_bytes(), name.to_bytes()));

    listed.then_some(()).ok_or(Refusal::NotListed)
}

/// Tells the names in `allow` that no platform device has: misspelt ones, most likely, as devices
/// of the device tree are there before drivers. For the module's `init()`. May sleep.
pub(crate) fn tell_unknown_names() {
    let list = ALLOW.get().map_or(&[][..], CStr::to_bytes);

    for entry in entries(list) {
        // Without memory for a copy nothing is said, which hurts nobody.
        let is_unknown = CString::try_from_fmt(fmt!("{}", BStr::from_bytes(entry)))
            .is_ok_and(|name| !platform::exists(&name));
        if is_unknown {
            pr_warn!(
                "allow=: there is no platform device {}\n",
                BStr::from_bytes(entry)
            );
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

/// Returns the comma-separated names in `list`. Blanks around names do not count.
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
