// SPDX-License-Identifier: GPL-2.0

//! Driver for the Renesas IPMMU, the IOMMU of R-Car and RZ/G SoCs.
//!
//! Who is where:
//!
//! - [`regs`] is the register map, [`features`] what differs between SoC generations;
//! - [`mmio`] is access to them, [`kept`] and [`backup`] what is kept of them over a sleep;
//! - [`ipmmu`] is one instance, [`instances`] all of them, [`context`] the contexts of a root;
//! - [`domain`], [`master`] and [`policy`] are what the IOMMU core asks for, [`tlb`] is a domain's
//!   context while it has one;
//! - [`fault`] is the interrupt, [`pm`] is suspend and resume, [`debugfs`] is for people;
//! - [`abstractions`] is the kernel's C, made safe.

use kernel::{
    device::{
        self,
        property::FwNode,
        Core, //
    },
    dma::DmaMask,
    driver,
    of,
    platform,
    prelude::*,
    sync::Arc, //
};

use crate::{
    abstractions::{
        device_link,
        fwnode,
        iommu,
        irq,
        mmio::Window,
        module_static::Live,
        platform::Pm,
        power_domain::PowerWatch,
        runtime_pm, //
    },
    fault::{
        FaultHandler,
        FaultIrq, //
    },
    features::Features,
    instances::{
        Instances,
        StaticLock, //
    },
    ipmmu::Ipmmu,
    master::IommuOps,
    pm::Sleeper, //
};

mod abstractions;
mod backup;
mod context;
mod debugfs;
mod domain;
mod fault;
mod features;
mod group;
mod instances;
mod ipmmu;
mod kept;
mod master;
mod mmio;
mod pm;
mod policy;
mod regs;
mod seat;
mod tlb;

iommu_ops_table!(static OPS: IommuOps, in Module);

string_param!(
    ipmmu_vmsa,
    Module,
    ALLOW,
    "allow",
    "Devices to be translated beside those that are by default, by name, separated by commas."
);

kernel::of_device_table!(
    OF_TABLE,
    <Driver as platform::Driver>::IdInfo,
    [
        (of::DeviceId::new(c"renesas,ipmmu-vmsa"), &features::GEN2),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a774a1"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a774b1"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a774c0"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a774e1"),
            &features::GEN3
        ),
        (of::DeviceId::new(c"renesas,ipmmu-r8a7795"), &features::GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a7796"), &features::GEN3),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a77961"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a77965"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a77970"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a77980"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a77990"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a77995"),
            &features::GEN3
        ),
        (
            of::DeviceId::new(c"renesas,ipmmu-r8a779a0"),
            &features::GEN4
        ),
        (
            of::DeviceId::new(c"renesas,rcar-gen4-ipmmu-vmsa"),
            &features::GEN4
        ),
    ]
);

/// The platform driver.
struct Driver;

/// Milliseconds that an instance stays awake after its last master fell asleep: many masters sleep
/// between any two requests.
const AUTOSUSPEND_DELAY: i32 = 100;

/// What a bound instance owns, in the order in which it is given up: the IOMMU core lets go of the
/// masters, then nobody finds the instance any more; only then its power may be cut unnoticed.
#[pin_data]
struct Bound {
    registration: Option<iommu::Registration<IommuOps>>,
    listed: instances::Entry,
    #[pin]
    files: debugfs::Files,
    runtime: runtime_pm::Enabled,
    #[pin]
    power: PowerWatch<Sleeper>,
    sleeper: Arc<Sleeper>,
    held: ipmmu::Held,
}

impl platform::Driver for Driver {
    type IdInfo = &'static Features;
    type Data<'bound> = Bound;
    const OF_ID_TABLE: Option<of::IdTable<Self::IdInfo>> = Some(&OF_TABLE);

    fn probe<'bound>(
        pdev: &'bound platform::Device<Core<'_>>,
        features: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Bound, Error> + 'bound {
        let started = features
            .ok_or(ENODEV)
            .and_then(|features| start(pdev, features));

        pin_init::pin_init_scope(move || {
            let sleeper = started?;
            let ipmmu = sleeper.ipmmu().clone();
            let dev: &device::Device<device::Bound> = pdev.as_ref();

            Ok(try_pin_init!(Bound {
                power <- PowerWatch::new(dev, sleeper.clone()),
                // Before masters are linked to the instance, and keep it awake.
                runtime: runtime_pm::Enabled::new(dev, AUTOSUSPEND_DELAY)?,
                listed: instances::Entry::new(ipmmu.clone())?,
                files <- debugfs::Files::new(&ipmmu),
                registration: register(dev, &ipmmu)?,
                sleeper,
                held: ipmmu::Held(ipmmu),
            }? Error))
        })
    }
}

impl Pm for Driver {
    fn suspend_noirq<'bound>(this: Pin<&Bound>) -> Result {
        this.sleeper.system_sleeps()
    }

    fn freeze_noirq<'bound>(this: Pin<&Bound>) -> Result {
        this.sleeper.system_freezes()
    }

    fn resume_noirq<'bound>(this: Pin<&Bound>) -> Result {
        this.sleeper.system_wakes_up()
    }

    fn shutdown<'bound>(this: Pin<&Bound>) {
        this.sleeper.shut_down();
    }
}

