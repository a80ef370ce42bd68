// SPDX-License-Identifier: GPL-2.0

//! The registers of the IPMMU.
//!
//! Offsets are relative to one of three bases, which differ between SoC generations and are found
//! in [`Features`](crate::features::Features): [`Context`] registers exist once per context,
//! [`Utlb`] registers once per micro-TLB, [`Control`] registers once per instance.
//!
//! Facts are from the drivers of Linux (`drivers/iommu/ipmmu-vmsa.c`) and Xen
//! (`xen/drivers/passthrough/arm/ipmmu-vmsa.c`).

use kernel::io::register;

/// Base of the registers of one context.
pub(crate) struct Context;

/// Base of the registers of one micro-TLB.
pub(crate) struct Utlb;

/// Base of the registers of the instance as a whole.
pub(crate) struct Control;

register! {
    /// Context control. The root has all of it, a cache IPMMU bits 2:0.
    pub(crate) IMCTR(u32) @ Context + 0x0 {
        /// 40 bits of input address (stage 2); root only.
        29:29   va64 => bool;
        /// The fault status raises the interrupt.
        2:2     inten => bool;
        /// Invalidate all translations of the context; the hardware clears it when that is done.
        1:1     flush => bool;
        /// Translate.
        0:0     mmuen => bool;
    }

    /// Translation table base control.
    pub(crate) IMTTBCR(u32) @ Context + 0x8 {
        /// Long descriptors.
        31:31   eae => bool;
        /// Bypass stage 1 (stage 2 only).
        30:30   pmb => bool;
        /// Shareability of table walks; Gen2.
        13:12   sh0;
        /// Outer cacheability of table walks; Gen2.
        11:10   orgn0;
        /// Inner cacheability of table walks; Gen2.
        9:8     irgn0;
        /// Level at which the walk starts, counted from the last; Gen3 and later.
        7:6     sl0;
        /// The walk starts at level 1; Gen2.
        4:4     sl0_gen2 => bool;
    }

    /// Bus control; Gen2.
    pub(crate) IMBUSCR(u32) @ Context + 0xc {
        /// Distributed virtual memory: TLB maintenance by the CPUs.
        2:2     dvm => bool;
        /// Which bus the walks use.
        1:0     bussel;
    }

    /// Translation table base, bits 31:12.
    pub(crate) IMTTLBR0(u32) @ Context + 0x10 {
        31:12   base;
    }

    /// Translation table base, bits 39:32.
    pub(crate) IMTTUBR0(u32) @ Context + 0x14 {
        7:0     base;
    }

    /// Fault status. Cleared by writing 0.
    pub(crate) IMSTR(u32) @ Context + 0x20 {
        /// More than one TLB entry matched.
        4:4     mhit => bool;
        /// The table walk was aborted.
        2:2     abort => bool;
        /// The mapping does not permit the access.
        1:1     pf => bool;
        /// Nothing is mapped there.
        0:0     tf => bool;
    }

    /// Memory attributes (MAIR0).
    pub(crate) IMMAIR0(u32) @ Context + 0x28 {
        31:24   attr3;
        23:16   attr2;
        15:8    attr1;
        7:0     attr0;
    }

    /// Address of the fault, bits 31:0. Reads 0 once IMSTR is cleared. IMEAR on Gen2.
    pub(crate) IMELAR(u32) @ Context + 0x30 {
        31:0    address;
    }

    /// Address of the fault, bits 39:32; Gen3 and later.
    pub(crate) IMEUAR(u32) @ Context + 0x34 {
        7:0     address;
    }

    /// Micro-TLB control.
    pub(crate) IMUCTR(u32) @ Utlb + 0x0 {
        /// Number of the context that translates.
        8:4     ttsel;
        /// Invalidate the translations that the micro-TLB holds.
        1:1     flush => bool;
        /// Translate; otherwise addresses pass through.
        0:0     mmuen => bool;
    }

    /// Micro-TLB address space ID.
    pub(crate) IMUASID(u32) @ Utlb + 0x8 {
        7:0     asid;
    }

    /// System control; Gen3 and later.
    pub(crate) IMSCTLR(u32) @ Control + 0x500 {
        /// Security groups: off for a driver in the normal world.
        28:28   use_secgrp => bool;
    }

    /// Auxiliary system control; Gen3 and later.
    pub(crate) IMSAUXCTLR(u32) @ Control + 0x504 {
        /// Descriptors are those of stage 2.
        3:3     s2pte => bool;
    }
}
