// SPDX-License-Identifier: GPL-2.0

//! Paging domains: a page table, and a context while a device uses it.
//!
//! A domain is complete when it is allocated: it can be mapped before any device is attached. It
//! holds a context from the first attach until the last micro-TLB leaves.

use kernel::{
    device::Device,
    fmt,
    prelude::*,
    sizes::{
        SZ_1G,
        SZ_2M,
        SZ_4K, //
    },
    sync::{
        aref::ARef,
        new_mutex,
        new_spinlock_irq,
        Arc,
        ArcBorrow,
        Mutex,
        SpinLockIrq, //
    },
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
        iommu::{
            self,
            Geometry,
            PagingOps, //
        },
    },
    context::{
        Lease,
        Tenant, //
    },
    features::ContextId,
    ipmmu::{
        Ipmmu,
        Registers, //
    },
    master::IommuOps,
    regs::{
        IMBUSCR,
        IMCTR,
        IMMAIR0,
        IMSTR,
        IMTTLBR0,
        IMTTUBR0, //
    },
};

/// A domain as the IOMMU core knows it.
pub(crate) type Domain = iommu::Domain<IommuOps>;

/// IMCTR of a context in use; with the flush that a change of the context requires.
fn imctr_enabled() -> IMCTR {
    IMCTR::from(0)
        .with_inten(true)
        .with_flush(true)
        .with_mmuen(true)
}

/// A device that a context translates for.
#[derive(Clone)]
struct Attached {
    dev: ARef<Device>,
    /// The IPMMU that it is behind.
    ipmmu: Arc<Ipmmu>,
}

/// The hardware's part of a domain in use.
struct Active {
    lease: Lease,
    root: Arc<Ipmmu>,
    /// IPMMUs beside the root that the context must be flushed in: those that `devices` are behind.
    caches: KVec<Arc<Ipmmu>>,
    devices: KVec<Attached>,
    flushes: u64,
}

/// A copy of the `list` that is in `active`, with `item` added. May sleep.
fn with_added<T: Clone>(
    active: &SpinLockIrq<Option<Active>>,
    list: impl Fn(&Active) -> &KVec<T>,
    item: T,
) -> Result<KVec<T>> {
    let len = active.lock().as_ref().map_or(0, |a| list(a).len());
    let mut copy = KVec::with_capacity(len + 1, GFP_KERNEL)?;

    // The list does not grow meanwhile: attaches to a domain are serialised.
    if let Some(active) = &*active.lock() {
        for item in list(active) {
            let _ = copy.push_within_capacity(item.clone());
        }
    }
    copy.push(item, GFP_KERNEL)?;
    Ok(copy)
}

impl Active {
    fn id(&self) -> ContextId {
        self.lease.id()
    }

    /// Writes IMCTR to the caches in use, then to the root. 1 write each.
    fn write_imctr(&self, imctr: IMCTR) {
        for cache in &self.caches {
            cache.write_imctr(self.id(), imctr);
        }
        self.root.write_imctr(self.id(), imctr);
    }

    /// Invalidates all translations: a write per cache in use, a write and a read of the root.
    fn flush(&mut self) {
        self.flushes += 1;
        self.write_imctr(imctr_enabled());
        self.root.wait_flushed(self.id());
    }

    /// Sets up the root's registers, IMCTR last: 6 writes, on Gen2 a read and a write more.
    fn program(&self, table: LpaeS1) {
        let Some(regs) = self.root.registers() else {
            return;
        };
        let features = self.root.features();
        let id = self.id();

        regs.write(features.context(id), IMTTLBR0::from(table.ttbr as u32));
        regs.write(
            features.context(id),
            IMTTUBR0::from((table.ttbr >> 32) as u32),
        );
        regs.write(features.context(id), features.ttbcr());
        regs.write(features.context(id), IMMAIR0::from(table.mair as u32));
        if features.has_imbuscr {
            let imbuscr = regs.read::<IMBUSCR>(features.context(id));
            let imbuscr = imbuscr.with_dvm(false).with_const_bussel::<0>();
            regs.write(features.context(id), imbuscr);
        }
        // A fault that the previous tenant left behind.
        regs.write(features.context(id), IMSTR::from(0));
        regs.write(features.context(id), imctr_enabled());
    }
}

/// What is cached of a domain's table, and where.
#[pin_data]
pub(crate) struct Tlb {
    /// `None` while no device is attached: nothing is cached then. Taken in any context.
    #[pin]
    active: SpinLockIrq<Option<Active>>,
}

impl Tlb {
    /// The context in use and its root.
    fn context(&self) -> Option<(ContextId, Arc<Ipmmu>)> {
        let active = self.active.lock();

        active.as_ref().map(|a| (a.id(), a.root.clone()))
    }
}

impl FlushOps for Tlb {
    fn flush_all(&self) {
        if let Some(active) = &mut *self.active.lock() {
            active.flush();
        }
    }
}

/// The driver's part of a paging domain.
pub(crate) struct Paging {
    table: IoPageTable<Arm32LpaeS1, Tlb>,
    tlb: Arc<Tlb>,
    /// Serialises attach and detach of different groups.
    attach: Pin<KBox<Mutex<()>>>,
}

impl Paging {
    const PAGE_SIZES: usize = SZ_4K | SZ_2M | SZ_1G;
    /// Bits of an IOVA.
    const IAS: u32 = 32;
    /// Bits of a physical address.
    const OAS: u32 = 40;

