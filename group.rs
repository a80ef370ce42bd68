// SPDX-License-Identifier: GPL-2.0

//! Groups: clients that cannot be distinguished, and the context that is reserved for them.
//!
//! A group consists of clients that share micro-TLBs, directly or through others, and of clients
//! that are in one group of the core. It reserves a context of its root when its first client is
//! probed, and keeps it until its last client is released, whatever they are attached to.

use kernel::{
    device::Device,
    prelude::*,
    sync::{
        Arc,
        SetOnce, //
    },
};

use crate::abstractions::{
    device::driver::has_driver,
    iommu::driver::{
        Group,
        Grouping, //
    },
};

use crate::{
    context::*,
    ipmmu::*,
    mismatch::Mismatches,
    wants::*, //
};

/// Whether the DMA API of 32-bit Arm is in use. It wants each client in a core group of its own,
/// and attaches each by itself.
const EACH_BY_ITSELF: bool = cfg!(CONFIG_ARM_DMA_USE_IOMMU);

/// The reason why a client cannot be in any group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// All contexts of the root are reserved.
    NoContext,
    /// The client would join groups that exist.
    JoinsGroups,
    /// The client's group is behind another cache.
    OtherCache,
    /// Lack of memory, or another error of the core.
    Core(Error),
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Self::Core(e)
    }
}

/// A bus master behind an IPMMU.
pub(crate) struct Client {
    pub(crate) ipmmu: Arc<Ipmmu>,
    /// The client's micro-TLBs, a bit each.
    pub(crate) utlbs: u64,
    /// The context of the client's group, once the client is in one.
    context: SetOnce<Arc<Context>>,
}

impl Client {
    /// Creates a client behind `ipmmu` with the micro-TLBs `utlbs`. It is in no group yet.
    pub(crate) fn new(ipmmu: Arc<Ipmmu>, utlbs: u64) -> Self {
        Self {
            ipmmu,
            utlbs,
            context: SetOnce::new(),
        }
    }

    /// Adds the client to its group, and reserves a context if it is the first there. Returns the
    /// core's group. May sleep.
    ///
    /// Fails with the reason why the client cannot be in any group. It has joined none then.
    pub(crate) fn join(&self, grouping: &Grouping<'_>) -> Result<Group, Refusal> {
        let features = self.ipmmu.features;
        // Created, and dropped if not needed, without the mutex, because the core's locks are taken
        // before it.
        let of_bus = if EACH_BY_ITSELF {
            grouping.of_its_own()?
        } else if features.split {
            grouping.of_bus()?
        } else {
            grouping.of_iommu()?
        };
        let mut count = 1;

        loop {
            // Before the mutex, which waking up takes, too: memory may not be freed before a client
            // has written something.
            let list = KVec::with_capacity(count, GFP_KERNEL).map_err(Error::from)?;
            let mut reservations = self.ipmmu.root().reservations.lock();
            let (core, context) = self.choose(&reservations, &of_bus)?;

            count = context.lock().members.list.len() + 1;
            if count <= list.capacity() {
                self.enter(&context, grouping.dev(), list)?;
                let of_context = &mut reservations[context.id.index()];
                of_context.get_or_insert_with(|| (!EACH_BY_ITSELF).then(|| core.clone()));
                self.context.populate(context);
                return Ok(core);
            }
        }
    }

    /// Returns the core's group for the client, and the context that is reserved for it or else a
    /// free one. `of_bus` is the core's group that the bus asks for.
    fn choose(
        &self,
        reservations: &Reservations,
        of_bus: &Group,
    ) -> Result<(Group, Arc<Context>), Refusal> {
        let (mut found, mut is_elsewhere, mut free) = (None, false, None);

        for context in &self.ipmmu.root().contexts {
            let Some(group) = &reservations[context.id.index()] else {
                free = free.or(Some(context));
                continue;
            };
            let (is_here, shares) = self.relation(context);
            if shares || group.as_ref() == Some(of_bus) {
                is_elsewhere = !is_here;
                if found.replace((context, group)).is_some() {
                    return Err(Refusal::JoinsGroups);
                }
            }
        }
        let (context, group) = match found {
            Some(_) if is_elsewhere => return Err(Refusal::OtherCache),
            Some((context, group)) => (context, group.as_ref().unwrap_or(of_bus)),
            None => (free.ok_or(Refusal::NoContext)?, of_bus),
        };
        Ok((group.clone(), context.clone()))
    }

