// SPDX-License-Identifier: GPL-2.0

//! The registers that an instance loses with its power: what they are, and how they are saved,
//! written back and compared.
//!
//! Each instance stores what it saves in a [`SaveArea`].

use kernel::{
    io::register::Register,
    prelude::*, //
};

use crate::{
    features::*,
    mismatch::*,
    regs::*,
    table, //
};

/// A register that is saved.
struct Entry {
    name: &'static str,
    /// Bytes from the first register of its part.
    offset: usize,
    /// Bits that are set in each write, and not compared.
    command: u32,
    /// Bits that are never set.
    never: u32,
    /// Whether others may write the register. For all other registers the value is known.
    is_open: bool,
}

const fn entry<R: Register>(name: &'static str) -> Entry {
    Entry {
        name,
        offset: R::OFFSET,
        command: 0,
        never: 0,
        is_open: false,
    }
}

const fn open<R: Register>(name: &'static str) -> Entry {
    Entry {
        is_open: true,
        ..entry::<R>(name)
    }
}

/// The registers that say what a context walks. Stage 2 has no IMMAIR0, and only Gen2 has IMBUSCR,
/// in which upstream's driver preserves all bits except those below.
const WALK: [Entry; 5] = [
    entry::<IMTTLBR0>("IMTTLBR0"),
    entry::<IMTTUBR0>("IMTTUBR0"),
    entry::<IMTTBCR>("IMTTBCR"),
    entry::<IMMAIR0>("IMMAIR0"),
    Entry {
        // No DVM, and the first bus.
        never: IMBUSCR::DVM_MASK | IMBUSCR::BUSSEL_MASK,
        ..open::<IMBUSCR>("IMBUSCR")
    },
];

const CONTROL_OF_CONTEXT: [Entry; 1] = [Entry {
    command: IMCTR::FLUSH_MASK,
    ..entry::<IMCTR>("IMCTR")
}];

const UTLB: [Entry; 2] = [
    open::<IMUASID>("IMUASID"),
    Entry {
        command: IMUCTR::FLUSH_MASK,
        ..entry::<IMUCTR>("IMUCTR")
    },
];

const CONTROL: [Entry; 2] = [
    Entry {
        // Undefined at reset. No DMA gets through while it is set.
        never: IMSCTLR::USE_SECGRP_MASK,
        ..open::<IMSCTLR>("IMSCTLR")
    },
    open::<IMSAUXCTLR>("IMSAUXCTLR"),
];

/// Registers of one part with their values, in the order in which they are written.
#[derive(Clone)]
pub(crate) struct Saved {
    part: Part,
    entries: &'static [Entry],
    /// Bytes from the start of the instance's registers to the first register of the part.
    first: usize,
    values: [u32; WALK.len()],
}

impl Saved {
    /// Returns the registers with which context `id` walks `table`.
    pub(crate) fn walk(features: &Features, id: ContextId, table: table::Hardware) -> Self {
        let count = match (features.stage_2, features.split) {
            (true, _) => 3,
            (false, true) => 4,
            (false, false) => 5,
        };

        Self {
            part: Part::Context(id),
            entries: &WALK[..count],
            first: features.first_of_context(id),
            values: [
                table.base as u32,
                (table.base >> 32) as u32,
                features.ttbcr().into(),
                table.mair as u32,
                0,
            ],
        }
    }

    /// Returns IMCTR of context `id` with `value`. Writing it drops the translations of the
    /// context.
    pub(crate) fn imctr(features: &Features, id: ContextId, value: IMCTR) -> Self {
        Self {
            part: Part::Context(id),
            entries: &CONTROL_OF_CONTEXT,
            first: features.first_of_context(id),
            values: [value.into(), 0, 0, 0, 0],
        }
    }

    /// Returns micro-TLB `id` as it points to `context`. Writing it drops its translations.
    pub(crate) fn utlb(features: &Features, id: UtlbId, context: ContextId) -> Self {
        Self {
            part: Part::Utlb(id),
            entries: &UTLB,
            first: features.first_of_utlb(id),
            values: [0, imuctr_on(context).into(), 0, 0, 0],
        }
    }

    /// Returns the control registers of an instance, which the firmware may have set up; none on
    /// Gen2.
    pub(crate) fn control(features: &Features) -> Self {
        Self {
            part: Part::Control,
            entries: if features.split { &CONTROL } else { &[] },
            first: features.control_base,
            values: [0; WALK.len()],
        }
    }

    /// Returns the control registers with what they need besides the firmware's settings.
    pub(crate) fn with_required(mut self, required: IMSCTLR) -> Self {
        self.values[0] |= u32::from(required);
        self
    }

    /// Returns the control registers of a root with tables of stage 2, or of stage 1.
    pub(crate) fn with_s2pte(mut self, s2pte: bool) -> Self {
        self.values[1] = IMSAUXCTLR::from(self.values[1]).with_s2pte(s2pte).into();
        self
    }

