// SPDX-License-Identifier: GPL-2.0

//! Which registers are kept over a sleep, and how one is read, written and compared.

use kernel::{
    io::register::Register,
    prelude::*, //
};
use pin_init::Zeroable;

use crate::{
    features::{
        At,
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

/// A register that is kept: where it is, and what it comes back with.
#[derive(Clone, Copy, Zeroable)]
pub(crate) struct Kept {
    /// Bytes from the start of the window.
    offset: u32,
    /// What is written: `value` and `commands`.
    written: u32,
    /// What it is to hold then.
    value: u32,
    /// Bits that start something when they are written, and read as 0 when that is done.
    commands: u32,
}

impl Kept {
    /// The register at `at`; it comes back with 0 as long as nothing else is known.
    fn new<R: Register<Storage = u32>>(at: At<R>) -> Self {
        Self {
            // A window is not that large.
            offset: at.offset() as u32,
            ..Zeroable::zeroed()
        }
    }

    /// The same, with bits that are commands.
    fn with_commands<R: Register<Storage = u32> + Into<u32>>(self, commands: R) -> Self {
        let commands = commands.into();

        Self {
            written: self.value | commands,
            commands,
            ..self
        }
    }

    /// Where it is, in bytes from the start of the window.
    pub(crate) fn offset(&self) -> usize {
        self.offset as usize
    }

    /// What it comes back with.
    pub(crate) fn value(&self) -> u32 {
        self.value
    }

    /// Has it come back with `value`, and with all commands.
    pub(crate) fn set(&mut self, value: u32) {
        self.value = value & !self.commands;
        self.written = value | self.commands;
    }

    /// Has it come back with what it holds: 1 read.
    pub(crate) fn save(&mut self, regs: &impl Registers) {
        self.set(regs.read_at(self.offset()));
    }

    /// 1 write.
    #[inline]
    pub(crate) fn restore(&self, regs: &impl Registers) {
        regs.write_at(self.offset(), self.written);
    }

    /// What it holds, if that is not what it should: 1 read.
    #[inline]
    pub(crate) fn lost(&self, regs: &impl Registers) -> Option<u32> {
        let found = regs.read_at(self.offset()) & !self.commands;

        (found != self.value).then_some(found)
    }
}

/// The registers of a context, by name, in the order in which they come back.
pub(crate) const CONTEXT: [&str; 6] = [
    "IMBUSCR", "IMTTLBR0", "IMTTUBR0", "IMTTBCR", "IMMAIR0", "IMCTR",
];

/// The first of [`CONTEXT`] that a context has: the root's have all, but for IMBUSCR, which is on
/// Gen2 alone; there is only IMCTR in a cache.
pub(crate) fn first_of_context(features: &Features, is_root: bool) -> usize {
    match (is_root, features.has_imbuscr) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => CONTEXT.len() - 1,
    }
}

/// Those of context `id`. IMCTR comes last: it is what has the others take effect. It flushes: if
/// no power was lost, the TLB must forget what it knows all the same, because the others were
/// written.
pub(crate) fn context(features: &Features, id: ContextId) -> [Kept; CONTEXT.len()] {
    let flush = IMCTR::zeroed().with_flush(true);

    [
        Kept::new(features.context::<IMBUSCR>(id)),
        Kept::new(features.context::<IMTTLBR0>(id)),
        Kept::new(features.context::<IMTTUBR0>(id)),
        Kept::new(features.context::<IMTTBCR>(id)),
        Kept::new(features.context::<IMMAIR0>(id)),
        Kept::new(features.context::<IMCTR>(id)).with_commands(flush),
    ]
}

/// The registers of a micro-TLB, by name, in the order in which they come back.
pub(crate) const UTLB: [&str; 2] = ["IMUASID", "IMUCTR"];

/// Those of micro-TLB `id`. IMUCTR, which enables it, comes last.
pub(crate) fn utlb(features: &Features, id: UtlbId) -> [Kept; UTLB.len()] {
    let flush = IMUCTR::zeroed().with_flush(true);

    [
        Kept::new(features.micro_tlb::<IMUASID>(id)),
        Kept::new(features.micro_tlb::<IMUCTR>(id)).with_commands(flush),
    ]
}

/// The registers of an instance as a whole, by name.
pub(crate) const CONTROL: [&str; 2] = ["IMSCTLR", "IMSAUXCTLR"];

/// Those of any instance of the generation; Gen2 has none.
pub(crate) fn control(features: &Features) -> Option<[Kept; CONTROL.len()]> {
    Some([
        Kept::new(features.control::<IMSCTLR>()?),
        Kept::new(features.control::<IMSAUXCTLR>()?),
    ])
}

/// Has the normal world have access, whatever the firmware left in `control`; whether that is
/// something else than it was.
pub(crate) fn clear_secgrp(control: &mut [Kept; CONTROL.len()]) -> bool {
    let imsctlr = &mut control[0];
    let before = imsctlr.value();

    imsctlr.set(IMSCTLR::from(before).with_use_secgrp(false).into());
    imsctlr.value() != before
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

    /// Saves `registers` from one memory and restores them to an empty one.
    fn round_trip(features: &Features, registers: &mut [Kept]) -> Result<(Memory, Memory)> {
        let (from, to) = (
            Memory::new(features, 0x01234567)?,
            Memory::new(features, 0)?,
        );

        for kept in &mut *registers {
            kept.save(&from);
        }
        for kept in registers {
            kept.restore(&to);
        }
        Ok((from, to))
    }

    /// What is wrong with the context of a root after a round trip.
    fn fault_of_root(features: &Features) -> Result<Option<&'static str>> {
        let id = features.contexts().last().ok_or(EINVAL)?;
        let first = first_of_context(features, true);
        let (from, to) = round_trip(features, &mut context(features, id)[first..])?;
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
    fn what_does_not_come_back_is_found_but_not_commands() -> Result {
        let id = GEN3.contexts().last().ok_or(EINVAL)?;
        let mut registers = context(&GEN3, id);
        let (_, to) = round_trip(&GEN3, &mut registers)?;
        let [.., immair0, imctr] = registers;

        assert_eq!(immair0.lost(&to), None);
        assert_eq!(imctr.lost(&to), None);
        to.write_at(immair0.offset(), 1);
        assert_eq!(immair0.lost(&to), Some(1));
        to.write_at(imctr.offset(), 1 | FLUSH);
        assert_eq!(imctr.lost(&to), Some(1));
        Ok(())
    }

    #[test]
    fn control_registers_come_back_without_secgrp() -> Result {
        let mut registers = control(&GEN4).ok_or(EINVAL)?;
        let (from, to) = round_trip(&GEN4, &mut registers)?;

        assert_eq!(to.read_at(0x1500), from.read_at(0x1500));
        assert_eq!(to.read_at(0x1504), from.read_at(0x1504));
        assert_eq!(to.writes.borrow().len(), 2);
        registers[0].set(!0);
        assert!(clear_secgrp(&mut registers));
        assert_eq!(registers[0].value(), !(1 << 28));
        assert!(!clear_secgrp(&mut registers));
        Ok(())
    }

    #[test]
    fn a_cache_has_imctr_alone() -> Result {
        let id = GEN3.contexts().last().ok_or(EINVAL)?;
        let first = first_of_context(&GEN3, false);
        let (_, to) = round_trip(&GEN3, &mut context(&GEN3, id)[first..])?;

        assert_eq!(to.writes.borrow().len(), 1);
        assert_eq!(to.wrote(0), Some(GEN3.context::<IMCTR>(id).offset()));
        Ok(())
    }

    #[test]
    fn a_micro_tlb_comes_back_with_imuctr_last() -> Result {
        for features in [&GEN2, &GEN3, &GEN4] {
            let id = features.utlbs().last().ok_or(EINVAL)?;
            let imuctr = features.micro_tlb::<IMUCTR>(id).offset();
            let imuasid = features.micro_tlb::<IMUASID>(id).offset();
            let (from, to) = round_trip(features, &mut utlb(features, id))?;

            assert_eq!(to.read_at(imuctr), from.read_at(imuctr) | FLUSH);
            assert_eq!(to.read_at(imuasid), from.read_at(imuasid));
            assert_eq!(to.wrote(1), Some(imuctr));
            assert_eq!(to.writes.borrow().len(), 2);
        }
        Ok(())
    }
}
