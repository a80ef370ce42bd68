// SPDX-License-Identifier: GPL-2.0

//! A `static` behind a mutex that is initialised when the module starts.

use kernel::{
    prelude::*,
    sync::{
        GlobalGuard,
        GlobalLock,
        GlobalLockBackend,
        SetOnce, //
    },
};

/// A value behind a mutex. Declared by [`module_lock!`](crate::module_lock).
///
/// # Invariants
///
/// Once `ready` is populated, `lock` is initialised.
pub(crate) struct ModuleLock<L: GlobalLockBackend> {
    lock: GlobalLock<L>,
    begun: SetOnce<()>,
    ready: SetOnce<()>,
}

impl<L: GlobalLockBackend> ModuleLock<L> {
    /// Creates the lock. For [`module_lock!`](crate::module_lock) only.
    ///
    /// # Safety
    ///
    /// `L` is the type of no other lock.
    pub(crate) const unsafe fn new(value: L::Item) -> Self {
        Self {
            // SAFETY: By this function's contract `L` is the type of no other lock. `lock()` takes
            // the lock only after `ready` was populated, which follows `init()`.
            lock: unsafe { GlobalLock::new(value) },
            begun: SetOnce::new(),
            ready: SetOnce::new(),
        }
    }

    /// Makes the value available. For the module's `init()`. A second call has no effect.
    // Inlined, so that it is part of the text of `init()`, which is freed afterwards.
    #[inline(always)]
    pub(crate) fn start(&'static self) {
        if self.begun.populate(()) {
            // SAFETY: `begun` is populated once, so no other call gets here.
            unsafe { self.lock.init() };
            // INVARIANT: The lock was just initialised.
            self.ready.populate(());
        }
    }

    /// Locks the value. May sleep. Fails with `ENODEV` before [`Self::start`].
    pub(crate) fn lock(&'static self) -> Result<GlobalGuard<L>> {
        self.ready.as_ref().ok_or(ENODEV)?;

        // By the type invariant the lock is initialised.
        Ok(self.lock.lock())
    }
}

/// Declares a [`ModuleLock`] and the type of its lock:
///
/// ```
/// # use kernel::module_lock;
/// module_lock!(static LIST: KVec<u32> = KVec::new(); lock ListLock);
///
/// assert_eq!(LIST.lock().err(), Some(ENODEV));
/// LIST.start();
/// LIST.lock()?.push(1, GFP_KERNEL)?;
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! module_lock {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $value:expr; lock $lock:ident) => {
        enum $lock {}

        impl ::kernel::sync::GlobalLockBackend for $lock {
            const NAME: &'static ::kernel::str::CStr = c"module_lock";
            type Item = $type;
            type Backend = ::kernel::sync::lock::mutex::MutexBackend;

            fn get_lock_class() -> ::core::pin::Pin<&'static ::kernel::sync::LockClassKey> {
                ::kernel::sync::static_lock_class!()
            }
        }

        $(#[$attr])*
        static $name: $crate::abstractions::sync::module_lock::ModuleLock<$lock> = {
            let value: $type = $value;

            // SAFETY: The type was declared above, for this lock alone.
            unsafe { $crate::abstractions::sync::module_lock::ModuleLock::new(value) }
        };
    };
}
