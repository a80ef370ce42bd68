// SPDX-License-Identifier: GPL-2.0

//! Which registers are kept over a sleep, and how each kind is read, written and compared.

use kernel::{
    io::register::Register,
    prelude::*, //
};
use pin_init::Zeroable;

use crate::{
    features::{
        ContextId,
        Features,
        UtlbId, //
    },
    mmio::Registers,
    regs::{
        IMBUSCR,
        IMCTR,
        IMMAIR0,
        IMSAUXCTLR,
        IMSCTLR,
        IMTTBCR,
        IMTTLBR0,
        IMTTUBR0,
        IMUASID,
        IMUCTR, //
    },
};

/// A context's registers. In a cache there is IMCTR alone.
#[derive(Clone, Copy, Zeroable)]
pub(crate) struct ContextRegs {
    imttlbr0: u32,
    imttubr0: u32,
    imttbcr: u32,
    immair0: u32,
    imbuscr: u32,
    imctr: u32,
}

impl ContextRegs {
    /// 5 reads, on Gen2 6; in a cache 1.
    pub(crate) fn save(
        regs: &impl Registers,
        features: &Features,
        id: ContextId,
        is_root: bool,
    ) -> Self {
        let mut saved = Self {
            imctr: regs.read::<IMCTR>(features.context(id)).into(),
            ..Zeroable::zeroed()
        };

        if is_root {
            saved.imttlbr0 = regs.read::<IMTTLBR0>(features.context(id)).into();
            saved.imttubr0 = regs.read::<IMTTUBR0>(features.context(id)).into();
            saved.imttbcr = regs.read::<IMTTBCR>(features.context(id)).into();
            saved.immair0 = regs.read::<IMMAIR0>(features.context(id)).into();
            if features.has_imbuscr {
                saved.imbuscr = regs.read::<IMBUSCR>(features.context(id)).into();
            }
        }
        saved
    }

    /// 5 writes, on Gen2 6; in a cache 1. The flush that IMCTR starts is not waited for.
    pub(crate) fn restore(
        &self,
        regs: &impl Registers,
        features: &Features,
        id: ContextId,
        is_root: bool,
    ) {
        if is_root {
            regs.write(features.context(id), IMTTLBR0::from(self.imttlbr0));
            regs.write(features.context(id), IMTTUBR0::from(self.imttubr0));
            regs.write(features.context(id), IMTTBCR::from(self.imttbcr));
            regs.write(features.context(id), IMMAIR0::from(self.immair0));
            if features.has_imbuscr {
                regs.write(features.context(id), IMBUSCR::from(self.imbuscr));
            }
        }
        // Last: this is what has the others take effect. If no power was lost, the TLB must forget
        // what it knows all the same, because the registers above were written.
        let imctr = IMCTR::from(self.imctr).with_flush(true);
        regs.write(features.context(id), imctr);
    }

    /// All of them, with their names. Those that a cache does not have are 0.
    pub(crate) fn named(&self) -> [(&'static str, u32); 6] {
        [
            ("IMTTLBR0", self.imttlbr0),
            ("IMTTUBR0", self.imttubr0),
            ("IMTTBCR", self.imttbcr),
            ("IMMAIR0", self.immair0),
            ("IMBUSCR", self.imbuscr),
            ("IMCTR", IMCTR::from(self.imctr).with_flush(false).into()),
        ]
    }

    /// The register at `offset` from the start of the context.
    pub(crate) fn at(&mut self, offset: usize) -> Option<&mut u32> {
        match offset {
            <IMTTLBR0 as Register>::OFFSET => Some(&mut self.imttlbr0),
            <IMTTUBR0 as Register>::OFFSET => Some(&mut self.imttubr0),
            <IMTTBCR as Register>::OFFSET => Some(&mut self.imttbcr),
            <IMMAIR0 as Register>::OFFSET => Some(&mut self.immair0),
            <IMBUSCR as Register>::OFFSET => Some(&mut self.imbuscr),
            <IMCTR as Register>::OFFSET => Some(&mut self.imctr),
            _ => None,
        }
    }
}

/// A micro-TLB's registers.
#[derive(Clone, Copy, Zeroable)]
pub(crate) struct UtlbRegs {
    imuctr: u32,
    imuasid: u32,
}

impl UtlbRegs {
    /// 2 reads.
    pub(crate) fn save(regs: &impl Registers, features: &Features, id: UtlbId) -> Self {
        Self {
            imuctr: regs.read::<IMUCTR>(features.micro_tlb(id)).into(),
            imuasid: regs.read::<IMUASID>(features.micro_tlb(id)).into(),
        }
    }

