// SPDX-License-Identifier: GPL-2.0

//! One IPMMU instance: its registers, what it is to other instances, its micro-TLBs, its TLB flush.

use kernel::{
    device::Device,
    io::{
        mem::{
            DevresIoMem,
            IoMem, //
        },
        poll::read_poll_timeout_atomic,
        register::Register,
        Io, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_mutex,
        new_spinlock_irq,
        Arc,
        Mutex,
        SpinLockIrq, //
    },
    time::Delta,
};

use crate::{
    abstractions::iommu,
    context::{
        Contexts,
        Room, //
    },
    features::{
        At,
        ContextId,
        Features,
        UtlbId,
        MAX_CONTEXTS,
        MAX_UTLBS, //
    },
    regs::{
        IMCTR,
        IMUASID,
        IMUCTR, //
    },
};

/// 32-bit registers in a window: the hardware, or a test's idea of it.
pub(crate) trait Registers {
    /// Reads the register at `offset`.
    fn read_at(&self, offset: usize) -> u32;

    /// Writes the register at `offset`.
    fn write_at(&self, offset: usize, value: u32);

    /// Reads register `R`. One MMIO access.
    fn read<R: Register<Storage = u32> + From<u32>>(&self, at: At<R>) -> R {
        self.read_at(at.offset()).into()
    }

    /// Writes register `R`. One MMIO access.
    fn write<R: Register<Storage = u32> + Into<u32>>(&self, at: At<R>, value: R) {
        self.write_at(at.offset(), value.into());
    }
}

/// Access to an instance's registers, for as long as it is not unbound. No sleeping meanwhile.
type Window<'a> = kernel::devres::DevresGuard<'a, IoMem<'static>>;

/// Registers mapped into the CPU's address space.
pub(crate) struct Mapped<'a>(Window<'a>);

impl Registers for Mapped<'_> {
    fn read_at(&self, offset: usize) -> u32 {
        // Cannot fail: the window was found large enough for every register at probe.
        (&*self.0).try_read32(offset).unwrap_or(0)
    }

    fn write_at(&self, offset: usize, value: u32) {
        // Cannot fail: as above.
        let _ = (&*self.0).try_write32(value, offset);
    }
}

/// What one micro-TLB is doing.
#[derive(Clone, Copy, Default)]
struct UtlbState {
    /// Bus masters that use it.
    users: u16,
    /// The context that it is pointed to, while `users` is not 0.
    context: Option<ContextId>,
}

/// One IPMMU.
#[pin_data]
pub(crate) struct Ipmmu {
    dev: ARef<Device>,
    io: DevresIoMem,
    features: &'static Features,
    /// Contexts of this instance if it is a root, of its root otherwise.
    contexts: Arc<Contexts>,
    /// The root of this cache; none if it is a root.
    root: Option<Arc<Ipmmu>>,
    #[pin]
    utlbs: SpinLockIrq<[UtlbState; MAX_UTLBS]>,
    /// Between save and restore: the registers may be without power.
    asleep: Atomic<bool>,
    /// Of each context of a root, whether the last flush did not complete.
    stuck: [Atomic<bool>; MAX_CONTEXTS],
    #[pin]
    masters: Mutex<KVec<MasterEntry>>,
    #[pin]
    iommu: iommu::Instance,
}

/// A bus master behind an instance.
struct MasterEntry {
    dev: ARef<Device>,
    /// Its micro-TLBs, a bit each.
    utlbs: u64,
    /// The context of its group, which it has in common with those that share a micro-TLB.
    room: Arc<Room>,
}

impl Ipmmu {
    /// Puts together an instance; `root` makes it a cache. Touches no register.
    pub(crate) fn new(
        dev: &Device,
        io: DevresIoMem,
        features: &'static Features,
        root: Option<Arc<Ipmmu>>,
    ) -> Result<Arc<Self>> {
        let contexts = match &root {
            Some(root) => root.contexts.clone(),
            None => Contexts::new(features)?,
        };

        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                io,
                features,
                contexts,
                root,
                utlbs <- new_spinlock_irq!([UtlbState::default(); MAX_UTLBS]),
                asleep: Atomic::new(false),
                stuck: [const { Atomic::new(false) }; MAX_CONTEXTS],
                masters <- new_mutex!(KVec::new()),
                iommu <- iommu::Instance::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// The device.
    pub(crate) fn dev(&self) -> &Device {
        &self.dev
    }

    /// What this generation has.
    pub(crate) fn features(&self) -> &'static Features {
        self.features
    }

