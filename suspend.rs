// SPDX-License-Identifier: GPL-2.0

//! What suspend and resume do to one context.
//!
//! A cache that sleeps lets nothing through for groups that are attached to a domain or blocked,
//! whether its power stays on or not: their micro-TLBs point to parking, and hold nothing. So it
//! owes no flush. A context is off in a root that sleeps.
//!
//! Resume writes back what was saved; what was changed meanwhile is not there any more, and is made
//! anew from the state.

use kernel::sync::{
    Arc,
    SpinLock, //
};
use pin_init::Zeroable;

use crate::{
    context::{
        Context,
        Fault,
        State, //
    },
    features::UtlbId,
    hardware::{
        on_value,
        reset,
        Hardware, //
    },
    regs::*,
    saved::{
        Mismatch,
        SaveArea,
        Saved,
        SavedContext, //
    },
    table::AddressSpace, //
};

/// Where an instance keeps what it saves. The lock is taken before that of a context.
pub(crate) type LockedSaveArea = SpinLock<SaveArea>;

impl Context {
    /// Saves what `cache` has of the context, and lets nothing through there; returns whether there
    /// is anything. Any context.
    pub(crate) fn suspend_in_cache(&self, cache: &Arc<Mmio>, area: &mut SaveArea) -> bool {
        let mut state = self.lock();
        if !state.is_behind(cache) {
            return false;
        }

        let hw = self.hardware(&state);
        if let Some(regs) = hw.cache() {
            if !state.is_lost {
                self.save_utlbs(&state, regs, area);
            }
            if state.is_on() {
                *area.context(self.id) = Some(SavedContext {
                    walk: None,
                    imctr: self.imctr().save(regs),
                });
            }
            hw.park(state.own);
            hw.arrived();
            if state.is_on() {
                hw.write_cache(IMCTR::zeroed());
            }
        }
        drop(hw);
        state.cache_sleeps(true);
        true
    }

    fn save_utlbs(&self, state: &State, regs: &impl Registers, area: &mut SaveArea) {
        for utlb in self.features.utlbs_in(state.own | state.parked) {
            *area.utlb(utlb) = Some(self.pointing(utlb, true).save(regs));
        }
    }

    /// Saves what the root has of the context, and switches it off; returns a fault that was not
    /// told yet. Any context.
    ///
    /// On Gen2 it goes on, but walks nothing: there is no other context for its micro-TLBs.
    pub(crate) fn suspend_in_root(&self, area: &mut SaveArea) -> Option<Fault> {
        let mut state = self.lock();
        let fault = self.take_fault(&mut state);

        let hw = self.hardware(&state);
        if let (Some(regs), Some(space)) = (hw.root(), state.space_if_on()) {
            *area.context(self.id) = Some(SavedContext {
                // The values are those of the hardware.
                walk: Some(self.walk(space).save(regs)),
                imctr: self.imctr_in_root().save(regs),
            });
            hw.write_root(IMCTR::zeroed());
            if let Some(idle) = self.idle() {
                self.save_utlbs(&state, regs, area);
                hw.program(self.walk(idle));
                hw.write_root(IMCTR::zeroed().with_mmuen(true));
            }
        }
        let is_stuck = hw.is_stuck();
        drop(hw);
        self.note_flush(&mut state, is_stuck);
        state.root.is_awake = false;
        fault
    }

    /// Brings the context back in the root; returns a fault that was met during sleep. Any context.
    ///
    /// Where power was lost (`is_fresh`), the status means nothing. Tells `report` what did not
    /// come back; the context stays off then.
    pub(crate) fn resume_in_root(
        &self,
        area: &mut SaveArea,
        is_fresh: bool,
        report: &mut dyn FnMut(Mismatch),
    ) -> Option<Fault> {
        let mut state = self.lock();
        let saved = area.context(self.id).take();

        state.root.is_awake = true;
        let hw = self.hardware(&state);
        let regs = hw.root()?;
        let is_fresh = self.idle().map_or(is_fresh, |idle| {
            // What suspend left on Gen2.
            !self.walk(idle).verify(regs, &mut |_| ())
        });
        let fault = Fault::take(self.features, self.id, regs).filter(|_| !is_fresh);
        reset(self.features, self.id, regs);

        let mut good = true;
        if let Some(space) = &state.space {
            let (walk, imctr) = match saved {
                Some(SavedContext {
                    walk: Some(walk),
                    imctr,
                }) => (walk, imctr),
                _ => (self.walk(space), self.imctr_in_root()),
            };
            let restored = hw.program(walk);
            good = restored.is_some_and(|walk| walk.verify(regs, report));
            if good {
                hw.write_root(imctr.value().into());
                good = imctr.verify(regs, report);
            }
        }
        // On Gen2 they are here.
        if !self.features.split {
            good &= self.restore_utlbs(&state, !good, regs, area, report);
        }
        if !good {
            self.close(&state, &hw);
        }
        let is_stuck = hw.is_stuck();
        drop(hw);
        self.note_flush(&mut state, is_stuck);
        state.is_lost = !good;
        fault
    }

