// SPDX-License-Identifier: GPL-2.0

//! Paging domains: a page table, and the contexts that walk it.
//!
//! A domain belongs to one root. One context for each group that is attached to the domain walks
//! it; a flush visits all of these contexts.
//!
//! Unmapping clears an entry, and then reads which contexts walk the table. Attaching records that
//! a context walks the table, and then programs it. A full memory barrier stands between the two
//! steps of each: either the flush visits the context, or the context cannot have seen the old
//! entry. Nowhere else do two sides meet without a common lock. `testbed/litmus/` tests this.

use kernel::{
    device::Device,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        barrier::{
            mb,
            Full, //
        },
        Arc, //
    },
};

use crate::abstractions::iommu::{
    driver,
    io_pgtable::{
        DmaDevice,
        FlushOps,
        IoPageTable, //
    },
};

use crate::{
    features::ContextId,
    ipmmu::Ipmmu,
    table,
    table::*, //
};

/// The contexts of a root that walk a table.
pub(crate) struct Walkers {
    root: Arc<Ipmmu>,
    /// A bit per context. Written under the root's mutex for attach and release.
    mask: Atomic<u32>,
}

impl FlushOps for Walkers {
    #[inline]
    fn flush_all(&self) {
        mb(Full);
        let mask = self.mask.load(Relaxed);
        for id in self.root.features.contexts_in(mask) {
            if let Some(context) = self.root.context(id) {
                context.flush();
            }
        }
    }
}

impl Walkers {
    /// Creates the table of an empty domain for clients behind `ipmmu`, which is the device `dev`.
    /// The DMA properties of `dev` also hold for the root, which walks the table. May sleep.
    ///
    /// If the device tree has `dma-ranges`, which no SoC has, a domain shared with clients behind
    /// another cache must not outlive the binding of `dev`. Fails with `ENOMEM`.
    pub(crate) fn of_new_table(
        ipmmu: &Arc<Ipmmu>,
        dev: DmaDevice<'_>,
    ) -> Result<IoPageTable<Self>> {
        let walkers = Self {
            root: ipmmu.root().clone(),
            mask: Atomic::new(0),
        };

        table::new(ipmmu.features, dev, KBox::pin(walkers, GFP_KERNEL)?)
    }

    /// Returns whether the domain is for clients behind `root`.
    pub(crate) fn is_for(&self, root: &Arc<Ipmmu>) -> bool {
        Arc::ptr_eq(&self.root, root)
    }
}

impl<T: driver::Ops<Flush = Walkers>> AddressSpace for driver::Domain<T> {
    fn hardware(&self) -> table::Hardware {
        driver::Domain::hardware(self)
    }

    fn set_walked(&self, id: ContextId, walked: bool) {
        let mask = &self.flush_ops().mask;
        let bit = 1 << id.index();

        // The root's mutex excludes other writers.
        let before = mask.load(Relaxed);
        let after = if walked { before | bit } else { before & !bit };
        mask.store(after, Relaxed);
        mb(Full);
    }

    fn report_fault(&self, dev: &Device, iova: u64) -> bool {
        driver::Domain::report_fault(self, dev, iova)
    }
}
