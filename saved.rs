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
use pin_init::Zeroable;

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

/// A register and its value.
#[derive(Clone, Copy)]
pub(crate) struct SavedRegister {
    part: Part,
    name: &'static str,
    /// Bytes from the start of the instance's registers.
    offset: usize,
    value: u32,
    /// Bits that are never taken over from the hardware.
    never: u32,
    /// Bits that are set in each write, and not compared: commands.
    always: u32,
}

impl SavedRegister {
    /// Makes register `R` at `at`, named `name`, with `value`.
    fn new<R: Register>(part: Part, name: &'static str, at: At<R>, value: u32) -> Self {
        Self {
            part,
            name,
            offset: at.offset(),
            value,
            never: 0,
            always: 0,
        }
    }

    /// Makes IMCTR of context `id`, which flushes when it is written.
    pub(crate) fn imctr(features: &Features, id: ContextId, value: IMCTR) -> Self {
        let flush = IMCTR::zeroed().with_flush(true).into();

        Self {
            never: flush,
            always: flush,
            ..Self::new::<IMCTR>(
                Part::Context(id),
                "IMCTR",
                features.context(id),
                value.into(),
            )
        }
    }

    /// Takes over the value from the hardware. 1 read.
    pub(crate) fn save(mut self, regs: &impl Registers) -> Self {
        self.value = regs.read_at(self.offset) & !self.never;
        self
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> u32 {
        self.value
    }

    /// Writes the value. 1 write.
    pub(crate) fn write(&self, regs: &impl Registers) {
        regs.write_at(self.offset, self.value | self.always);
    }

    /// Returns whether the hardware holds the value, and tells `report` if it does not. 1 read.
    pub(crate) fn verify(&self, regs: &impl Registers, report: &mut impl FnMut(Mismatch)) -> bool {
        let found = regs.read_at(self.offset) & !self.always;

        if found != self.value {
            report(Mismatch {
                part: self.part,
                register: self.name,
                found,
                expected: self.value,
            });
        }
        found == self.value
    }
}

/// Registers in the order in which they are written; those that the generation has.
#[derive(Clone, Copy)]
pub(crate) struct Saved<const N: usize>([Option<SavedRegister>; N]);

/// What a context of a root walks.
pub(crate) type Walk = Saved<5>;
/// What a micro-TLB points to.
pub(crate) type Utlb = Saved<2>;
/// The registers of an instance as a whole.
pub(crate) type Control = Saved<2>;

/// Returns what context `id` walks if that is `table`.
pub(crate) fn walk(features: &Features, id: ContextId, table: table::Hardware) -> Walk {
    let part = Part::Context(id);
    let lower =
        SavedRegister::new::<IMTTLBR0>(part, "IMTTLBR0", features.context(id), table.ttbr as u32);
    let upper = SavedRegister::new::<IMTTUBR0>(
        part,
        "IMTTUBR0",
        features.context(id),
        (table.ttbr >> 32) as u32,
    );
    let control = SavedRegister::new::<IMTTBCR>(
        part,
        "IMTTBCR",
        features.context(id),
        features.ttbcr().into(),
    );
    let attributes =
        SavedRegister::new::<IMMAIR0>(part, "IMMAIR0", features.context(id), table.mair as u32);
    // Without DVM, and on the first bus.
    let bus = features
        .has_imbuscr
        .then(|| SavedRegister::new::<IMBUSCR>(part, "IMBUSCR", features.context(id), 0));

    Saved([
        Some(lower),
        Some(upper),
        Some(control),
        Some(attributes),
        bus,
    ])
}

/// Returns IMUCTR of a micro-TLB that points to `context`.
pub(crate) fn imuctr_on(context: ContextId) -> IMUCTR {
    let ttsel = ((context.index() as u32) << IMUCTR::TTSEL_SHIFT) & IMUCTR::TTSEL_MASK;

    IMUCTR::from(ttsel).with_mmuen(true)
}

/// Returns what micro-TLB `id` holds if it points to `context`. Writing it drops its translations.
pub(crate) fn utlb(features: &Features, id: UtlbId, context: ContextId) -> Utlb {
    let part = Part::Utlb(id);
    let flush = IMUCTR::zeroed().with_flush(true).into();
    let imuasid = SavedRegister::new::<IMUASID>(part, "IMUASID", features.micro_tlb(id), 0);
    let imuctr = SavedRegister {
        never: flush,
        always: flush,
        ..SavedRegister::new::<IMUCTR>(
            part,
            "IMUCTR",
            features.micro_tlb(id),
            imuctr_on(context).into(),
        )
    };

    Saved([Some(imuasid), Some(imuctr)])
}

/// Returns the registers of an instance as a whole, which firmware may have set up; none on Gen2.
pub(crate) fn control(features: &Features) -> Control {
    let imsctlr = features.control::<IMSCTLR>().map(|at| SavedRegister {
        // Undefined at reset, and no DMA gets through while it is set.
        never: IMSCTLR::zeroed().with_use_secgrp(true).into(),
        ..SavedRegister::new(Part::Control, "IMSCTLR", at, 0)
    });
    let imsauxctlr = features
        .control::<IMSAUXCTLR>()
        .map(|at| SavedRegister::new(Part::Control, "IMSAUXCTLR", at, 0));

    Saved([imsctlr, imsauxctlr])
}

impl<const N: usize> Saved<N> {
    /// Takes over the values from the hardware: 1 read each.
    pub(crate) fn save(self, regs: &impl Registers) -> Self {
        Self(
            self.0
                .map(|register| register.map(|register| register.save(regs))),
        )
    }

