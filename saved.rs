// SPDX-License-Identifier: GPL-2.0

//! The registers that an instance loses with its power: what they are, and how they are saved,
//! written back and compared.
//!
//! What was saved is moved into the function that writes it back, so that it is not written twice.
//! It is kept by the instance that it is of, see [`SaveArea`].

use kernel::{
    io::register::Register,
    prelude::*, //
};

use crate::{
    features::{
        ContextId,
        Features,
        UtlbId, //
    },
    regs::*,
    table, //
};

/// The part of an instance that a register is of.
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mismatch {
    pub(crate) part: Part,
    pub(crate) register: &'static str,
    pub(crate) found: u32,
    pub(crate) expected: u32,
}

/// A register that is saved.
struct Entry {
    name: &'static str,
    /// Bytes from the first register of its part.
    offset: usize,
    /// Bits that are set in each write, and neither saved nor compared.
    command: u32,
    /// Bits that are never set.
    never: u32,
}

const fn entry<R: Register>(name: &'static str) -> Entry {
    Entry {
        name,
        offset: R::OFFSET,
        command: 0,
        never: 0,
    }
}

/// What a context walks. Stage 2 has no IMMAIR0, and only Gen2 has IMBUSCR.
const WALK: [Entry; 5] = [
    entry::<IMTTLBR0>("IMTTLBR0"),
    entry::<IMTTUBR0>("IMTTUBR0"),
    entry::<IMTTBCR>("IMTTBCR"),
    entry::<IMMAIR0>("IMMAIR0"),
    entry::<IMBUSCR>("IMBUSCR"),
];

const CONTROL_OF_CONTEXT: [Entry; 1] = [Entry {
    command: IMCTR::FLUSH_MASK,
    ..entry::<IMCTR>("IMCTR")
}];

const UTLB: [Entry; 2] = [
    entry::<IMUASID>("IMUASID"),
    Entry {
        command: IMUCTR::FLUSH_MASK,
        ..entry::<IMUCTR>("IMUCTR")
    },
];

const CONTROL: [Entry; 2] = [
    Entry {
        // Undefined at reset, and no DMA gets through while it is set.
        never: IMSCTLR::USE_SECGRP_MASK,
        ..entry::<IMSCTLR>("IMSCTLR")
    },
    entry::<IMSAUXCTLR>("IMSAUXCTLR"),
];

/// Some registers of one part with their values, in the order in which they are written.
#[derive(Clone, Copy)]
pub(crate) struct Saved {
    part: Part,
    entries: &'static [Entry],
    /// Bytes from the start of the instance's registers to the first of the part.
    first: usize,
    values: [u32; WALK.len()],
}

