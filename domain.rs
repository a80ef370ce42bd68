// SPDX-License-Identifier: GPL-2.0

//! Paging domains: a page table, and which contexts walk it.
//!
//! A domain belongs to one root. It is walked by one context for each group that is attached to it;
//! a flush visits all of them.
//!
//! Unmapping clears an entry and then looks which contexts walk the table. Attaching notes that a
//! context walks the table and then programs it. Between the two steps of each stands a full memory
//! barrier: so the flush visits the context, or the context cannot have seen the old entry. This is
//! the one place where two sides meet without a common lock; `testbed/litmus/` has its tests.

use kernel::{
    device::{
        Bound,
        Device, //
    },
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
        FlushOps,
        IoPageTable, //
    },
};

use crate::{
    features::ContextId,
    ipmmu::Ipmmu,
    table::{
        self,
        AddressSpace, //
    },
};

/// The contexts that walk a table.
pub(crate) struct Walkers {
    root: Arc<Ipmmu>,
    /// A bit each. Written under the root's mutex for attach and release.
    mask: Atomic<u32>,
}

impl FlushOps for Walkers {
    #[inline]
    fn flush_all(&self) {
        mb(Full);
        for id in self
            .root
            .features()
            .contexts_in(self.mask.load(Relaxed) as u16)
        {
            if let Some(context) = self.root.context(id) {
                context.flush();
            }
        }
    }
}

impl Walkers {
    /// Makes the table of an empty domain for clients behind `ipmmu`, which is the device `dev`:
    /// what is true of its DMA is true of the root's, which walks the table. May sleep.
    ///
    /// A domain that clients behind another cache use, too, must not outlive the binding of this
    /// one where the device tree has `dma-ranges`, which no SoC has.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn of_new_table(
        ipmmu: &Arc<Ipmmu>,
        dev: &Device<Bound>,
    ) -> Result<IoPageTable<Self>> {
        let walkers = Self {
            root: ipmmu.root().clone(),
            mask: Atomic::new(0),
        };

        table::new(ipmmu.features(), dev, KBox::pin(walkers, GFP_KERNEL)?)
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
        let bit = u32::from(id.bit());

        // Under the root's mutex nothing else changes it.
        let before = mask.load(Relaxed);
        let after = if walked { before | bit } else { before & !bit };
        mask.store(after, Relaxed);
        mb(Full);
    }

    fn report_fault(&self, dev: &Device, iova: u64) -> bool {
        driver::Domain::report_fault(self, dev, iova)
    }
}
