// SPDX-License-Identifier: GPL-2.0

//! A context: what it walks, which micro-TLBs point to it, and the lock that covers its registers.
//!
//! Every operation follows these rules:
//!
//! - No micro-TLB points to a context that is off.
//! - The registers that say what a context walks are written only while it is off.
//! - Every operation ends with a read of each instance that it wrote. Only the read proves that the
//!   writes have arrived.
//! - The root is flushed before a cache. In the other order the cache could fetch a stale entry
//!   from the root in between.

use core::cell::Cell;

use kernel::{
    device::Device,
    prelude::*,
    sync::{
        aref::ARef,
        lock::{
            spinlock::SpinLockIrqBackend,
            Guard, //
        },
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
};

use crate::{
    features::*,
    hardware::*,
    mismatch::Mismatches,
    regs::*,
    saved::Saved,
    table::AddressSpace,
    wants,
    wants::*, //
};

/// The access of a context to one instance: its root, or the cache of its group.
pub(crate) struct Side {
    pub(crate) regs: Arc<Mmio>,
    /// Whether the registers may be accessed.
    pub(crate) is_awake: bool,
}

impl Side {
    /// Returns the registers, if they may be accessed.
    pub(crate) fn access(&self) -> Option<Access<'_>> {
        self.is_awake.then(|| self.regs.access()).flatten()
    }
}

/// A context of a root.
#[pin_data]
pub(crate) struct Context {
    pub(crate) id: ContextId,
    pub(crate) features: &'static Features,
    /// The root's device.
    pub(crate) dev: ARef<Device>,
    /// What the context walks while no domain is attached; Gen2 only. The context stays on there,
    /// as there is no other one for micro-TLBs that must not get through.
    pub(crate) idle: Option<Arc<dyn AddressSpace>>,
    #[pin]
    state: SpinLockIrq<State>,
}

/// The state that the lock of a context protects, besides the registers.
pub(crate) struct State {
    pub(crate) root: Side,
    /// The cache that the group is behind; none on Gen2, and while there is no group.
    pub(crate) cache: Option<Side>,
    pub(crate) members: Members,
    /// What the context walks; none while the context is off.
    pub(crate) space: Option<Arc<dyn AddressSpace>>,
    /// Whether the context could not be programmed or restored. Nothing gets through then, until
    /// the next attach or release, or until the root wakes up again.
    pub(crate) is_lost: bool,
    /// Micro-TLBs that point here; to parking if lost or in a sleeping cache. A bit each.
    pub(crate) own: u64,
    /// Micro-TLBs of the group that point to parking, a bit each.
    pub(crate) parked: u64,
    /// Whether the last flush of the root timed out.
    is_stuck: Cell<bool>,
    pub(crate) flushes: u64,
    pub(crate) faults: u64,
}

/// What an update leaves behind. It is dropped where sleeping is allowed, after the interrupt
/// handler has returned.
#[must_use]
pub(crate) struct Leftover {
    _space: Option<Arc<dyn AddressSpace>>,
    /// Micro-TLBs that must be switched off on waking, as their instance sleeps, a bit each.
    pub(crate) owed_off: u64,
}

impl Context {
    /// Creates context `id` of the root `dev`, which counts as asleep. May sleep. Fails with
    /// `ENOMEM`.
    pub(crate) fn new(
        id: ContextId,
        features: &'static Features,
        dev: &Device,
        regs: Arc<Mmio>,
        idle: Option<Arc<dyn AddressSpace>>,
    ) -> Result<Arc<Self>> {
        let state = State {
            root: Side {
                regs,
                is_awake: false,
            },
            cache: None,
            members: Members::default(),
            space: idle.clone(),
            is_lost: false,
            own: 0,
            parked: 0,
            is_stuck: Cell::new(false),
            flushes: 0,
            faults: 0,
        };

        Arc::pin_init(
            pin_init!(Self {
                id,
                features,
                dev: dev.into(),
                idle,
                state <- new_spinlock_irq!(state),
            }),
            GFP_KERNEL,
        )
    }

