// SPDX-License-Identifier: GPL-2.0

//! One IPMMU instance: its registers, what it is to other instances, its micro-TLBs, its TLB flush.

use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    io::poll::read_poll_timeout_atomic,
    prelude::*,
    revocable::RevocableGuard,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
    time::Delta,
};

use crate::{
    abstractions::{
        iommu,
        mmio::Window, //
    },
    backup::{
        Backup,
        Saved,
        Sleeps,
        Slots,
        Used, //
    },
    context::Contexts,
    features::{
        ContextId,
        Features,
        UtlbId,
        MAX_CONTEXTS,
        MAX_UTLBS, //
    },
    group::Masters,
    mmio::Registers,
    regs::{
        IMCTR,
        IMUASID,
        IMUCTR, //
    },
};

/// Where a register that is kept over a sleep is changed: in the hardware; while the instance is
/// asleep, in what will be restored.
pub(crate) struct Target<'a> {
    ipmmu: &'a Ipmmu,
    hardware: &'a Window,
}

impl Target<'_> {
    /// Calls `saved` with what will be restored, if the instance is asleep, and `awake` with the
    /// hardware otherwise.
    fn access<R>(
        &self,
        saved: impl FnOnce(&mut Saved) -> R,
        awake: impl FnOnce(&Window) -> R,
    ) -> R {
        if !self.ipmmu.is_asleep() {
            return awake(self.hardware);
        }
        let Some(backup) = self.ipmmu.backup() else {
            return awake(self.hardware);
        };

        let mut backup = backup.lock();
        match &mut *backup {
            Backup::Asleep(slots) => saved(slots),
            // It is on its way, but not there yet, and does not get there before this is unlocked:
            // what is written now is saved then. Or it is not asleep any more.
            Backup::Awake(_) | Backup::Between => awake(self.hardware),
        }
    }
}