    /// Returns whether the hardware holds the values: 1 read each.
    pub(crate) fn matches(self, regs: &impl Registers) -> bool {
        Restored(self).verify(regs, &mut |_| ())
    }

    /// Writes the values: 1 write each. Returns what to compare.
    pub(crate) fn restore(self, regs: &impl Registers) -> Restored<N> {
        for register in self.0.iter().flatten() {
            register.write(regs);
        }
        Restored(self)
    }
}

/// What was written.
pub(crate) struct Restored<const N: usize>(Saved<N>);

impl<const N: usize> Restored<N> {
    /// Returns whether the hardware holds the values, and tells `report` what it does not hold: 1
    /// read each.
    pub(crate) fn verify(&self, regs: &impl Registers, report: &mut impl FnMut(Mismatch)) -> bool {
        let mut good = true;

        for register in self.0 .0.iter().flatten() {
            good &= register.verify(regs, report);
        }
        good
    }
}

/// What an instance loses of a context that is on.
pub(crate) struct SavedContext {
    /// Of a root.
    pub(crate) walk: Option<Walk>,
    pub(crate) imctr: SavedRegister,
}

/// What one instance has saved.
pub(crate) struct SaveArea {
    /// Of the last time that they were saved; a cache with nothing in use goes on with them.
    pub(crate) control: Control,
    contexts: KVec<Option<SavedContext>>,
    utlbs: KVec<Option<Utlb>>,
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
            control: control(features),
            contexts,
            utlbs,
        })
    }

    /// Returns the place for context `id`. Any context.
    pub(crate) fn context(&mut self, id: ContextId) -> &mut Option<SavedContext> {
        &mut self.contexts[id.index()]
    }

    /// Returns the place for micro-TLB `id`. Any context.
    pub(crate) fn utlb(&mut self, id: UtlbId) -> &mut Option<Utlb> {
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

    const NOWHERE: table::Hardware = table::Hardware { ttbr: 0, mair: 0 };

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
            let restored = walk(features, id, NOWHERE).save(&from).restore(&to);

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
        let restored = walk(&GEN3, id, NOWHERE).save(&memory).restore(&memory);
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
            let restored = utlb(features, id, context).save(&from).restore(&to);

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
        let restored = control(&GEN4).save(&from).restore(&to);
        assert_eq!((to.read_at(0x1500), to.read_at(0x1504)), (!(1 << 28), 8));
        assert!(restored.verify(&to, &mut nothing));
        assert!(control(&GEN2).0.iter().flatten().next().is_none());
        Ok(())
    }

    #[test]
    fn what_is_forgotten_is_not_there() -> Result {
        let mut area = SaveArea::new(&GEN3)?;
        let (id, utlb_id) = (
            GEN3.contexts().last().ok_or(EINVAL)?,
            GEN3.utlb(40).ok_or(EINVAL)?,
        );

        *area.utlb(utlb_id) = Some(utlb(&GEN3, utlb_id, id));
        *area.context(id) = Some(SavedContext {
            walk: None,
            imctr: SavedRegister::imctr(&GEN3, id, IMCTR::zeroed()),
        });
        area.forget(&GEN3, id, utlb_id.bit());
        assert!(area.context(id).is_none() && area.utlb(utlb_id).is_none());
        Ok(())
    }
}
