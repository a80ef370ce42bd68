// SPDX-License-Identifier: GPL-2.0

//! A context: what it walks, which micro-TLBs point to it, and the lock under which its registers
//! are accessed.
//!
//! The rules that every operation keeps:
//!
//! - No micro-TLB points to a context that is off.
//! - What a context walks is written only while it is off.
//! - Every operation ends with a read of each instance that it wrote: only that proves that a write
//!   has arrived.
//! - The root is flushed before a cache: the other way round the cache could fetch a stale entry
//!   from the root in between.

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
    features::{
        ContextId,
        Features, //
    },
    hardware::Hardware,
    regs::*,
    saved::Saved,
    table::AddressSpace,
    wants::{
        self,
        Members,
        Wanted, //
    },
};

/// The registers of an instance, as a context sees them.
pub(crate) struct Side {
    pub(crate) regs: Arc<Mmio>,
    /// Whether they may be accessed.
    pub(crate) is_awake: bool,
}

impl Side {
    fn access(&self) -> Option<Access<'_>> {
        self.is_awake.then(|| self.regs.access()).flatten()
    }
}

/// A context of a root.
#[pin_data]
pub(crate) struct Context {
    pub(crate) id: ContextId,
    pub(crate) features: &'static Features,
    /// The root.
    pub(crate) dev: ARef<Device>,
    /// What the context walks while no domain is attached: it is never off on Gen2, where there is
    /// no other context for micro-TLBs that must not get through.
    idle: Option<Arc<dyn AddressSpace>>,
    #[pin]
    state: SpinLockIrq<State>,
}

/// What the lock of a context protects, beside the registers.
pub(crate) struct State {
    pub(crate) root: Side,
    /// The cache that the group is behind. None on Gen2, and while there is no group.
    pub(crate) cache: Option<Side>,
    pub(crate) members: Members,
    /// What the context walks; it is off if there is none.
    pub(crate) space: Option<Arc<dyn AddressSpace>>,
    /// Whether the context did not come back: it is off, and all micro-TLBs are parked, until the
    /// next attach, or until the root wakes up again.
    pub(crate) is_lost: bool,
    /// Micro-TLBs that point to this context, a bit each; in a cache that sleeps, to parking.
    pub(crate) own: u64,
    /// Micro-TLBs of the group that point to parking, a bit each.
    pub(crate) parked: u64,
    /// Whether the last flush of the root was not seen done.
    is_stuck: bool,
    pub(crate) flushes: u64,
    pub(crate) faults: u64,
}

/// A fault of a context: what the hardware says, and whose it may be. The interrupt handler drops
/// it before it returns, for which those wait that give up the last references.
pub(crate) struct Fault {
    pub(crate) id: ContextId,
    pub(crate) iova: u64,
    pub(crate) status: IMSTR,
    /// What the context walks; none for parking.
    pub(crate) space: Option<Arc<dyn AddressSpace>>,
    /// One of the clients: the hardware does not tell which.
    pub(crate) dev: Option<ARef<Device>>,
}

impl Fault {
    /// Reads and clears the fault of context `id`: 1 read if there is none.
    pub(crate) fn take(features: &Features, id: ContextId, root: &impl Registers) -> Option<Self> {
        let status: IMSTR = root.read(features.context(id));
        if !(status.tf() || status.pf() || status.abort() || status.mhit()) {
            return None;
        }

        // The address is gone once the status is cleared, which is done by writing 0.
        let low: u32 = root.read::<IMELAR>(features.context(id)).into();
        let high: u32 = if features.split {
            root.read::<IMEUAR>(features.context(id)).into()
        } else {
            0
        };
        root.write(features.context(id), IMSTR::from(0));
        Some(Self {
            id,
            iova: u64::from(high) << 32 | u64::from(low),
            status,
            space: None,
            dev: None,
        })
    }
}

/// What a change leaves to be dropped, where one may sleep, and after the interrupt handler has
/// returned.
#[must_use]
pub(crate) struct Leftover {
    _space: Option<Arc<dyn AddressSpace>>,
    /// Micro-TLBs that could not be switched off because their cache sleeps.
    pub(crate) owed_off: u64,
}

impl Context {
    /// Makes context `id` of the root `dev`, which is off. May sleep.
    ///
    /// # Errors
    ///
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
            members: Members::new(),
            space: idle.clone(),
            is_lost: false,
            own: 0,
            parked: 0,
            is_stuck: false,
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