    /// Reads the registers that others may write. 1 read each.
    pub(crate) fn read(mut self, regs: &impl Registers) -> Self {
        for (entry, value) in self.entries.iter().zip(&mut self.values) {
            if entry.is_open {
                *value = regs.read_at(self.first + entry.offset) & !entry.never;
            }
        }
        self
    }

    /// Reads the registers that others may write, and returns what is to be written back. Returns
    /// none if the hardware does not hold all of it, and notes that in `wrong`. The values cannot
    /// be trusted then: they may come from hardware without a clock.
    pub(crate) fn save(self, regs: &impl Registers, wrong: &mut Mismatches) -> Option<Self> {
        let saved = self.read(regs);

        saved.verify(regs, wrong).then_some(saved)
    }

    /// Writes the values, and returns them for comparison. 1 write each.
    pub(crate) fn restore(self, regs: &impl Registers) -> Self {
        for (entry, value) in self.entries.iter().zip(self.values) {
            regs.write_at(self.first + entry.offset, value | entry.command);
        }
        self
    }

    /// Returns whether the hardware holds the values, and notes in `wrong` which it does not hold.
    /// 1 read each.
    #[inline(never)]
    pub(crate) fn verify(&self, regs: &impl Registers, wrong: &mut Mismatches) -> bool {
        let mut good = true;

        for (entry, expected) in self.entries.iter().zip(self.values) {
            let found = regs.read_at(self.first + entry.offset) & !entry.command;
            if found != expected {
                good = false;
                wrong.note(self.part, entry.name, found, expected);
            }
        }
        good
    }
}

/// Returns whether a root walks tables of stage 2, if `features` want that, and notes in `wrong` if
/// it does not: stage 1, which a reset leaves, has other bits for permissions. 1 read in stage 2.
pub(crate) fn verify_stage(
    features: &Features,
    root: &impl Registers,
    wrong: &mut Mismatches,
) -> bool {
    if !features.stage_2 {
        return true;
    }
    let found = IMSAUXCTLR::from(root.read_at(features.control_base + IMSAUXCTLR::OFFSET));

    if !found.s2pte() {
        let expected = found.with_s2pte(true);
        wrong.note(Part::Control, "IMSAUXCTLR", found.into(), expected.into());
    }
    found.s2pte()
}

/// Returns IMUCTR of a micro-TLB that points to `context`.
pub(crate) fn imuctr_on(context: ContextId) -> IMUCTR {
    let ttsel = ((context.index() as u32) << IMUCTR::TTSEL_SHIFT) & IMUCTR::TTSEL_MASK;

    IMUCTR::from(ttsel).with_mmuen(true)
}

/// The saved registers of one instance.
pub(crate) struct SaveArea {
    /// The control registers as last saved. An instance with nothing in use goes on with them.
    pub(crate) control: Saved,
    /// What each context walks; in a root only.
    pub(crate) walks: KVec<Option<Saved>>,
    pub(crate) utlbs: KVec<Option<Saved>>,
    /// What the hardware did not hold, until it is logged.
    pub(crate) wrong: Mismatches,
}

impl SaveArea {
    /// Creates an empty area of the size that the generation needs. May sleep. Fails with `ENOMEM`.
    pub(crate) fn new(features: &Features) -> Result<Self> {
        Ok(Self {
            control: Saved::control(features),
            walks: KVec::from_elem(None, features.contexts().count(), GFP_KERNEL)?,
            utlbs: KVec::from_elem(None, features.utlb_count(), GFP_KERNEL)?,
            wrong: Mismatches::default(),
        })
    }

    /// Returns whether nothing is saved besides the control registers. Any context.
    pub(crate) fn is_empty(&self) -> bool {
        self.walks.iter().all(Option::is_none) && self.utlbs.iter().all(Option::is_none)
    }

    /// Discards what was saved of context `id` and of `utlbs`. Any context.
    pub(crate) fn forget(&mut self, features: &Features, id: ContextId, utlbs: u64) {
        self.walks[id.index()] = None;
        for utlb in features.utlbs_in(utlbs) {
            self.utlbs[utlb.index()] = None;
        }
    }
}

