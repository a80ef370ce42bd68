// SPDX-License-Identifier: GPL-2.0

//! The hardware's part of a paging domain: the context that translates for it, who uses that, and
//! how what is cached of the domain's table is flushed.

use kernel::{
    prelude::*,
    sync::{
        new_spinlock_irq,
        rcu,
        Arc,
        ArcBorrow,
        SpinLockIrq, //
    },
};

use crate::{
    abstractions::{
        io_pgtable::{
            FlushOps,
            LpaeS1, //
        },
        mmio::Port,
        tally::Tally, //
    },
    context::{
        Lease,
        Room, //
    },
    domain::Domain,
    features::ContextId,
    ipmmu::Ipmmu,
    mmio::Registers,
    regs::{
        IMBUSCR,
        IMCTR,
        IMMAIR0,
        IMSTR,
        IMTTLBR0,
        IMTTUBR0, //
    },
    seat::{
        Seat,
        Users, //
    },
};

/// IMCTR of a context in use; with the flush that a change of the context requires.
pub(crate) fn imctr_enabled() -> IMCTR {
    IMCTR::from(0)
        .with_inten(true)
        .with_flush(true)
        .with_mmuen(true)
}

/// A context in use.
struct Active {
    /// Shared by two domains while one takes the context over from the other.
    lease: Arc<Lease>,
    users: Users,
}

impl Active {
    fn id(&self) -> ContextId {
        self.lease.id()
    }

    /// Where the context's IMCTR is, in the root and in its caches alike.
    fn imctr(&self, root: &Ipmmu) -> usize {
        root.features().context::<IMCTR>(self.id()).offset()
    }

    /// Invalidates all translations: a write per cache in use, a write and a read of the root.
    fn flush(&self, root: &Ipmmu) {
        let id = self.id();

        self.users
            .for_each_cache(|cache| cache.flush_context(id, imctr_enabled()));
        root.flush_root(id, imctr_enabled());
    }

    /// Switches the context off, in the caches in use, then in the root: 1 write each, a read and a
    /// write more. The flush leaves nothing of it in the TLBs.
    fn switch_off(&self, root: &Ipmmu) {
        let id = self.id();

        self.users
            .for_each_cache(|cache| cache.switch_context(id, IMCTR::from(0)));
        root.switch_context(id, IMCTR::from(0));
        root.wait_flushed(id);
        // Nobody looks for a fault here any more, and a flush that comes late has it interrupt.
        if let Some(regs) = root.registers() {
            regs.write(root.features().context(id), IMSTR::from(0));
        }
    }

    /// Sets up the root's registers, IMCTR last: 6 writes, on Gen2 a read and a write more. Then
    /// the caches, and waits for the flush.
    fn program(&self, root: &Ipmmu, table: LpaeS1) {
        let features = root.features();
        let id = self.id();

        if let Some(regs) = root.target() {
            let high = IMTTUBR0::from((table.ttbr >> 32) as u32);
            regs.write(features.context(id), IMTTLBR0::from(table.ttbr as u32));
            regs.write(features.context(id), high);
            regs.write(features.context(id), features.ttbcr());
            regs.write(features.context(id), IMMAIR0::from(table.mair as u32));
            if features.has_imbuscr {
                let imbuscr = regs.read::<IMBUSCR>(features.context(id));
                let imbuscr = imbuscr.with_dvm(false).with_const_bussel::<0>();
                regs.write(features.context(id), imbuscr);
            }
            // A fault that the previous tenant left behind.
            regs.write(features.context(id), IMSTR::from(0));
        }
        root.switch_context(id, imctr_enabled());
        self.users
            .for_each_cache(|cache| cache.switch_context(id, imctr_enabled()));
        root.wait_flushed(id);
    }

    /// Has the context walk another table: 1 write, and a flush.
    ///
    /// A walk sees the old or the new base and nothing in between, because the upper half of the
    /// base is 0 in both: see [`Config::root_below_4g`].
    ///
    /// [`Config::root_below_4g`]: crate::abstractions::io_pgtable::Config::root_below_4g
    fn retarget(&self, root: &Ipmmu, table: LpaeS1) {
        if let Some(regs) = root.target() {
            let base = IMTTLBR0::from(table.ttbr as u32);
            regs.write(root.features().context(self.id()), base);
        }
        self.flush(root);
    }
}

