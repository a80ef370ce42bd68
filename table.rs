// SPDX-License-Identifier: GPL-2.0

//! The format of page tables, and the table in which nothing is mapped.

use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sizes::{
        SZ_1G,
        SZ_2M,
        SZ_4K, //
    },
    sync::Arc, //
};

use crate::{
    abstractions::{
        io_pgtable::{
            quirk,
            Arm32LpaeS1,
            Config,
            FlushOps,
            IoPageTable,
            LpaeS1, //
        },
        iommu::Geometry, //
    },
    features::ContextId,
};

/// The format: stage 1, long descriptors.
pub(crate) type Format = Arm32LpaeS1;

/// What a context must be told about a table.
pub(crate) type Hardware = LpaeS1;

/// Page and block sizes.
const PAGE_SIZES: usize = SZ_4K | SZ_2M | SZ_1G;
/// Bits of an IOVA.
const IAS: u32 = 32;
/// Bits of a physical address.
pub(crate) const OAS: u32 = 40;

/// IOVAs, from 0.
pub(crate) const GEOMETRY: Geometry = Geometry {
    pgsize_bitmap: PAGE_SIZES,
    last: (1 << IAS) - 1,
};

/// Makes an empty table for DMA by `dev`, flushed by `flush`. May sleep.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn new<T: FlushOps>(
    dev: &Device<Bound>,
    flush: Pin<KBox<T>>,
) -> Result<IoPageTable<Format, T>> {
    let config = Config {
        // The IPMMU refuses a descriptor without NS even below a table with NSTABLE, unlike the
        // architecture.
        quirks: quirk::ARM_NS,
        pgsize_bitmap: PAGE_SIZES,
        ias: IAS,
        oas: OAS,
        coherent_walk: false,
    };

    IoPageTable::new(dev, config, flush)
}

/// What a context walks: a paging domain, or nothing that is mapped.
pub(crate) trait AddressSpace: Send + Sync + 'static {
    /// Returns what the context is programmed with.
    fn hardware(&self) -> Hardware;

    /// Notes that context `id` may walk the table from now on, or does not any more; a full memory
    /// barrier. Any context.
    fn set_walked(&self, id: ContextId, walked: bool);

    /// Tells of a fault at `iova`, met by `dev`; returns whether a handler took care of it.
    /// Interrupt context.
    fn report_fault(&self, dev: &Device, iova: u64) -> bool;
}

/// Flushes nothing: nothing is ever mapped.
struct Nothing;

impl FlushOps for Nothing {
    fn flush_all(&self) {}
}

/// The address space in which nothing is mapped. A root owns one.
pub(crate) struct Empty(IoPageTable<Format, Nothing>);

impl Empty {
    /// Makes it for the root `dev`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Arc<Self>> {
        let table = new(dev, KBox::pin(Nothing, GFP_KERNEL)?)?;

        Ok(Arc::new(Self(table), GFP_KERNEL)?)
    }
}

impl AddressSpace for Empty {
    fn hardware(&self) -> Hardware {
        self.0.hardware()
    }

    fn set_walked(&self, _id: ContextId, _walked: bool) {}

    fn report_fault(&self, _dev: &Device, _iova: u64) -> bool {
        false
    }
}
