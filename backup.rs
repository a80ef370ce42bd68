// SPDX-License-Identifier: GPL-2.0

//! What an instance must not forget: its registers while it sleeps.
//!
//! [`Slots`] are empty, [`Saved`] is full. Saving makes one of the other and so does restoring:
//! what was saved cannot be restored twice, and as an instance owns its one [`Backup`], neither
//! onto another instance.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use pin_init::Zeroable;

use crate::{
    features::{
        ContextId,
        Features,
        UtlbId, //
    },
    kept::{
        compare,
        ContextRegs,
        ControlRegs,
        Lost,
        Part,
        UtlbRegs, //
    },
    mmio::Registers,
    regs::{
        IMCTR,
        IMUCTR, //
    },
};

/// What of an instance is in use: a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) contexts: u16,
    pub(crate) utlbs: u64,
}

impl Used {
    fn is_nothing(self) -> bool {
        self == Self::default()
    }

    fn contexts(self, features: &Features) -> impl Iterator<Item = ContextId> + use<'_> {
        features.contexts_in(self.contexts)
    }

    fn utlbs(self, features: &Features) -> impl Iterator<Item = UtlbId> + use<'_> {
        features.utlbs_in(self.utlbs)
    }
}

/// Room for the registers of one instance, allocated once: neither saving nor restoring can fail
/// for want of memory.
pub(crate) struct Slots {
    features: &'static Features,
    is_root: bool,
    contexts: KVec<ContextRegs>,
    utlbs: KVec<UtlbRegs>,
    control: ControlRegs,
    /// Which of the slots hold something that was saved, now or the last time.
    used: Used,
}

impl Slots {
    /// Room for all that can ever be in use. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(features: &'static Features, is_root: bool) -> Result<Self> {
        let (contexts, utlbs) = (features.context_count(), features.utlb_count());

        Ok(Self {
            features,
            is_root,
            contexts: KVec::from_elem(ContextRegs::zeroed(), contexts, GFP_KERNEL)?,
            utlbs: KVec::from_elem(UtlbRegs::zeroed(), utlbs, GFP_KERNEL)?,
            control: ControlRegs::zeroed(),
            used: Used::default(),
        })
    }

    /// Learns what the control registers are to hold, and has them hold it: 2 reads and at most 2
    /// writes, none on Gen2.
    pub(crate) fn learn_control(&mut self, regs: &impl Registers) {
        let found = ControlRegs::save(regs, self.features);

        self.control = found.without_secgrp();
        if self.control != found {
            self.control.restore(regs, self.features);
        }
    }

    /// Saves what `used` says, and the control registers: 5 reads per context of a root, 1 in a
    /// cache, 2 per micro-TLB, 2 for the instance. None of an instance that is not used: its
    /// control registers are known from the last time.
    pub(crate) fn save(mut self, regs: &impl Registers, used: Used) -> Saved {
        for id in used.contexts(self.features) {
            self.contexts[id.index()] = ContextRegs::save(regs, self.features, id, self.is_root);
        }
        for id in used.utlbs(self.features) {
            self.utlbs[id.index()] = UtlbRegs::save(regs, self.features, id);
        }
        if !used.is_nothing() {
            self.control = ControlRegs::save(regs, self.features).without_secgrp();
        }
        self.used = used;
        Saved(self)
    }

    /// Whether the contexts of the instance have a register of that name.
    fn has(&self, name: &str) -> bool {
        match name {
            "IMCTR" => true,
            "IMBUSCR" => self.features.has_imbuscr,
            _ => self.is_root,
        }
    }

    /// Calls `f` with each register that was saved the last time.
    pub(crate) fn for_each(&self, mut f: impl FnMut(Part, &'static str, u32)) {
        for id in self.used.contexts(self.features) {
            for (name, value) in self.contexts[id.index()].named() {
                if self.has(name) {
                    f(Part::Context(id), name, value);
                }
            }
        }
        for id in self.used.utlbs(self.features) {
            for (name, value) in self.utlbs[id.index()].named() {
                f(Part::Utlb(id), name, value);
            }
        }
        for (name, value) in self.control.named() {
            f(Part::Control, name, value);
        }
    }
}

/// What was saved, and changed since: attaching and detaching go on while an instance sleeps.
pub(crate) struct Saved(Slots);

impl Saved {
    /// The register at `offset` from the start of the window, if it is one that is kept; and what
    /// is in use because of it, once it is written.
    fn at(&mut self, offset: usize) -> Option<(&mut u32, Used)> {
        let slots = &mut self.0;
        let features = slots.features;

        for (id, context) in features.contexts().zip(&mut slots.contexts) {
            let base = features.context::<IMCTR>(id).offset();
            if let Some(register) = offset.checked_sub(base).and_then(|at| context.at(at)) {
                let contexts = id.bit();
                return Some((register, Used { contexts, utlbs: 0 }));
            }
        }
        for (id, utlb) in features.utlbs().zip(&mut slots.utlbs) {
            let base = features.micro_tlb::<IMUCTR>(id).offset();
            if let Some(register) = offset.checked_sub(base).and_then(|at| utlb.at(at)) {
                let utlbs = id.bit();
                return Some((register, Used { contexts: 0, utlbs }));
            }
        }
        None
    }

