// SPDX-License-Identifier: GPL-2.0

//! Access to registers: the hardware's, or a test's idea of them.

use kernel::io::{
    mem::IoMem,
    register::Register,
    Io, //
};

use crate::features::At;

/// 32-bit registers in a window.
pub(crate) trait Registers {
    /// Reads the register at `offset`.
    fn read_at(&self, offset: usize) -> u32;

    /// Writes the register at `offset`.
    fn write_at(&self, offset: usize, value: u32);

    /// Reads register `R`. One MMIO access.
    fn read<R: Register<Storage = u32> + From<u32>>(&self, at: At<R>) -> R {
        self.read_at(at.offset()).into()
    }

    /// Writes register `R`. One MMIO access.
    fn write<R: Register<Storage = u32> + Into<u32>>(&self, at: At<R>, value: R) {
        self.write_at(at.offset(), value.into());
    }
}

/// Access to an instance's registers, for as long as it is not unbound. No sleeping meanwhile.
type Window<'a> = kernel::devres::DevresGuard<'a, IoMem<'static>>;

/// Registers mapped into the CPU's address space.
pub(crate) struct Mapped<'a>(pub(crate) Window<'a>);

impl Registers for Mapped<'_> {
    fn read_at(&self, offset: usize) -> u32 {
        // Cannot fail: the window was found large enough for every register at probe.
        (&*self.0).try_read32(offset).unwrap_or(0)
    }

    fn write_at(&self, offset: usize, value: u32) {
        // Cannot fail: as above.
        let _ = (&*self.0).try_write32(value, offset);
    }
}
