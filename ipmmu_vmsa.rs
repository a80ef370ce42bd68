// SPDX-License-Identifier: GPL-2.0

//! Driver for the Renesas IPMMU, the IOMMU of R-Car and RZ/G SoCs.
//!
//! - [`regs`] is the register map, [`features`] the differences between SoC generations;
//! - [`saved`] is what an instance loses with its power, [`mismatch`] what did not come back;
//! - [`table`] is the format of page tables, [`wants`] what clients are attached to;
//! - [`hardware`] is the register sequences of a context, [`context`] a context and its lock,
//!   [`suspend`] how a context sleeps;
//! - [`parking`] is the context for micro-TLBs that must not get through, [`ipmmu`] one instance;
//! - [`group`] is clients that cannot be distinguished, [`domain`] an address space, [`policy`]
//!   which devices are translated, [`ops`] the callbacks of the core;
//! - [`fault`] is the interrupt, [`pm`] suspend and resume, [`debugfs`] the files in debugfs.
//!
//! Safe Rust over the kernel's C is in [`abstractions`].

use kernel::{
    device::{
        self,
        property::FwNode,
        Core, //
    },
    devres,
    dma::DmaMask,
    driver,
    io::ResourceSize,
    of,
    platform,
    pr_warn_once,
    prelude::*,
    sync::Arc, //
};

use crate::abstractions::{
    device::{
        fwnode,
        link, //
    },
    iommu::{
        self,
        platform::Pm, //
    },
    irq,
    runtime_pm, //
};

use crate::{
    fault::*,
    features::*,
    ipmmu::Ipmmu,
    ops::*,
    pm::Power,
    regs::Mmio, //
};

mod abstractions;
mod context;
mod debugfs;
mod domain;
mod fault;
mod features;
mod group;
mod hardware;
mod ipmmu;
mod mismatch;
mod ops;
mod parking;
mod pm;
mod policy;
mod regs;
mod saved;
mod suspend;
mod table;
mod wants;

crate::abstractions::iommu_ops_table!(static OPS: IommuOps, in Module);

crate::abstractions::string_param!(
    ipmmu_vmsa,
    Module,
    policy::ALLOW,
    "allow",
    "Devices to be translated beside those that are by default, by name, separated by commas."
);

kernel::of_device_table!(
    OF_TABLE,
    <Driver as platform::Driver>::IdInfo,
    [
        (of::DeviceId::new(c"renesas,ipmmu-vmsa"), &GEN2),
        (of::DeviceId::new(c"renesas,ipmmu-r8a774a1"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a774b1"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a774c0"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a774e1"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a7795"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a7796"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a77961"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a77965"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a77970"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a77980"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a77990"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a77995"), &GEN3),
        (of::DeviceId::new(c"renesas,ipmmu-r8a779a0"), &GEN4),
        (of::DeviceId::new(c"renesas,rcar-gen4-ipmmu-vmsa"), &GEN4),
    ]
);

/// The platform driver.
struct Driver;

/// Milliseconds that an instance stays awake after its last client fell asleep. Many clients sleep
/// between any two requests.
const AUTOSUSPEND_DELAY: i32 = 100;

/// The resources of a bound instance, in the order in which they are dropped. Without them nothing
/// finds the instance, and it stays awake. Then devres unregisters it from the core, which releases
/// its clients, and switches it off.
#[pin_data]
struct Bound {
    entry: ops::Entry,
    #[pin]
    files: debugfs::Files,
    runtime: runtime_pm::Enabled,
    power: Arc<Power>,
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
            let power = started?;
            let ipmmu = power.ipmmu.clone();
            let dev: &device::Device<device::Bound> = pdev.as_ref();
            let instance = Instance::new(dev, &OPS, ipmmu.clone())?;

            Ok(try_pin_init!(Bound {
                power,
                // Before clients are linked to the instance, and keep it awake.
                runtime: runtime_pm::Enabled::new(pdev.as_ref(), AUTOSUSPEND_DELAY)?,
                // Before registration, during which the core looks up the instance.
                entry: ops::Entry::new(instance.clone())?,
                files <- debugfs::Files::new(&ipmmu, entry.debugfs_dir()?),
                _: {
                    if ipmmu.has_clients() {
                        iommu::driver::register_managed(dev, instance)?;
                    }
                },
            }? Error))
        })
    }
}

impl Pm for Driver {
    /// Walks reach page tables with as many address bits.
    const DMA_MASK: DmaMask = DmaMask::new::<{ table::OAS }>();

    fn suspend<'bound>(this: Pin<&Bound>) -> Result {
        this.power.suspend()
    }

    fn resume<'bound>(this: Pin<&Bound>) -> Result {
        let resumed = this.power.resume();

        // Consumers may be marked active without waking the instance.
        resumed.and(this.runtime.set_active())
    }

    fn wake<'bound>(this: Pin<&Bound>) -> Result {
        this.runtime.wake()
    }

    fn freeze_noirq<'bound>(this: Pin<&Bound>) -> Result {
        this.power.freeze()
    }

    fn runtime_resume<'bound>(this: Pin<&Bound>) -> Result {
        // After an error clients could never work again. What did not come back was reported, and
        // lets nothing through.
        let _ = this.power.resume();
        Ok(())
    }

    fn shutdown<'bound>(this: Pin<&Bound>) {
        // The instance may be awake even if this fails.
        let _ = this.runtime.keep_awake();
        let _ = this.power.end();
    }
}