/// What is cached of a domain's table, and where.
///
/// Attaches and detaches, which change who uses the context, are serialised by the root's attach
/// lock.
///
/// # Flushing
///
/// Each page that is unmapped in strict mode is flushed, so that a flush is to cost little beside
/// its accesses: a write to the cache, a write to the root and a read of it. Which context that is,
/// in which cache, and whether they have power, changes at attach, detach, suspend and resume. All
/// who change it do so under the lock of `active`, and then say in two [`Port`]s which registers a
/// flush is to write ([`Tlb::aim`]). A flush looks at these and takes no lock.
///
/// - While `root` has a register, it and the one in `cache`, if any, are all that is to be written,
///   and awake.
/// - While it has none, it takes a look under the lock: at nothing, at an instance that is asleep,
///   at several caches, or at a root that did not complete a flush. If it is over, it says so in
///   the ports. So nobody has to when an instance wakes up.
///
/// There are two words to look at, and they may change in between. So the cache's stays when the
/// root's is taken away: who found the root's does not go without it. Nothing orders the two when
/// they are chosen first; who sees the root's alone then is a flush that comes late.
///
/// Without the lock a flush may come late. What it does then has to be harmless:
///
/// - *An instance falls asleep.* Its registers must not be touched without power. So it has its
///   flushers look elsewhere first, and waits for a grace period of RCU, which a flush is within,
///   from its look at the ports to its last access.
/// - *A device is attached behind another cache*, which a flush does not know of yet. The page was
///   unmapped before, and its entry written back with a full barrier (`DSB`). The micro-TLB is
///   pointed to the context after the ports were changed. So the walks of the new cache see the
///   entry cleared.
/// - *The last device leaves.* The context may be switched on again after it was switched off. No
///   micro-TLB is pointed to it any more, so it translates for nobody; the next one who leases it
///   sets it up and flushes it before a micro-TLB is pointed to it.
/// - *Another domain takes the context over.* It is flushed once too often.
#[pin_data]
pub(crate) struct Tlb {
    /// IMCTR in `home`, if that is a cache; to be looked at after `root` only.
    cache: Port,
    /// IMCTR in the root, while that and `cache` are all that is to be written.
    root: Port,
    /// The instance that the domain was made for a device of.
    home: Arc<Ipmmu>,
    /// Since the context is in use.
    flushes: Tally,
    /// `None` while no device is attached: nothing is cached then. Taken in any context.
    #[pin]
    active: SpinLockIrq<Option<Active>>,
}

impl Tlb {
    /// Of a domain that nobody uses, made for devices behind `home`, or others with the same root.
    /// May sleep.
    pub(crate) fn new(home: &Arc<Ipmmu>) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                cache: Port::new(home.window().clone()),
                root: Port::new(home.root().window().clone()),
                home: home.clone(),
                flushes: Tally::new(),
                active <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// Changes what is in use with `f`, and what a flush is to write accordingly.
    fn change<R>(&self, f: impl FnOnce(&mut Option<Active>) -> R) -> R {
        let mut active = self.active.lock();
        let result = f(&mut active);

        self.aim(active.as_ref());
        result
    }

    /// The root that all who use the domain are behind.
    pub(crate) fn root(&self) -> &Arc<Ipmmu> {
        self.home.root()
    }

    /// Says what a flush is to write.
    fn aim(&self, active: Option<&Active>) {
        let at = active.and_then(|active| self.plain(active));

        // This one is never taken away: whoever has found the root's is to find it, too.
        if at.is_some() && !self.home.is_root() {
            self.cache.choose(at);
        }
        self.root.choose(at);
    }

    /// Where IMCTR is, if there is no more to a flush than writing it to `home` and the root, or to
    /// the root alone if that is `home`.
    fn plain(&self, active: &Active) -> Option<usize> {
        let root = self.root();
        let is_behind_home = |s: &Arc<Seat>| Arc::ptr_eq(&s.ipmmu, &self.home);
        let is_plain = active.users.seats().iter().all(is_behind_home)
            && !self.home.is_asleep()
            && !root.is_asleep()
            && !root.is_stuck(active.id());

        is_plain.then(|| {
            self.home.expose();
            root.expose();
            active.imctr(root)
        })
    }

    /// Looks again at what is awake. Afterwards only who flushes without the lock may still go by
    /// what was seen before. Any context.
    pub(crate) fn settle(&self) {
        self.change(|_| ());
    }

    /// As [`Tlb::flush_all`], where it has to be looked at more closely.
    #[cold]
    #[inline(never)]
    fn flush_under_lock(&self) {
        self.change(|active| {
            if let Some(active) = active {
                self.flushes.count();
                active.flush(self.root());
            }
        });
    }

    /// Waits for a flush that has begun.
    #[cold]
    #[inline(never)]
    fn wait_flushed(&self) {
        self.change(|active| {
            if let Some(active) = active {
                self.root().wait_flushed(active.id());
            }
        });
    }

    /// The context in use.
    pub(crate) fn context(&self) -> Option<ContextId> {
        self.active.lock().as_ref().map(Active::id)
    }

    /// About how often it was flushed since the context is in use.
    pub(crate) fn flushes(&self) -> usize {
        self.flushes.get()
    }

    /// The seat number `index` of those that use the context.
    pub(crate) fn seat(&self, index: usize) -> Option<Arc<Seat>> {
        let active = self.active.lock();

        active.as_ref()?.users.seats().get(index).cloned()
    }