impl Saved {
    /// Returns `table` as what context `id` walks.
    pub(crate) fn walk(features: &Features, id: ContextId, table: table::Hardware) -> Self {
        let count = match (features.has_stage_2(), features.split) {
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
                // Without DVM, and on the first bus.
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

    /// Returns the registers of an instance as a whole, which firmware may have set up; none on
    /// Gen2.
    pub(crate) fn control(features: &Features) -> Self {
        Self {
            part: Part::Control,
            entries: if features.split { &CONTROL } else { &[] },
            first: features.control_base,
            values: [0; WALK.len()],
        }
    }

    /// Returns the first value.
    pub(crate) fn value(&self) -> u32 {
        self.values[0]
    }

    /// Returns the registers of an instance as a whole as they must be beside what the firmware has
    /// set up: with `required`, and in a root with the stage of its tables.
    pub(crate) fn with_required(
        mut self,
        features: &Features,
        is_root: bool,
        required: IMSCTLR,
    ) -> Self {
        self.values[0] |= u32::from(required);
        if is_root {
            let imsauxctlr = IMSAUXCTLR::from(self.values[1]).with_s2pte(features.has_stage_2());
            self.values[1] = imsauxctlr.into();
        }
        self
    }

    /// Returns the registers of an instance as a whole for tables of stage 1.
    pub(crate) fn with_stage_1(mut self) -> Self {
        self.values[1] = IMSAUXCTLR::from(self.values[1]).with_s2pte(false).into();
        self
    }

    /// Takes over the values from the hardware: 1 read each.
    pub(crate) fn save(mut self, regs: &impl Registers) -> Self {
        for (entry, value) in self.entries.iter().zip(&mut self.values) {
            *value = regs.read_at(self.first + entry.offset) & !(entry.command | entry.never);
        }
        self
    }

    /// Writes the values: 1 write each. Returns what to compare.
    pub(crate) fn restore(self, regs: &impl Registers) -> Restored {
        for (entry, value) in self.entries.iter().zip(self.values) {
            regs.write_at(self.first + entry.offset, value | entry.command);
        }
        Restored(self)
    }

    /// Returns whether the hardware holds the values, and tells `report` what it does not hold: 1
    /// read each.
    #[inline(never)]
    pub(crate) fn verify(&self, regs: &impl Registers, report: &mut dyn FnMut(Mismatch)) -> bool {
        let mut good = true;

        for (entry, expected) in self.entries.iter().zip(self.values) {
            let found = regs.read_at(self.first + entry.offset) & !entry.command;
            if found != expected {
                good = false;
                report(Mismatch {
                    part: self.part,
                    register: entry.name,
                    found,
                    expected,
                });
            }
        }
        good
    }
}

/// What was written.
pub(crate) struct Restored(Saved);

impl Restored {
    /// Does [`Saved::verify`].
    pub(crate) fn verify(&self, regs: &impl Registers, report: &mut dyn FnMut(Mismatch)) -> bool {
        self.0.verify(regs, report)
    }
}

/// Returns IMUCTR of a micro-TLB that points to `context`.
pub(crate) fn imuctr_on(context: ContextId) -> IMUCTR {
    let ttsel = ((context.index() as u32) << IMUCTR::TTSEL_SHIFT) & IMUCTR::TTSEL_MASK;

    IMUCTR::from(ttsel).with_mmuen(true)
}

/// What an instance loses of a context that is on.
pub(crate) struct SavedContext {
    /// Of a root.
    pub(crate) walk: Option<Saved>,
    pub(crate) imctr: Saved,
}

/// What one instance has saved.
pub(crate) struct SaveArea {
    /// Of the last time that they were saved; a cache with nothing in use goes on with them.
    pub(crate) control: Saved,
    contexts: KVec<Option<SavedContext>>,
    utlbs: KVec<Option<Saved>>,
}

impl SaveArea {
    /// Makes an area in which nothing is saved, as large as the generation needs. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(features: &Features) -> Result<Self> {
        let mut contexts = KVec::new();
        let mut utlbs = KVec::new();

        for _ in features.contexts() {
            contexts.push(None, GFP_KERNEL)?;
        }
        for _ in features.utlbs() {
            utlbs.push(None, GFP_KERNEL)?;
        }
        Ok(Self {
            control: Saved::control(features),
            contexts,
            utlbs,
        })
    }

    /// Returns the place for context `id`. Any context.
    pub(crate) fn context(&mut self, id: ContextId) -> &mut Option<SavedContext> {
        &mut self.contexts[id.index()]
    }

    /// Returns the place for micro-TLB `id`. Any context.
    pub(crate) fn utlb(&mut self, id: UtlbId) -> &mut Option<Saved> {
        &mut self.utlbs[id.index()]
    }

    /// Forgets what was saved of context `id` and of `utlbs`. Any context.
    pub(crate) fn forget(&mut self, features: &Features, id: ContextId, utlbs: u64) {
        *self.context(id) = None;
        for utlb in features.utlbs_in(utlbs) {
            *self.utlb(utlb) = None;
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

    const NOWHERE: table::Hardware = table::Hardware { base: 0, mair: 0 };

    /// Memory that notes what is written, in order.
    struct Memory {
        words: RefCell<KVec<u32>>,
        writes: RefCell<KVec<usize>>,
    }

    impl Memory {
        /// Every register holds a value of its own, unless `seed` is 0.
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

    fn nothing(mismatch: Mismatch) {
        panic!("{}", mismatch.register);
    }

    #[test]
    fn what_a_context_walks_comes_back_and_imctr_is_not_touched() -> Result {
        for (features, count) in [(&GEN2, 5), (&GEN3, 4), (&GEN4, 4)] {
            let id = features.contexts().last().ok_or(EINVAL)?;
            let (from, to) = (
                Memory::new(features, 0x0123_4567)?,
                Memory::new(features, 0)?,
            );
            let restored = Saved::walk(features, id, NOWHERE).save(&from).restore(&to);

            assert!(restored.verify(&to, &mut nothing));
            assert!(restored.verify(&from, &mut nothing));
            assert_eq!(to.writes.borrow().len(), count);
            assert_eq!(to.read_at(features.context::<IMCTR>(id).offset()), 0);
        }
        Ok(())
    }

    #[test]
    fn a_register_that_does_not_come_back_is_named() -> Result {
        let id = GEN3.contexts().last().ok_or(EINVAL)?;
        let memory = Memory::new(&GEN3, 0x0123_4567)?;
        let restored = Saved::walk(&GEN3, id, NOWHERE)
            .save(&memory)
            .restore(&memory);
        let mut named = KVec::new();

        memory.write_at(GEN3.context::<IMMAIR0>(id).offset(), 1);
        assert!(!restored.verify(&memory, &mut |mismatch: Mismatch| {
            let _ = named.push((mismatch.register, mismatch.found), GFP_KERNEL);
        }));
        assert_eq!(&named[..], &[("IMMAIR0", 1)]);
        Ok(())
    }

    #[test]
    fn a_micro_tlb_comes_back_with_imuctr_last_and_a_flush() -> Result {
        for features in [&GEN2, &GEN3, &GEN4] {
            let id = features.utlbs().last().ok_or(EINVAL)?;
            let imuctr = features.micro_tlb::<IMUCTR>(id).offset();
            let (from, to) = (Memory::new(features, 8)?, Memory::new(features, 0)?);
            let context = features.contexts().last().ok_or(EINVAL)?;
            let restored = Saved::utlb(features, id, context).save(&from).restore(&to);

            assert_eq!(to.read_at(imuctr), from.read_at(imuctr) | 2);
            assert_eq!(to.writes.borrow().last(), Some(&imuctr));
            assert_eq!(to.writes.borrow().len(), 2);
            assert!(restored.verify(&to, &mut nothing));
        }
        Ok(())
    }

    #[test]
    fn control_registers_come_back_without_secgrp() -> Result {
        let from = Memory::new(&GEN4, !0)?;
        let to = Memory::new(&GEN4, 0)?;

        from.write_at(0x1500, !0);
        from.write_at(0x1504, 8);
        let restored = Saved::control(&GEN4).save(&from).restore(&to);
        assert_eq!((to.read_at(0x1500), to.read_at(0x1504)), (!(1 << 28), 8));
        assert!(restored.verify(&to, &mut nothing));
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

        *area.utlb(utlb_id) = Some(Saved::utlb(&GEN3, utlb_id, id));
        *area.context(id) = Some(SavedContext {
            walk: None,
            imctr: Saved::imctr(&GEN3, id, IMCTR::from(0)),
        });
        area.forget(&GEN3, id, utlb_id.bit());
        assert!(area.context(id).is_none() && area.utlb(utlb_id).is_none());
        Ok(())
    }
}
