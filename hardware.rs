// SPDX-License-Identifier: GPL-2.0

//! The register sequences of one context: in the root, in a cache, and in micro-TLBs.
//!
//! A sleeping instance is left out of every sequence.

use core::cell::Cell;

use kernel::{
    device::Device,
    io::poll::read_poll_timeout_atomic,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::Delta, //
};

use crate::{
    features::*,
    mismatch::Mismatches,
    regs::*,
    saved::*,
    table::AddressSpace, //
};

/// Returns IMCTR of a group's context that is on. In the root [`Features::imctr_in_root`] completes
/// it.
pub(crate) fn on_value() -> IMCTR {
    IMCTR::zeroed().with_mmuen(true).with_inten(true)
}

/// Waits for about 100 µs, as upstream's driver does, until the hardware has cleared FLUSH in the
/// root's IMCTR at `imctr`. Returns whether it has. 1 read if FLUSH was clear already.
#[inline]
pub(crate) fn wait_flushed(imctr: At<IMCTR>, root: &impl Registers) -> bool {
    !root.read(imctr).flush() || wait_longer(imctr, root)
}

#[inline(never)]
fn wait_longer(imctr: At<IMCTR>, root: &impl Registers) -> bool {
    read_poll_timeout_atomic(
        || Ok(root.read(imctr)),
        |imctr| !imctr.flush(),
        Delta::from_micros(1),
        100,
    )
    .is_ok()
}

/// Switches context `id` of a root off if it was found on, and clears its status if one was found
/// set. Returns whether the flush completed, if there was one. 2 reads if nothing was found.
pub(crate) fn reset(features: &Features, id: ContextId, root: &impl Registers) -> bool {
    let at = features.context(id);
    let imctr: u32 = root.read::<IMCTR>(at).into();
    let status: u32 = root.read::<IMSTR>(features.context(id)).into();

    let mut is_done = true;

    if imctr != 0 {
        root.write(at, IMCTR::zeroed().with_flush(true));
        is_done = wait_flushed(at, root);
    }
    if status != 0 {
        root.write(features.context(id), IMSTR::from(0));
        root.read::<IMSTR>(features.context(id));
    }
    is_done
}

/// A fault of a context: what the hardware reports, and where it may come from. The interrupt
/// handler drops it before it returns. Whatever gives up the last references waits for the handler.
pub(crate) struct Fault {
    pub(crate) id: ContextId,
    pub(crate) iova: u64,
    pub(crate) status: IMSTR,
    /// What the context walks; none for parking.
    pub(crate) space: Option<Arc<dyn AddressSpace>>,
    /// One of the clients; the hardware does not say which one caused the fault.
    pub(crate) dev: Option<ARef<Device>>,
}

impl Fault {
    /// Reads and clears the fault of context `id`. 1 read if there is none.
    pub(crate) fn take(features: &Features, id: ContextId, root: &impl Registers) -> Option<Self> {
        let status: IMSTR = root.read(features.context(id));
        if !(status.tf() || status.pf() || status.abort() || status.mhit()) {
            return None;
        }

        // The address is lost once the status is cleared, which is done by writing 0.
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

/// The registers of one context in the instances that are awake.
pub(crate) struct Hardware<'a, R> {
    features: &'static Features,
    pub(crate) id: ContextId,
    imctr: At<IMCTR>,
    /// The registers of the root, if it is awake.
    pub(crate) root: Option<R>,
    /// The registers of the cache, if there is one and it is awake.
    pub(crate) cache: Option<R>,
    /// Whether the last flush of the root timed out.
    pub(crate) is_stuck: &'a Cell<bool>,
}

impl<'a, R: Registers> Hardware<'a, R> {
    /// Creates the view of context `id` in those of the root and the group's cache that are awake.
    /// `is_stuck` says whether the last flush of the root timed out.
    #[inline]
    pub(crate) fn new(
        features: &'static Features,
        id: ContextId,
        (root, cache): (Option<R>, Option<R>),
        is_stuck: &'a Cell<bool>,
    ) -> Self {
        Self {
            features,
            id,
            imctr: features.context(id),
            root,
            cache,
            is_stuck,
        }
    }