impl Registers for Target<'_> {
    fn read_at(&self, offset: usize) -> u32 {
        self.access(|saved| saved.read(offset), |regs| regs.read_at(offset))
    }

    fn write_at(&self, offset: usize, value: u32) {
        self.access(
            |saved| saved.write(offset, value),
            |regs| regs.write_at(offset, value),
        );
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

/// What an instance is doing.
struct State {
    utlbs: [UtlbState; MAX_UTLBS],
    /// Contexts that were set up in this cache: a bit each.
    contexts: u16,
}

/// How far the registers are within reach.
mod reach {
    /// They can be accessed.
    pub(super) const AWAKE: u32 = 0;
    /// They may be without power.
    pub(super) const ASLEEP: u32 = 1;
    /// The device is not bound any more.
    pub(super) const GONE: u32 = 2;
}

/// One IPMMU.
#[pin_data]
pub(crate) struct Ipmmu {
    dev: ARef<Device>,
    window: Arc<Window>,
    features: &'static Features,
    /// Contexts of this instance if it is a root, of its root otherwise.
    contexts: Arc<Contexts>,
    /// The root of this cache; none if it is a root.
    root: Option<Arc<Ipmmu>>,
    #[pin]
    state: SpinLockIrq<State>,
    /// One of [`reach`]. While it is `ASLEEP`, `backup` says whether there is power.
    reach: Atomic<u32>,
    backup: Devres<SpinLockIrq<Backup>>,
    sleeps: Sleeps,
    /// Somebody may be accessing a register without a lock.
    exposed: Atomic<bool>,
    /// Of each context of a root, whether the last flush did not complete.
    stuck: [Atomic<bool>; MAX_CONTEXTS],
    #[pin]
    masters: Masters,
    #[pin]
    iommu: iommu::Instance,
}

impl Ipmmu {
    /// Puts together an instance; `root` makes it a cache. 2 reads; none on Gen2. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        window: Window,
        features: &'static Features,
        root: Option<Arc<Ipmmu>>,
    ) -> Result<Arc<Self>> {
        let contexts = match &root {
            Some(root) => root.contexts.clone(),
            None => Contexts::new(features)?,
        };
        let window = Arc::new(window, GFP_KERNEL)?;
        let mut slots = Slots::new(window.clone(), features, root.is_none())?;
        slots.learn_control();
        let backup = Devres::new(dev, new_spinlock_irq!(Backup::Awake(slots)))?;

        Arc::pin_init(
            pin_init!(Self {
                dev: (&**dev).into(),
                window,
                features,
                masters <- Masters::new(features, contexts.clone()),
                contexts,
                root,
                state <- new_spinlock_irq!(State {
                    utlbs: [UtlbState::default(); MAX_UTLBS],
                    contexts: 0,
                }),
                reach: Atomic::new(reach::AWAKE),
                exposed: Atomic::new(false),
                backup,
                sleeps: Sleeps::new(),
                stuck: [const { Atomic::new(false) }; MAX_CONTEXTS],
                iommu <- iommu::Instance::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// The device.
    pub(crate) fn dev(&self) -> &Device {
        &self.dev
    }

    /// The device's name, to be printed at once: a `CStr` is printed, and looked at, character by
    /// character.
    pub(crate) fn name(&self) -> &str {
        self.dev.name().to_str().unwrap_or("?")
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
    pub(crate) fn root(self: &Arc<Self>) -> &Arc<Ipmmu> {
        self.root.as_ref().unwrap_or(self)
    }

    /// The root, if this instance is a cache.
    pub(crate) fn root_if_cache(&self) -> Option<&Arc<Ipmmu>> {
        self.root.as_ref()
    }

    /// The registers; none while the instance is asleep, and once it was unbound.
    ///
    /// For what needs not be done to an instance that is asleep, such as a flush: its TLB is empty
    /// when it wakes up, or is flushed when its contexts are restored.
    pub(crate) fn registers(&self) -> Option<&Window> {
        (self.reach.load(Relaxed) == reach::AWAKE).then_some(&self.window)
    }

    /// The registers as they are to be, awake or asleep; none once it was unbound.
    pub(crate) fn target(&self) -> Option<Target<'_>> {
        let hardware = self.hardware()?;

        Some(Target {
            ipmmu: self,
            hardware,
        })
    }

    /// The registers of the hardware, whether they have power or not. For going to sleep and waking
    /// up alone.
    pub(crate) fn hardware(&self) -> Option<&Window> {
        (self.reach.load(Relaxed) != reach::GONE).then_some(&self.window)
    }

    /// Where the registers are, for those who find out by themselves when to leave them alone.
    pub(crate) fn window(&self) -> &Arc<Window> {
        &self.window
    }

    /// Says whether the registers may be without power from now on.
    pub(crate) fn set_asleep(&self, asleep: bool) {
        self.reach
            .store(if asleep { reach::ASLEEP } else { reach::AWAKE }, Relaxed);
    }

    /// Whether the registers may be without power.
    pub(crate) fn is_asleep(&self) -> bool {
        self.reach.load(Relaxed) == reach::ASLEEP
    }

    /// What is saved of the registers while they may be without power; none once the device was
    /// unbound. No sleeping while it is held.
    pub(crate) fn backup(&self) -> Option<RevocableGuard<'_, SpinLockIrq<Backup>>> {
        self.backup.try_access()
    }

    /// How often the instance slept.
    pub(crate) fn sleeps(&self) -> &Sleeps {
        &self.sleeps
    }

    /// Switches everything off that whoever was there before may have left on: 1 write per context
    /// and micro-TLB that exists.
    pub(crate) fn reset(&self, regs: &impl Registers) {
        // The root of caches has no micro-TLBs.
        if self.has_masters() {
            for id in self.features.utlbs() {
                regs.write(self.features.micro_tlb(id), IMUCTR::from(0));
            }
        }
        self.reset_contexts(regs);
    }

    /// Switches off all contexts: 1 write each.
    pub(crate) fn reset_contexts(&self, regs: &impl Registers) {
        for id in self.features.contexts() {
            regs.write(self.features.context(id), IMCTR::from(0));
        }
    }

    /// Writes IMCTR of context `id`, of which only the flush matters. 1 write.
    pub(crate) fn flush_context(&self, id: ContextId, imctr: IMCTR) {
        if let Some(regs) = self.registers() {
            regs.write(self.features.context(id), imctr);
        }
    }

    /// Writes IMCTR of context `id` of this root, and waits until it is flushed. 1 write and 1 read
    /// if that is done at once. Any context.
    pub(crate) fn flush_root(&self, id: ContextId, imctr: IMCTR) {
        if let Some(regs) = self.registers() {
            regs.write(self.features.context(id), imctr);
            self.wait_flushed_in(regs, id);
        }
    }

    /// Switches context `id` on or off with `imctr`. 1 write.
    pub(crate) fn switch_context(&self, id: ContextId, imctr: IMCTR) {
        let mut state = self.state.lock();
        if imctr.mmuen() {
            state.contexts |= id.bit();
        } else {
            state.contexts &= !id.bit();
        }

        if let Some(regs) = self.target() {
            regs.write(self.features.context(id), imctr.with_flush(true));
        }
    }

    /// Waits until this root has flushed context `id`: polls every microsecond, 100 times at most.
    /// 1 read if it is done already. Any context.
    ///
    /// A flush that does not complete is reported once, until one completes again.
    pub(crate) fn wait_flushed(&self, id: ContextId) {
        if let Some(regs) = self.registers() {
            self.wait_flushed_in(regs, id);
        }
    }

    /// As [`Ipmmu::wait_flushed`], by way of `regs`.
    pub(crate) fn wait_flushed_in(&self, regs: &impl Registers, id: ContextId) {
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

    /// Whether the last flush of context `id` of this root did not complete.
    pub(crate) fn is_stuck(&self, id: ContextId) -> bool {
        self.stuck[id.index()].load(Relaxed)
    }

    /// Points micro-TLB `utlb` to `context`, for one more user if `new_user`. 2 writes, none if it
    /// points there already.
    pub(crate) fn enable_utlb(&self, utlb: UtlbId, context: ContextId, new_user: bool) {
        let mut guard = self.state.lock();
        let state = &mut guard.utlbs[utlb.index()];
        state.users += u16::from(new_user);
        if state.context.replace(context) == Some(context) {
            return;
        }

        if let Some(regs) = self.target() {
            regs.write(self.features.micro_tlb(utlb), IMUASID::from(0));
            regs.write(self.features.micro_tlb(utlb), imuctr(context));
        }
    }

    /// Takes one user from micro-TLB `utlb`. After the last one addresses pass through. At most 1
    /// write.
    pub(crate) fn disable_utlb(&self, utlb: UtlbId) {
        let mut guard = self.state.lock();
        let state = &mut guard.utlbs[utlb.index()];
        state.users -= 1;
        if state.users > 0 {
            return;
        }
        state.context = None;

        if let Some(regs) = self.target() {
            regs.write(self.features.micro_tlb(utlb), IMUCTR::from(0));
        }
    }

    /// The masters behind it.
    pub(crate) fn masters(&self) -> &Masters {
        &self.masters
    }

    /// Takes note that registers are accessed without a lock from now on.
    pub(crate) fn expose(&self) {
        self.exposed.store(true, Relaxed);
    }

    /// Whether somebody may still do so. Whoever asks waits for that, after nobody begins to.
    pub(crate) fn was_exposed(&self) -> bool {
        self.exposed.xchg(false, Relaxed)
    }

    /// The register at `offset`; none while the instance is asleep. It does not fall asleep
    /// meanwhile: that takes the same lock.
    pub(crate) fn peek(&self, offset: usize) -> Option<u32> {
        let _awake = self.state.lock();

        self.registers().map(|regs| regs.read_at(offset))
    }

    /// Calls `f` for each micro-TLB that is pointed to a context, with interrupts off.
    pub(crate) fn for_each_active_utlb(&self, mut f: impl FnMut(UtlbId, ContextId)) {
        let state = self.state.lock();

        for id in self.features.utlbs() {
            if let Some(context) = state.utlbs[id.index()].context {
                f(id, context);
            }
        }
    }

    /// Calls `f` with what is in use of this instance, of whose contexts those in `leased` are. It
    /// does not change meanwhile. Interrupts are off.
    pub(crate) fn with_used<R>(&self, leased: u16, f: impl FnOnce(Used) -> R) -> R {
        let state = self.state.lock();
        let active = |id: &UtlbId| state.utlbs[id.index()].context.is_some();
        let utlbs = self.features.utlbs().filter(active);

        f(Used {
            contexts: if self.is_root() {
                leased
            } else {
                state.contexts
            },
            utlbs: utlbs.fold(0, |mask, id| mask | id.bit()),
        })
    }
}

/// The device is bound as long as this exists: nobody touches its registers afterwards.
pub(crate) struct Held(pub(crate) Arc<Ipmmu>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.reach.store(reach::GONE, Relaxed);
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
