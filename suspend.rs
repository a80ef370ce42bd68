// SPDX-License-Identifier: GPL-2.0

//! Suspend and resume of one context.
//!
//! A sleeping cache lets nothing through for groups that are attached to a domain or blocked,
//! whether its power stays on or not: their micro-TLBs point to parking, and are empty. So the
//! cache owes no flush. In a sleeping root the context is off; on Gen2 it walks the empty table.
//!
//! Resume writes back the saved values. A value that changed during the sleep is not among them:
//! resume recomputes it from the state.

use kernel::sync::{
    Arc,
    SpinLock, //
};
use pin_init::Zeroable;

use crate::{
    context::*,
    features::UtlbId,
    hardware::*,
    mismatch::Mismatches,
    regs::*,
    saved::*, //
};

/// The save area of an instance. Its lock is taken before that of a context.
pub(crate) type LockedSaveArea = SpinLock<SaveArea>;

impl Context {
    /// Saves what `cache` holds of the context, and lets nothing through there. Any context.
    ///
    /// Notes in `wrong` which registers do not hold what they should. Resume recomputes them.
    pub(crate) fn suspend_in_cache(
        &self,
        cache: &Arc<Mmio>,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) {
        self.with(|state| {
            if state.is_behind(cache) {
                self.with_hardware(state, |hw, state| self.leave_cache(hw, state, area, wrong));
                state.cache_sleeps(true);
            }
        });
    }

    fn leave_cache(
        &self,
        hw: &Hardware<impl Registers>,
        state: &State,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) {
        let Some(regs) = &hw.cache else {
            return;
        };

        if !state.is_lost {
            self.save_utlbs(state, regs, area, wrong);
        }
        hw.park(state.own);
        hw.arrived();
        if state.is_on() {
            hw.write_cache(IMCTR::zeroed());
        }
    }

    fn save_utlbs(
        &self,
        state: &State,
        regs: &impl Registers,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) {
        for utlb in self.features.utlbs_in(state.own | state.parked) {
            let is_own = state.own & utlb.bit() != 0;
            area.utlbs[utlb.index()] = self.pointing(utlb, is_own).save(regs, wrong);
        }
    }

    /// Saves what the root holds of the context, and switches it off. Returns a fault that was not
    /// reported yet. Any context.
    ///
    /// On Gen2 it stays on with the empty table, as there is no other context for its micro-TLBs.
    /// Notes in `wrong` which registers do not hold what they should. Resume recomputes them.
    pub(crate) fn suspend_in_root(
        &self,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) -> Option<Fault> {
        self.with(|state| {
            let fault = self.take_fault(state);

            self.with_hardware(state, |hw, state| self.leave_root(hw, state, area, wrong));
            state.root.is_awake = false;
            fault
        })
    }

    fn leave_root(
        &self,
        hw: &Hardware<impl Registers>,
        state: &State,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) {
        let (Some(regs), Some(space)) = (&hw.root, state.space_if_on()) else {
            return;
        };

        area.walks[self.id.index()] = self.walk(hw, space).save(regs, wrong);
        hw.write_root(IMCTR::zeroed());
        if self.idle.as_ref().is_some() {
            self.save_utlbs(state, regs, area, wrong);
            self.walk_idle(hw);
            self.forget_utlb_0(hw, state.own);
        }
    }

    /// Restores the context in the root. Returns a fault that occurred during sleep. Any context.
    ///
    /// Ignores the status if power was lost (`is_fresh`), as it means nothing. Notes in `wrong`
    /// what did not come back; nothing gets through the context then.
    pub(crate) fn resume_in_root(
        &self,
        area: &mut SaveArea,
        is_fresh: bool,
        wrong: &mut Mismatches,
    ) -> Option<Fault> {
        self.with(|state| {
            state.root.is_awake = true;
            let (fault, good) = self.with_hardware(state, |hw, state| {
                let regs = hw.root.as_ref()?;
                let is_fresh = self.idle.as_ref().map_or(is_fresh, |idle| {
                    // Suspend left the empty table on Gen2.
                    !self.walk(hw, idle).verify(regs, &mut Mismatches::default())
                });
                let fault = Fault::take(self.features, self.id, regs).filter(|_| !is_fresh);

                hw.reset();
                Some((fault, self.enter_root((hw, regs), state, area, wrong)))
            })?;
            state.is_lost = !good;
            state.faults += u64::from(fault.is_some());
            fault
        })
    }

