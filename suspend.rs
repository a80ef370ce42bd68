// SPDX-License-Identifier: GPL-2.0

//! Suspend and resume of one context.
//!
//! A sleeping cache lets nothing through for groups that are attached to a domain or blocked,
//! whether its power stays on or not: their micro-TLBs point to parking, and are empty. So the
//! cache owes no flush. In a sleeping root the context is off; on Gen2 it walks the empty table.
//!
//! Resume writes back the saved values. A value that changed during the sleep is not among them:
//! resume recomputes it from the state.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use crate::{
    context::*,
    features::UtlbId,
    hardware::*,
    mismatch::Mismatches,
    regs::*,
    saved::*, //
};

impl Context {
    /// Saves what `cache` holds of the context, and lets nothing through there. Any context.
    ///
    /// Notes in `area` which registers do not hold what they should. Resume recomputes them.
    pub(crate) fn suspend_in_cache(&self, cache: &Arc<Mmio>, area: &mut SaveArea) {
        self.with(|state| {
            if !state.is_behind(cache) {
                return;
            }

            let hw = self.hardware(state);
            if let Some(regs) = &hw.cache {
                if !state.is_lost {
                    self.save_utlbs(state, regs, area);
                }
                hw.park(state.own);
                hw.arrived();
                if state.is_on() {
                    hw.write_cache(IMCTR::zeroed());
                }
            }
            drop(hw);
            state.cache_sleeps(true);
        });
    }

    fn save_utlbs(&self, state: &State, regs: &impl Registers, area: &mut SaveArea) {
        for utlb in self.features.utlbs_in(state.own | state.parked) {
            let is_own = state.own & utlb.bit() != 0;
            area.utlbs[utlb.index()] = self.pointing(utlb, is_own).save(regs, &mut area.wrong);
        }
    }

    /// Saves what the root holds of the context, and switches it off. Returns a fault that was not
    /// reported yet. Any context.
    ///
    /// On Gen2 it stays on with the empty table, as there is no other context for its micro-TLBs.
    /// Notes in `area` which registers do not hold what they should. Resume recomputes them.
    pub(crate) fn suspend_in_root(&self, area: &mut SaveArea) -> Option<Fault> {
        self.with(|state| {
            let fault = self.take_fault(state);

            let hw = self.hardware(state);
            if let (Some(regs), Some(space)) = (&hw.root, state.space_if_on()) {
                area.walks[self.id.index()] = self.walk(&hw, space).save(regs, &mut area.wrong);
                hw.write_root(IMCTR::zeroed());
                if self.idle.is_some() {
                    self.save_utlbs(state, regs, area);
                    self.walk_idle(&hw);
                    self.forget_utlb_0(&hw, state.own);
                }
            }
            drop(hw);
            state.root.is_awake = false;
            fault
        })
    }

    /// Restores the context in the root. Returns a fault that occurred during sleep. Any context.
    ///
    /// Ignores the status if power was lost (`is_fresh`), as it means nothing. Notes in `area`
    /// what did not come back; nothing gets through the context then.
    pub(crate) fn resume_in_root(&self, area: &mut SaveArea, is_fresh: bool) -> Option<Fault> {
        self.with(|state| {
            state.root.is_awake = true;
            let hw = self.hardware(state);
            let regs = hw.root.as_ref()?;
            let is_fresh = self.idle.as_ref().map_or(is_fresh, |idle| {
                // Suspend left the empty table on Gen2.
                let walk = self.walk(&hw, idle);
                !walk.verify(regs, &mut Mismatches::default())
            });
            let fault = Fault::take(self.features, self.id, regs).filter(|_| !is_fresh);

            hw.reset();
            let saved = area.walks[self.id.index()].take();
            let mut good = true;
            if let Some(space) = &state.space {
                let walk = saved.unwrap_or_else(|| self.walk(&hw, space));
                let imctr = self.features.imctr_in_root(on_value());
                let imctr = Saved::imctr(self.features, self.id, imctr);
                good = hw.program(walk, &mut area.wrong)
                    && hw.on()
                    && imctr.verify(regs, &mut area.wrong);
            }
            // On Gen2 the micro-TLBs are here.
            if !self.features.split {
                good &= self.restore_utlbs(state, !good, regs, area);
            }
            if !good {
                self.close(&hw, state.own | state.parked);
            }
            drop(hw);
            state.is_lost = !good;
            state.faults += u64::from(fault.is_some());
            fault
        })
    }

    /// Restores what `cache` holds of the context, whose root is awake. Returns the group's
    /// micro-TLBs that are on, a bit each, if the group is behind this cache. Any context.
    ///
    /// Notes in `area` what did not come back; the micro-TLBs stay parked then.
    pub(crate) fn resume_in_cache(&self, cache: &Arc<Mmio>, area: &mut SaveArea) -> u64 {
        self.with(|state| {
            if !state.is_behind(cache) {
                return 0;
            }

            state.cache_sleeps(false);
            let hw = self.hardware(state);
            let mut good = !state.is_lost && hw.cache.is_some();
            if let Some(regs) = &hw.cache {
                if state.is_on() {
                    hw.write_cache(on_value());
                    let imctr = Saved::imctr(self.features, self.id, on_value());
                    good &= imctr.verify(regs, &mut area.wrong);
                }
                good &= self.restore_utlbs(state, !good, regs, area);
                if !good {
                    self.close(&hw, state.own | state.parked);
                }
            }
            drop(hw);
            state.is_lost = !good;
            state.own | state.parked
        })
    }

    /// Writes back the micro-TLBs, or parks all of them if the context is lost. Returns whether all
    /// registers hold what was written.
    fn restore_utlbs(
        &self,
        state: &State,
        is_lost: bool,
        regs: &impl Registers,
        area: &mut SaveArea,
    ) -> bool {
        let mut good = true;

        for utlb in self.features.utlbs_in(state.own | state.parked) {
            let is_own = !is_lost && state.own & utlb.bit() != 0;
            let before = area.utlbs[utlb.index()].take().filter(|_| !is_lost);
            let restored = before
                .unwrap_or_else(|| self.pointing(utlb, is_own))
                .restore(regs);
            good &= restored.verify(regs, &mut area.wrong);
        }
        good
    }

    /// Returns micro-TLB `utlb` of the group as it points to this context or to parking.
    fn pointing(&self, utlb: UtlbId, is_own: bool) -> Saved {
        let parking = self.features.parking().filter(|_| !is_own);

        Saved::utlb(self.features, utlb, parking.unwrap_or(self.id))
    }
}
