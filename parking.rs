// SPDX-License-Identifier: GPL-2.0

//! Parking, and the state of an instance that belongs to no group.
//!
//! Parking is the context for micro-TLBs that must not get through. It walks a table in which
//! nothing is mapped. It is on until shutdown: in the root from its probe on, in a cache from
//! before the first micro-TLB is parked. Its lock also covers the micro-TLBs without a client, and
//! whether the instance is awake.

use core::cell::Cell;

use kernel::{
    prelude::*,
    sync::{
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
};

use crate::{
    features::Features,
    hardware::*,
    mismatch::*,
    regs::*,
    saved::Saved,
    table::AddressSpace, //
};

/// Parking of one instance.
#[pin_data]
pub(crate) struct Parking {
    features: &'static Features,
    regs: Arc<Mmio>,
    /// The empty table that parking walks, in a root; none in a cache.
    empty: Option<Arc<dyn AddressSpace>>,
    #[pin]
    pub(crate) state: SpinLockIrq<ParkingState>,
}

/// The state under the lock, which is taken inside that of a context, never the other way round.
#[derive(Default)]
pub(crate) struct ParkingState {
    /// Whether the registers may be accessed.
    pub(crate) is_awake: bool,
    /// Whether parking is on: in a root always, in a cache from its first group or stray on.
    parks: bool,
    /// In a root, whether parking did not hold what was written. It is off then.
    is_lost: bool,
    /// Micro-TLBs without a client that point to parking. They were found on, or the core released
    /// their client.
    pub(crate) strays: u64,
    /// Whether there were any at probe. Their cause may switch them on again when power comes back.
    pub(crate) was_used: bool,
    /// Micro-TLBs to be switched off on waking.
    owed_off: u64,
    /// Micro-TLBs whose clients are not translated.
    pub(crate) refused: u64,
    /// In a root, whether faults of parking are reported.
    pub(crate) tells_faults: bool,
    /// In a root, the number of faults of micro-TLBs that point to parking.
    pub(crate) faults: u64,
}

impl Parking {
    /// Creates parking for an instance that sleeps, with the registers `regs`. `empty` is the table
    /// that it walks, in a root.
    pub(crate) fn new(
        features: &'static Features,
        regs: Arc<Mmio>,
        empty: Option<Arc<dyn AddressSpace>>,
    ) -> impl PinInit<Self> {
        let state = ParkingState {
            parks: empty.is_some() && features.parking().is_some(),
            ..ParkingState::default()
        };

        pin_init!(Self {
            features,
            regs,
            empty,
            state <- new_spinlock_irq!(state),
        })
    }

    /// Switches parking of the root on, and programs it first unless it is on with the right table.
    /// Returns whether it was. Notes in `wrong` which registers do not hold what was written.
    pub(crate) fn start_parking(&self, regs: &impl Registers, wrong: &mut Mismatches) -> bool {
        let (Some(id), Some(empty)) = (self.features.parking(), &self.empty) else {
            return false;
        };
        let walk = Saved::walk(self.features, id, empty.hardware());
        let mut state = self.state.lock();
        let imctr: IMCTR = regs.read(self.features.context(id));

        state.is_lost = false;
        let on = Saved::imctr(self.features, id, self.imctr(&state));
        let was_on = imctr.mmuen() && walk.verify(regs, &mut Mismatches::default());
        if !was_on {
            reset(self.features, id, regs);
            if !walk.restore(regs).verify(regs, wrong) {
                state.is_lost = true;
                return false;
            }
        }
        let on = on.restore(regs);
        if !wait_flushed(self.features.context(id), regs) {
            let found = regs.read_at(self.features.context::<IMCTR>(id).offset());
            let expected = self.imctr(&state).into();
            wrong.note(Part::Context(id), "IMCTR", found, expected);
        }
        on.verify(regs, wrong);
        was_on
    }

    /// Silences parking of a root that falls asleep, or switches parking of any instance off.
    pub(crate) fn quiet_parking(&self, regs: &impl Registers, stays_on: bool) {
        let state = self.state.lock();
        let Some(id) = self.features.parking().filter(|_| state.parks) else {
            return;
        };
        let imctr = IMCTR::zeroed().with_mmuen(stays_on && !state.is_lost);
        let imctr = self.features.imctr_in_root(imctr);

        regs.write(self.features.context(id), imctr.with_flush(!stays_on));
        regs.read::<IMCTR>(self.features.context(id));
    }

    /// Switches parking on in this cache for a group, on waking if the cache sleeps. Any context.
    pub(crate) fn park_here(&self) {
        let mut state = self.state.lock();
        if self.empty.is_some() {
            return;
        }

        state.parks = true;
        if let (true, Some(regs)) = (state.is_awake, self.regs.access()) {
            self.parking_on(&regs);
        }
    }

    /// Returns the micro-TLBs of this instance, with parking as in a cache; on Gen2 with the only
    /// context.
    fn here<'a, R: Registers>(
        &self,
        regs: &'a R,
        is_stuck: &'a Cell<bool>,
    ) -> Option<Hardware<'a, &'a R>> {
        let (id, reachable) = match self.features.parking() {
            Some(parking) => (parking, (None, Some(regs))),
            None => (self.features.contexts().next()?, (Some(regs), None)),
        };

        Some(Hardware::new(self.features, id, reachable, is_stuck))
    }

    /// Points `utlbs` to parking and drops their translations, or switches them off.
    fn point(&self, utlbs: u64, is_on: bool, regs: &impl Registers) {
        let is_stuck = Cell::new(false);

        if let (true, Some(hw)) = (utlbs != 0, self.here(regs, &is_stuck)) {
            hw.point(utlbs, is_on.then_some(hw.id));
            hw.arrived();
        }
    }

    /// Switches parking on in this cache.
    fn parking_on(&self, regs: &impl Registers) {
        if let Some(hw) = self.here(regs, &Cell::new(false)) {
            hw.write_cache(IMCTR::zeroed().with_mmuen(true));
        }
    }

    /// Switches parking on again in this cache on waking, if it was on before.
    pub(crate) fn park_again(&self, regs: &impl Registers) {
        if self.state.lock().parks {
            self.parking_on(regs);
        }
    }

    /// Parks the micro-TLBs without a client that must not get through, on waking.
    pub(crate) fn resume_own(&self, regs: &impl Registers) {
        self.point(self.state.lock().strays, true, regs);
    }

    /// Returns the micro-TLBs that are on, a bit each.
    pub(crate) fn find_on(&self, regs: &impl Registers) -> u64 {
        let on = self
            .features
            .utlbs()
            .filter(|utlb| regs.read::<IMUCTR>(self.features.micro_tlb(*utlb)).mmuen());

        on.fold(0, |found, utlb| found | utlb.bit())
    }

    /// Parks every micro-TLB that is on, and switches off all contexts but parking, in a cache that
    /// another kernel or the firmware has set up. Returns the micro-TLBs that were on, a bit each.
    pub(crate) fn park_all(&self, regs: &impl Registers) -> u64 {
        let Some(parking) = self.features.parking() else {
            return 0;
        };
        let found = self.find_on(regs);

        if found != 0 {
            self.parking_on(regs);
        }
        self.point(found, true, regs);
        for id in self.features.contexts().filter(|id| *id != parking) {
            regs.write(self.features.context(id), IMCTR::zeroed());
        }
        regs.read::<IMCTR>(self.features.context(parking));
        found
    }

    /// Switches off micro-TLBs of [`Self::owe_off`], and those in `found` that `clients` or refused
    /// clients have, but neither strays nor `grouped`. The rest of `found` stays parked.
    pub(crate) fn switch_off_owed(
        &self,
        regs: &impl Registers,
        found: u64,
        (clients, grouped): (u64, u64),
    ) {
        let mut state = self.state.lock();
        let owed = core::mem::take(&mut state.owed_off);
        let off = owed | (found & (clients | state.refused));

        self.point(off & !grouped & !state.strays, false, regs);
        state.strays |= found & !off & !grouped;
        state.parks |= state.strays != 0 && self.empty.is_none();
    }

    /// Records that `utlbs` must be switched off on waking. Any context.
    pub(crate) fn owe_off(&self, utlbs: u64) {
        if utlbs != 0 {
            self.state.lock().owed_off |= utlbs;
        }
    }

    /// Records the micro-TLBs that were found on at probe.
    pub(crate) fn set_strays(&self, utlbs: u64) {
        let mut state = self.state.lock();

        state.strays = utlbs;
        state.was_used = utlbs != 0;
        state.parks |= utlbs != 0 && self.empty.is_none();
    }

    /// Takes those of `utlbs` that were parked without a client, for their new client. Any context.
    pub(crate) fn take_strays(&self, utlbs: u64) -> u64 {
        let mut state = self.state.lock();
        let found = state.strays & utlbs;

        state.strays &= !utlbs;
        found
    }

    /// Switches off those of `utlbs` that are parked without a client, because their device works
    /// without IOMMU. Any context.
    pub(crate) fn open_strays(&self, utlbs: u64) {
        let mut state = self.state.lock();
        let off = state.strays & utlbs;

        state.strays &= !off;
        match self.regs.access().filter(|_| state.is_awake) {
            Some(regs) => self.point(off, false, &regs),
            None => state.owed_off |= off,
        }
    }

    /// Sets whether faults of parking are reported, as they are while a client is blocked. Any
    /// context.
    pub(crate) fn tell_faults(&self, tell: bool) {
        let mut state = self.state.lock();
        let before = self.imctr(&state);

        state.tells_faults = tell;
        let after = self.imctr(&state);
        let Some(id) = self.features.parking() else {
            return;
        };
        if let (true, Some(regs)) = (state.is_awake && before != after, self.regs.access()) {
            // Earlier faults are not reported later.
            regs.write(self.features.context(id), IMSTR::from(0));
            regs.write(self.features.context(id), after);
            regs.read::<IMCTR>(self.features.context(id));
        }
    }

    /// Reads and clears the fault of parking. Its empty table needs no flush. Any context.
    pub(crate) fn take_parking_fault(&self) -> Option<Fault> {
        let mut state = self.state.lock();
        let regs = self.regs.access().filter(|_| state.is_awake)?;
        let fault = Fault::take(self.features, self.features.parking()?, &regs)?;

        regs.read::<IMSTR>(self.features.context(fault.id));
        state.faults += 1;
        Some(fault)
    }

    /// Returns the value of IMCTR for parking in the root.
    fn imctr(&self, state: &ParkingState) -> IMCTR {
        let imctr = IMCTR::zeroed()
            .with_mmuen(!state.is_lost)
            .with_inten(!state.is_lost && state.tells_faults);

        self.features.imctr_in_root(imctr)
    }
}
