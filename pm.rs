// SPDX-License-Identifier: GPL-2.0

//! Suspend and resume: what is saved, when, and how it comes back.
//!
//! PSCI SYSTEM_SUSPEND powers the SoC down, and every register of every IPMMU is lost. Page tables
//! and cached translations are not the matter here: the tables stay in RAM, and an empty TLB fills
//! itself. What must come back is which table each context walks, and which context each micro-TLB
//! uses.
//!
//! # Order
//!
//! Masters sleep first, then the caches that they are behind, then the root; they wake up the
//! other way round. Device links make it so: cache to root at probe, master to cache when the IOMMU
//! core adds the master. All of it is in the noirq phase, after the masters' own suspend callbacks
//! and before their resume callbacks.
//!
//! Within an instance, contexts come back before micro-TLBs, and in a context IMCTR comes last, so
//! that no micro-TLB is ever pointed to a context that is only half there.

use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::{
        new_spinlock_irq,
        SpinLockIrq, //
    },
};
use pin_init::Zeroable;

use crate::{
    abstractions::devm,
    features::{
        ContextId,
        Features,
        UtlbId, //
    },
    ipmmu::{
        Ipmmu,
        Registers, //
    },
    regs::{
        IMBUSCR,
        IMCTR,
        IMMAIR0,
        IMTTBCR,
        IMTTLBR0,
        IMTTUBR0,
        IMUASID,
        IMUCTR, //
    },
};

/// A context's registers. In a cache there is IMCTR alone.
#[derive(Clone, Copy, Zeroable)]
#[repr(C)]
struct ContextRegs {
    imttlbr0: u32,
    imttubr0: u32,
    imttbcr: u32,
    immair0: u32,
    imbuscr: u32,
    imctr: u32,
}