    /// Locks the context. Any context.
    pub(crate) fn lock(&self) -> Guard<'_, State, SpinLockIrqBackend> {
        self.state.lock()
    }

    /// Returns what the context walks while no domain is attached, where it is never off.
    pub(crate) fn idle(&self) -> Option<&Arc<dyn AddressSpace>> {
        self.idle.as_ref()
    }

    /// Returns the registers that are within reach.
    #[inline]
    pub(crate) fn hardware<'a>(&self, state: &'a State) -> Hardware<Access<'a>> {
        Hardware::new(
            self.features,
            self.id,
            (state.root(), state.cache()),
            state.is_stuck,
        )
    }

    /// Makes the registers say what the members want, as far as they are awake; the rest follows on
    /// waking. Any context.
    pub(crate) fn update(&self, state: &mut State) -> Leftover {
        let wanted = self.wanted(state);
        let hw = self.hardware(state);
        let off = (state.own | state.parked) & !(wanted.own | wanted.parked);
        let owed_off = if hw.has_utlbs() { 0 } else { off };
        let stays = match (state.space_if_on(), &wanted.space) {
            (Some(old), Some(new)) => wants::same(old, new),
            _ => false,
        };

        hw.point(off, None);
        hw.park(wanted.parked & !state.parked);
        if stays {
            hw.point(wanted.own & !state.own, Some(self.id));
        } else {
            hw.park(state.own & wanted.own);
            hw.arrived();
            self.walk_instead(&hw, state.space.as_ref(), wanted.space.as_ref());
            hw.point(wanted.own, Some(self.id));
        }
        hw.arrived();
        let is_stuck = hw.is_stuck();
        drop(hw);

        self.note_flush(state, is_stuck);
        state.own = wanted.own;
        state.parked = wanted.parked;
        state.is_lost = false;
        Leftover {
            _space: core::mem::replace(&mut state.space, wanted.space),
            owed_off,
        }
    }

    /// Returns what the registers are to say: on Gen2 what is to be parked goes through this
    /// context, which walks nothing then.
    fn wanted(&self, state: &State) -> Wanted {
        let mut wanted = state.members.wanted();

        if self.features.parking().is_none() {
            wanted.space = wanted.space.or_else(|| self.idle.clone());
            wanted.own |= core::mem::take(&mut wanted.parked);
        }
        wanted
    }

    /// Switches the context from `old` to `new`, while no micro-TLB points to it; on Gen2, where
    /// they do, off is relied upon in between.
    fn walk_instead(
        &self,
        hw: &Hardware<impl Registers>,
        old: Option<&Arc<dyn AddressSpace>>,
        new: Option<&Arc<dyn AddressSpace>>,
    ) {
        if let Some(old) = old {
            hw.off();
            // What was not seen flushed is flushed with the table, too.
            if !hw.is_stuck() {
                old.set_walked(self.id, false);
            }
        }
        if let Some(new) = new {
            new.set_walked(self.id, true);
            // A fault that was not told is not the new one's.
            hw.clear_status();
            hw.program(Saved::walk(self.features, self.id, new.hardware()));
            hw.on();
        }
    }

    /// Drops the translations of the context, and waits until that is done. Any context.
    ///
    /// An awake root is flushed even while the cache sleeps: 1 write and 1 read in each, and 1
    /// write more if micro-TLB 0 points to the context.
    #[inline]
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock();
        if !state.is_on() {
            return;
        }

        state.flushes += 1;
        let hw = self.hardware(&state);
        hw.flush(state.own);
        let is_stuck = hw.is_stuck();
        drop(hw);

        self.note_flush(&mut state, is_stuck);
    }

    /// Reads and clears the fault of the context, and drops its translations: a failed walk may be
    /// cached. 1 read if there is no fault. Any context.
    pub(crate) fn take_fault(&self, state: &mut State) -> Option<Fault> {
        if !state.is_on() {
            return None;
        }
        let hw = self.hardware(state);
        let fault = Fault::take(self.features, self.id, hw.root()?)?;
        hw.flush(state.own);
        let is_stuck = hw.is_stuck();
        drop(hw);

        self.note_flush(state, is_stuck);
        state.faults += 1;
        Some(Fault {
            space: state.space.clone(),
            dev: state.members.iter().next().map(|member| member.dev.clone()),
            ..fault
        })
    }

    /// Notes whether the last flush was not seen done, and says so, once until one is.
    #[inline]
    pub(crate) fn note_flush(&self, state: &mut State, is_stuck: bool) {
        if is_stuck && !state.is_stuck {
            self.report_stuck();
        }
        state.is_stuck = is_stuck;
    }

    #[cold]
    #[inline(never)]
    fn report_stuck(&self) {
        dev_err!(
            self.dev,
            "TLB flush of context {} did not complete\n",
            self.id.index()
        );
    }
}

impl State {
    /// Returns whether the context is on, in what is awake.
    pub(crate) fn is_on(&self) -> bool {
        self.space.is_some() && !self.is_lost
    }

    /// Returns what the context walks, if it is on in what is awake.
    pub(crate) fn space_if_on(&self) -> Option<&Arc<dyn AddressSpace>> {
        self.space.as_ref().filter(|_| !self.is_lost)
    }

    /// Returns whether the clients are behind the cache with the registers `regs`.
    pub(crate) fn is_behind(&self, regs: &Arc<Mmio>) -> bool {
        let cache = self.cache.as_ref();

        cache.is_some_and(|cache| Arc::ptr_eq(&cache.regs, regs))
    }

    /// Notes whether the cache sleeps.
    pub(crate) fn cache_sleeps(&mut self, sleeps: bool) {
        if let Some(cache) = &mut self.cache {
            cache.is_awake = !sleeps;
        }
    }

    /// Returns the registers of the root, if they may be accessed.
    pub(crate) fn root(&self) -> Option<Access<'_>> {
        self.root.access()
    }

    /// Returns the registers of the cache, if there is one and they may be accessed.
    pub(crate) fn cache(&self) -> Option<Access<'_>> {
        self.cache.as_ref().and_then(Side::access)
    }
}