    fn enter_root<R: Registers>(
        &self,
        (hw, regs): (&Hardware<R>, &R),
        state: &State,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) -> bool {
        let saved = area.walks[self.id.index()].take();
        let mut good = true;

        if let Some(space) = &state.space {
            let walk = saved.unwrap_or_else(|| self.walk(hw, space));
            good = hw.program(walk, wrong) && hw.on();
            good = good && self.imctr_in_root().verify(regs, wrong);
        }
        // On Gen2 the micro-TLBs are here.
        if !self.features.split {
            good &= self.restore_utlbs(state, !good, regs, area, wrong);
        }
        if !good {
            self.close(hw, state.own | state.parked);
        }
        good
    }

    /// Restores what `cache` holds of the context, whose root is awake. Returns the group's
    /// micro-TLBs that are on, a bit each, if the group is behind this cache. Any context.
    ///
    /// Notes in `wrong` what did not come back; the micro-TLBs stay parked then.
    pub(crate) fn resume_in_cache(
        &self,
        cache: &Arc<Mmio>,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) -> u64 {
        self.with(|state| {
            if !state.is_behind(cache) {
                return 0;
            }

            state.cache_sleeps(false);
            state.is_lost = !self.with_hardware(state, |hw, state| {
                hw.cache
                    .as_ref()
                    .is_some_and(|regs| self.enter_cache((hw, regs), state, area, wrong))
            });
            state.own | state.parked
        })
    }

    fn enter_cache<R: Registers>(
        &self,
        (hw, regs): (&Hardware<R>, &R),
        state: &State,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) -> bool {
        let mut good = !state.is_lost;

        if state.is_on() {
            hw.write_cache(on_value());
            good &= self.imctr().verify(regs, wrong);
        }
        good &= self.restore_utlbs(state, !good, regs, area, wrong);
        if !good {
            self.close(hw, state.own | state.parked);
        }
        good
    }

    /// Writes back the micro-TLBs, or parks all of them if the context is lost. Returns whether all
    /// registers hold what was written.
    fn restore_utlbs(
        &self,
        state: &State,
        is_lost: bool,
        regs: &impl Registers,
        area: &mut SaveArea,
        wrong: &mut Mismatches,
    ) -> bool {
        let mut good = true;

        for utlb in self.features.utlbs_in(state.own | state.parked) {
            let is_own = !is_lost && state.own & utlb.bit() != 0;
            let before = area.utlbs[utlb.index()].take().filter(|_| !is_lost);
            let restored = before
                .unwrap_or_else(|| self.pointing(utlb, is_own))
                .restore(regs);
            good &= restored.verify(regs, wrong);
        }
        good
    }

    /// Returns IMCTR of the context in the cache while it is on.
    fn imctr(&self) -> Saved {
        Saved::imctr(self.features, self.id, on_value())
    }

    /// Returns IMCTR of the context in the root while it is on.
    fn imctr_in_root(&self) -> Saved {
        let imctr = self.features.imctr_in_root(on_value());

        Saved::imctr(self.features, self.id, imctr)
    }

    /// Returns micro-TLB `utlb` of the group as it points to this context or to parking.
    fn pointing(&self, utlb: UtlbId, is_own: bool) -> Saved {
        let parking = self.features.parking().filter(|_| !is_own);

        Saved::utlb(self.features, utlb, parking.unwrap_or(self.id))
    }
}