#[kunit_tests(ipmmu_saved)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::features::{
        GEN2,
        GEN3,
        GEN4, //
    };

    const SOMEWHERE: table::Hardware = table::Hardware {
        base: 0x12_3456_7000,
        mair: 0x89ab_cdef,
    };

    /// Memory that logs the offsets of writes, in order.
    struct Memory {
        words: RefCell<KVec<u32>>,
        writes: RefCell<KVec<usize>>,
    }

    impl Memory {
        /// Creates memory in which each register has a value of its own, unless `seed` is 0.
        fn new(features: &Features, seed: u32) -> Result<Self> {
            let mut words = KVec::new();
            for i in 0..features.register_bytes() as u32 / 4 {
                words.push(i.wrapping_mul(seed), GFP_KERNEL)?;
            }
            Ok(Self {
                words: RefCell::new(words),
                writes: RefCell::new(KVec::new()),
            })
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

    #[test]
    fn what_a_context_walks_comes_back_and_imctr_is_not_touched() -> Result {
        for (features, count) in [(&GEN2, 5), (&GEN3, 4), (&GEN4, 4)] {
            let id = features.contexts().last().ok_or(EINVAL)?;
            let (from, to) = (
                Memory::new(features, 0x0123_4567)?,
                Memory::new(features, 0)?,
            );
            let walk = Saved::walk(features, id, SOMEWHERE);

            let mut wrong = Mismatches::default();

            walk.clone().restore(&from);
            let saved = walk.save(&from, &mut wrong).ok_or(EIO)?;
            let restored = saved.restore(&to);
            assert!(restored.verify(&to, &mut wrong) && wrong.is_empty());
            assert_eq!(to.writes.borrow().len(), count);
            assert_eq!(to.read_at(features.context::<IMCTR>(id).offset()), 0);
        }
        Ok(())
    }

    #[test]
    fn a_register_that_does_not_come_back_is_named() -> Result {
        let id = GEN3.contexts().last().ok_or(EINVAL)?;
        let memory = Memory::new(&GEN3, 0x0123_4567)?;
        let restored = Saved::walk(&GEN3, id, SOMEWHERE).restore(&memory);
        let mut wrong = Mismatches::default();

        memory.write_at(GEN3.context::<IMMAIR0>(id).offset(), 1);
        assert!(!restored.verify(&memory, &mut wrong));
        let named = wrong.iter().map(|m| (m.register, m.found));
        assert!(named.eq([("IMMAIR0", 1)]));
        Ok(())
    }

    #[test]
    fn what_reads_wrong_is_not_saved() -> Result {
        let id = GEN3.contexts().last().ok_or(EINVAL)?;
        let utlb = GEN3.utlbs().last().ok_or(EINVAL)?;
        let memory = Memory::new(&GEN3, 0)?;
        let mut wrong = Mismatches::default();

        let walk = Saved::walk(&GEN3, id, SOMEWHERE);
        assert!(walk.save(&memory, &mut wrong).is_none());
        let utlb = Saved::utlb(&GEN3, utlb, id);
        assert!(utlb.save(&memory, &mut wrong).is_none());
        assert_eq!(wrong.iter().count(), 4 + 1);
        Ok(())
    }

    #[test]
    fn a_micro_tlb_comes_back_with_imuctr_last_and_a_flush() -> Result {
        for features in [&GEN2, &GEN3, &GEN4] {
            let id = features.utlbs().last().ok_or(EINVAL)?;
            let imuctr = features.micro_tlb::<IMUCTR>(id).offset();
            let (from, to) = (Memory::new(features, 8)?, Memory::new(features, 0)?);
            let context = features.contexts().last().ok_or(EINVAL)?;
            let expected: u32 = imuctr_on(context).into();

            from.write_at(imuctr, expected);
            let mut wrong = Mismatches::default();
            let saved = Saved::utlb(features, id, context).save(&from, &mut wrong);
            let restored = saved.ok_or(EIO)?.restore(&to);
            assert_eq!(to.read_at(imuctr), expected | 2);
            assert_eq!(to.read_at(imuctr + 8), from.read_at(imuctr + 8));
            assert_eq!(to.writes.borrow().last(), Some(&imuctr));
            assert_eq!(to.writes.borrow().len(), 2);
            assert!(restored.verify(&to, &mut Mismatches::default()));
        }
        Ok(())
    }

    #[test]
    fn control_registers_come_back_without_secgrp() -> Result {
        let from = Memory::new(&GEN4, !0)?;
        let to = Memory::new(&GEN4, 0)?;

        from.write_at(0x1500, !0);
        from.write_at(0x1504, 8);
        let restored = Saved::control(&GEN4).read(&from).restore(&to);
        assert_eq!((to.read_at(0x1500), to.read_at(0x1504)), (!(1 << 28), 8));
        assert!(restored.verify(&to, &mut Mismatches::default()));
        assert!(Saved::control(&GEN2).entries.is_empty());
        Ok(())
    }

    #[test]
    fn what_is_forgotten_is_not_there() -> Result {
        let mut area = SaveArea::new(&GEN3)?;
        let (id, utlb_id) = (
            GEN3.contexts().last().ok_or(EINVAL)?,
            GEN3.utlb(40).ok_or(EINVAL)?,
        );

        area.utlbs[utlb_id.index()] = Some(Saved::utlb(&GEN3, utlb_id, id));
        area.walks[id.index()] = Some(Saved::walk(&GEN3, id, SOMEWHERE));
        assert!(!area.is_empty());
        area.forget(&GEN3, id, utlb_id.bit());
        assert!(area.is_empty());
        Ok(())
    }
}
