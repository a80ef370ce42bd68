// SPDX-License-Identifier: GPL-2.0

//! The wants of a group's clients, and what follows from them for the micro-TLBs.
//!
//! The core attaches one client at a time, and not always all of a group: a PCI function is blocked
//! alone while it is reset. The group sees its newest want that is neither nothing nor "blocked". A
//! micro-TLB takes part in it while one of its own clients has such a want.

use kernel::{
    device::Device,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

use crate::table::AddressSpace;

/// What the core attached a client to.
#[derive(Clone)]
pub(crate) enum Want {
    /// Nothing yet.
    Nothing,
    /// No memory at all.
    Blocked,
    /// Physical addresses.
    Identity,
    /// The mappings of a domain.
    Domain(Arc<dyn AddressSpace>),
}

impl Want {
    /// Returns whether this want can decide what the group sees.
    fn counts(&self) -> bool {
        matches!(self, Self::Identity | Self::Domain(_))
    }
}

/// Returns whether `a` and `b` are one address space.
pub(crate) fn same(a: &Arc<dyn AddressSpace>, b: &Arc<dyn AddressSpace>) -> bool {
    core::ptr::addr_eq(&raw const **a, &raw const **b)
}

/// A bus master of a group.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) dev: ARef<Device>,
    /// Its micro-TLBs, a bit each.
    pub(crate) utlbs: u64,
    want: Want,
}

impl Member {
    /// Returns whether the client must not reach any memory.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(self.want, Want::Blocked)
    }

    /// Returns whether the client wants physical addresses.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self.want, Want::Identity)
    }
}

/// The state of the registers that follows from the wants.
pub(crate) struct Wanted {
    /// What the group's context walks; without it the context is off.
    pub(crate) space: Option<Arc<dyn AddressSpace>>,
    /// Micro-TLBs that point to the group's context, a bit each.
    pub(crate) own: u64,
    /// Micro-TLBs that point to the parking context. All others are off.
    pub(crate) parked: u64,
}

/// The clients of one group; the one with the newest want comes last.
#[derive(Default)]
pub(crate) struct Members {
    pub(crate) list: KVec<Member>,
    /// Micro-TLBs that stay parked although no client is blocked, a bit each: those that were found
    /// on, while their clients have wanted nothing yet.
    found: u64,
}

impl Members {
    /// Copies the clients to `list`, and adds `dev` with `utlbs`, of which `found` were found on.
    /// Returns the old list, to be dropped where sleeping is allowed. Any context. Fails with
    /// `ENOMEM` when `list` is too small; nothing has changed then.
    pub(crate) fn add(
        &mut self,
        mut list: KVec<Member>,
        dev: &Device,
        utlbs: u64,
        found: u64,
    ) -> Result<KVec<Member>> {
        // The new client wants nothing, so it is older than all that want something.
        let new = Member {
            dev: dev.into(),
            utlbs,
            want: Want::Nothing,
        };

        list.push_within_capacity(new).map_err(|_| ENOMEM)?;
        for member in &self.list {
            list.push_within_capacity(member.clone())
                .map_err(|_| ENOMEM)?;
        }
        self.found |= found;
        Ok(core::mem::replace(&mut self.list, list))
    }

    /// Returns the micro-TLBs of all clients, a bit each.
    pub(crate) fn utlbs(&self) -> u64 {
        self.list.iter().fold(0, |all, member| all | member.utlbs)
    }

    /// Returns whether a client is blocked.
    pub(crate) fn any_blocked(&self) -> bool {
        self.list.iter().any(Member::is_blocked)
    }

    /// Returns whether a client other than `dev` is attached to a domain other than `space`.
    pub(crate) fn others_are_elsewhere(&self, dev: &Device, space: &Arc<dyn AddressSpace>) -> bool {
        self.list.iter().any(|m| {
            !core::ptr::eq(&*m.dev, dev)
                && matches!(&m.want, Want::Domain(other) if !same(other, space))
        })
    }

    /// Records what `dev` wants. Returns its previous want, to be dropped where sleeping is
    /// allowed. Allocates nothing. Any context.
    pub(crate) fn set(&mut self, dev: &Device, want: Want) -> Option<Want> {
        let index = self.position(dev)?;
        let old = core::mem::replace(&mut self.list[index].want, want);

        self.found &= !self.list[index].utlbs;
        self.list[index..].rotate_left(1);
        Some(old)
    }

    /// Removes `dev` and returns it, to be dropped where sleeping is allowed. Its micro-TLBs are
    /// parked if it goes on without the core (`goes_on`). Any context.
    pub(crate) fn remove(&mut self, dev: &Device, goes_on: bool) -> Option<Member> {
        let index = self.position(dev)?;
        let member = self.list.remove(index).ok()?;

        if goes_on {
            self.found |= member.utlbs & !self.utlbs();
        }
        Some(member)
    }

    /// Returns the parked micro-TLBs that no client of the group has any more, a bit each. They are
    /// not the group's from then on. Any context.
    pub(crate) fn take_strays(&mut self) -> u64 {
        let strays = self.found & !self.utlbs();

        self.found &= !strays;
        strays
    }

    fn position(&self, dev: &Device) -> Option<usize> {
        self.list.iter().position(|m| core::ptr::eq(&*m.dev, dev))
    }

    /// Returns the state of the registers that follows from the wants. Any context.
    pub(crate) fn wanted(&self) -> Wanted {
        let of = |wanted: fn(&Want) -> bool| {
            let members = self.list.iter().filter(|m| wanted(&m.want));
            members.fold(0, |all, member| all | member.utlbs)
        };
        let active = of(Want::counts);
        let parked = (of(|want| matches!(want, Want::Blocked)) | self.found) & !active;
        let newest = self.list.iter().rev().find(|m| m.want.counts());
        let space = newest.and_then(|m| match &m.want {
            Want::Domain(space) => Some(space.clone()),
            _ => None,
        });

        Wanted {
            own: if space.is_some() { active } else { 0 },
            parked,
            space,
        }
    }
}

