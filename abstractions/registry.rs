// SPDX-License-Identifier: GPL-2.0

//! Finding an object by the firmware node of its device.

use kernel::{
    device::{
        property::FwNode,
        Device, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        GlobalLock,
        GlobalLockBackend,
        SetOnce, //
    },
};

/// What can be found in a [`Registry`].
pub(crate) trait Node: Send + Sync + 'static {
    /// The firmware node that it is found by; without one it is not found.
    fn fwnode(&self) -> Option<&FwNode>;
}

/// What the lock of a [`Registry`] protects.
pub(crate) struct State<T> {
    entries: KVec<Arc<T>>,
    /// Devices that something was said about.
    told: KVec<ARef<Device>>,
}

impl<T> State<T> {
    /// No entries.
    pub(crate) const fn new() -> Self {
        Self {
            entries: KVec::new(),
            told: KVec::new(),
        }
    }
}

/// Objects of type `T` that can be found by the firmware node of their device.
///
/// Made by [`registry!`](crate::registry). All functions may sleep.
///
/// # Invariants
///
/// Once `ready` is populated, the lock is initialised.
pub(crate) struct Registry<T: Node, L: GlobalLockBackend<Item = State<T>>> {
    lock: GlobalLock<L>,
    ready: SetOnce<()>,
}

impl<T: Node, L: GlobalLockBackend<Item = State<T>>> Registry<T, L> {
    /// For [`registry!`](crate::registry) only.
    ///
    /// # Safety
    ///
    /// `L` is used for nothing else.
    pub(crate) const unsafe fn new() -> Self {
        Self {
            // SAFETY: `L` is used for no other lock by this function's contract. `ready` keeps
            // every other method from the lock until it is initialised.
            lock: unsafe { GlobalLock::new(State::new()) },
            ready: SetOnce::new(),
        }
    }

    /// Makes the registry usable until the returned value is dropped, at the end of the module.
    ///
    /// # Safety
    ///
    /// To be called once.
    pub(crate) unsafe fn init(&'static self) -> Live<T, L> {
        // SAFETY: Called once, by this function's contract.
        unsafe { self.lock.init() };

        // INVARIANT: The lock was just initialised.
        self.ready.populate(());
        Live(self)
    }

    fn with<R>(&'static self, f: impl FnOnce(&mut State<T>) -> R) -> Result<R> {
        self.ready.as_ref().ok_or(ENODEV)?;

        // By the type invariant the lock is initialised.
        Ok(f(&mut self.lock.lock()))
    }

    /// The object whose firmware node is `fwnode`.
    pub(crate) fn find(&'static self, fwnode: &FwNode) -> Option<Arc<T>> {
        self.with(|state| {
            state
                .entries
                .iter()
                .find(|entry| {
                    entry
                        .fwnode()
                        .is_some_and(|node| core::ptr::eq(node, fwnode))
                })
                .cloned()
        })
        .ok()
        .flatten()
    }

    /// Makes `object` findable until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `ENODEV` before [`Registry::init`].
    pub(crate) fn enlist(&'static self, object: Arc<T>) -> Result<Entry<T, L>> {
        self.with(|state| state.entries.push(object.clone(), GFP_KERNEL))??;

        Ok(Entry {
            registry: self,
            object,
        })
    }

    /// Whether this is the first call for `dev`: a condition that is met again and again is to
    /// be reported once.
    pub(crate) fn first_time(&'static self, dev: &Device) -> bool {
        self.with(|state| {
            if state.told.iter().any(|told| core::ptr::eq(&**told, dev)) {
                return false;
            }

            // Without memory for it the report is repeated, which is the smaller evil.
            let _ = state.told.push(dev.into(), GFP_KERNEL);
            true
        })
        .unwrap_or(true)
    }
}

/// Keeps an object in a [`Registry`].
pub(crate) struct Entry<T: Node, L: GlobalLockBackend<Item = State<T>> + 'static> {
    registry: &'static Registry<T, L>,
    object: Arc<T>,
}

impl<T: Node, L: GlobalLockBackend<Item = State<T>>> Drop for Entry<T, L> {
    fn drop(&mut self) {
        let _ = self.registry.with(|state| {
            state
                .entries
                .retain(|entry| !Arc::ptr_eq(entry, &self.object))
        });
    }
}

/// Keeps a [`Registry`] usable.
pub(crate) struct Live<T: Node, L: GlobalLockBackend<Item = State<T>> + 'static>(
    &'static Registry<T, L>,
);

impl<T: Node, L: GlobalLockBackend<Item = State<T>>> Drop for Live<T, L> {
    fn drop(&mut self) {
        // A `static` is not dropped: what it holds must be let go of here.
        let _ = self.0.with(|state| *state = State::new());
    }
}

/// Declares a [`Registry`](crate::abstractions::registry::Registry), and a function `init` beside
/// it that makes it usable. One in a module.
#[macro_export]
macro_rules! registry {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty;) => {
        /// The lock of the registry in this module.
        pub(crate) enum RegistryLock {}

        impl ::kernel::sync::GlobalLockBackend for RegistryLock {
            const NAME: &'static ::kernel::str::CStr = c"registry";
            type Item = $crate::abstractions::registry::State<$type>;
            type Backend = ::kernel::sync::lock::mutex::MutexBackend;

            fn get_lock_class() -> ::core::pin::Pin<&'static ::kernel::sync::LockClassKey> {
                ::kernel::sync::static_lock_class!()
            }
        }

        $(#[$attr])*
        $vis static $name: $crate::abstractions::registry::Registry<$type, RegistryLock> = {
            // SAFETY: `RegistryLock` was declared above, for this.
            unsafe { $crate::abstractions::registry::Registry::new() }
        };

        /// Makes the registry in this module usable until the returned value is dropped.
        ///
        /// # Errors
        ///
        /// `EEXIST` when it was called before.
        pub(crate) fn init(
        ) -> ::kernel::error::Result<$crate::abstractions::registry::Live<$type, RegistryLock>>
        {
            static CALLED: ::kernel::sync::SetOnce<()> = ::kernel::sync::SetOnce::new();

            if !CALLED.populate(()) {
                return Err(::kernel::error::code::EEXIST);
            }
            // SAFETY: `CALLED` lets only one call get here.
            Ok(unsafe { $name.init() })
        }
    };
}