    /// Locks the context. Flushes go through [`Self::with`], which reports a timeout. Any context.
    pub(crate) fn lock(&self) -> Guard<'_, State, SpinLockIrqBackend> {
        self.state.lock()
    }

    /// Calls `f` under the lock. Any context.
    ///
    /// Reports a flush that timed out: after unlocking, as the console may be behind this context,
    /// and only once until a flush completes.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let was_stuck = state.is_stuck.get();
        let result = f(&mut state);
        let got_stuck = state.is_stuck.get() && !was_stuck;
        drop(state);

        if got_stuck {
            self.report_stuck();
        }
        result
    }

    /// Returns the registers of the instances that are awake. Any context.
    #[inline]
    pub(crate) fn hardware<'a>(&self, state: &'a State) -> Hardware<'a, Access<'a>> {
        let reachable = (state.root.access(), state.cache());

        Hardware::new(self.features, self.id, reachable, &state.is_stuck)
    }

    /// Writes what the members want to the registers of awake instances. The others follow on
    /// waking. Any context.
    ///
    /// Notes in `wrong` which registers do not hold it; nothing gets through the context then.
    pub(crate) fn update(&self, state: &mut State, wrong: &mut Mismatches) -> Leftover {
        let wanted = self.wanted(state);
        let off = (state.own | state.parked) & !(wanted.own | wanted.parked);
        let stays = match (state.space_if_on(), &wanted.space) {
            (Some(old), Some(new)) => wants::same(old, new),
            _ => false,
        };

        let mut is_good = true;

        let hw = self.hardware(state);
        hw.point(off, None);
        hw.park(wanted.parked & !state.parked);
        if stays {
            hw.point(wanted.own & !state.own, Some(self.id));
        } else {
            hw.park(state.own & wanted.own);
            hw.arrived();
            is_good = self.walk_instead(&hw, state, &wanted, wrong);
            if is_good {
                hw.point(wanted.own, Some(self.id));
            } else {
                self.close(&hw, wanted.own);
            }
        }
        hw.arrived();
        let owed_off = if hw.utlbs().is_some() { 0 } else { off };
        drop(hw);

        state.own = wanted.own;
        state.parked = wanted.parked;
        state.is_lost = !is_good;
        Leftover {
            _space: core::mem::replace(&mut state.space, wanted.space),
            owed_off,
        }
    }

    /// Returns what the registers must say. On Gen2 micro-TLBs to be parked point to this context,
    /// which walks the empty table unless a domain is attached.
    fn wanted(&self, state: &State) -> Wanted {
        let mut wanted = state.members.wanted();

        if self.features.parking().is_none() {
            wanted.space = wanted.space.or_else(|| self.idle.clone());
            wanted.own |= core::mem::take(&mut wanted.parked);
        }
        wanted
    }

    /// Switches the context over to `wanted` while no micro-TLB points to it. On Gen2 they still
    /// do, and off is relied upon meanwhile. Returns whether the switch succeeded.
    fn walk_instead(
        &self,
        hw: &Hardware<'_, impl Registers>,
        state: &State,
        wanted: &Wanted,
        wrong: &mut Mismatches,
    ) -> bool {
        if let Some(old) = &state.space {
            hw.off();
            self.forget_utlb_0(hw, state.own & wanted.own);
            // After a timeout, flushes of the old table still visit this context.
            if !hw.is_stuck.get() {
                old.set_walked(self.id, false);
            }
        }
        let Some(new) = &wanted.space else {
            return true;
        };

        new.set_walked(self.id, true);
        // A fault that has not been reported yet is not one of the new table.
        hw.clear_status();
        hw.program(self.walk(hw, new), wrong) && hw.on()
    }

    /// Returns the registers for walking `space`, with the root's values where others may write.
    pub(crate) fn walk(
        &self,
        hw: &Hardware<'_, impl Registers>,
        space: &Arc<dyn AddressSpace>,
    ) -> Saved {
        let walk = Saved::walk(self.features, self.id, space.hardware());

        match &hw.root {
            Some(root) => walk.read(root),
            None => walk,
        }
    }

    /// Empties micro-TLB 0 on Gen2, where it points to the context even while that is off. A flush
    /// of the context alone might leave translations in it.
    pub(crate) fn forget_utlb_0(&self, hw: &Hardware<'_, impl Registers>, own: u64) {
        if self.idle.is_some() {
            hw.point(own & 1, Some(self.id));
            hw.arrived();
        }
    }

    /// Lets nothing through `utlbs` of the group, after programming or restoring has failed.
    pub(crate) fn close(&self, hw: &Hardware<'_, impl Registers>, utlbs: u64) {
        hw.park(utlbs);
        hw.arrived();
        hw.off();
        if self.idle.is_some() {
            // Gen2 has no parking.
            self.walk_idle(hw);
            hw.point(utlbs, Some(self.id));
            hw.arrived();
        }
    }

    /// Programs the context, which is off, with the empty table on Gen2. Switches it on if the root
    /// holds what was written.
    pub(crate) fn walk_idle(&self, hw: &Hardware<'_, impl Registers>) {
        if let Some(idle) = &self.idle {
            if hw.program(self.walk(hw, idle), &mut Mismatches::default()) {
                hw.write_root(IMCTR::zeroed().with_mmuen(true));
            }
        }
    }

    /// Flushes the context, and waits until the flush completes or times out. Any context.
    ///
    /// An awake root is flushed even while the cache sleeps. 1 write and 1 read in each; if
    /// micro-TLB 0 points to the context, 1 more write, and on Gen2 1 more read.
    #[inline]
    pub(crate) fn flush(&self) {
        self.with(|state| {
            if state.is_on() {
                state.flushes += 1;
                self.hardware(state).flush(state.own);
            }
        });
    }

    /// Reads and clears the fault of the context, and drops its translations, as a failed walk may
    /// be cached. 1 read if there is no fault. Any context.
    pub(crate) fn take_fault(&self, state: &mut State) -> Option<Fault> {
        if !state.is_on() {
            return None;
        }
        let hw = self.hardware(state);
        let fault = Fault::take(self.features, self.id, hw.root.as_ref()?)?;
        hw.flush(state.own);
        drop(hw);

        state.faults += 1;
        Some(Fault {
            space: state.space.clone(),
            dev: state.members.list.first().map(|member| member.dev.clone()),
            ..fault
        })
    }

    #[cold]
    #[inline(never)]
    fn report_stuck(&self) {
        dev_err!(
            self.dev,
            "TLB flush of context {} timed out\n",
            self.id.index()
        );
    }
}

impl State {
    /// Returns whether the context is on in the instances that are awake.
    pub(crate) fn is_on(&self) -> bool {
        self.space.is_some() && !self.is_lost
    }

    /// Returns what the context walks, if it is on in the instances that are awake.
    pub(crate) fn space_if_on(&self) -> Option<&Arc<dyn AddressSpace>> {
        self.space.as_ref().filter(|_| !self.is_lost)
    }

    /// Returns whether the group is behind the instance with the registers `regs`, a cache or the
    /// root.
    pub(crate) fn is_behind(&self, regs: &Arc<Mmio>) -> bool {
        let is_it = |side: &Side| Arc::ptr_eq(&side.regs, regs);

        is_it(&self.root) || self.cache.as_ref().is_some_and(is_it)
    }

    /// Records whether the cache sleeps.
    pub(crate) fn cache_sleeps(&mut self, sleeps: bool) {
        if let Some(cache) = &mut self.cache {
            cache.is_awake = !sleeps;
        }
    }

    /// Returns the registers of the cache, if there is one and they may be accessed.
    pub(crate) fn cache(&self) -> Option<Access<'_>> {
        self.cache.as_ref().and_then(Side::access)
    }
}
