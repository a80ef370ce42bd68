// SPDX-License-Identifier: GPL-2.0

//! Access to registers: the hardware's, or a test's idea of them.

use kernel::io::register::Register;

use crate::{
    abstractions::mmio::{
        Bank,
        Window, //
    },
    features::At, //
};

/// 32-bit registers in a window.
pub(crate) trait Registers {
    /// Reads the register at `offset`.
    fn read_at(&self, offset: usize) -> u32;

    /// Writes the register at `offset`.
    fn write_at(&self, offset: usize, value: u32);

    /// Reads register `R`. One MMIO access.
    #[inline]
    fn read<R: Register<Storage = u32> + From<u32>>(&self, at: At<R>) -> R {
        self.read_at(at.offset()).into()
    }

    /// Writes register `R`. One MMIO access.
    #[inline]
    fn write<R: Register<Storage = u32> + Into<u32>>(&self, at: At<R>, value: R) {
        self.write_at(at.offset(), value.into());
    }
}

/// The hardware. Offsets that are not inside read as 0 and are not written: there are none, because
/// the window was found large enough for every register at probe.
impl Registers for Bank<'_> {
    #[inline]
    fn read_at(&self, offset: usize) -> u32 {
        self.register(offset).map_or(0, |register| register.read())
    }

    #[inline]
    fn write_at(&self, offset: usize, value: u32) {
        match self.register(offset) {
            Some(register) => register.write(value),
            None => outside(),
        }
    }
}

/// The same.
impl Registers for Window {
    #[inline]
    fn read_at(&self, offset: usize) -> u32 {
        self.bank().read_at(offset)
    }

    #[inline]
    fn write_at(&self, offset: usize, value: u32) {
        self.bank().write_at(offset, value);
    }
}

/// Tells the compiler that nobody comes here.
#[cold]
fn outside() {}