    /// The contexts that this instance's micro-TLBs can be pointed to.
    pub(crate) fn contexts(&self) -> &Arc<Contexts> {
        &self.contexts
    }

    /// Whether contexts are in this instance.
    pub(crate) fn is_root(&self) -> bool {
        self.root.is_none()
    }

    /// Whether bus masters are behind this instance.
    pub(crate) fn has_masters(&self) -> bool {
        !(self.features.split && self.is_root())
    }

    /// The root of this instance, which may be itself.
    pub(crate) fn root(self: &Arc<Self>) -> Arc<Ipmmu> {
        self.root.as_ref().unwrap_or(self).clone()
    }

    /// The root, if this instance is a cache.
    pub(crate) fn root_if_cache(&self) -> Option<&Arc<Ipmmu>> {
        self.root.as_ref()
    }

    /// The registers; none while the instance is asleep, and once it was unbound. No sleeping while
    /// they are held.
    ///
    /// What is not flushed while the instance is asleep need not be: its TLB is empty when it wakes
    /// up, or is flushed when its contexts are restored.
    pub(crate) fn registers(&self) -> Option<Mapped<'_>> {
        if self.asleep.load(Relaxed) {
            return None;
        }
        self.io.try_access().map(Mapped)
    }

    /// Says whether the registers may be without power from now on.
    pub(crate) fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Relaxed);
    }

    /// Switches off all contexts: 1 write each.
    pub(crate) fn reset(&self) {
        let Some(regs) = self.registers() else {
            return;
        };

        for id in self.features.contexts() {
            regs.write(self.features.context(id), IMCTR::from(0));
        }
    }

    /// Writes IMCTR of context `id`. 1 write.
    pub(crate) fn write_imctr(&self, id: ContextId, imctr: IMCTR) {
        if let Some(regs) = self.registers() {
            regs.write(self.features.context(id), imctr);
        }
    }

    /// Waits until this root has flushed context `id`: polls every microsecond, 100 times at most.
    /// 1 read if it is done already. Any context.
    ///
    /// A flush that does not complete is reported once, until one completes again.
    pub(crate) fn wait_flushed(&self, id: ContextId) {
        let Some(regs) = self.registers() else {
            return;
        };
        let at = || self.features.context::<IMCTR>(id);

        let done = read_poll_timeout_atomic(
            || Ok(regs.read(at())),
            |imctr| !imctr.flush(),
            Delta::from_micros(1),
            100,
        );
        let stuck = &self.stuck[id.index()];
        match done {
            Ok(_) if stuck.load(Relaxed) => stuck.store(false, Relaxed),
            Err(_) if !stuck.xchg(true, Relaxed) => dev_err!(
                self.dev,
                "context {}: TLB flush does not complete, stale translations may be in use\n",
                id.index()
            ),
            _ => (),
        }
    }

    /// Points micro-TLB `utlb` to `context`, for one more user if `new_user`. 2 writes, none if it
    /// points there already.
    pub(crate) fn enable_utlb(&self, utlb: UtlbId, context: ContextId, new_user: bool) {
        let mut utlbs = self.utlbs.lock();
        let state = &mut utlbs[utlb.index()];
        state.users += u16::from(new_user);
        if state.context.replace(context) == Some(context) {
            return;
        }

        if let Some(regs) = self.registers() {
            regs.write(self.features.micro_tlb(utlb), IMUASID::from(0));
            regs.write(self.features.micro_tlb(utlb), imuctr(context));
        }
    }

    /// Takes one user from micro-TLB `utlb`. After the last one addresses pass through. At most 1
    /// write.
    pub(crate) fn disable_utlb(&self, utlb: UtlbId) {
        let mut utlbs = self.utlbs.lock();
        let state = &mut utlbs[utlb.index()];
        state.users -= 1;
        if state.users > 0 {
            return;
        }
        state.context = None;

        if let Some(regs) = self.registers() {
            regs.write(self.features.micro_tlb(utlb), IMUCTR::from(0));
        }
    }

    /// Takes note that `dev` is behind this instance, with micro-TLBs `utlbs`. Returns the context
    /// that its group has room for. May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the root has no context left for one more group, `EEXIST` when `dev` would make
    /// one group of several that exist, `ENOMEM`.
    pub(crate) fn add_master(&self, dev: &Device, utlbs: &[UtlbId]) -> Result<Arc<Room>> {
        let utlbs = utlbs.iter().fold(0, |mask, utlb| mask | utlb.bit());
        let mut masters = self.masters.lock();

        let mut sharers = masters.iter().filter(|m| self.share(m.utlbs, utlbs));
        let room = match sharers.next() {
            Some(first) if sharers.any(|m| !Arc::ptr_eq(&m.room, &first.room)) => {
                return Err(EEXIST);
            }
            Some(first) => first.room.clone(),
            None => Arc::new(self.contexts.promise().ok_or(EBUSY)?, GFP_KERNEL)?,
        };
        let entry = MasterEntry {
            dev: dev.into(),
            utlbs,
            room: room.clone(),
        };
        masters.push(entry, GFP_KERNEL)?;
        Ok(room)
    }

    /// Forgets `dev`. May sleep.
    pub(crate) fn remove_master(&self, dev: &Device) {
        self.masters
            .lock()
            .retain(|entry| !core::ptr::eq(&*entry.dev, dev));
    }

    /// Whether masters with micro-TLBs `a` and `b` must see the same: they share one of them, or
    /// there is but one context for all.
    fn share(&self, a: u64, b: u64) -> bool {
        a & b != 0 || self.features.usable_contexts().count() == 1
    }

    /// Calls `f` with another master behind this instance that must see the same as `dev`, if there
    /// is any. It stays behind the instance during the call. May sleep.
    pub(crate) fn with_alias<R>(&self, dev: &Device, f: impl FnOnce(&Device) -> R) -> Option<R> {
        let masters = self.masters.lock();
        let is_dev = |m: &&MasterEntry| core::ptr::eq(&*m.dev, dev);
        let own = masters.iter().find(is_dev)?;

        masters
            .iter()
            .find(|other| !is_dev(other) && self.share(other.utlbs, own.utlbs))
            .map(|other| f(&other.dev))
    }

    /// Calls `f` for each micro-TLB that is pointed to a context, with interrupts off.
    pub(crate) fn for_each_active_utlb(&self, mut f: impl FnMut(UtlbId, ContextId)) {
        let utlbs = self.utlbs.lock();

        for id in self.features.utlbs() {
            if let Some(context) = utlbs[id.index()].context {
                f(id, context);
            }
        }
    }
}