#[kunit_tests(ipmmu_wants)]
mod tests {
    use kernel::{
        device::Bound,
        faux, //
    };

    use super::*;
    use crate::table::Hardware;

    struct Space;

    impl AddressSpace for Space {
        fn hardware(&self) -> Hardware {
            Hardware { base: 0, mair: 0 }
        }
    }

    fn space() -> Result<Arc<dyn AddressSpace>> {
        let space: Arc<dyn AddressSpace> = Arc::new(Space, GFP_KERNEL)?;
        Ok(space)
    }

    fn plain(dev: &faux::Registration) -> &Device {
        let dev: &Device<Bound> = dev.as_ref().as_ref();
        dev
    }

    /// Three clients: two share micro-TLB 0, the third has micro-TLB 2 alone.
    struct Group {
        devs: [faux::Registration; 3],
        members: Members,
    }

    impl Group {
        fn new() -> Result<Self> {
            let mut group = Self {
                devs: [
                    faux::Registration::new(c"ipmmu-test-0", None)?,
                    faux::Registration::new(c"ipmmu-test-1", None)?,
                    faux::Registration::new(c"ipmmu-test-2", None)?,
                ],
                members: Members::default(),
            };

            for (dev, utlbs) in group.devs.iter().zip([0b001, 0b011, 0b100]) {
                let list = KVec::with_capacity(group.members.list.len() + 1, GFP_KERNEL)?;
                group.members.add(list, plain(dev), utlbs, 0)?;
            }
            Ok(group)
        }

        fn set(&mut self, dev: usize, want: Want) {
            self.members.set(plain(&self.devs[dev]), want);
        }

        /// Returns the micro-TLBs that are on the group's context, and those that are parked.
        fn masks(&self) -> (u64, u64) {
            let wanted = self.members.wanted();
            (wanted.own, wanted.parked)
        }
    }

    #[test]
    fn a_client_that_wants_nothing_stays_off() -> Result {
        let mut group = Group::new()?;

        assert_eq!(group.masks(), (0, 0));
        group.set(2, Want::Domain(space()?));
        assert_eq!(group.masks(), (0b100, 0));
        Ok(())
    }

    #[test]
    fn a_blocked_client_leaves_its_sharers_what_they_see() -> Result {
        let mut group = Group::new()?;
        let ours = space()?;

        for dev in 0..3 {
            group.set(dev, Want::Domain(ours.clone()));
        }
        group.set(1, Want::Blocked);
        assert_eq!(group.masks(), (0b101, 0b010));
        group.set(0, Want::Blocked);
        assert_eq!(group.masks(), (0b100, 0b011));
        group.set(2, Want::Blocked);
        assert_eq!(group.masks(), (0, 0b111));
        assert!(group.members.any_blocked());
        Ok(())
    }

    #[test]
    fn the_newest_want_wins_and_the_one_before_comes_back() -> Result {
        let mut group = Group::new()?;
        let (old, new) = (space()?, space()?);
        let sees = |group: &Group, space| {
            let wanted = group.members.wanted();
            wanted.space.is_some_and(|seen| same(&seen, space))
        };

        group.set(0, Want::Domain(old.clone()));
        group.set(1, Want::Domain(new.clone()));
        assert!(sees(&group, &new));
        group.members.remove(plain(&group.devs[1]), false);
        assert!(sees(&group, &old));
        group.set(0, Want::Identity);
        assert_eq!(group.masks(), (0, 0));
        assert!(group.members.wanted().space.is_none());
        Ok(())
    }

    #[test]
    fn what_was_found_stays_parked_until_its_client_wants_something() -> Result {
        let mut group = Group::new()?;
        let dev = faux::Registration::new(c"ipmmu-test-3", None)?;

        let list = KVec::with_capacity(group.members.list.len() + 1, GFP_KERNEL)?;
        group.members.add(list, plain(&dev), 0b1000, 0b1000)?;
        assert_eq!(group.masks(), (0, 0b1000));
        group.set(0, Want::Identity);
        assert_eq!(group.masks(), (0, 0b1000));
        group.members.set(plain(&dev), Want::Identity);
        assert_eq!(group.masks(), (0, 0));
        Ok(())
    }

    #[test]
    fn what_was_found_and_never_wanted_stays_parked_without_its_client() -> Result {
        let mut group = Group::new()?;
        let dev = faux::Registration::new(c"ipmmu-test-4", None)?;

        let list = KVec::with_capacity(group.members.list.len() + 1, GFP_KERNEL)?;
        group.members.add(list, plain(&dev), 0b1001, 0b1000)?;
        group.members.remove(plain(&dev), false);
        assert_eq!(group.masks(), (0, 0b1000));
        assert_eq!(group.members.utlbs(), 0b111);
        assert_eq!(group.members.take_strays(), 0b1000);
        assert_eq!(group.masks(), (0, 0));
        Ok(())
    }

    #[test]
    fn a_client_that_goes_on_is_parked_before_it_leaves() -> Result {
        let mut group = Group::new()?;
        let ours = space()?;

        for dev in 0..3 {
            group.set(dev, Want::Domain(ours.clone()));
        }
        group.members.remove(plain(&group.devs[1]), true);
        assert_eq!(group.masks(), (0b101, 0b010));
        assert_eq!(group.members.take_strays(), 0b010);
        group.members.remove(plain(&group.devs[2]), false);
        assert_eq!(group.masks(), (0b001, 0));
        assert_eq!(group.members.take_strays(), 0);
        Ok(())
    }
}