/// Maps the registers of `pdev`, finds out whether it is a root or a cache, and starts it.
fn start(pdev: &platform::Device<Core<'_>>, features: &'static Features) -> Result<Arc<Power>> {
    let dev: &device::Device<device::Bound> = pdev.as_ref();
    let node = dev.fwnode().ok_or(ENODEV)?;
    let root = find_root(dev, node, features)?;
    let features = match &root {
        Some(root) => {
            // Suspends and unbinds before the root.
            link::add_managed(dev, root.dev())?;
            root.features
        }
        None => {
            // Before anything is written: a cache without renesas,ipmmu-main looks like a root.
            expect_irq(pdev)?;
            with_stage(features)
        }
    };

    let regs = map(pdev, features)?;
    let ipmmu = Ipmmu::new(dev, regs, features, root)?;
    let power = if ipmmu.is_root() {
        start_root(pdev, &ipmmu)?
    } else {
        let (root, utlbs) = (ipmmu.root().dev().name(), features.utlb_count());
        dev_info!(dev, "cache of {}, {} uTLBs\n", root, utlbs);
        Power::new(ipmmu)?
    };

    // The core, registered later, releases its clients before the instance is switched off.
    let power = Arc::new(power, GFP_KERNEL)?;
    devres::register(dev, power.clone(), GFP_KERNEL)?;
    Ok(power)
}

/// Starts a root, and requests its fault interrupt.
fn start_root(pdev: &platform::Device<Core<'_>>, ipmmu: &Arc<Ipmmu>) -> Result<Power> {
    let features = ipmmu.features;
    let power = Power::new(ipmmu.clone())?;

    ipmmu.irq.populate(irq::managed::request(
        pdev,
        0,
        c"ipmmu-vmsa",
        FaultIrq(ipmmu.clone()),
    )?);
    let (contexts, bits) = (features.group_contexts().count(), features.ias());
    dev_info!(
        ipmmu.dev(),
        "root, {} contexts, {}-bit IOVAs\n",
        contexts,
        bits
    );
    Ok(power)
}

/// Returns `features` with the stage that the module parameter `stage2` asks for.
fn with_stage(features: &'static Features) -> &'static Features {
    if !module_parameters::stage2.value() {
        return features;
    }

    let stage_2 = features.with_stage_2();
    stage_2
        .filter(|_| policy::has_stage_2())
        .unwrap_or_else(|| {
            pr_warn_once!("stage2: not known to work on this SoC, using stage 1\n");
            features
        })
}

/// Returns the root of the cache `dev`; none if `dev` is a root itself.
fn find_root(
    dev: &device::Device<device::Bound>,
    own_node: &FwNode,
    features: &Features,
) -> Result<Option<Arc<Ipmmu>>> {
    const MAIN: &CStr = c"renesas,ipmmu-main";

    if !features.split || !own_node.property_present(MAIN) {
        return Ok(None);
    }

    let Ok(node) = fwnode::reference(own_node, MAIN) else {
        dev_err!(
            dev,
            "Failed to find the root: invalid phandle in renesas,ipmmu-main\n"
        );
        return Err(ENODEV);
    };
    let can_be_root = !core::ptr::eq(&*node, own_node) && fwnode::is_available(&node);
    if can_be_root {
        let found = ops::find(&node).ok_or(EPROBE_DEFER)?;
        if found.data().is_root() {
            return Ok(Some(found.data().clone()));
        }
    }
    dev_err!(
        dev,
        "Failed to find the root: {} in renesas,ipmmu-main is not a usable root\n",
        node.display_name()
    );
    Err(ENODEV)
}

/// Maps the registers, after a check that they cover all that the driver accesses.
fn map(pdev: &platform::Device<Core<'_>>, features: &Features) -> Result<Mmio> {
    let dev: &device::Device<device::Bound> = pdev.as_ref();
    let Some(resource) = pdev.resource_by_index(0) else {
        dev_err!(dev, "Failed to map the registers: reg is missing\n");
        return Err(ENODEV);
    };
    let (size, needed) = (resource.size(), features.register_bytes());
    if size < needed as ResourceSize {
        dev_err!(
            dev,
            "Failed to map the registers: reg has 0x{:x} bytes, 0x{:x} needed\n",
            size,
            needed
        );
        return Err(ENODEV);
    }

    Mmio::new(pdev).inspect_err(|e| {
        dev_err!(dev, "Failed to map the registers: {:?}\n", e);
    })
}

/// Checks that a root has a fault interrupt.
fn expect_irq(pdev: &platform::Device<Core<'_>>) -> Result {
    let dev: &device::Device<device::Bound> = pdev.as_ref();

    pdev.optional_irq_by_index(0).map(|_| ()).inspect_err(|e| {
        if *e != EPROBE_DEFER {
            dev_err!(
                dev,
                "Failed to get the fault interrupt: {:?} (renesas,ipmmu-main missing?)\n",
                e
            );
        }
    })
}

/// The module.
#[pin_data]
struct Module {
    #[pin]
    driver: driver::Registration<iommu::platform::Adapter<Driver>>,
}

impl kernel::InPlaceModule for Module {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        ops::start();
        policy::tell_unknown_names();
        try_pin_init!(Self {
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
    params: {
        stage2: bool {
            default: false,
            description: "Use page tables of stage 2, with 40-bit IOVAs, where the SoC has them.",
        },
    },
}
