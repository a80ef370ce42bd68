// SPDX-License-Identifier: GPL-2.0

//! Paging domains: a page table, and a context while a device uses it.
//!
//! A domain is complete when it is allocated: it can be mapped before any device is attached. It
//! holds a context from the first attach until the last micro-TLB leaves. There are as many
//! contexts as groups of masters, so that one is free for every domain in use:
//!
//! - a group that leaves a domain to itself takes the domain's context along to the next one;
//! - a group that leaves others behind finds another context free;
//! - all masters that are blocked share the context of one empty domain.

use kernel::{
    fmt,
    prelude::*,
    sizes::{
        SZ_1G,
        SZ_2M,
        SZ_4K, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
};

use crate::{
    abstractions::{
        io_pgtable::{
            quirk,
            Arm32LpaeS1,
            Config,
            FlushOps,
            IoPageTable, //
        },
        iommu::{
            self,
            Geometry,
            PagingOps, //
        },
    },
    context::Tenant,
    features::{
        ContextId,
        UtlbId, //
    },
    ipmmu::Ipmmu,
    master::IommuOps,
    seat::{
        self,
        Seat, //
    },
    tlb::Tlb,
};

/// A domain as the IOMMU core knows it.
pub(crate) type Domain = iommu::Domain<IommuOps>;

/// What to call a domain.
enum Name {
    /// One of many.
    Number(u32),
    /// The one in which nothing is mapped.
    Blocked,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_fmt(fmt!("domain {number}")),
            Self::Blocked => f.write_str("blocked"),
        }
    }
}

/// The driver's part of a paging domain.
pub(crate) struct Paging {
    table: IoPageTable<Arm32LpaeS1, Tlb>,
    name: Name,
}

impl Paging {
    const PAGE_SIZES: usize = SZ_4K | SZ_2M | SZ_1G;
    /// Bits of an IOVA.
    const IAS: u32 = 32;
    /// Bits of a physical address.
    const OAS: u32 = 40;
    /// IOVAs, from 0.
    const GEOMETRY: Geometry = Geometry {
        pgsize_bitmap: Self::PAGE_SIZES,
        last: (1 << Self::IAS) - 1,
    };

    /// An empty domain for masters behind `ipmmu`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(ipmmu: &Arc<Ipmmu>) -> Result<(Geometry, Self)> {
        static COUNT: Atomic<u32> = Atomic::new(0);
        let number = COUNT.fetch_add(1, Relaxed);

        Ok((Self::GEOMETRY, Self::named(ipmmu, Name::Number(number))?))
    }

    /// The domain in which the masters behind `root` are while they must not reach any memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn blocked(root: &Arc<Ipmmu>) -> Result<Arc<Domain>> {
        Domain::new(Self::GEOMETRY, Self::named(root, Name::Blocked)?)
    }

    /// What is cached of the table, and where.
    #[inline]
    fn tlb(&self) -> &Tlb {
        self.table.flush_ops()
    }

    fn named(ipmmu: &Arc<Ipmmu>, name: Name) -> Result<Self> {
        let config = Config {
            // The IPMMU refuses a descriptor without NS even below a table with NSTABLE, unlike the
            // architecture.
            quirks: quirk::ARM_NS,
            pgsize_bitmap: Self::PAGE_SIZES,
            ias: Self::IAS,
            oas: Self::OAS,
            coherent_walk: false,
            root_below_4g: true,
        };

        Ok(Self {
            table: IoPageTable::new(ipmmu.root().dev(), config, Tlb::new(ipmmu)?)?,
            name,
        })
    }

    /// Has `domain` translate for `seat` instead of `from`, as soon as its micro-TLBs point to the
    /// context that is returned. With the root's attach lock held. May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` when no context is free, `EINVAL` when the domain is for another root, `ENOMEM`.
    /// Nothing has changed then.
    pub(crate) fn enter(
        domain: ArcBorrow<'_, Domain>,
        seat: &Arc<Seat>,
        from: Option<&Domain>,
    ) -> Result<ContextId> {
        let this = domain.paging();
        if !Arc::ptr_eq(this.tlb().root(), seat.ipmmu.root()) {
            return Err(EINVAL);
        }
        if let Some(id) = this.tlb().context() {
            this.tlb().join(seat)?;
            return Ok(id);
        }
        let table = this.table.hardware();

        match from.map(|from| from.paging().tlb()) {
            Some(from) if from.is_used_only_by(&seat.room) => {
                this.tlb().take_over(from, table, domain)
            }
            _ => {
                let lease = seat.ipmmu.contexts().lease(Arc::<Domain>::from(domain))?;
                this.tlb().activate(table, lease, seat)
            }
        }
    }

    /// Ends the use by `seat`, whose micro-TLBs point elsewhere already. With the root's attach
    /// lock held. May sleep.
    pub(crate) fn leave(&self, seat: &Arc<Seat>) {
        self.tlb().leave(seat);
    }
}

impl PagingOps for Paging {
    type Format = Arm32LpaeS1;
    type Flush = Tlb;

    fn table(&self) -> &IoPageTable<Arm32LpaeS1, Tlb> {
        &self.table
    }

    #[inline]
    fn flush_all(&self) {
        self.tlb().flush_all();
    }
}

impl Tenant for Domain {
    fn report_fault(&self, iova: u64) -> bool {
        let tlb = self.paging().tlb();

        // Which of them it was the hardware does not tell. Without the lock: a handler may well
        // unmap something. It is not there to be the last that lets go of a seat: `Tlb::leave()`
        // waits for the interrupt handler.
        (0..)
            .map_while(|i| tlb.seat(i))
            .any(|seat| Self::report_fault(self, &seat.dev, iova))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let this = self.paging();
        let (name, base, flushes) = (&this.name, this.table.hardware().ttbr, this.tlb().flushes());
        let mut result = f.write_fmt(fmt!("{name}, table 0x{base:x}, {flushes} flushes"));

        this.tlb().with_seats(|seats| {
            for seat in seats {
                result = result.and_then(|()| {
                    let (dev, ipmmu) = (seat.dev.name(), seat.ipmmu.dev().name());
                    f.write_fmt(fmt!("\n  {dev}: {ipmmu}"))?;
                    let mut utlbs = seat.utlbs().map(UtlbId::index);
                    utlbs.try_for_each(|utlb| f.write_fmt(fmt!(" {utlb}")))
                });
            }
        });
        result
    }

    fn settle(&self) {
        self.paging().tlb().settle();
    }

    fn name_devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());

        let tlb = self.paging().tlb();
        tlb.with_seats(|seats| result = seat::write_names(seats, f));
        result
    }
}
