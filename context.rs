// SPDX-License-Identifier: GPL-2.0

//! A root's translation contexts: leased, and returned when the lease is dropped.

use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_mutex,
        new_spinlock_irq,
        Arc,
        Mutex,
        MutexGuard,
        SpinLockIrq, //
    },
};

use crate::features::{
    ContextId,
    Features,
    MAX_CONTEXTS, //
};

/// Whoever holds a context.
pub(crate) trait Tenant: Send + Sync {
    /// Takes note of a fault at `iova`; returns whether it was dealt with. Interrupt context.
    fn report_fault(&self, iova: u64) -> bool;

    /// Writes what the tenant is, and how much it flushed. Not for interrupt context.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Looks again whether what it flushes is awake, and waits for who works under its lock.
    /// Interrupt context.
    fn settle(&self);

    /// Writes the names of the devices that the context translates for. Interrupt context.
    fn name_devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// The contexts of one root.
#[pin_data]
pub(crate) struct Contexts {
    features: &'static Features,
    /// Serialises attach and detach behind the root: several groups, and several domains, take
    /// part in one.
    #[pin]
    attach: Mutex<()>,
    /// Also taken by the interrupt handler.
    #[pin]
    tenants: SpinLockIrq<[Option<Arc<dyn Tenant>>; MAX_CONTEXTS]>,
    /// How many more [`Room`]s there can be.
    #[pin]
    vacant: SpinLockIrq<usize>,
    /// Faults of each context, by whatever tenant.
    faults: [Atomic<u64>; MAX_CONTEXTS],
}

impl Contexts {
    /// All contexts are free.
    pub(crate) fn new(features: &'static Features) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                features,
                attach <- new_mutex!(()),
                tenants <- new_spinlock_irq!([const { None }; MAX_CONTEXTS]),
                vacant <- new_spinlock_irq!(features.usable_contexts().count()),
                faults: [const { Atomic::new(0) }; MAX_CONTEXTS],
            }),
            GFP_KERNEL,
        )
    }

    /// Promises a context to a group of masters: the IOMMU core does not take it well if there is
    /// none when it attaches a group for the first time. `None` when all are promised.
    pub(crate) fn promise(self: &Arc<Self>) -> Option<Room> {
        let mut vacant = self.vacant.lock();

        *vacant = vacant.checked_sub(1)?;
        Some(Room(self.clone()))
    }

    /// Leases a free context to `tenant`. Any context.
    ///
    /// # Errors
    ///
    /// `EBUSY` when none is free.
    pub(crate) fn lease(self: &Arc<Self>, tenant: Arc<dyn Tenant>) -> Result<Lease> {
        let mut tenants = self.tenants.lock();
        let id = self
            .features
            .usable_contexts()
            .find(|id| tenants[id.index()].is_none())
            .ok_or(EBUSY)?;
        tenants[id.index()] = Some(tenant);

        Ok(Lease {
            contexts: self.clone(),
            id,
        })
    }

    /// Keeps others from attaching and detaching behind the root. May sleep.
    pub(crate) fn lock_attach(&self) -> MutexGuard<'_, ()> {
        self.attach.lock()
    }

    /// Waits until the interrupt handler is done with what it found before. Not for its context.
    pub(crate) fn settle(&self) {
        drop(self.tenants.lock());
    }

    /// Calls `f` with a mask of the leased contexts, after all who touch registers for their
    /// tenants are done with that. No context is leased or returned, and no fault handled,
    /// meanwhile. Interrupts are off.
    pub(crate) fn with_settled<R>(&self, f: impl FnOnce(u16) -> R) -> R {
        let tenants = self.tenants.lock();
        let mut leased = 0;

        for id in self.features.usable_contexts() {
            if let Some(tenant) = &tenants[id.index()] {
                tenant.settle();
                leased |= id.bit();
            }
        }
        f(leased)
    }

    /// Counts a fault of context `id`. Any context.
    pub(crate) fn count_fault(&self, id: ContextId) {
        self.faults[id.index()].fetch_add(1, Relaxed);
    }

    /// How many faults of context `id` there were.
    pub(crate) fn faults(&self, id: ContextId) -> u64 {
        self.faults[id.index()].load(Relaxed)
    }

    /// Calls `f` for each leased context, with interrupts off and the leases held still.
    pub(crate) fn for_each_leased(&self, mut f: impl FnMut(ContextId, &dyn Tenant)) {
        let tenants = self.tenants.lock();

        for id in self.features.usable_contexts() {
            if let Some(tenant) = &tenants[id.index()] {
                f(id, &**tenant);
            }
        }
    }
}