/// Maps the registers of `pdev`, tells root from cache, and brings it into a defined state.
fn start(pdev: &platform::Device<Core<'_>>, features: &'static Features) -> Result<Arc<Sleeper>> {
    let dev: &device::Device<device::Bound> = pdev.as_ref();
    let fwnode = dev.fwnode().ok_or(ENODEV)?;
    let root = find_root(dev, fwnode, features)?;

    // For the page tables of a root, which its walks reach with 40 address bits.
    abstractions::platform::set_dma_mask(pdev, DmaMask::new::<40>())?;
    let window = map(pdev, features)?;
    let ipmmu = Ipmmu::new(dev, window, features, root)?;
    if let Some(regs) = ipmmu.registers() {
        ipmmu.reset(regs);
    }

    match ipmmu.root_if_cache() {
        Some(root) => {
            // Suspends and unbinds before the root.
            device_link::add_managed(dev, root.dev())?;
            let utlbs = features.utlb_count();
            dev_info!(dev, "cache of {}, {} uTLBs\n", root.name(), utlbs);
            Sleeper::new(ipmmu, None)
        }
        None => {
            let faults = request_irq(pdev, &ipmmu)?;
            let contexts = features.usable_contexts().count();
            dev_info!(dev, "root, {} contexts\n", contexts);
            Sleeper::new(ipmmu, Some(faults))
        }
    }
}

/// The root that `dev` is a cache of; none if it is a root itself.
fn find_root(
    dev: &device::Device<device::Bound>,
    fwnode: &FwNode,
    features: &Features,
) -> Result<Option<Arc<Ipmmu>>> {
    const MAIN: &CStr = c"renesas,ipmmu-main";

    if !features.split || !fwnode.property_present(MAIN) {
        return Ok(None);
    }

    let Ok(node) = fwnode::reference(fwnode, MAIN) else {
        dev_err!(
            dev,
            "renesas,ipmmu-main refers to nothing, the cache is not used\n"
        );
        return Err(ENODEV);
    };
    let can_be_root = !core::ptr::eq(&*node, fwnode) && fwnode::is_available(&node);
    if can_be_root {
        let found = instances::find(&node).ok_or(EPROBE_DEFER)?;
        if found.is_root() {
            return Ok(Some(found));
        }
    }
    dev_err!(
        dev,
        "renesas,ipmmu-main refers to {}, which cannot be its root\n",
        node.display_name()
    );
    Err(ENODEV)
}

/// Maps the registers, and finds them large enough for all that the driver will touch.
fn map(pdev: &platform::Device<Core<'_>>, features: &Features) -> Result<Window> {
    let dev: &device::Device<device::Bound> = pdev.as_ref();
    let window = Window::new(pdev, 0).inspect_err(|e| {
        if *e == ENODEV {
            dev_err!(dev, "no registers: reg is missing in the device tree\n");
        } else {
            dev_err!(dev, "the registers cannot be mapped\n");
        }
    })?;

    let (size, needed) = (window.size(), features.window());
    if size < needed {
        dev_err!(
            dev,
            "reg has 0x{:x} bytes, 0x{:x} are needed\n",
            size,
            needed
        );
        return Err(ENODEV);
    }
    Ok(window)
}

/// Requests a root's fault interrupt.
fn request_irq(pdev: &platform::Device<Core<'_>>, root: &Arc<Ipmmu>) -> Result<Arc<FaultHandler>> {
    let handler = FaultHandler::new(root.clone())?;

    irq::request_managed(pdev, 0, c"ipmmu-vmsa", FaultIrq(handler.clone())).inspect_err(|e| {
        if *e != EPROBE_DEFER {
            dev_err!(
                root.dev(),
                "no fault interrupt ({:?}), or a cache without renesas,ipmmu-main\n",
                e
            );
        }
    })?;
    Ok(handler)
}

/// Registers an instance that masters are behind with the IOMMU core.
fn register(
    dev: &device::Device<device::Bound>,
    ipmmu: &Arc<Ipmmu>,
) -> Result<Option<iommu::Registration<IommuOps>>> {
    if !ipmmu.has_masters() {
        return Ok(None);
    }

    iommu::Registration::new(dev, dev.name(), ipmmu.clone()).map(Some)
}

/// The module, in the order in which it is taken down.
#[pin_data]
struct Module {
    #[pin]
    driver: driver::Registration<abstractions::platform::Adapter<Driver>>,
    #[pin]
    clients: iommu::ClientWatch<IommuOps>,
    instances: Live<Instances, StaticLock>,
}

impl kernel::InPlaceModule for Module {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            instances: instances::start()?,
            clients <- iommu::ClientWatch::new(),
            driver <- driver::Registration::new(c"ipmmu-vmsa", module),
        })
    }
}

module! {
    type: Module,
    name: "ipmmu_vmsa",
    authors: ["IPMMU in Rust project"],
    description: "Renesas IPMMU driver that survives suspend",
    license: "GPL v2",
}