    /// Calls `f` with the seats that use the context. Interrupts are off meanwhile.
    pub(crate) fn with_seats(&self, f: impl FnOnce(&[Arc<Seat>])) {
        let active = self.active.lock();

        f(active.as_ref().map_or(&[], |a| a.users.seats()));
    }

    /// Whether the context is in use, and by nobody but the masters of `room`.
    pub(crate) fn is_used_only_by(&self, room: &Arc<Room>) -> bool {
        let active = self.active.lock();

        active
            .as_ref()
            .is_some_and(|a| a.users.seats().iter().all(|s| Arc::ptr_eq(&s.room, room)))
    }

    /// A copy of the users, with room for one more. None changes them meanwhile. May sleep.
    fn users(&self) -> Result<Users> {
        let count = match &*self.active.lock() {
            Some(active) => active.users.seats().len(),
            None => 0,
        };
        let mut users = Users::with_capacity(count + 1)?;

        if let Some(active) = &*self.active.lock() {
            active.users.seats().iter().for_each(|s| users.add(s));
        }
        Ok(users)
    }

    /// Has the context that is in use translate for `seat`, too. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. Nothing has changed then.
    pub(crate) fn join(&self, seat: &Arc<Seat>) -> Result {
        let mut users = self.users()?;
        let is_new_cache = !seat.ipmmu.is_root() && !users.are_behind(&seat.ipmmu);
        users.add(seat);

        let old = self.change(|active| match active {
            Some(active) => {
                if is_new_cache {
                    // The cache must have the context before a micro-TLB of it is pointed there.
                    seat.ipmmu.switch_context(active.id(), imctr_enabled());
                }
                core::mem::replace(&mut active.users, users)
            }
            None => users,
        });

        // Memory is freed with this, which is not a matter of the lock.
        drop(old);
        Ok(())
    }

    /// Sets up the context `lease` for `table`, to translate for `seat`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. Nothing has changed then.
    pub(crate) fn activate(
        &self,
        table: LpaeS1,
        lease: Lease,
        seat: &Arc<Seat>,
    ) -> Result<ContextId> {
        let mut users = self.users()?;
        users.add(seat);
        let active = Active {
            lease: Arc::new(lease, GFP_KERNEL)?,
            users,
        };

        let id = active.id();

        self.flushes.reset();
        self.change(|slot| slot.insert(active).program(self.root(), table));
        Ok(id)
    }

    /// Has the context of `from`, with all who use it, translate with `table` of `domain` instead.
    /// No micro-TLB points elsewhere meanwhile. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. Nothing has changed then.
    pub(crate) fn take_over(
        &self,
        from: &Tlb,
        table: LpaeS1,
        domain: ArcBorrow<'_, Domain>,
    ) -> Result<ContextId> {
        let users = from.users()?;
        let lease = from.lease().ok_or(EBUSY)?;
        let id = lease.id();

        let active = Active {
            lease: lease.clone(),
            users,
        };
        self.flushes.reset();
        // An instance that falls asleep meanwhile finds one of the domains to settle, and the other
        // without a port.
        let old = lease.hand_over(Arc::<Domain>::from(domain), || {
            // From here on what is unmapped from either domain is flushed in the context.
            self.change(|slot| *slot = Some(active));
            self.change(|active| {
                if let Some(active) = active {
                    self.flushes.count();
                    active.retarget(self.root(), table);
                }
            });
            from.change(Option::take)
        });
        for seat in old.iter().flat_map(|old| old.users.seats()) {
            seat.set_domain(Some(domain.into()));
        }
        Ok(id)
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        let active = self.active.lock();

        active.as_ref().map(|a| a.lease.clone())
    }

    /// Ends the use by `seat`, whose micro-TLBs point elsewhere already. After the last one the
    /// context is switched off and returned. May sleep.
    pub(crate) fn leave(&self, seat: &Arc<Seat>) {
        let returned = self.change(|slot| {
            let active = slot.as_mut()?;
            let ipmmu = &seat.ipmmu;

            if active.users.are_only(seat) {
                active.switch_off(self.root());
                return slot.take();
            }
            active.users.remove(seat);
            if !active.users.are_behind(ipmmu) {
                ipmmu.switch_context(active.id(), IMCTR::from(0));
            }
            None
        });

        // The context is returned with this, which takes a lock of its own.
        drop(returned);
        // After this nobody looks at the seat any more because of the context.
        seat.ipmmu.contexts().settle();
    }
}

impl FlushOps for Tlb {
    #[inline]
    fn flush_all(&self) {
        let section = rcu::read_lock();
        let Some(root) = self.root.get(&section) else {
            drop(section);
            return self.flush_under_lock();
        };
        let imctr = imctr_enabled().into();

        if let Some(cache) = self.cache.get(&section) {
            cache.write(imctr);
        }
        root.write(imctr);
        self.flushes.count();
        let flushed = IMCTR::from(root.read());

        drop(section);
        if flushed.flush() {
            self.wait_flushed();
        }
    }
}