    /// Has the register at `offset` from the start of the window come back with `value`.
    ///
    /// What is not kept is ignored.
    pub(crate) fn write(&mut self, offset: usize, value: u32) {
        if let Some((register, used)) = self.at(offset) {
            *register = value;
            self.0.used.contexts |= used.contexts;
            self.0.used.utlbs |= used.utlbs;
        }
    }

    /// What the register at `offset` from the start of the window comes back with.
    pub(crate) fn read(&mut self, offset: usize) -> u32 {
        self.at(offset).map_or(0, |(register, _)| *register)
    }

    /// Writes back what was saved: the instance's control, then contexts, then micro-TLBs. As many
    /// writes as there were reads, and 2 more. `flushed` is called for each context of a root, to
    /// wait until it is flushed.
    pub(crate) fn restore(&self, regs: &impl Registers, flushed: impl Fn(ContextId)) {
        let slots = &self.0;
        let features = slots.features;

        slots.control.restore(regs, features);
        for id in slots.used.contexts(features) {
            slots.contexts[id.index()].restore(regs, features, id, slots.is_root);
            if slots.is_root {
                flushed(id);
            }
        }
        for id in slots.used.utlbs(features) {
            slots.utlbs[id.index()].restore(regs, features, id);
        }
    }

    /// Compares what is in the hardware with what was restored, and has the slots for the next
    /// time: as many reads as writes. Of an instance that is not used nothing is read.
    ///
    /// Not inlined, so that what it costs can be told from what restoring costs.
    #[inline(never)]
    pub(crate) fn verify(self, regs: &impl Registers, mut report: impl FnMut(Lost)) -> Slots {
        let slots = self.0;
        let features = slots.features;

        if slots.used.is_nothing() {
            return slots;
        }
        let now = ControlRegs::save(regs, features).named();
        compare(Part::Control, slots.control.named(), now, &mut report);
        for id in slots.used.contexts(features) {
            let now = ContextRegs::save(regs, features, id, slots.is_root).named();
            let then = slots.contexts[id.index()].named();
            compare(Part::Context(id), then, now, &mut report);
        }
        for id in slots.used.utlbs(features) {
            let now = UtlbRegs::save(regs, features, id).named();
            compare(
                Part::Utlb(id),
                slots.utlbs[id.index()].named(),
                now,
                &mut report,
            );
        }
        slots
    }
}

/// The backup of one instance, in device-managed memory: it is there while the device is bound.
pub(crate) enum Backup {
    /// The instance is awake.
    Awake(Slots),
    /// It is asleep.
    Asleep(Saved),
    /// It is neither, for a moment, under the lock that the backup is in.
    Between,
}

impl Backup {
    /// The slots, if the instance is awake.
    pub(crate) fn take_slots(&mut self) -> Option<Slots> {
        match core::mem::replace(self, Self::Between) {
            Self::Awake(slots) => Some(slots),
            other => {
                *self = other;
                None
            }
        }
    }

    /// What was saved, if the instance is asleep.
    pub(crate) fn take_saved(&mut self) -> Option<Saved> {
        match core::mem::replace(self, Self::Between) {
            Self::Asleep(saved) => Some(saved),
            other => {
                *self = other;
                None
            }
        }
    }

    /// What is saved, or was the last time.
    pub(crate) fn slots(&self) -> Option<&Slots> {
        match self {
            Self::Awake(slots) | Self::Asleep(Saved(slots)) => Some(slots),
            Self::Between => None,
        }
    }
}

/// How often an instance slept, and what it cost.
pub(crate) struct Sleeps {
    saved: Atomic<u64>,
    restored: Atomic<u64>,
    lost: Atomic<u64>,
}

impl Sleeps {
    /// Never so far.
    pub(crate) fn new() -> Self {
        Self {
            saved: Atomic::new(0),
            restored: Atomic::new(0),
            lost: Atomic::new(0),
        }
    }

    /// It was saved.
    pub(crate) fn saved(&self) {
        self.saved.fetch_add(1, Relaxed);
    }

    /// It was restored.
    pub(crate) fn restored(&self) {
        self.restored.fetch_add(1, Relaxed);
    }

    /// A register did not come back.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }
}

impl kernel::fmt::Display for Sleeps {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        let (saved, restored) = (self.saved.load(Relaxed), self.restored.load(Relaxed));
        let lost = self.lost.load(Relaxed);

        f.write_fmt(fmt!(
            "{saved} times saved, {restored} times restored, {lost} registers lost"
        ))
    }
}