/// IMUCTR of a micro-TLB that `context` translates for.
fn imuctr(context: ContextId) -> IMUCTR {
    // All context numbers fit in TTSEL.
    let ttsel = ((context.index() as u32) << IMUCTR::TTSEL_SHIFT) & IMUCTR::TTSEL_MASK;

    IMUCTR::from(ttsel).with_flush(true).with_mmuen(true)
}

impl AsRef<iommu::Instance> for Ipmmu {
    fn as_ref(&self) -> &iommu::Instance {
        &self.iommu
    }
}

#[kunit_tests(ipmmu_packing)]
mod tests {
    use super::*;
    use crate::features::GEN4;

    #[test]
    fn imuctr_has_the_context_from_bit_4() {
        let mut contexts = GEN4.contexts();

        assert_eq!(contexts.next().map(|id| imuctr(id).into_raw()), Some(0x03));
        assert_eq!(contexts.next().map(|id| imuctr(id).into_raw()), Some(0x13));
        assert_eq!(contexts.last().map(|id| imuctr(id).into_raw()), Some(0xf3));
    }

    #[test]
    fn imctr_flags_are_where_the_hardware_has_them() {
        assert_eq!(IMCTR::from(0).with_mmuen(true).into_raw(), 1 << 0);
        assert_eq!(IMCTR::from(0).with_flush(true).into_raw(), 1 << 1);
        assert_eq!(IMCTR::from(0).with_inten(true).into_raw(), 1 << 2);
        assert_eq!(IMCTR::from(0).with_va64(true).into_raw(), 1 << 29);
    }
}
