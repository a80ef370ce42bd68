// SPDX-License-Identifier: GPL-2.0

//! Registers that are reached often, from anywhere, and with little around it.
//!
//! `kernel::io::mem::IoMem` in `Devres` asks at each access whether the device is still bound, and
//! whether the register is inside. Who knows both better has a [`Window`], whose mapping belongs to
//! whoever holds it, and a [`Port`], which is one register that was looked up before.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    device::Bound,
    platform,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Arc, //
    },
};

/// 32-bit registers of a device.
///
/// They stay mapped as long as this exists, which may be longer than the device is bound: whoever
/// holds it must not touch what is another driver's by then.
///
/// # Invariants
///
/// `base` comes from `ioremap()` of `size` bytes, is aligned, and was not unmapped. `last` is the
/// number of the last 32-bit register that is inside.
pub(crate) struct Window {
    base: *mut c_void,
    size: usize,
    last: usize,
}

// SAFETY: A mapping is bound to no thread.
unsafe impl Send for Window {}
// SAFETY: Registers may be accessed concurrently.
unsafe impl Sync for Window {}

impl Window {
    /// Maps the registers number `index` of `pdev`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when it has none, `ENOMEM`.
    pub(crate) fn new(pdev: &platform::Device<Bound>, index: u32) -> Result<Self> {
        let resource = pdev.resource_by_index(index).ok_or(ENODEV)?;
        let size = usize::try_from(resource.size())?;
        let last = (size / size_of::<u32>()).checked_sub(1).ok_or(ENODEV)?;

        if resource.start() % 4 != 0 {
            return Err(EINVAL);
        }

        // SAFETY: The resource is memory of the device, and not empty.
        let base = unsafe { bindings::ioremap(resource.start(), size) };
        if base.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: It was just mapped, as aligned as the resource is, and there is one register.
        Ok(Self { base, size, last })
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The registers, for who accesses many.
    #[inline(always)]
    pub(crate) fn bank(&self) -> Bank<'_> {
        // INVARIANT: By the type invariant.
        Bank {
            base: self.base,
            last: self.last,
            _window: PhantomData,
        }
    }

    /// The register at `offset`; none if it is not inside, or not aligned.
    #[inline(always)]
    pub(crate) fn register(&self, offset: usize) -> Option<MmioRegister<'_>> {
        self.bank().register(offset)
    }
}

/// The registers of a [`Window`] as a value, which is at hand in a loop: into the window the
/// compiler has to look again after each access.
///
/// # Invariants
///
/// `base` and `last` are those of a window that is there for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Bank<'a> {
    base: *mut c_void,
    last: usize,
    _window: PhantomData<&'a Window>,
}

impl<'a> Bank<'a> {
    /// As [`Window::register`].
    #[inline(always)]
    pub(crate) fn register(self, offset: usize) -> Option<MmioRegister<'a>> {
        // The number of the register. Of an offset that is not aligned it is a huge one.
        if offset.rotate_right(size_of::<u32>().trailing_zeros()) > self.last {
            return None;
        }

        // INVARIANT: It is inside of the mapping, which the window keeps, and aligned as that is.
        Some(MmioRegister(
            self.base.wrapping_byte_add(offset),
            PhantomData,
        ))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is mapped; all who have a register borrow `self`.
        unsafe { bindings::iounmap(self.base) };
    }
}

/// A 32-bit register.
///
/// # Invariants
///
/// It is mapped for `'a`, and aligned.
#[derive(Clone, Copy)]
pub(crate) struct MmioRegister<'a>(*mut c_void, PhantomData<&'a Window>);

impl MmioRegister<'_> {
    /// Reads it, before whatever comes next: `readl()`.
    #[inline(always)]
    pub(crate) fn read(self) -> u32 {
        // SAFETY: By the type invariant it is mapped and aligned.
        unsafe { bindings::readl(self.0) }
    }

    /// Writes it, after whatever came before: `writel()`.
    #[inline(always)]
    pub(crate) fn write(self, value: u32) {
        // SAFETY: By the type invariant it is mapped and aligned.
        unsafe { bindings::writel(value, self.0) }
    }
}

/// A register that somebody chooses, and others write without asking anybody.
///
/// Choosing another one does not wait for those who still use the last one. They do so in a section
/// of RCU that waits for nothing, so that a grace period is all that needs waiting for.
///
/// # Invariants
///
/// `at` is null or a register in `window`.
pub(crate) struct Port {
    window: Arc<Window>,
    at: Atomic<*mut c_void>,
}

// SAFETY: `window` is `Send`, and keeps what `at` points to.
unsafe impl Send for Port {}
// SAFETY: `window` is `Sync`, and `at` is atomic.
unsafe impl Sync for Port {}

impl Port {
    /// To a register of `window`; none is chosen.
    pub(crate) fn new(window: Arc<Window>) -> Self {
        // INVARIANT: It is null.
        Self {
            window,
            at: Atomic::new(core::ptr::null_mut()),
        }
    }

    /// Chooses the register at `offset`, or none.
    pub(crate) fn choose(&self, offset: Option<usize>) {
        let register = offset.and_then(|offset| self.window.register(offset));

        // INVARIANT: It is null or a register of `window`.
        self.at
            .store(register.map_or(core::ptr::null_mut(), |r| r.0), Relaxed);
    }

    /// The register that is chosen.
    #[inline(always)]
    pub(crate) fn get(&self, _rcu: &rcu::Guard) -> Option<MmioRegister<'_>> {
        // What `Atomic::load()` with `Relaxed` is, and `READ_ONCE()`; without the call to C that it
        // costs where C helpers are not inlined into Rust.
        //
        // SAFETY: `as_ptr()` is valid, and all who change what it points to do so atomically.
        let at = unsafe { self.at.as_ptr().read_volatile() };

        // INVARIANT: By the type invariant it is inside of the mapping, which `self` keeps.
        (!at.is_null()).then_some(MmioRegister(at, PhantomData))
    }
}