    /// 2 writes, the one that enables last.
    pub(crate) fn restore(&self, regs: &impl Registers, features: &Features, id: UtlbId) {
        let imuctr = IMUCTR::from(self.imuctr).with_flush(true);

        regs.write(features.micro_tlb(id), IMUASID::from(self.imuasid));
        regs.write(features.micro_tlb(id), imuctr);
    }

    /// Both of them, with their names.
    pub(crate) fn named(&self) -> [(&'static str, u32); 2] {
        [
            ("IMUASID", self.imuasid),
            ("IMUCTR", IMUCTR::from(self.imuctr).with_flush(false).into()),
        ]
    }

    /// The register at `offset` from the start of the micro-TLB.
    pub(crate) fn at(&mut self, offset: usize) -> Option<&mut u32> {
        match offset {
            <IMUCTR as Register>::OFFSET => Some(&mut self.imuctr),
            <IMUASID as Register>::OFFSET => Some(&mut self.imuasid),
            _ => None,
        }
    }
}

/// The registers of the instance as a whole. All 0 where there are none.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable)]
pub(crate) struct ControlRegs {
    imsctlr: u32,
    imsauxctlr: u32,
}

impl ControlRegs {
    /// 2 reads; none on Gen2.
    pub(crate) fn save(regs: &impl Registers, features: &Features) -> Self {
        let mut saved = Self::zeroed();

        if let (Some(imsctlr), Some(imsauxctlr)) = (features.control(), features.control()) {
            saved.imsctlr = regs.read::<IMSCTLR>(imsctlr).into();
            saved.imsauxctlr = regs.read::<IMSAUXCTLR>(imsauxctlr).into();
        }
        saved
    }

    /// With access for the normal world, whatever the firmware left there.
    pub(crate) fn without_secgrp(self) -> Self {
        let imsctlr = IMSCTLR::from(self.imsctlr).with_use_secgrp(false);

        Self {
            imsctlr: imsctlr.into(),
            ..self
        }
    }

    /// 2 writes; none on Gen2.
    pub(crate) fn restore(&self, regs: &impl Registers, features: &Features) {
        if let (Some(imsctlr), Some(imsauxctlr)) = (features.control(), features.control()) {
            regs.write(imsctlr, IMSCTLR::from(self.imsctlr));
            regs.write(imsauxctlr, IMSAUXCTLR::from(self.imsauxctlr));
        }
    }

    /// Both of them, with their names.
    pub(crate) fn named(&self) -> [(&'static str, u32); 2] {
        [("IMSCTLR", self.imsctlr), ("IMSAUXCTLR", self.imsauxctlr)]
    }
}

/// Which part of an instance a register is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Context(ContextId),
    Utlb(UtlbId),
    Control,
}

impl kernel::fmt::Display for Part {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        match self {
            Self::Context(id) => f.write_fmt(fmt!("context {}", id.index())),
            Self::Utlb(id) => f.write_fmt(fmt!("uTLB {}", id.index())),
            Self::Control => f.write_str("control"),
        }
    }
}

/// A register that does not hold what was written to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) part: Part,
    pub(crate) register: &'static str,
    pub(crate) expected: u32,
    pub(crate) found: u32,
}

