// SPDX-License-Identifier: GPL-2.0

//! The registers of the IPMMU.
//!
//! Offsets are relative to one of three bases, which differ between SoC generations and are found
//! in [`Features`](crate::features::Features): [`ContextBase`] registers exist once per context,
//! [`UtlbBase`] registers once per micro-TLB, [`ControlBase`] registers once per instance.
//!
//! Facts are from the drivers of Linux (`drivers/iommu/ipmmu-vmsa.c`) and Xen
//! (`xen/drivers/passthrough/arm/ipmmu-vmsa.c`).

use core::marker::PhantomData;

use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres::DevresGuard,
    io::{
        mem::{
            DevresIoMem,
            IoMem, //
        },
        register,
        register::Register,
        Io, //
    },
    platform,
    prelude::*,
    sync::aref::ARef, //
};

use crate::abstractions::platform::ext::request_region;

/// Offset in bytes of register `R` from the start of an instance's registers.
#[derive(Clone, Copy)]
pub(crate) struct At<R>(usize, PhantomData<R>);

impl<R> At<R> {
    /// Creates the place of a register that is `offset` bytes from the start.
    pub(crate) fn new(offset: usize) -> Self {
        Self(offset, PhantomData)
    }

    /// Returns the offset in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.0
    }
}

/// The 32-bit registers of an instance: those of the hardware, or of a test.
pub(crate) trait Registers {
    /// Reads the register at `offset`.
    fn read_at(&self, offset: usize) -> u32;

    /// Writes the register at `offset`.
    fn write_at(&self, offset: usize, value: u32);

    /// Reads register `R`. One MMIO access.
    #[inline]
    fn read<R: Register<Storage = u32> + From<u32>>(&self, at: At<R>) -> R {
        self.read_at(at.offset()).into()
    }

    /// Writes register `R`. One MMIO access.
    #[inline]
    fn write<R: Register<Storage = u32> + Into<u32>>(&self, at: At<R>, value: R) {
        self.write_at(at.offset(), value.into());
    }
}

impl<R: Registers> Registers for &R {
    fn read_at(&self, offset: usize) -> u32 {
        R::read_at(self, offset)
    }

    fn write_at(&self, offset: usize, value: u32) {
        R::write_at(self, offset, value);
    }
}

/// The mapped registers of an instance, accessible while its device is bound.
pub(crate) struct Mmio {
    io: DevresIoMem,
    pub(crate) dev: ARef<Device>,
}

impl Mmio {
    /// Requests and maps the registers of `pdev`. May sleep.
    ///
    /// Fails with `ENODEV` when there are none, `EBUSY` when another driver has them, `ENOMEM`.
    pub(crate) fn new(pdev: &platform::Device<Bound>) -> Result<Self> {
        request_region(pdev, 0)?;
        let io = pdev.io_request_by_index(0).ok_or(ENODEV)?.iomap()?;

        Ok(Self {
            io: io.into_devres()?,
            dev: pdev.as_ref().into(),
        })
    }

    /// Returns the registers, unless the device was unbound. Any context; no sleeping while the
    /// guard exists.
    #[inline]
    pub(crate) fn access(&self) -> Option<Access<'_>> {
        self.io.try_access().map(Access)
    }
}

/// Access to the registers of a device that stays bound meanwhile.
pub(crate) struct Access<'a>(DevresGuard<'a, IoMem<'static>>);

/// No offset is out of bounds: probe checked that the region covers all that the driver accesses.
impl Registers for Access<'_> {
    #[inline]
    fn read_at(&self, offset: usize) -> u32 {
        match self.0.try_read32(offset) {
            Ok(value) => value,
            Err(_) => outside(),
        }
    }

    #[inline]
    fn write_at(&self, offset: usize, value: u32) {
        if self.0.try_write32(value, offset).is_err() {
            outside();
        }
    }
}

/// Warns of an access out of bounds, a bug of the driver. Returns what an empty bus would.
#[cold]
#[inline(never)]
fn outside() -> u32 {
    kernel::warn_on!(true);
    !0
}

/// Base of the registers of one context.
pub(crate) struct ContextBase;

/// Base of the registers of one micro-TLB.
pub(crate) struct UtlbBase;

/// Base of the registers of the instance as a whole.
pub(crate) struct ControlBase;

register! {
    /// Context control. The root has all of it, a cache bits 2:0.
    pub(crate) IMCTR(u32) @ ContextBase + 0x0 {
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
    pub(crate) IMTTBCR(u32) @ ContextBase + 0x8 {
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
        /// Level at which the walk starts, in the format's own numbers; Gen3 and later.
        7:6     sl0;
        /// The walk starts at level 1; Gen2.
        4:4     sl0_gen2 => bool;
        /// 64 less the bits of an IOVA; only with VA64 (stage 2).
        4:0     tsz0;
    }

    /// Bus control; Gen2.
    pub(crate) IMBUSCR(u32) @ ContextBase + 0xc {
        /// Distributed virtual memory: TLB maintenance by the CPUs.
        2:2     dvm => bool;
        /// The bus that walks use.
        1:0     bussel;
    }

    /// Translation table base, bits 31:12.
    pub(crate) IMTTLBR0(u32) @ ContextBase + 0x10 {
        31:12   base;
    }

    /// Translation table base, bits 39:32.
    pub(crate) IMTTUBR0(u32) @ ContextBase + 0x14 {
        7:0     base;
    }

    /// Fault status. Cleared by writing 0.
    pub(crate) IMSTR(u32) @ ContextBase + 0x20 {
        /// Level at which the walk ended.
        13:12   errlvl;
        /// Reason of a PF: 1 TLB format, 4 access permission, 5 secure access.
        10:8    errcode;
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
    pub(crate) IMMAIR0(u32) @ ContextBase + 0x28 {
        31:24   attr3;
        23:16   attr2;
        15:8    attr1;
        7:0     attr0;
    }

    /// Address of the fault, bits 31:0. Reads 0 once IMSTR is cleared. IMEAR on Gen2.
    pub(crate) IMELAR(u32) @ ContextBase + 0x30 {
        31:0    address;
    }

    /// Address of the fault, bits 39:32; Gen3 and later.
    pub(crate) IMEUAR(u32) @ ContextBase + 0x34 {
        7:0     address;
    }

    /// Micro-TLB control.
    pub(crate) IMUCTR(u32) @ UtlbBase + 0x0 {
        /// Number of the context that translates.
        8:4     ttsel;
        /// Invalidate the translations that the micro-TLB holds.
        1:1     flush => bool;
        /// Translate; otherwise addresses pass through.
        0:0     mmuen => bool;
    }

    /// Micro-TLB address space ID.
    pub(crate) IMUASID(u32) @ UtlbBase + 0x8 {
        7:0     asid;
    }

    /// System control; Gen3 and later.
    pub(crate) IMSCTLR(u32) @ ControlBase + 0x500 {
        /// The caches of the instance that are off; workaround for a hardware restriction.
        31:29   discache;
        /// Security groups: off for a driver in the normal world.
        28:28   use_secgrp => bool;
    }

    /// Auxiliary system control; Gen3 and later.
    pub(crate) IMSAUXCTLR(u32) @ ControlBase + 0x504 {
        /// Descriptors are those of stage 2.
        3:3     s2pte => bool;
    }
}
