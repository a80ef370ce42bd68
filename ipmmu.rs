// SPDX-License-Identifier: GPL-2.0

//! One IPMMU: its registers, its role as root or cache, and the contexts of a root.

use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    prelude::*,
    sync::{
        new_mutex,
        new_spinlock,
        new_spinlock_irq,
        Arc,
        Mutex,
        SetOnce,
        SpinLock,
        SpinLockIrq, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

use crate::abstractions::{
    iommu::driver::Group,
    irq::managed::Line, //
};

use crate::{
    context::Context,
    features::*,
    mismatch::Mismatches,
    parking::Parking,
    regs::Mmio,
    saved::SaveArea,
    table::*, //
};

/// Whether each context is reserved, and for which of the core's groups, if that matters.
pub(crate) type Reservations = [Option<Option<Group>>; MAX_CONTEXTS];

/// A rate limit for messages, so that a storm of faults does not flood the log: ten in five
/// seconds, like the kernel's own.
#[derive(Default)]
pub(crate) struct RateLimit {
    since: Option<Instant<Monotonic>>,
    printed: u32,
    suppressed: u32,
}

impl RateLimit {
    const INTERVAL: Delta = Delta::from_secs(5);
    const BURST: u32 = 10;

    /// Returns how many messages were suppressed before this one; none if this one is, too.
    pub(crate) fn allow(&mut self) -> Option<u32> {
        if self.since.is_none_or(|t| t.elapsed() > Self::INTERVAL) {
            self.since = Some(Instant::now());
            self.printed = 0;
        }
        if self.printed >= Self::BURST {
            self.suppressed += 1;
            return None;
        }

        self.printed += 1;
        Some(core::mem::take(&mut self.suppressed))
    }
}

/// One IPMMU.
#[pin_data]
pub(crate) struct Ipmmu {
    /// The registers, by which contexts identify the instance.
    pub(crate) regs: Arc<Mmio>,
    pub(crate) features: &'static Features,
    /// The root of this cache; none in a root.
    root: Option<Arc<Ipmmu>>,
    /// In a root, the contexts that groups may reserve.
    pub(crate) contexts: KVec<Arc<Context>>,
    /// In a root, the reserved contexts. Serialises attach, release, suspend and resume behind it.
    /// As waking up needs this lock, its holder must neither allocate memory nor wait for I/O.
    #[pin]
    pub(crate) reservations: Mutex<Reservations>,
    /// In a root, the fault interrupt.
    pub(crate) irq: SetOnce<Line>,
    /// In a root, the limit for messages about faults.
    #[pin]
    pub(crate) limit: SpinLockIrq<RateLimit>,
    #[pin]
    pub(crate) parking: Parking,
    /// The save area. Its lock is taken before that of a context.
    saved: Devres<SpinLock<SaveArea>>,
}

impl Ipmmu {
    /// Creates the instance of the device `dev` with the registers `regs`, as a cache of `root` or
    /// as a root. Accesses no register. May sleep. Fails with `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        regs: Mmio,
        features: &'static Features,
        root: Option<Arc<Ipmmu>>,
    ) -> Result<Arc<Self>> {
        let regs = Arc::new(regs, GFP_KERNEL)?;
        let mut contexts = KVec::new();
        let mut empty = None;

        if root.is_none() {
            let space = empty_space(features, dev)?;
            let idle = features.parking().is_none().then(|| space.clone());
            for id in features.group_contexts() {
                let context = Context::new(id, features, dev, regs.clone(), idle.clone())?;
                contexts.push(context, GFP_KERNEL)?;
            }
            empty = Some(space);
        }
        let saved = Devres::new(dev, new_spinlock!(SaveArea::new(features)?))?;

        Arc::pin_init(
            try_pin_init!(Self {
                features,
                root,
                contexts,
                reservations <- new_mutex!([const { None }; MAX_CONTEXTS]),
                irq: SetOnce::new(),
                limit <- new_spinlock_irq!(RateLimit::default()),
                parking <- Parking::new(features, regs.clone(), empty),
                regs,
                saved,
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Returns the device of the instance.
    pub(crate) fn dev(&self) -> &Device {
        &self.regs.dev
    }

    /// Returns whether the instance is a root.
    pub(crate) fn is_root(&self) -> bool {
        self.root.is_none()
    }

    /// Returns whether clients can be behind the instance: on Gen2 any, else a cache only.
    pub(crate) fn has_clients(&self) -> bool {
        !self.features.split || !self.is_root()
    }

    /// Returns the root of the instance, which may be the instance itself.
    pub(crate) fn root(self: &Arc<Self>) -> &Arc<Self> {
        self.root.as_ref().unwrap_or(self)
    }

    /// Returns context `id` of a root, if groups may reserve it. Any context.
    #[inline]
    pub(crate) fn context(&self, id: ContextId) -> Option<&Arc<Context>> {
        let first = self.contexts.first()?.id;

        self.contexts.get(id.index().checked_sub(first.index())?)
    }

    /// Returns the micro-TLBs here that have a client in a group, a bit each. Any context.
    pub(crate) fn client_utlbs(self: &Arc<Self>) -> u64 {
        self.root().contexts.iter().fold(0, |all, context| {
            let state = context.lock();
            let is_here = state.is_behind(&self.regs);
            all | if is_here { state.members.utlbs() } else { 0 }
        })
    }

    /// Calls `f` with the save area. Returns what `f` notes there as wrong, to be logged. Not in an
    /// interrupt, and not under the lock of a context. Fails with `ENODEV` when the device was
    /// unbound.
    pub(crate) fn with_save_area(&self, f: impl FnOnce(&mut SaveArea)) -> Result<Mismatches> {
        let noted = self.saved.try_access_with(|area| {
            let mut area = area.lock();
            f(&mut area);
            core::mem::take(&mut area.wrong)
        });

        noted.ok_or(ENODEV)
    }
}
