// SPDX-License-Identifier: GPL-2.0

//! What an instance must not forget: its registers while it sleeps.
//!
//! [`Slots`] are empty, [`Saved`] is full, [`Restored`] was written back and is to be verified.
//! Each is made of the one before, so what was saved cannot be restored twice. They know the
//! registers that they are for: neither can it be restored onto another instance.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

use crate::{
    abstractions::mmio::{
        Bank,
        Window, //
    },
    features::{
        ContextId,
        Features,
        UtlbId, //
    },
    kept::{
        clear_secgrp,
        context,
        control,
        first_of_context,
        utlb,
        Kept,
        Lost,
        Part,
        CONTEXT,
        CONTROL,
        UTLB, //
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
    regs: Arc<Window>,
    features: &'static Features,
    is_root: bool,
    control: Option<[Kept; CONTROL.len()]>,
    contexts: KVec<[Kept; CONTEXT.len()]>,
    utlbs: KVec<[Kept; UTLB.len()]>,
    /// Which of the slots hold something that was saved, now or the last time.
    used: Used,
    /// A copy of these and of `control`, in the order in which they come back: what is to be done
    /// after the sleep, found out before it.
    list: KVec<Kept>,
    /// Where in the list micro-TLBs begin.
    utlbs_at: usize,
}

impl Slots {
    /// Room for all that can ever be in use of `regs`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        regs: Arc<Window>,
        features: &'static Features,
        is_root: bool,
    ) -> Result<KBox<Self>> {
        let mut contexts = KVec::with_capacity(features.context_count(), GFP_KERNEL)?;
        for id in features.contexts() {
            contexts.push(context(features, id), GFP_KERNEL)?;
        }
        let mut utlbs = KVec::with_capacity(features.utlb_count(), GFP_KERNEL)?;
        for id in features.utlbs() {
            utlbs.push(utlb(features, id), GFP_KERNEL)?;
        }
        let all = CONTROL.len() + CONTEXT.len() * contexts.len() + UTLB.len() * utlbs.len();

        let slots = Self {
            regs,
            features,
            is_root,
            control: control(features),
            contexts,
            utlbs,
            used: Used::default(),
            list: KVec::with_capacity(all, GFP_KERNEL)?,
            utlbs_at: 0,
        };
        Ok(KBox::new(slots, GFP_KERNEL)?)
    }

    /// Learns what the control registers are to hold, and has them hold it: 2 reads and at most 2
    /// writes, none on Gen2.
    pub(crate) fn learn_control(&mut self) {
        if self.save_control() {
            for kept in self.control.iter().flatten() {
                kept.restore(&*self.regs);
            }
        }
    }

    /// 2 reads; whether something else is to come back.
    fn save_control(&mut self) -> bool {
        let Some(control) = &mut self.control else {
            return false;
        };

        for kept in &mut *control {
            kept.save(&*self.regs);
        }
        clear_secgrp(control)
    }

    /// Saves what `used` says, and the control registers: 5 reads per context of a root, 1 in a
    /// cache, 2 per micro-TLB, 2 for the instance. None of an instance that is not used: its
    /// control registers are known from the last time.
    pub(crate) fn fill(mut self: KBox<Self>, used: Used) -> Saved {
        self.used = used;
        if !used.is_nothing() {
            self.save_control();
        }
        self.enlist(|kept, regs| kept.save(regs));
        Saved(self)
    }

    /// Makes the list of what is in use, `f` being called with each before; not with `control`.
    fn enlist(&mut self, f: impl Fn(&mut Kept, &Bank<'_>)) {
        let first = first_of_context(self.features, self.is_root);
        // There is room for all.
        let list = &mut self.list;
        let regs = self.regs.bank();
        let enlist = |list: &mut KVec<Kept>, kept: &mut Kept| {
            f(kept, &regs);
            let _ = list.push_within_capacity(*kept);
        };

        list.clear();
        for kept in self.control.iter().flatten() {
            let _ = list.push_within_capacity(*kept);
        }
        for id in self.used.contexts(self.features) {
            for kept in &mut self.contexts[id.index()][first..] {
                enlist(list, kept);
            }
        }
        self.utlbs_at = list.len();
        for id in self.used.utlbs(self.features) {
            for kept in &mut self.utlbs[id.index()] {
                enlist(list, kept);
            }
        }
    }

    /// Calls `f` with each register that was saved the last time.
    fn each_kept(&self, mut f: impl FnMut(Part, &'static str, &Kept)) {
        let first = first_of_context(self.features, self.is_root);

        for id in self.used.contexts(self.features) {
            let context = CONTEXT.iter().zip(&self.contexts[id.index()]);
            context
                .skip(first)
                .for_each(|(name, kept)| f(Part::Context(id), name, kept));
        }
        for id in self.used.utlbs(self.features) {
            let utlb = UTLB.iter().zip(&self.utlbs[id.index()]);
            utlb.for_each(|(name, kept)| f(Part::Utlb(id), name, kept));
        }
        let control = self.control.iter().flatten();
        CONTROL
            .iter()
            .zip(control)
            .for_each(|(name, kept)| f(Part::Control, name, kept));
    }

    /// What a register of the list is.
    #[cold]
    fn name_of(&self, listed: &Kept) -> Option<(Part, &'static str)> {
        let mut found = None;

        self.each_kept(|part, name, kept| {
            if kept.offset() == listed.offset() {
                found = Some((part, name));
            }
        });
        found
    }

    /// Calls `f` with each register that was saved the last time, and its value.
    pub(crate) fn for_each(&self, mut f: impl FnMut(Part, &'static str, u32)) {
        self.each_kept(|part, name, kept| f(part, name, kept.value()));
    }
}

/// What was saved, and changed since: attaching and detaching go on while an instance sleeps.
pub(crate) struct Saved(KBox<Slots>);

impl Saved {
    /// The register at `offset` from the start of the window, if it is one that is kept; and what
    /// is in use because of it, once it is written.
    fn at(&mut self, offset: usize) -> Option<(&mut Kept, Used)> {
        let slots = &mut *self.0;
        let features = slots.features;

        for (id, context) in features.contexts().zip(&mut slots.contexts) {
            if let Some(kept) = context.iter_mut().find(|kept| kept.offset() == offset) {
                let contexts = id.bit();
                return Some((kept, Used { contexts, utlbs: 0 }));
            }
        }
        for (id, utlb) in features.utlbs().zip(&mut slots.utlbs) {
            if let Some(kept) = utlb.iter_mut().find(|kept| kept.offset() == offset) {
                let utlbs = id.bit();
                return Some((kept, Used { contexts: 0, utlbs }));
            }
        }
        None
    }

    /// Has the register at `offset` from the start of the window come back with `value`.
    ///
    /// What is not kept is ignored.
    pub(crate) fn write(&mut self, offset: usize, value: u32) {
        if let Some((kept, used)) = self.at(offset) {
            kept.set(value);
            self.0.used.contexts |= used.contexts;
            self.0.used.utlbs |= used.utlbs;
            self.0.enlist(|_, _| ());
        }
    }

    /// What the register at `offset` from the start of the window comes back with.
    pub(crate) fn read(&mut self, offset: usize) -> u32 {
        self.at(offset).map_or(0, |(kept, _)| kept.value())
    }

    /// Writes back what was saved: the instance's control, then contexts, then micro-TLBs. As many
    /// writes as there were reads, and 2 more. `flushed` is called for each context of a root
    /// before any micro-TLB, to wait until it is flushed.
    #[inline]
    pub(crate) fn put_back(self, flushed: impl Fn(ContextId)) -> Restored {
        let slots = &*self.0;
        let regs = &slots.regs.bank();
        let (before, utlbs) = slots.list.split_at(slots.utlbs_at);

        for kept in before {
            kept.restore(regs);
        }
        if slots.is_root {
            slots.used.contexts(slots.features).for_each(flushed);
        }
        for kept in utlbs {
            kept.restore(regs);
        }
        Restored(self.0)
    }
}

/// What was written back, and not compared yet.
pub(crate) struct Restored(KBox<Slots>);

impl Restored {
    /// Compares what is in the hardware with what was restored, and has the slots for the next
    /// time: as many reads as writes. Of an instance that is not used nothing is read.
    ///
    /// Not inlined, so that what it costs can be told from what restoring costs.
    #[inline(never)]
    pub(crate) fn verify(self, mut report: impl FnMut(Lost)) -> KBox<Slots> {
        let slots = self.0;
        let regs = &slots.regs.bank();

        if !slots.used.is_nothing() {
            for kept in &slots.list {
                let Some(found) = kept.lost(regs) else {
                    continue;
                };
                if let Some((part, register)) = slots.name_of(kept) {
                    report(Lost {
                        part,
                        register,
                        expected: kept.value(),
                        found,
                    });
                }
            }
        }
        slots
    }
}

/// The backup of one instance, in device-managed memory: it is there while the device is bound.
pub(crate) enum Backup {
    /// The instance is awake.
    Awake(KBox<Slots>),
    /// It is asleep.
    Asleep(Saved),
    /// It is neither, for a moment, under the lock that the backup is in.
    Between,
}

impl Backup {
    /// The slots, if the instance is awake.
    pub(crate) fn take_slots(&mut self) -> Option<KBox<Slots>> {
        match core::mem::replace(self, Self::Between) {
            Self::Awake(slots) => Some(slots),
            other => {
                self.put(other);
                None
            }
        }
    }

    /// What was saved, if the instance is asleep.
    pub(crate) fn take_saved(&mut self) -> Option<Saved> {
        match core::mem::replace(self, Self::Between) {
            Self::Asleep(saved) => Some(saved),
            other => {
                self.put(other);
                None
            }
        }
    }

    /// Has what was taken go on as `state`.
    pub(crate) fn put(&mut self, state: Self) {
        // It is `Between`, which owns nothing: there is no need to look what to drop.
        core::mem::forget(core::mem::replace(self, state));
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
