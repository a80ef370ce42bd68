// SPDX-License-Identifier: GPL-2.0

//! A value that lives as long as the module: from its start to its end, not a `static` for ever.

use kernel::{
    prelude::*,
    sync::{
        GlobalGuard,
        GlobalLock,
        GlobalLockBackend,
        SetOnce, //
    },
};

/// A value of type `T` behind a mutex, there while the module is. Made by
/// [`module_static!`](crate::module_static). All functions may sleep.
///
/// # Invariants
///
/// Once `ready` is populated, the lock is initialised.
pub(crate) struct ModuleStatic<T: Unpin + 'static, L: GlobalLockBackend<Item = Option<T>>> {
    lock: GlobalLock<L>,
    ready: SetOnce<()>,
}

impl<T: Unpin, L: GlobalLockBackend<Item = Option<T>>> ModuleStatic<T, L> {
    /// For [`module_static!`](crate::module_static) only.
    ///
    /// # Safety
    ///
    /// `L` is used for nothing else.
    pub(crate) const unsafe fn new() -> Self {
        Self {
            // SAFETY: `L` is used for no other lock by this function's contract. `ready` keeps
            // every other method from the lock until it is initialised.
            lock: unsafe { GlobalLock::new(None) },
            ready: SetOnce::new(),
        }
    }

    /// Puts `value` there until what is returned is dropped, at the end of the module.
    ///
    /// # Safety
    ///
    /// To be called once.
    // Inlined into the module's `init()`, which is freed when it is done.
    #[inline(always)]
    pub(crate) unsafe fn init(&'static self, value: T) -> Live<T, L> {
        // SAFETY: Called once, by this function's contract.
        unsafe { self.lock.init() };

        // INVARIANT: The lock was just initialised.
        self.ready.populate(());
        *self.lock.lock() = Some(value);
        Live(self)
    }

    /// Calls `f` with the value.
    ///
    /// # Errors
    ///
    /// `ENODEV` when it is not there yet, or not any more.
    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> Result<R> {
        let mut value = self.lock().ok_or(ENODEV)?;

        value.as_mut().map(f).ok_or(ENODEV)
    }

    /// One for all whom `with()` is made for.
    #[inline(never)]
    fn lock(&'static self) -> Option<GlobalGuard<L>> {
        self.ready.as_ref()?;

        // By the type invariant the lock is initialised.
        Some(self.lock.lock())
    }
}

/// Keeps the value of a [`ModuleStatic`] there.
pub(crate) struct Live<T: Unpin + 'static, L: GlobalLockBackend<Item = Option<T>> + 'static>(
    &'static ModuleStatic<T, L>,
);

impl<T: Unpin, L: GlobalLockBackend<Item = Option<T>>> Drop for Live<T, L> {
    fn drop(&mut self) {
        // A `static` is not dropped: the value must be taken out.
        let value = self.0.lock.lock().take();

        drop(value);
    }
}

/// Declares a [`ModuleStatic`], the type
/// `StaticLock` of its lock, and a function `init` that fills it. One in a module of Rust.
#[macro_export]
macro_rules! module_static {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty;) => {
        /// The lock of the value in this module.
        pub(crate) enum StaticLock {}

        impl ::kernel::sync::GlobalLockBackend for StaticLock {
            const NAME: &'static ::kernel::str::CStr = c"module_static";
            type Item = ::core::option::Option<$type>;
            type Backend = ::kernel::sync::lock::mutex::MutexBackend;

            fn get_lock_class() -> ::core::pin::Pin<&'static ::kernel::sync::LockClassKey> {
                ::kernel::sync::static_lock_class!()
            }
        }

        $(#[$attr])*
        $vis static $name: $crate::abstractions::module_static::ModuleStatic<$type, StaticLock> = {
            // SAFETY: `StaticLock` was declared above, for this.
            unsafe { $crate::abstractions::module_static::ModuleStatic::new() }
        };

        /// Puts `value` into the static of this module until what is returned is dropped.
        ///
        /// # Errors
        ///
        /// `EEXIST` when it was called before.
        // Inlined into the module's `init()`, which is freed when it is done.
        #[inline(always)]
        pub(crate) fn init(
            value: $type,
        ) -> ::kernel::error::Result<$crate::abstractions::module_static::Live<$type, StaticLock>>
        {
            static CALLED: ::kernel::sync::SetOnce<()> = ::kernel::sync::SetOnce::new();

            if !CALLED.populate(()) {
                return Err(::kernel::error::code::EEXIST);
            }
            // SAFETY: `CALLED` lets only one call get here.
            Ok(unsafe { $name.init(value) })
        }
    };
}
