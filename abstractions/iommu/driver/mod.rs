// SPDX-License-Identifier: GPL-2.0

//! Drivers for the IOMMU core.
//!
//! A driver implements [`Ops`], declares one [`OpsTable`] for it with [`iommu_ops_table!`], and
//! registers each IOMMU, as an [`Instance`], with [`register_managed`]. The core then calls the
//! driver for each bus master ("client") behind an instance:
//!
//! - [`Ops::of_xlate`] for each reference of the client to an instance in the device tree,
//! - [`Ops::probe_device`], which creates the driver's data of the client, an [`Ops::Client`],
//! - [`Ops::device_group`], which returns the group of clients that cannot be distinguished,
//! - [`Ops::alloc_paging`] and `attach_*`, which choose the translation for the client,
//! - the [`FlushOps`](super::io_pgtable::FlushOps) of the table that the driver allocated.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)
//!
//! # Examples
//!
//! A driver of an IOMMU with one table per domain.
//!
//! ```
//! use kernel::{
//!     device::{
//!         Bound,
//!         Device, //
//!     },
//!     iommu::{
//!         driver::*,
//!         io_pgtable::*, //
//!     },
//!     sync::{
//!         Arc,
//!         ArcBorrow, //
//!     }, //
//! };
//!
//! /// Flushes the TLB for a domain.
//! struct Tlb;
//!
//! impl FlushOps for Tlb {
//!     fn flush_all(&self) {}
//! }
//!
//! struct MyDriver;
//!
//! impl Ops for MyDriver {
//!     type Instance = ();
//!     type Client = u32;
//!     type Flush = Tlb;
//!
//!     fn of_xlate(_: &Device, args: PhandleArgs<'_>) -> Result<u32> {
//!         args.args().first().copied().ok_or(EINVAL)
//!     }
//!
//!     fn probe_device(_: &Device, fwspec: FwSpec<'_>) -> Result<(Arc<Instance<Self>>, u32)> {
//!         let id = *fwspec.ids().first().ok_or(EINVAL)?;
//!         # fn find(_: FwSpec<'_>) -> Option<Arc<Instance<MyDriver>>> { None }
//!         // Finds the one with `is_described_by(fwspec.node())` among those that are bound.
//!         let instance = find(fwspec).ok_or(ENODEV)?;
//!         Ok((instance, id))
//!     }
//!
//!     fn device_group(grouping: Grouping<'_>, _: &u32) -> Result<Group> {
//!         grouping.of_bus()
//!     }
//!
//!     fn release_device(_: &Device, _: &u32) {}
//!
//!     fn alloc_paging(_: &u32, dev: DmaDevice<'_>) -> Result<IoPageTable<Tlb>> {
//!         let config = Config {
//!             format: Format::Arm32LpaeS1,
//!             quirks: 0,
//!             ias: 32,
//!             oas: 40,
//!         };
//!         IoPageTable::new(dev, config, KBox::pin(Tlb, GFP_KERNEL)?)
//!     }
//!
//!     fn attach_paging(_: &Device, _: &u32, domain: ArcBorrow<'_, Domain<Self>>) -> Result {
//!         // To be written to the register of the table's address.
//!         let _base = domain.hardware().base;
//!         Ok(())
//!     }
//!
//!     fn attach_blocked(_: &Device, _: &u32) {}
//!
//!     fn attach_identity(_: &Device, _: &u32) {}
//! }
//!
//! # struct MyModule;
//! # impl kernel::ModuleMetadata for MyModule {
//! #     const NAME: &'static CStr = c"my_module";
//! #     // SAFETY: Built-in code has no module, for which null stands.
//! #     const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
//! # }
//! kernel::iommu_ops_table!(static MY_OPS: MyDriver, in MyModule);
//!
//! fn end_of_probe(dev: &Device<Bound>) -> Result {
//!     register_managed(dev, Instance::new(dev, &MY_OPS, ())?)
//! }
//! ```
//!
//! [`iommu_ops_table!`]: crate::iommu_ops_table

#[cfg(CONFIG_ARM_DMA_USE_IOMMU)]
mod arm_mapping;
mod callbacks;
mod domain;
mod fwspec;
mod group;
mod instance;
mod ops;

pub(crate) use self::{
    callbacks::StaticDomain,
    fwspec::{
        FwSpec,
        PhandleArgs, //
    },
    group::{
        Group,
        Grouping, //
    },
    instance::register_managed,
    ops::{
        Domain,
        Instance,
        Ops,
        OpsTable, //
    }, //
};
