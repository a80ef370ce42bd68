// SPDX-License-Identifier: GPL-2.0

//! Registers that do not hold the expected value.

use kernel::{
    device::Device,
    prelude::*, //
};

use crate::features::*;

/// The part of an instance that a register belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Context(ContextId),
    Utlb(UtlbId),
    Control,
}

impl kernel::fmt::Display for Part {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        match self {
            Self::Context(id) => f.write_fmt(fmt!("context {}", id.index())),
            Self::Utlb(id) => f.write_fmt(fmt!("uTLB {}", id.index())),
            Self::Control => f.write_str("control"),
        }
    }
}

/// A register that does not hold the expected value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mismatch {
    pub(crate) part: Part,
    pub(crate) register: &'static str,
    pub(crate) found: u32,
    pub(crate) expected: u32,
}

/// Mismatches found under a lock. They are logged after unlocking: the console may be slow, or
/// behind the context whose lock it is.
#[derive(Default)]
pub(crate) struct Mismatches {
    first: [Option<Mismatch>; Self::TOLD],
    count: usize,
}

impl Mismatches {
    /// How many mismatches are logged one by one.
    const TOLD: usize = 8;

    /// Adds that `register` of `part` holds `found`, unless it was added before. Any context.
    pub(crate) fn note(&mut self, part: Part, register: &'static str, found: u32, expected: u32) {
        let is_same = |m: &Mismatch| (m.part, m.register) == (part, register);
        if self.iter().any(is_same) {
            return;
        }
        if let Some(place) = self.first.get_mut(self.count) {
            *place = Some(Mismatch {
                part,
                register,
                found,
                expected,
            });
        }
        self.count += 1;
    }

    /// Returns whether there are no mismatches.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the first mismatches, [`Self::TOLD`] at most.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mismatch> {
        self.first.iter().flatten()
    }

    /// Logs all mismatches; `when` becomes part of the messages. Not under a spinlock.
    pub(crate) fn log(&self, dev: &Device, when: &str) {
        for m in self.iter() {
            dev_err!(
                dev,
                "{}: {} is 0x{:08x} {}, 0x{:08x} expected\n",
                m.part,
                m.register,
                m.found,
                when,
                m.expected
            );
        }
        let rest = self.count.saturating_sub(Self::TOLD);
        if rest > 0 {
            dev_err!(dev, "{} more registers are wrong {}\n", rest, when);
        }
    }
}