/// The promise of a context to a group of masters.
pub(crate) struct Room(Arc<Contexts>);

impl Drop for Room {
    fn drop(&mut self) {
        *self.0.vacant.lock() += 1;
    }
}

/// The right to use a context. Dropping it returns the context; the hardware must not use it then.
pub(crate) struct Lease {
    contexts: Arc<Contexts>,
    id: ContextId,
}

impl Lease {
    /// The number of the context.
    pub(crate) fn id(&self) -> ContextId {
        self.id
    }

    /// Makes `tenant` the one who holds the context, and calls `f`, with interrupts off: nobody
    /// sees the one without the other. Any context.
    pub(crate) fn hand_over<R>(&self, tenant: Arc<dyn Tenant>, f: impl FnOnce() -> R) -> R {
        let mut tenants = self.contexts.tenants.lock();
        let old = tenants[self.id.index()].replace(tenant);
        let result = f();

        drop(tenants);
        // It may go away with this reference, which must not happen under the lock.
        drop(old);
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let tenant = self.contexts.tenants.lock()[self.id.index()].take();

        // The tenant may go away with this reference, which must not happen under the lock.
        drop(tenant);
    }
}

#[kunit_tests(ipmmu_context)]
mod tests {
    use super::*;
    use crate::features::{
        GEN2,
        GEN3, //
    };

    struct Nobody;

    impl Tenant for Nobody {
        fn report_fault(&self, _iova: u64) -> bool {
            false
        }

        fn describe(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }

        fn settle(&self) {}

        fn name_devices(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    }

    fn tenant() -> Result<Arc<Nobody>> {
        Ok(Arc::new(Nobody, GFP_KERNEL)?)
    }

    #[test]
    fn seven_leases_and_no_more() -> Result {
        let contexts = Contexts::new(&GEN3)?;
        let mut leases = KVec::new();

        for expected in 1..8 {
            let lease = contexts.lease(tenant()?)?;
            assert_eq!(lease.id().index(), expected);
            leases.push(lease, GFP_KERNEL)?;
        }
        assert_eq!(contexts.lease(tenant()?).err(), Some(EBUSY));
        Ok(())
    }

    #[test]
    fn a_dropped_lease_is_to_be_had_again() -> Result {
        let contexts = Contexts::new(&GEN2)?;
        let lease = contexts.lease(tenant()?)?;

        assert_eq!(lease.id().index(), 0);
        assert!(contexts.lease(tenant()?).is_err());
        drop(lease);
        assert!(contexts.lease(tenant()?).is_ok());
        Ok(())
    }

    #[test]
    fn a_context_can_be_handed_over() -> Result {
        let contexts = Contexts::new(&GEN3)?;
        let (first, second) = (tenant()?, tenant()?);
        let lease = contexts.lease(first.clone())?;

        lease.hand_over(second.clone(), || ());
        assert!(Arc::into_unique_or_drop(first).is_some());
        assert!(Arc::into_unique_or_drop(second).is_none());
        assert_eq!(lease.id().index(), 1);
        Ok(())
    }

    #[test]
    fn no_more_is_promised_than_there_is() -> Result {
        let contexts = Contexts::new(&GEN2)?;
        let room = contexts.promise();

        assert!(room.is_some());
        assert!(contexts.promise().is_none());
        drop(room);
        assert!(contexts.promise().is_some());
        Ok(())
    }

    #[test]
    fn only_leased_contexts_are_visited() -> Result {
        let contexts = Contexts::new(&GEN3)?;
        let first = contexts.lease(tenant()?)?;
        let _second = contexts.lease(tenant()?)?;
        let mut seen = 0;

        drop(first);
        contexts.for_each_leased(|id, _| seen |= 1 << id.index());
        assert_eq!(seen, 1 << 2);
        Ok(())
    }

    #[test]
    fn a_lease_keeps_its_tenant() -> Result {
        let contexts = Contexts::new(&GEN3)?;
        let ours = tenant()?;
        let lease = contexts.lease(ours.clone())?;

        assert!(Arc::into_unique_or_drop(ours.clone()).is_none());
        drop(lease);
        assert!(Arc::into_unique_or_drop(ours).is_some());
        Ok(())
    }
}