    /// Returns whether the group of `context` is behind the client's IPMMU, and whether the client
    /// shares a micro-TLB with it; always on Gen2.
    fn relation(&self, context: &Context) -> (bool, bool) {
        let state = context.lock();
        let is_here = state.is_behind(&self.ipmmu.regs);
        let shares = !self.ipmmu.features.split || state.members.utlbs() & self.utlbs != 0;

        (is_here, is_here && shares)
    }

    /// Adds the client, which is the device `dev`, to the group of `context`.
    fn enter(&self, context: &Context, dev: &Device, list: KVec<Member>) -> Result {
        let found = self.ipmmu.parking.take_strays(self.utlbs);

        // Before a micro-TLB of the group can be parked.
        self.ipmmu.parking.park_here();
        let mut state = context.lock();
        let old = state.members.add(list, dev, self.utlbs, found);
        if self.ipmmu.features.parking().is_some() {
            state.parked |= found;
        } else {
            state.own |= found;
        }
        if self.ipmmu.features.split && state.cache.is_none() {
            state.cache = Some(Side {
                regs: self.ipmmu.regs.clone(),
                // A cache that falls asleep clears this first, and then visits its contexts.
                is_awake: self.ipmmu.parking.state.lock().is_awake,
            });
        }
        drop(state);
        old.map(drop)
    }

    /// Attaches the client, which is the device `dev`, to `want`. May sleep; allocates nothing.
    ///
    /// Fails with `EBUSY` for a domain when another client of the group is in another one, and the
    /// core does not attach whole groups. `ENODEV` without a group. Nothing has changed then.
    pub(crate) fn attach(&self, dev: &Device, want: Want) -> Result {
        let context = self.context.as_ref().ok_or(ENODEV)?;
        let want = match want {
            // The group continues to see what its other clients want.
            Want::Identity if EACH_BY_ITSELF => Want::Nothing,
            want => want,
        };

        self.change(context, |state| {
            if let (true, Want::Domain(space)) = (EACH_BY_ITSELF, &want) {
                if state.members.others_are_elsewhere(dev, space) {
                    return Err(EBUSY);
                }
            }
            Ok(state.members.set(dev, want))
        })
    }

    /// Removes the client, which is the device `dev`, from its group, and gives the context back
    /// after the last client. If a driver is being bound, it goes on without the core: micro-TLBs
    /// of this client alone go from the group's context to parking. May sleep.
    pub(crate) fn release(&self, dev: &Device) {
        let Some(context) = self.context.as_ref() else {
            return;
        };

        let goes_on = has_driver(dev);
        // A removal is never refused.
        let _ = self.change(context, |state| Ok(state.members.remove(dev, goes_on)));
        let mut reservations = self.ipmmu.root().reservations.lock();
        let mut state = context.lock();
        if state.members.list.is_empty() {
            let cache = state.cache.take();
            let group = reservations[context.id.index()].take();

            drop(state);
            drop(reservations);
            drop((cache, group));
        }
    }

    /// Changes what the members want by calling `f`, and updates the registers. May sleep.
    ///
    /// Drops unused references after `synchronize_irq()`: until then the handler may use them.
    fn change<R>(&self, context: &Context, f: impl FnOnce(&mut State) -> Result<R>) -> Result {
        let root = self.ipmmu.root();
        let serialised = root.reservations.lock();
        let mut wrong = Mismatches::default();
        let (dropped, utlbs) = context.with(|state| -> Result<_> {
            let utlbs = state.members.utlbs();
            let old = f(state)?;
            let leftover = context.update(state, &mut wrong);
            let strays = state.members.take_strays();

            state.own &= !strays;
            state.parked &= !strays;
            self.ipmmu.parking.state.lock().strays |= strays;
            // The cache cannot wake up before this: that takes the mutex, too.
            self.ipmmu.parking.owe_off(leftover.owed_off);
            Ok(((old, leftover), utlbs))
        })?;

        wrong.log(root.dev(), "after attach");
        for ipmmu in [&self.ipmmu, root] {
            // What a sleeping instance has saved is out of date.
            let _ = ipmmu.with_save_area(|area| area.forget(ipmmu.features, context.id, utlbs));
        }
        let any_blocked = |context: &Arc<Context>| context.lock().members.any_blocked();
        root.parking
            .tell_faults(root.contexts.iter().any(any_blocked));
        if let Some(irq) = root.irq.as_ref() {
            irq.synchronize();
        }
        drop(dropped);
        drop(serialised);
        Ok(())
    }
}