    /// Brings back what `cache` has of the context, whose root is awake. Returns the micro-TLBs of
    /// the group, if it is behind this cache, a bit each. Any context.
    ///
    /// Tells `report` what did not come back; the micro-TLBs stay parked then.
    pub(crate) fn resume_in_cache(
        &self,
        cache: &Arc<Mmio>,
        area: &mut SaveArea,
        report: &mut dyn FnMut(Mismatch),
    ) -> u64 {
        let mut state = self.lock();
        if !state.is_behind(cache) {
            return 0;
        }
        let saved = area.context(self.id).take();

        state.cache_sleeps(false);
        let hw = self.hardware(&state);
        let mut good = !state.is_lost;
        if let Some(regs) = hw.cache() {
            if state.is_on() {
                let imctr = saved.map_or_else(|| self.imctr(), |saved| saved.imctr);
                hw.write_cache(imctr.value().into());
                good &= imctr.verify(regs, report);
            }
            good &= self.restore_utlbs(&state, !good, regs, area, report);
            if !good {
                self.close(&state, &hw);
            }
        }
        let is_stuck = hw.is_stuck();
        drop(hw);
        self.note_flush(&mut state, is_stuck);
        state.is_lost = !good;
        state.own | state.parked
    }

    /// Switches the context off, in a root that is left for good; it is on there on Gen2 alone.
    pub(crate) fn end(&self, root: &impl Registers) {
        let _state = self.lock();

        root.write(self.features.context(self.id), IMCTR::zeroed());
        root.read::<IMCTR>(self.features.context(self.id));
    }

    /// Lets nothing through: what did not come back must not be used. On Gen2 the context walks
    /// nothing, if that can be written.
    fn close(&self, state: &State, hw: &Hardware<impl Registers>) {
        hw.park(state.own | state.parked);
        hw.arrived();
        hw.off();
        if let (Some(idle), Some(regs)) = (self.idle(), hw.root()) {
            let restored = hw.program(self.walk(idle));
            if restored.is_some_and(|walk| walk.verify(regs, &mut |_| ())) {
                hw.write_root(IMCTR::zeroed().with_mmuen(true));
            }
        }
    }

    /// Writes back the micro-TLBs; returns whether all of them came back. Where the context is lost
    /// all are parked instead.
    fn restore_utlbs(
        &self,
        state: &State,
        is_lost: bool,
        regs: &impl Registers,
        area: &mut SaveArea,
        report: &mut dyn FnMut(Mismatch),
    ) -> bool {
        let mut good = true;

        for utlb in self.features.utlbs_in(state.own | state.parked) {
            let is_own = !is_lost && state.own & utlb.bit() != 0;
            let before = area.utlb(utlb).take().filter(|_| !is_lost);
            let restored = before
                .unwrap_or_else(|| self.pointing(utlb, is_own))
                .restore(regs);
            good &= restored.verify(regs, report);
        }
        good
    }

    /// Returns what the context walks if that is `space`.
    fn walk(&self, space: &Arc<dyn AddressSpace>) -> Saved {
        Saved::walk(self.features, self.id, space.hardware())
    }

    /// Returns IMCTR of the context in the cache if it is on.
    fn imctr(&self) -> Saved {
        Saved::imctr(self.features, self.id, on_value())
    }

    /// Returns IMCTR of the context in the root if it is on.
    fn imctr_in_root(&self) -> Saved {
        let imctr = self.features.imctr_in_root(on_value());

        Saved::imctr(self.features, self.id, imctr)
    }

    /// Returns what micro-TLB `utlb` of the group points to: this context, or parking.
    fn pointing(&self, utlb: UtlbId, is_own: bool) -> Saved {
        let parking = self.features.parking().filter(|_| !is_own);

        Saved::utlb(self.features, utlb, parking.unwrap_or(self.id))
    }
}