impl ContextRegs {
    /// 5 reads, on Gen2 6; in a cache 1.
    fn save(regs: &impl Registers, features: &Features, id: ContextId, is_root: bool) -> Self {
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
    fn restore(&self, regs: &impl Registers, features: &Features, id: ContextId, is_root: bool) {
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
    fn named(&self) -> [(&'static str, u32); 6] {
        [
            ("IMTTLBR0", self.imttlbr0),
            ("IMTTUBR0", self.imttubr0),
            ("IMTTBCR", self.imttbcr),
            ("IMMAIR0", self.immair0),
            ("IMBUSCR", self.imbuscr),
            ("IMCTR", IMCTR::from(self.imctr).with_flush(false).into()),
        ]
    }
}

/// A micro-TLB's registers.
#[derive(Clone, Copy, Zeroable)]
#[repr(C)]
struct UtlbRegs {
    imuctr: u32,
    imuasid: u32,
}

impl UtlbRegs {
    /// 2 reads.
    fn save(regs: &impl Registers, features: &Features, id: UtlbId) -> Self {
        Self {
            imuctr: regs.read::<IMUCTR>(features.micro_tlb(id)).into(),
            imuasid: regs.read::<IMUASID>(features.micro_tlb(id)).into(),
        }
    }

    /// 2 writes, the one that enables last.
    fn restore(&self, regs: &impl Registers, features: &Features, id: UtlbId) {
        let imuctr = IMUCTR::from(self.imuctr).with_flush(true);

        regs.write(features.micro_tlb(id), IMUASID::from(self.imuasid));
        regs.write(features.micro_tlb(id), imuctr);
    }

    /// Both of them, with their names.
    fn named(&self) -> [(&'static str, u32); 2] {
        [
            ("IMUASID", self.imuasid),
            ("IMUCTR", IMUCTR::from(self.imuctr).with_flush(false).into()),
        ]
    }
}

/// A register that does not hold what was written to it.
#[derive(Debug, PartialEq, Eq)]
struct Lost {
    register: &'static str,
    expected: u32,
    found: u32,
}

/// The first register in which `found` differs from what is `expected`.
fn first_lost<const N: usize>(
    expected: [(&'static str, u32); N],
    found: [(&'static str, u32); N],
) -> Result<(), Lost> {
    let mut pairs = expected.into_iter().zip(found);

    match pairs.find(|((_, expected), (_, found))| expected != found) {
        None => Ok(()),
        Some(((register, expected), (_, found))) => Err(Lost {
            register,
            expected,
            found,
        }),
    }
}

/// Which of the slots hold something: a bit each.
struct Saved {
    contexts: u16,
    utlbs: u64,
}

/// Room for the registers of one instance, in device-managed memory that is allocated at probe, so
/// that suspend cannot fail for want of it.
struct Slots<'bound> {
    contexts: devm::Slice<'bound, ContextRegs>,
    utlbs: devm::Slice<'bound, UtlbRegs>,
    /// `None` while the instance is awake. Restoring takes it, and so cannot be done twice.
    saved: Option<Saved>,
}

impl Slots<'_> {
    /// Compares what is in the hardware with what was restored: as many reads as were saved.
    fn verify(&self, regs: &impl Registers, ipmmu: &Ipmmu, saved: &Saved) -> Result {
        let features = ipmmu.features();
        let mut result = Ok(());
        let mut report = |what: &str, index: usize, lost: Result<(), Lost>| {
            if let Err(lost) = lost {
                dev_err!(
                    ipmmu.dev(),
                    "{} {}: {} is 0x{:08x} after resume, 0x{:08x} expected\n",
                    what,
                    index,
                    lost.register,
                    lost.found,
                    lost.expected
                );
                result = Err(EIO);
            }
        };

        for id in features.contexts() {
            if saved.contexts & id.bit() != 0 {
                let now = ContextRegs::save(regs, features, id, ipmmu.is_root());
                let then = &self.contexts[id.index()];
                report("context", id.index(), first_lost(then.named(), now.named()));
            }
        }
        for id in features.utlbs() {
            if saved.utlbs & id.bit() != 0 {
                let now = UtlbRegs::save(regs, features, id);
                let then = &self.utlbs[id.index()];
                report("uTLB", id.index(), first_lost(then.named(), now.named()));
            }
        }
        result
    }
}

/// The backup of one instance.
#[pin_data]
pub(crate) struct Backup<'bound> {
    #[pin]
    slots: SpinLockIrq<Slots<'bound>>,
}

impl<'bound> Backup<'bound> {
    /// Allocates room for every register that can ever be in use in an instance with `features`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        dev: &'bound Device<Bound>,
        features: &Features,
    ) -> impl PinInit<Self, Error> + 'bound {
        let (contexts, utlbs) = (features.context_count(), features.utlb_count());

        pin_init::pin_init_scope(move || {
            let slots = Slots {
                contexts: devm::Slice::zeroed(dev, contexts)?,
                utlbs: devm::Slice::zeroed(dev, utlbs)?,
                saved: None,
            };
            Ok(try_pin_init!(Self {
                slots <- new_spinlock_irq!(slots),
            }? Error))
        })
    }

    /// Saves the registers of all contexts and micro-TLBs of `ipmmu` that are in use.
    ///
    /// For the noirq phase: no attach or detach is going on. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the instance was unbound.
    pub(crate) fn save(&self, ipmmu: &Ipmmu) -> Result {
        let mut slots = self.slots.lock();
        let regs = ipmmu.registers().ok_or(ENODEV)?;
        let features = ipmmu.features();
        let mut saved = Saved {
            contexts: 0,
            utlbs: 0,
        };

        ipmmu.for_each_active_utlb(|utlb, context| {
            slots.utlbs[utlb.index()] = UtlbRegs::save(&regs, features, utlb);
            saved.utlbs |= utlb.bit();
            saved.contexts |= context.bit();
        });
        if ipmmu.is_root() {
            ipmmu.contexts().for_each_leased(|id, _| {
                saved.contexts |= id.bit();
            });
        }
        for id in features.contexts() {
            if saved.contexts & id.bit() != 0 {
                slots.contexts[id.index()] =
                    ContextRegs::save(&regs, features, id, ipmmu.is_root());
            }
        }

        slots.saved = Some(saved);
        ipmmu.set_asleep(true);
        Ok(())
    }

    /// Writes back what was saved, if anything was: contexts first, then micro-TLBs. Then reads all
    /// of it again, and reports what the hardware did not take.
    ///
    /// For the noirq phase: no attach or detach is going on. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the instance was unbound, `EIO` when a register did not come back.
    pub(crate) fn restore(&self, ipmmu: &Ipmmu) -> Result {
        let mut slots = self.slots.lock();
        ipmmu.set_asleep(false);
        let regs = ipmmu.registers().ok_or(ENODEV)?;
        let features = ipmmu.features();
        let Some(saved) = slots.saved.take() else {
            return Ok(());
        };

        for id in features.contexts() {
            if saved.contexts & id.bit() != 0 {
                slots.contexts[id.index()].restore(&regs, features, id, ipmmu.is_root());
                if ipmmu.is_root() {
                    ipmmu.wait_flushed(id);
                }
            }
        }
        for id in features.utlbs() {
            if saved.utlbs & id.bit() != 0 {
                slots.utlbs[id.index()].restore(&regs, features, id);
            }
        }
        slots.verify(&regs, ipmmu, &saved)
    }
}

#[kunit_tests(ipmmu_pm)]
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
    fn a_register_that_does_not_come_back_is_named() -> Result {
        let expected = [("IMTTLBR0", 1), ("IMCTR", 5)];

        assert_eq!(first_lost(expected, expected), Ok(()));
        assert_eq!(
            first_lost(expected, [("IMTTLBR0", 1), ("IMCTR", 0)]),
            Err(Lost {
                register: "IMCTR",
                expected: 5,
                found: 0,
            })
        );
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