    /// Returns the registers of micro-TLBs, if they are awake: in the cache, or on Gen2 beside the
    /// contexts.
    pub(crate) fn utlbs(&self) -> Option<&R> {
        if self.features.split {
            self.cache.as_ref()
        } else {
            self.root.as_ref()
        }
    }

    /// Points `utlbs` to a context and drops their translations, or switches them off. The caller
    /// calls [`Self::arrived`] afterwards.
    pub(crate) fn point(&self, utlbs: u64, to: Option<ContextId>) {
        let Some(regs) = self.utlbs() else {
            return;
        };

        for utlb in self.features.utlbs_in(utlbs) {
            match to {
                Some(context) => {
                    Saved::utlb(self.features, utlb, context).restore(regs);
                }
                None => regs.write(self.features.micro_tlb(utlb), IMUCTR::zeroed()),
            }
        }
    }

    /// Points `utlbs` to parking and drops their translations. Does nothing on Gen2. The caller
    /// calls [`Self::arrived`] afterwards.
    pub(crate) fn park(&self, utlbs: u64) {
        if let Some(parking) = self.features.parking() {
            self.point(utlbs, Some(parking));
        }
    }

    /// Waits until all writes to micro-TLBs have arrived, by a read from their instance.
    pub(crate) fn arrived(&self) {
        if let Some(regs) = self.utlbs() {
            regs.read(self.imctr);
        }
    }

    /// Writes IMCTR with FLUSH to the root, and waits until the flush completes or times out.
    ///
    /// The hardware may ignore FLUSH while a flush is under way. A flush that timed out is
    /// therefore waited for first.
    #[inline]
    pub(crate) fn write_root(&self, imctr: IMCTR) {
        let Some(root) = &self.root else {
            return;
        };

        if self.is_stuck.get() {
            wait_flushed(self.imctr, root);
        }
        let imctr = self.features.imctr_in_root(imctr);
        root.write(self.imctr, imctr.with_flush(true));
        self.is_stuck.set(!wait_flushed(self.imctr, root));
    }

    /// Writes IMCTR with FLUSH to the cache, and waits until it has arrived, by a read.
    #[inline]
    pub(crate) fn write_cache(&self, imctr: IMCTR) {
        if let Some(cache) = &self.cache {
            cache.write(self.imctr, imctr.with_flush(true));
            cache.read(self.imctr);
        }
    }

    /// Calls [`reset`] for the context in the root, if it is awake.
    pub(crate) fn reset(&self) {
        let reset = |root| reset(self.features, self.id, root);

        if !self.root.as_ref().is_none_or(reset) {
            self.is_stuck.set(true);
        }
    }

    /// Switches the context off. Except on Gen2, no micro-TLB may point to it.
    pub(crate) fn off(&self) {
        self.write_cache(IMCTR::zeroed());
        self.write_root(IMCTR::zeroed());
    }

    /// Clears the status of the context, which is off.
    pub(crate) fn clear_status(&self) {
        if let Some(root) = &self.root {
            root.write(self.features.context(self.id), IMSTR::from(0));
        }
    }

    /// Writes what the context walks, while it is off. Returns whether the root holds it, or
    /// sleeps. Notes in `wrong` which registers do not.
    pub(crate) fn program(&self, walk: Saved, wrong: &mut Mismatches) -> bool {
        let programmed = |root| {
            walk.restore(root).verify(root, wrong) && verify_stage(self.features, root, wrong)
        };

        self.root.as_ref().is_none_or(programmed)
    }

