// SPDX-License-Identifier: GPL-2.0

//! All bound instances: the roots that caches look for, and the IPMMUs that masters refer to.

use kernel::{
    debugfs::Dir,
    device::{
        property::FwNode,
        Device, //
    },
    fmt,
    prelude::*,
    str::CString,
    sync::Arc, //
};

use crate::{
    abstractions::module_static::Live,
    domain::{
        Domain,
        Paging, //
    },
    ipmmu::Ipmmu,
    module_static, //
};

/// One of them.
struct Listed {
    ipmmu: Arc<Ipmmu>,
    /// Of a root: the domain in which the masters behind it reach no memory.
    blocked: Option<Arc<Domain>>,
}

/// What the instances share.
pub(crate) struct Instances {
    bound: KVec<Listed>,
    /// What was said about devices, which are not held for that: they may come and go.
    told: KVec<CString>,
    /// `ipmmu/` in debugfs.
    debugfs: Dir,
}

module_static! {
    static INSTANCES: Instances;
}

/// Has instances be found, until what is returned is dropped.
///
/// # Errors
///
/// `EEXIST` when it was called before.
// Inlined into the module's `init()`, which is freed when it is done.
#[inline(always)]
pub(crate) fn start() -> Result<Live<Instances, StaticLock>> {
    init(Instances {
        bound: KVec::new(),
        told: KVec::new(),
        debugfs: Dir::new(c"ipmmu"),
    })
}

/// The bound instance that `fwnode` describes. May sleep.
pub(crate) fn find(fwnode: &FwNode) -> Option<Arc<Ipmmu>> {
    let is_it = |listed: &&Listed| {
        let node = listed.ipmmu.dev().fwnode();
        node.is_some_and(|node| core::ptr::eq(node, fwnode))
    };

    INSTANCES
        .with(|all| all.bound.iter().find(is_it).map(|it| it.ipmmu.clone()))
        .ok()
        .flatten()
}

/// The domain in which the masters behind `root` reach no memory. May sleep.
pub(crate) fn blocked(root: &Arc<Ipmmu>) -> Option<Arc<Domain>> {
    let is_it = |listed: &&Listed| Arc::ptr_eq(&listed.ipmmu, root);

    INSTANCES
        .with(|all| all.bound.iter().find(is_it)?.blocked.clone())
        .ok()
        .flatten()
}

/// Whether this is the first call with `message` for a device of the name of `dev`: a condition
/// that is met again and again is to be reported once. May sleep.
pub(crate) fn first_time(dev: &Device, message: fmt::Arguments<'_>) -> bool {
    let name = dev.name();
    // Without memory for it the report is repeated, which is the smaller evil.
    let Ok(report) = CString::try_from_fmt(fmt!("{name}: {message}")) else {
        return true;
    };

    INSTANCES
        .with(|all| {
            if all.told.iter().any(|told| **told == *report) {
                return false;
            }

            let _ = all.told.push(report, GFP_KERNEL);
            true
        })
        .unwrap_or(true)
}

/// `ipmmu/` in debugfs. May sleep.
pub(crate) fn debugfs_dir() -> Result<Dir> {
    INSTANCES.with(|all| all.debugfs.clone())
}

/// Keeps an instance among those that can be found.
pub(crate) struct Entry(Arc<Ipmmu>);

impl Entry {
    /// Has `ipmmu` be found until the returned value is dropped. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(ipmmu: Arc<Ipmmu>) -> Result<Self> {
        let blocked = if ipmmu.is_root() {
            Some(Paging::blocked(&ipmmu)?)
        } else {
            None
        };
        let entry = Self(ipmmu.clone());

        INSTANCES.with(|all| all.bound.push(Listed { ipmmu, blocked }, GFP_KERNEL))??;
        Ok(entry)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let listed = INSTANCES.with(|all| {
            let is_it = |listed: &Listed| Arc::ptr_eq(&listed.ipmmu, &self.0);
            let index = all.bound.iter().position(is_it)?;
            all.bound.remove(index).ok()
        });

        // A page table goes away with it, which is not a matter of all instances.
        drop(listed);
    }
}
