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
        aref::ARef,
        new_mutex,
        Arc,
        ArcBorrow,
        Mutex, //
    },
};

use crate::{
    abstractions::{
        device_link,
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
    features::UtlbId,
    instances,
    ipmmu::Ipmmu,
    policy,
    OPS, //
};

/// A bus master behind an IPMMU.
pub(crate) struct Master {
    dev: ARef<Device>,
    ipmmu: Arc<Ipmmu>,
    utlbs: KVec<UtlbId>,
    /// What translates for it; nothing does when it is `None`. The core serialises attaches of a
    /// group, so this is never contended.
    domain: Pin<KBox<Mutex<Option<Arc<Domain>>>>>,
}

impl Master {
    /// Takes note of `dev`, a master behind `ipmmu` with the micro-TLBs `ids`. May sleep.
    fn new(dev: &Device, ipmmu: Arc<Ipmmu>, ids: &[u32]) -> Result<Self> {
        let mut utlbs = KVec::with_capacity(ids.len(), GFP_KERNEL)?;

        for &id in ids {
            let utlb = ipmmu.features().utlb(id).ok_or(EINVAL)?;
            // A device tree that names one twice means it once.
            if !utlbs.contains(&utlb) {
                utlbs.push(utlb, GFP_KERNEL)?;
            }
        }

        let master = Self {
            dev: dev.into(),
            domain: KBox::pin_init(new_mutex!(None), GFP_KERNEL)?,
            utlbs,
            ipmmu,
        };
        master.ipmmu.add_master(dev, &master.utlbs)?;

        // The master is unbound before its IPMMU, asleep before it is, and awake after it.
        device_link::add_for_client(dev, master.ipmmu.dev())?;
        Ok(master)
    }

    fn domain(&self) -> &Mutex<Option<Arc<Domain>>> {
        self.domain.as_ref().get_ref()
    }

    /// Has `domain` translate from now on, instead of what does now. May sleep.
    fn attach(&self, dev: &Device, domain: ArcBorrow<'_, Domain>) -> Result {
        let mut current = self.domain().lock();
        let is_new = current.is_none();
        if current.as_ref().is_some_and(|c| ptr_eq(c, domain)) {
            return Ok(());
        }

        // What can fail comes first; then the micro-TLBs go from one context straight to the next.
        let context = Paging::enter(domain, &self.ipmmu, dev)
            .inspect_err(|e| report_attach_error(dev, &self.ipmmu, *e))?;
        for &utlb in &self.utlbs {
            self.ipmmu.enable_utlb(utlb, context, is_new);
        }
        let old = current.replace(domain.into());
        drop(current);

        if let Some(old) = old {
            old.paging().leave(&self.ipmmu, &self.dev);
        }
        Ok(())
    }

    /// Lets addresses pass through from now on. May sleep.
    fn detach(&self) {
        let Some(old) = self.domain().lock().take() else {
            return;
        };

        for &utlb in &self.utlbs {
            self.ipmmu.disable_utlb(utlb);
        }
        old.paging().leave(&self.ipmmu, &self.dev);
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.ipmmu.remove_master(&self.dev);
    }
}

fn ptr_eq(a: &Arc<Domain>, b: ArcBorrow<'_, Domain>) -> bool {
    core::ptr::eq(&**a, &*b)
}

fn report_attach_error(dev: &Device, ipmmu: &Ipmmu, e: Error) {
    let reason = match e {
        EBUSY => "all contexts are in use",
        EINVAL => "the domain is in use behind another root",
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
    if !instances::first_time(dev) {
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

    fn capable(_master: &Master, capability: Capability) -> bool {
        match capability {
            // One flush of the context invalidates everything, whenever it comes.
            Capability::DeferredFlush => true,
        }
    }

    fn of_xlate(dev: &Device, args: PhandleArgs<'_>) -> Result<u32> {
        let ipmmu = find(dev, args.node())?;

        if let Err(refusal) = policy::check(dev) {
            let reason = refusal.reason();
            say_once(dev, fmt!("not translated: {reason}"), false);
            return Err(ENODEV);
        }

        let name = ipmmu.dev().name();
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
        let master = Master::new(dev, ipmmu.clone(), fwspec.ids()).inspect_err(|e| {
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
        master.ipmmu.with_alias(dev, f)
    }

    fn alloc_paging(master: &Master) -> Result<(Geometry, Paging)> {
        Paging::new(&master.ipmmu)
    }

    fn attach_paging(dev: &Device, master: &Master, domain: ArcBorrow<'_, Domain>) -> Result {
        master.attach(dev, domain)
    }

    fn attach_identity(_dev: &Device, master: &Master) {
        master.detach();
    }
}
