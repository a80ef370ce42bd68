// SPDX-License-Identifier: GPL-2.0

//! The format of page tables, and the table in which nothing is mapped.

use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::Arc, //
};

use crate::abstractions::iommu::io_pgtable::{
    self,
    quirk,
    Config,
    DmaDevice,
    FlushOps,
    Format,
    IoPageTable, //
};

use crate::features::*;

/// What a context needs to know about a table.
pub(crate) type Hardware = io_pgtable::Table;

/// Number of bits of a physical address.
pub(crate) const OAS: u32 = 40;

/// Creates an empty table of the stage in `features`, for DMA by `dev`, flushed by `flush`. May
/// sleep. Fails with `ENOMEM`.
pub(crate) fn new<T: FlushOps>(
    features: &Features,
    dev: DmaDevice<'_>,
    flush: Pin<KBox<T>>,
) -> Result<IoPageTable<T>> {
    // The IPMMU refuses a descriptor of stage 1 without NS, even below a table with NSTABLE.
    let (format, quirks) = if features.stage_2 {
        (Format::Arm64LpaeS2, 0)
    } else {
        (Format::Arm32LpaeS1, quirk::ARM_NS)
    };
    let config = Config {
        format,
        quirks,
        ias: features.ias(),
        oas: OAS,
    };

    IoPageTable::new(dev, config, flush)
}

/// What a context walks: a paging domain, or the table in which nothing is mapped. The defaults are
/// those of the latter.
pub(crate) trait AddressSpace: Send + Sync + 'static {
    /// Returns what the context is programmed with.
    fn hardware(&self) -> Hardware;

    /// Records whether context `id` may walk the table. A full memory barrier, unless nothing is
    /// ever mapped. Any context.
    fn set_walked(&self, _id: ContextId, _walked: bool) {}

    /// Reports a fault at `iova`, attributed to `dev`; returns whether a handler took care of it.
    /// Interrupt context.
    fn report_fault(&self, _dev: &Device, _iova: u64) -> bool {
        false
    }
}

/// A flush that does nothing, as nothing is ever mapped.
struct Nothing;

impl FlushOps for Nothing {
    fn flush_all(&self) {}
}

impl AddressSpace for IoPageTable<Nothing> {
    fn hardware(&self) -> Hardware {
        IoPageTable::hardware(self)
    }
}

/// Creates the table in which nothing is mapped, of the root `dev`. May sleep. Fails with `ENOMEM`.
pub(crate) fn empty_space(
    features: &Features,
    dev: &Device<Bound>,
) -> Result<Arc<dyn AddressSpace>> {
    let table = new(features, dev.into(), KBox::pin(Nothing, GFP_KERNEL)?)?;

    Ok(Arc::new(table, GFP_KERNEL)?)
}