    /// Switches the context on where it is awake. Returns whether that succeeded.
    ///
    /// If neither this flush nor the previous one completes, the root may still have translations
    /// of the previous table. The context stays off then.
    pub(crate) fn on(&self) -> bool {
        let was_stuck = self.is_stuck.get();
        self.write_root(on_value());
        if self.root.is_some() && was_stuck && self.is_stuck.get() {
            self.write_root(IMCTR::zeroed());
            return false;
        }
        self.write_cache(on_value());
        true
    }

    /// Drops the translations of the context, which is on. `own` are the micro-TLBs that point to
    /// it.
    #[inline]
    pub(crate) fn flush(&self, own: u64) {
        self.write_root(on_value());
        if own & 1 != 0 {
            self.flush_with_utlb_0();
        } else {
            self.write_cache(on_value());
        }
    }

    /// Completes a flush after the root's part, where micro-TLB 0 points to the context. A flush of
    /// the context alone might leave translations in micro-TLB 0.
    fn flush_with_utlb_0(&self) {
        let (Some(regs), Some(utlb)) = (self.utlbs(), self.features.utlb(0)) else {
            return;
        };

        if let Some(cache) = &self.cache {
            cache.write(self.imctr, on_value().with_flush(true));
        }
        regs.write(
            self.features.micro_tlb(utlb),
            imuctr_on(self.id).with_flush(true),
        );
        self.arrived();
    }
}

#[kunit_tests(ipmmu_hardware)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::features::{
        GEN2,
        GEN3,
        GEN4, //
    };

    const ON: u32 = 0x5;
    const FLUSH: u32 = 0x2;

    /// An access: the instance, the offset, and the value if it is a write.
    type Step = (&'static str, usize, Option<u32>);

    /// The accesses to root and cache, in one list.
    struct Log(RefCell<KVec<Step>>);

    /// Registers that log each access. FLUSH stays set for `busy` reads.
    struct Double<'a> {
        name: &'static str,
        log: &'a Log,
        imctr: Cell<u32>,
        busy: Cell<u32>,
    }

    impl<'a> Double<'a> {
        fn new(name: &'static str, log: &'a Log, busy: u32) -> Self {
            Self {
                name,
                log,
                // As if a flush were under way.
                imctr: Cell::new(FLUSH),
                busy: Cell::new(busy),
            }
        }

        fn note(&self, offset: usize, value: Option<u32>) {
            let _ = self
                .log
                .0
                .borrow_mut()
                .push((self.name, offset, value), GFP_KERNEL);
        }
    }

    impl Registers for Double<'_> {
        fn read_at(&self, offset: usize) -> u32 {
            self.note(offset, None);
            match self.busy.get() {
                0 => self.imctr.get() & !FLUSH,
                busy => {
                    self.busy.set(busy - 1);
                    self.imctr.get()
                }
            }
        }

        fn write_at(&self, offset: usize, value: u32) {
            self.note(offset, Some(value));
            self.imctr.set(value);
        }
    }

    /// Returns the accesses that `f` makes to a context of `features`. `root` and `cache` say what
    /// is awake. FLUSH stays set in the root for `busy` reads; `is_stuck` is the initial state.
    fn steps(
        features: &'static Features,
        (root, cache): (bool, bool),
        (busy, is_stuck): (u32, bool),
        f: impl FnOnce(&Hardware<'_, Double<'_>>),
    ) -> KVec<Step> {
        let log = Log(RefCell::new(KVec::new()));

        if let Some(id) = features.group_contexts().next() {
            f(&Hardware::new(
                features,
                id,
                (
                    root.then(|| Double::new("root", &log, busy)),
                    cache.then(|| Double::new("cache", &log, 0)),
                ),
                &Cell::new(is_stuck),
            ));
        }
        log.0.into_inner()
    }

    #[test]
    fn a_flush_visits_the_root_first_and_reads_both_back() {
        let done = steps(&GEN3, (true, true), (0, false), |hw| hw.flush(1 << 5));

        assert_eq!(
            &done[..],
            &[
                ("root", 0x40, Some(ON | FLUSH)),
                ("root", 0x40, None),
                ("cache", 0x40, Some(ON | FLUSH)),
                ("cache", 0x40, None),
            ]
        );
    }

    #[test]
    fn the_cache_is_flushed_when_the_root_is_done() {
        let done = steps(&GEN3, (true, true), (3, false), |hw| hw.flush(1 << 5));

        assert_eq!(done.len(), 7);
        assert!(done[..5].iter().all(|step| step.0 == "root"));
        assert_eq!(done[5], ("cache", 0x40, Some(ON | FLUSH)));
    }

    #[test]
    fn a_flush_that_is_not_done_is_told_and_waited_for_before_the_next() {
        let done = steps(&GEN3, (true, true), (1000, false), |hw| {
            hw.flush(1 << 5);
            assert!(hw.is_stuck.get());
        });
        assert!(done.len() > 100 && done.len() < 110);

        let done = steps(&GEN3, (true, true), (2, true), |hw| {
            hw.flush(1 << 5);
            assert!(!hw.is_stuck.get());
        });
        assert_eq!(done[0], ("root", 0x40, None));
        assert_eq!(done[3], ("root", 0x40, Some(ON | FLUSH)));
    }

    #[test]
    fn a_context_of_which_no_flush_is_done_does_not_go_on() {
        let done = steps(&GEN3, (true, true), (1000, true), |hw| assert!(!hw.on()));

        assert!(done.iter().all(|step| step.0 == "root"));
        let last = done.iter().rev().find_map(|step| step.2);
        assert_eq!(last, Some(FLUSH));
    }

    #[test]
    fn micro_tlb_0_is_flushed_by_itself() {
        let done = steps(&GEN4, (true, true), (0, false), |hw| hw.flush(1));

        assert_eq!(done[2], ("cache", 0x11040, Some(ON | FLUSH)));
        assert_eq!(done[3], ("cache", 0x3300, Some(0x13)));
        assert_eq!(done[4], ("cache", 0x11040, None));
        assert_eq!(done.len(), 5);
    }

    #[test]
    fn on_gen2_a_flush_is_one_write_and_one_read() {
        let done = steps(&GEN2, (true, false), (0, false), |hw| hw.flush(1 << 5));

        assert_eq!(
            &done[..],
            &[("root", 0x800, Some(ON | FLUSH)), ("root", 0x800, None)]
        );
    }

    #[test]
    fn what_sleeps_is_left_out() {
        let done = steps(&GEN3, (true, false), (0, false), |hw| {
            hw.flush(1);
            hw.point(1, None);
            hw.arrived();
        });

        assert!(done.iter().all(|step| step.0 == "root"));
        assert_eq!(done.len(), 2);
        let done = steps(&GEN3, (false, false), (0, false), |hw| {
            hw.off();
            assert!(hw.on());
        });
        assert!(done.is_empty());
    }

    #[test]
    fn a_context_goes_off_in_the_cache_first_and_on_in_the_root_first() {
        let order = |f: fn(&Hardware<'_, Double<'_>>)| {
            let done = steps(&GEN3, (true, true), (0, false), f);
            (done[0].0, done[1].2.is_none(), done[2].0, done.len())
        };

        assert_eq!(order(|hw| hw.off()), ("cache", true, "root", 4));
        assert_eq!(
            order(|hw| {
                hw.on();
            }),
            ("root", true, "cache", 4)
        );
    }

    #[test]
    fn micro_tlbs_are_pointed_with_a_flush_and_switched_off() {
        let parking = GEN3.parking();
        let done = steps(&GEN3, (true, true), (0, false), |hw| {
            hw.point(1 << 3, parking);
            hw.point(1 << 40, None);
        });

        assert_eq!(
            &done[..],
            &[
                ("cache", 0x338, Some(0)),
                ("cache", 0x330, Some(0x73)),
                ("cache", 0x680, Some(0)),
            ]
        );
    }
}