    /// An empty domain for masters behind `ipmmu`. May sleep.
    pub(crate) fn new(ipmmu: &Arc<Ipmmu>) -> Result<(Geometry, Self)> {
        let tlb = Arc::pin_init(
            pin_init!(Tlb {
                active <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL,
        )?;
        let config = Config {
            // The IPMMU refuses a descriptor without NS even below a table with NSTABLE, unlike the
            // architecture.
            quirks: quirk::ARM_NS,
            pgsize_bitmap: Self::PAGE_SIZES,
            ias: Self::IAS,
            oas: Self::OAS,
            coherent_walk: false,
        };

        let geometry = Geometry {
            pgsize_bitmap: Self::PAGE_SIZES,
            last: (1 << Self::IAS) - 1,
        };
        let paging = Self {
            table: IoPageTable::new(ipmmu.root().dev(), config, tlb.clone())?,
            tlb,
            attach: KBox::pin_init(new_mutex!(()), GFP_KERNEL)?,
        };

        Ok((geometry, paging))
    }

    /// Makes the domain usable for `dev` behind `ipmmu`, too; returns the context. May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` when no context is free, `EINVAL` when the context in use is another root's,
    /// `ENOMEM`. Nothing has changed then.
    pub(crate) fn enter(
        domain: ArcBorrow<'_, Domain>,
        ipmmu: &Arc<Ipmmu>,
        dev: &Device,
    ) -> Result<ContextId> {
        let this = domain.paging();
        let _serialised = this.attach.as_ref().get_ref().lock();
        let attached = Attached {
            dev: dev.into(),
            ipmmu: ipmmu.clone(),
        };

        let Some((id, root)) = this.tlb.context() else {
            return this.activate(domain.into(), attached);
        };
        if !Arc::ptr_eq(&root, &ipmmu.root()) {
            return Err(EINVAL);
        }

        let active = &this.tlb.active;
        let mut devices = with_added(active, |a| &a.devices, attached)?;
        let mut caches = with_added(active, |a| &a.caches, ipmmu.clone())?;
        if let Some(active) = &mut *active.lock() {
            core::mem::swap(&mut active.devices, &mut devices);
            if !ipmmu.is_root() && !active.caches.iter().any(|c| Arc::ptr_eq(c, ipmmu)) {
                // The cache must have the context before a micro-TLB of it is pointed there.
                ipmmu.write_imctr(id, imctr_enabled());
                core::mem::swap(&mut active.caches, &mut caches);
            }
        }
        Ok(id)
    }

    /// First device: takes a context and sets it up.
    fn activate(&self, domain: Arc<Domain>, attached: Attached) -> Result<ContextId> {
        let ipmmu = attached.ipmmu.clone();
        let (mut caches, mut devices) = (KVec::new(), KVec::new());
        devices.push(attached, GFP_KERNEL)?;
        if !ipmmu.is_root() {
            caches.push(ipmmu.clone(), GFP_KERNEL)?;
        }
        let active = Active {
            lease: ipmmu.contexts().lease(domain)?,
            root: ipmmu.root(),
            caches,
            devices,
            flushes: 0,
        };
        let id = active.id();

        active.program(self.table.hardware());
        for cache in &active.caches {
            cache.write_imctr(id, imctr_enabled());
        }
        active.root.wait_flushed(id);
        *self.tlb.active.lock() = Some(active);
        Ok(id)
    }

    /// Ends the use by `dev` behind `ipmmu`, whose micro-TLBs point elsewhere already. After the
    /// last device the context is switched off and returned. May sleep.
    pub(crate) fn leave(&self, ipmmu: &Arc<Ipmmu>, dev: &Device) {
        let _serialised = self.attach.as_ref().get_ref().lock();
        let mut guard = self.tlb.active.lock();
        let Some(active) = &mut *guard else {
            return;
        };
        active.devices.retain(|a| !core::ptr::eq(&*a.dev, dev));
        if active.devices.iter().any(|a| Arc::ptr_eq(&a.ipmmu, ipmmu)) {
            return;
        }

        // Writing FLUSH alone switches the context off and leaves nothing of it in the TLBs.
        let off = IMCTR::from(0).with_flush(true);
        if !active.devices.is_empty() {
            ipmmu.write_imctr(active.id(), off);
            active.caches.retain(|c| !Arc::ptr_eq(c, ipmmu));
            return;
        }
        active.write_imctr(off);
        active.root.wait_flushed(active.id());
        let active = guard.take();

        // The context is returned with this, which takes a lock of its own.
        drop(guard);
        drop(active);
    }
}

impl PagingOps for Paging {
    type Format = Arm32LpaeS1;
    type Flush = Tlb;

    fn table(&self) -> &IoPageTable<Arm32LpaeS1, Tlb> {
        &self.table
    }

    fn flush_all(&self) {
        self.tlb.flush_all();
    }
}

impl Tenant for Domain {
    fn report_fault(&self, root: &Device, iova: u64) -> bool {
        Self::report_fault(self, root, iova)
    }

    fn flushes(&self) -> u64 {
        let active = self.paging().tlb.active.lock();

        active.as_ref().map_or(0, |active| active.flushes)
    }

    fn with_devices(&self, f: &mut dyn FnMut(&dyn fmt::Display)) {
        let active = self.paging().tlb.active.lock();

        // The lock is taken here, not while a message is being put together.
        f(&Names(
            active.as_ref().map_or(&[], |active| &active.devices),
        ));
    }
}

/// The names of devices, separated by commas.
struct Names<'a>(&'a [Attached]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attached) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            f.write_fmt(fmt!("{}{}", comma, attached.dev.name()))?;
        }
        Ok(())
    }
}
