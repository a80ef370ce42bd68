// SPDX-License-Identifier: GPL-2.0

//! A bus master: which IPMMU it is behind, through which micro-TLBs, and what it sees.

use kernel::{
    device::{
        property::FwNode,
        Device, //
    },
    fmt,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

use crate::{
    abstractions::{
        device_link,
        dma, //
        iommu::{
            self,
            Capability,
            FwSpec,
            Geometry,
            OpsTable,
            PhandleArgs, //
        },
    },
    domain::{
        Domain,
        Paging, //
    },
    instances,
    ipmmu::Ipmmu,
    policy,
    seat::Seat,
    OPS, //
};

/// A bus master behind an IPMMU.
pub(crate) struct Master {
    seat: Arc<Seat>,
    /// What to attach when it must not reach any memory.
    blocked: Arc<Domain>,
}

impl Master {
    /// Takes note of `dev`, a master behind `ipmmu` with the micro-TLBs `ids`. May sleep.
    fn new(dev: &Device, ipmmu: &Arc<Ipmmu>, ids: &[u32]) -> Result<Self> {
        let mut utlbs = 0;

        for &id in ids {
            // A device tree that names one twice means it once.
            utlbs |= ipmmu.features().utlb(id).ok_or(EINVAL)?.bit();
        }

        let blocked = instances::blocked(ipmmu.root()).ok_or(ENODEV)?;
        let room = ipmmu.masters().add(dev, utlbs)?;
        let seat = Seat::new(dev, ipmmu.clone(), utlbs, room)
            .inspect_err(|_| ipmmu.masters().remove(dev))?;
        let master = Self { seat, blocked };

        // The master is unbound before its IPMMU, asleep before it is, and awake after it.
        device_link::add_for_client(dev, master.seat.ipmmu.dev())?;
        Ok(master)
    }

    /// Has `domain` translate from now on, instead of what does now. May sleep.
    fn attach(&self, dev: &Device, domain: ArcBorrow<'_, Domain>) -> Result {
        let seat = &self.seat;
        let root = seat.ipmmu.root();
        let _serialised = root.contexts().lock_attach();
        let old = seat.domain();
        if old
            .as_deref()
            .is_some_and(|old| core::ptr::eq(old, &*domain))
        {
            return Ok(());
        }

        // What can fail comes first; then the micro-TLBs go from one context straight to the next.
        let context = Paging::enter(domain, seat, old.as_deref())
            .inspect_err(|e| report_attach_error(dev, &seat.ipmmu, *e))?;
        for utlb in seat.utlbs() {
            seat.ipmmu.enable_utlb(utlb, context, old.is_none());
        }
        seat.set_domain(Some(domain.into()));

        if let Some(old) = old {
            old.paging().leave(seat);
        }
        Ok(())
    }

    /// Lets addresses pass through from now on. May sleep.
    fn detach(&self) {
        let seat = &self.seat;
        let root = seat.ipmmu.root();
        let _serialised = root.contexts().lock_attach();
        let Some(old) = seat.domain() else {
            return;
        };

        for utlb in seat.utlbs() {
            seat.ipmmu.disable_utlb(utlb);
        }
        seat.set_domain(None);
        old.paging().leave(seat);
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.seat.ipmmu.masters().remove(&self.seat.dev);
    }
}

fn report_attach_error(dev: &Device, ipmmu: &Ipmmu, e: Error) {
    let reason = match e {
        EBUSY => "all contexts are in use",
        EINVAL => "the domain is for another root",
        _ => "out of memory",
    };

    dev_err!(
        dev,
        "cannot be attached behind {}: {}\n",
        ipmmu.dev().name(),
        reason
    );
}

/// Says about `dev` what is to be said once, however often the core asks.
fn say_once(dev: &Device, message: fmt::Arguments<'_>, is_error: bool) {
    if !instances::first_time(dev, message) {
        return;
    }

    if is_error {
        dev_err!(dev, "{}\n", message);
    } else {
        dev_info!(dev, "{}\n", message);
    }
}

/// Looks up the instance that `dev` refers to.
fn find(dev: &Device, node: &FwNode) -> Result<Arc<Ipmmu>> {
    instances::find(node).ok_or(EPROBE_DEFER).inspect_err(|_| {
        dev_dbg!(dev, "{} is not bound yet\n", node.display_name());
    })
}

/// What the IOMMU core calls.
pub(crate) struct IommuOps;

impl iommu::Ops for IommuOps {
    type Instance = Ipmmu;
    type Master = Master;
    type Paging = Paging;

    fn table() -> &'static OpsTable<Self> {
        &OPS
    }

    fn capable(dev: &Device, _master: &Master, capability: Capability) -> bool {
        match capability {
            // The IPMMU passes on what the master asks for; what comes of it is the bus's affair,
            // which the firmware describes.
            Capability::CacheCoherency => dma::is_coherent(dev),
            // One flush of the context invalidates everything, whenever it comes.
            Capability::DeferredFlush => true,
        }
    }

    fn of_xlate(dev: &Device, args: PhandleArgs<'_>) -> Result<u32> {
        let ipmmu = find(dev, args.node())?;
        let core: &iommu::Instance = (*ipmmu).as_ref();
        if core.is_too_early_for(dev) {
            return Err(EPROBE_DEFER);
        }

        if let Err(refusal) = policy::check(dev) {
            let reason = refusal.reason();
            say_once(dev, fmt!("not translated: {reason}"), false);
            return Err(ENODEV);
        }

        let name = ipmmu.dev().name();
        let first = args.first_node();
        if !core::ptr::eq(first, args.node()) {
            let first = first.display_name();
            say_once(
                dev,
                fmt!("not translated: behind {first} and {name}, one IPMMU expected"),
                true,
            );
            return Err(EINVAL);
        }
        let &[utlb] = args.args() else {
            let cells = args.args().len();
            say_once(
                dev,
                fmt!("not translated: {cells} cells for {name}, 1 expected"),
                true,
            );
            return Err(EINVAL);
        };
        if ipmmu.features().utlb(utlb).is_none() {
            let last = ipmmu.features().utlb_count() - 1;
            say_once(
                dev,
                fmt!("not translated: no uTLB {utlb} in {name}, the last is {last}"),
                true,
            );
            return Err(EINVAL);
        }
        Ok(utlb)
    }

    fn probe_device(dev: &Device, fwspec: FwSpec<'_>) -> Result<(Arc<Ipmmu>, Master)> {
        let ipmmu = find(dev, fwspec.node())?;
        let core: &iommu::Instance = (*ipmmu).as_ref();
        if core.is_too_early_for(dev) {
            return Err(ENODEV);
        }

        let master = Master::new(dev, &ipmmu, fwspec.ids()).inspect_err(|e| {
            let name = ipmmu.dev().name();
            match *e {
                EBUSY => say_once(
                    dev,
                    fmt!("not translated: all contexts behind {name} are taken"),
                    true,
                ),
                EEXIST => say_once(
                    dev,
                    fmt!("not translated: shares uTLBs of {name} with more than one group"),
                    true,
                ),
                e => say_once(dev, fmt!("not translated: {name} gave {e:?}"), true),
            }
        })?;

        Ok((ipmmu, master))
    }

    fn with_alias<R>(dev: &Device, master: &Master, f: impl FnOnce(&Device) -> R) -> Option<R> {
        master.seat.ipmmu.masters().with_alias(dev, f)
    }

    fn alloc_paging(master: &Master) -> Result<(Geometry, Paging)> {
        Paging::new(&master.seat.ipmmu)
    }

    fn attach_paging(dev: &Device, master: &Master, domain: ArcBorrow<'_, Domain>) -> Result {
        master.attach(dev, domain)
    }

    fn attach_blocked(dev: &Device, master: &Master) -> Result {
        master.attach(dev, master.blocked.as_arc_borrow())
    }

    fn attach_identity(_dev: &Device, master: &Master) {
        master.detach();
    }
}
