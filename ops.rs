// SPDX-License-Identifier: GPL-2.0

//! The callbacks of the IOMMU core.

use kernel::{
    debugfs::Dir,
    device::{
        property::FwNode,
        Device, //
    },
    fmt,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

use crate::abstractions::{
    device::{
        driver::has_driver,
        link, //
    },
    iommu::{
        driver::{
            self,
            Domain,
            FwSpec,
            Group,
            Grouping,
            PhandleArgs, //
        },
        io_pgtable::{
            self,
            DmaDevice,
            IoPageTable, //
        },
    },
    module_lock, //
};

use crate::{
    domain::Walkers,
    group::*,
    ipmmu::Ipmmu,
    policy,
    table::*,
    wants::Want, //
};

/// An instance as the core knows it.
pub(crate) type Instance = driver::Instance<IommuOps>;

/// The bound instances, and the messages that were logged about devices.
struct Registry {
    instances: KVec<Arc<Instance>>,
    /// Text without references to the devices, which may come and go.
    said: KVec<CString>,
    /// `ipmmu/` in debugfs, while there are instances.
    dir: Option<Dir>,
}

module_lock! {
    static REGISTRY: Registry = Registry {
        instances: KVec::new(),
        said: KVec::new(),
        dir: None,
    }; lock RegistryLock
}

/// Makes the registry available. For the module's `init()`.
// Inlined into `init()`, whose text is freed afterwards.
#[inline(always)]
pub(crate) fn start() {
    REGISTRY.start();
    io_pgtable::start();
}

/// Returns the bound instance that `node` describes. May sleep.
pub(crate) fn find(node: &FwNode) -> Option<Arc<Instance>> {
    let registry = REGISTRY.lock().ok()?;

    let mut found = registry.instances.iter();
    found.find(|other| other.is_described_by(node)).cloned()
}

/// The entry of an instance in the registry. Dropping it removes the instance from there.
pub(crate) struct Entry(Arc<Instance>);

impl Entry {
    /// Enters `instance` into the registry. May sleep. Fails with `ENOMEM`.
    pub(crate) fn new(instance: Arc<Instance>) -> Result<Self> {
        let mut registry = REGISTRY.lock()?;

        registry.instances.push(instance.clone(), GFP_KERNEL)?;
        Ok(Self(instance))
    }

    /// Returns the directory of all instances in debugfs. May sleep.
    pub(crate) fn debugfs_dir(&self) -> Result<Dir> {
        let mut registry = REGISTRY.lock()?;

        let dir = registry.dir.get_or_insert_with(|| Dir::new(c"ipmmu"));
        Ok(dir.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Ok(mut registry) = REGISTRY.lock() else {
            return;
        };

        registry
            .instances
            .retain(|other| !Arc::ptr_eq(other, &self.0));
        if registry.instances.is_empty() {
            // A `static` is never dropped: its memory is freed here.
            registry.instances = KVec::new();
            registry.said = KVec::new();
            let dir = registry.dir.take();

            drop(registry);
            drop(dir);
        }
    }
}

/// Logs that `dev` is not translated, and why: once, however often the core asks. May sleep.
fn say_once(dev: &Device, why: fmt::Arguments<'_>, is_error: bool) {
    let name = dev.name();
    // Without memory for a copy the message is repeated, which is the lesser evil.
    if let (Ok(said), Ok(mut registry)) = (
        CString::try_from_fmt(fmt!("{name}: {why}")),
        REGISTRY.lock(),
    ) {
        if registry.said.iter().any(|other| **other == *said) {
            return;
        }
        let _ = registry.said.push(said, GFP_KERNEL);
    }

    if is_error {
        dev_err!(dev, "not translated: {}\n", why);
    } else {
        dev_info!(dev, "not translated: {}\n", why);
    }
}

/// Returns the bound instance that `node` describes for `dev`. Without one the probe is deferred.
fn find_for(dev: &Device, node: &FwNode) -> Result<Arc<Instance>> {
    find(node).ok_or(EPROBE_DEFER).inspect_err(|_| {
        dev_dbg!(dev, "{} is not bound yet\n", node.display_name());
    })
}

/// Returns the micro-TLB that `args` name for `dev`, if they are well-formed.
fn utlb_of(dev: &Device, ipmmu: &Ipmmu, args: &PhandleArgs<'_>) -> Result<u32> {
    let refuse = |why: fmt::Arguments<'_>| {
        say_once(dev, why, true);
        Err(EINVAL)
    };
    let (name, first) = (ipmmu.dev().name(), args.first_node());

    if !core::ptr::eq(first, args.node()) {
        let first = first.display_name();
        return refuse(fmt!("behind {first} and {name}, one IPMMU expected"));
    }
    let &[utlb] = args.args() else {
        let cells = args.args().len();
        return refuse(fmt!("{cells} cells for {name}, 1 expected"));
    };
    if ipmmu.features.utlb(utlb).is_none() {
        let last = ipmmu.features.utlb_count() - 1;
        return refuse(fmt!("uTLB {utlb} is out of range for {name} (0 to {last})"));
    }
    Ok(utlb)
}

/// Returns `ENODEV` and logs why, if `dev` with `utlbs` is not to be translated. The first of
/// several devices that share a micro-TLB decides for all, for good.
fn refuse_by_policy(dev: &Device, ipmmu: &Arc<Ipmmu>, utlbs: u64) -> Result {
    if let Err(why) = policy::check(dev) {
        if ipmmu.client_utlbs() & utlbs == 0 {
            ipmmu.parking.state.lock().refused |= utlbs;
            say_once(dev, fmt!("{why}"), false);
            return Err(ENODEV);
        }
    }
    if ipmmu.parking.state.lock().refused & utlbs != 0 {
        let name = ipmmu.dev().name();
        say_once(
            dev,
            fmt!("shares a uTLB of {name} with an untranslated device"),
            true,
        );
        return Err(ENODEV);
    }
    Ok(())
}

/// Switches off those of `utlbs` that were found on, because `dev` works without IOMMU. Does
/// nothing while `dev` has no driver: it may still execute orders of a dead kernel then.
fn open_for_driver(dev: &Device, ipmmu: &Arc<Ipmmu>, utlbs: u64) {
    if has_driver(dev) {
        // The cache must not wake up meanwhile.
        let _serialised = ipmmu.root().reservations.lock();
        ipmmu.parking.open_strays(utlbs);
    }
}

/// The implementation of the callbacks.
pub(crate) struct IommuOps;

impl driver::Ops for IommuOps {
    type Instance = Arc<Ipmmu>;
    type Client = Client;
    type Flush = Walkers;

    fn of_xlate(dev: &Device, args: PhandleArgs<'_>) -> Result<u32> {
        utlb_of(dev, find_for(dev, args.node())?.data(), &args)
    }

    fn probe_device(dev: &Device, fwspec: FwSpec<'_>) -> Result<(Arc<Instance>, Client)> {
        let instance = find_for(dev, fwspec.node())?;
        let ipmmu = instance.data();
        let mut utlbs = 0;

        for &id in fwspec.ids() {
            // A device tree may name a micro-TLB twice.
            utlbs |= ipmmu.features.utlb(id).ok_or(EINVAL)?.bit();
        }
        refuse_by_policy(dev, ipmmu, utlbs).inspect_err(|_| open_for_driver(dev, ipmmu, utlbs))?;
        Ok((instance.clone(), Client::new(ipmmu.clone(), utlbs)))
    }

    fn device_group(grouping: Grouping<'_>, client: &Client) -> Result<Group> {
        let (dev, ipmmu) = (grouping.dev(), &client.ipmmu);

        client
            .join(&grouping)
            .and_then(|group| {
                // Unbinds and suspends the client before its IPMMU, and resumes it afterwards.
                link::add_for_client(dev, ipmmu.dev())?;
                Ok(group)
            })
            .map_err(|refusal| {
                let name = ipmmu.dev().name();
                let say = |why: fmt::Arguments<'_>| say_once(dev, why, true);
                match refusal {
                    Refusal::NoContext => {
                        let root = ipmmu.root().dev().name();
                        say(fmt!("no free context in {root}"));
                    }
                    Refusal::JoinsGroups => {
                        say(fmt!("shares uTLBs of {name} with more than one group"));
                    }
                    Refusal::OtherCache => {
                        say(fmt!("its group is behind another IPMMU than {name}"));
                    }
                    Refusal::Core(e) => {
                        say(fmt!("failed to set up its group behind {name}: {e:?}"));
                        // This defers the probe of a driver that is being bound.
                        return e;
                    }
                }
                // The core releases the client, which goes on without IOMMU.
                open_for_driver(dev, ipmmu, client.utlbs);
                ENODEV
            })
    }

    fn release_device(dev: &Device, client: &Client) {
        client.release(dev);
        if has_driver(dev) && client.ipmmu.parking.state.lock().strays & client.utlbs != 0 {
            say_once(dev, fmt!("blocked until the driver is rebound"), true);
        }
    }

    fn alloc_paging(client: &Client, hwdev: DmaDevice<'_>) -> Result<IoPageTable<Walkers>> {
        Walkers::of_new_table(&client.ipmmu, hwdev)
    }

    fn attach_paging(dev: &Device, client: &Client, domain: ArcBorrow<'_, Domain<Self>>) -> Result {
        if !domain.flush_ops().is_for(client.ipmmu.root()) {
            return Err(EINVAL);
        }

        let space: Arc<dyn AddressSpace> = Arc::<Domain<Self>>::from(domain);
        client.attach(dev, Want::Domain(space))
    }

    fn attach_blocked(dev: &Device, client: &Client) {
        // Only a domain can be refused.
        let _ = client.attach(dev, Want::Blocked);
    }

    fn attach_identity(dev: &Device, client: &Client) {
        // As above.
        let _ = client.attach(dev, Want::Identity);
    }
}