/// Calls `report` for each register in which `found` differs from what is `expected`.
pub(crate) fn compare<const N: usize>(
    part: Part,
    expected: [(&'static str, u32); N],
    found: [(&'static str, u32); N],
    report: &mut impl FnMut(Lost),
) {
    for ((register, expected), (_, found)) in expected.into_iter().zip(found) {
        if expected != found {
            report(Lost {
                part,
                register,
                expected,
                found,
            });
        }
    }
}

#[kunit_tests(ipmmu_kept)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::features::{
        GEN2,
        GEN3,
        GEN4, //
    };

    /// Bit of IMCTR and IMUCTR that restoring adds.
    const FLUSH: u32 = 1 << 1;

    /// A window of memory that notes what is written, in order.
    struct Memory {
        words: RefCell<KVec<u32>>,
        writes: RefCell<KVec<usize>>,
    }

    impl Memory {
        /// Every register holds a value of its own.
        fn new(features: &Features, seed: u32) -> Result<Self> {
            let mut words = KVec::new();
            for i in 0..features.window() as u32 / 4 {
                words.push(i.wrapping_mul(seed), GFP_KERNEL)?;
            }
            Ok(Self {
                words: RefCell::new(words),
                writes: RefCell::new(KVec::new()),
            })
        }

        fn wrote(&self, nth: usize) -> Option<usize> {
            self.writes.borrow().get(nth).copied()
        }
    }

    impl Registers for Memory {
        fn read_at(&self, offset: usize) -> u32 {
            self.words.borrow()[offset / 4]
        }

        fn write_at(&self, offset: usize, value: u32) {
            self.words.borrow_mut()[offset / 4] = value;
            let _ = self.writes.borrow_mut().push(offset, GFP_KERNEL);
        }
    }

    /// Saves the last context of a root from one memory and restores it to an empty one.
    fn context_round_trip(features: &Features, is_root: bool) -> Result<(Memory, Memory)> {
        let (from, to) = (
            Memory::new(features, 0x01234567)?,
            Memory::new(features, 0)?,
        );
        let id = features.contexts().last().ok_or(EINVAL)?;

        ContextRegs::save(&from, features, id, is_root).restore(&to, features, id, is_root);
        Ok((from, to))
    }

    /// What is wrong with the context of a root after a round trip.
    fn fault_of_root(features: &Features) -> Result<Option<&'static str>> {
        let (from, to) = context_round_trip(features, true)?;
        let id = features.contexts().last().ok_or(EINVAL)?;
        let same = |offset: usize| from.read_at(offset) == to.read_at(offset);
        let imbuscr = features.context::<IMBUSCR>(id).offset();
        let imctr = features.context::<IMCTR>(id).offset();
        let writes = to.writes.borrow().len();

        Ok(if !same(features.context::<IMTTLBR0>(id).offset()) {
            Some("IMTTLBR0")
        } else if !same(features.context::<IMTTUBR0>(id).offset()) {
            Some("IMTTUBR0")
        } else if !same(features.context::<IMTTBCR>(id).offset()) {
            Some("IMTTBCR")
        } else if !same(features.context::<IMMAIR0>(id).offset()) {
            Some("IMMAIR0")
        } else if same(imbuscr) != features.has_imbuscr {
            Some("IMBUSCR")
        } else if to.read_at(imctr) != from.read_at(imctr) | FLUSH {
            Some("IMCTR")
        } else if to.wrote(writes - 1) != Some(imctr) {
            Some("IMCTR is not last")
        } else if writes != 5 + usize::from(features.has_imbuscr) {
            Some("number of writes")
        } else {
            None
        })
    }

    #[test]
    fn a_root_context_comes_back_with_imctr_last() -> Result {
        assert_eq!(fault_of_root(&GEN2)?, None);
        assert_eq!(fault_of_root(&GEN3)?, None);
        assert_eq!(fault_of_root(&GEN4)?, None);
        Ok(())
    }

    #[test]
    fn every_register_that_does_not_come_back_is_named() {
        let expected = [("IMTTLBR0", 1), ("IMMAIR0", 2), ("IMCTR", 5)];
        let found = [("IMTTLBR0", 1), ("IMMAIR0", 0), ("IMCTR", 1)];
        let mut lost = KVec::new();

        compare(Part::Control, expected, expected, &mut |_| unreachable!());
        compare(Part::Control, expected, found, &mut |l: Lost| {
            let _ = lost.push((l.register, l.expected, l.found), GFP_KERNEL);
        });
        assert_eq!(&lost[..], [("IMMAIR0", 2, 0), ("IMCTR", 5, 1)]);
    }

    #[test]
    fn control_registers_come_back() -> Result {
        let (from, to) = (Memory::new(&GEN4, 0x01234567)?, Memory::new(&GEN4, 0)?);

        ControlRegs::save(&from, &GEN4).restore(&to, &GEN4);
        assert_eq!(to.read_at(0x1500), from.read_at(0x1500));
        assert_eq!(to.read_at(0x1504), from.read_at(0x1504));
        assert_eq!(to.writes.borrow().len(), 2);
        Ok(())
    }

    #[test]
    fn a_cache_has_imctr_alone() -> Result {
        let (_, to) = context_round_trip(&GEN3, false)?;
        let id = GEN3.contexts().last().ok_or(EINVAL)?;

        assert_eq!(to.writes.borrow().len(), 1);
        assert_eq!(to.wrote(0), Some(GEN3.context::<IMCTR>(id).offset()));
        Ok(())
    }

    #[test]
    fn a_micro_tlb_comes_back_with_imuctr_last() -> Result {
        for features in [&GEN2, &GEN3, &GEN4] {
            let (from, to) = (
                Memory::new(features, 0x01234567)?,
                Memory::new(features, 0)?,
            );
            let id = features.utlbs().last().ok_or(EINVAL)?;
            let imuctr = features.micro_tlb::<IMUCTR>(id).offset();
            let imuasid = features.micro_tlb::<IMUASID>(id).offset();

            UtlbRegs::save(&from, features, id).restore(&to, features, id);
            assert_eq!(to.read_at(imuctr), from.read_at(imuctr) | FLUSH);
            assert_eq!(to.read_at(imuasid), from.read_at(imuasid));
            assert_eq!(to.wrote(1), Some(imuctr));
            assert_eq!(to.writes.borrow().len(), 2);
        }
        Ok(())
    }
}
