// SPDX-License-Identifier: GPL-2.0

//! Formats of page tables.

use crate::abstractions::bindings;

/// A table format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// `ARM_32_LPAE_S1`: long descriptors, up to 32 bits of input, stage 1.
    Arm32LpaeS1,
    /// `ARM_64_LPAE_S2`: long descriptors, stage 2.
    Arm64LpaeS2,
}

/// What the hardware needs to know about a table.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    /// Physical address of the table.
    pub(crate) base: u64,
    /// Memory attributes, as in MAIR0 and MAIR1. 0 in stage 2, whose descriptors contain them.
    pub(crate) mair: u64,
}

impl Format {
    pub(super) fn id(self) -> bindings::io_pgtable_fmt {
        match self {
            Self::Arm32LpaeS1 => bindings::io_pgtable_fmt_ARM_32_LPAE_S1,
            Self::Arm64LpaeS2 => bindings::io_pgtable_fmt_ARM_64_LPAE_S2,
        }
    }

    /// Returns what the hardware needs to know, from the configuration of the table.
    ///
    /// # Safety
    ///
    /// `cfg` was filled by `alloc_io_pgtable_ops()` for this format.
    pub(super) unsafe fn table(self, cfg: &bindings::io_pgtable_cfg) -> Table {
        match self {
            Self::Arm32LpaeS1 => {
                // SAFETY: By this function's contract this field of the union was filled.
                let cfg = unsafe { &cfg.__bindgen_anon_1.arm_lpae_s1_cfg };
                Table {
                    base: cfg.ttbr,
                    mair: cfg.mair,
                }
            }
            Self::Arm64LpaeS2 => Table {
                // SAFETY: As above, for this format's field.
                base: unsafe { cfg.__bindgen_anon_1.arm_lpae_s2_cfg.vttbr },
                mair: 0,
            },
        }
    }
}

/// Quirks: deviations of the hardware from the architecture.
pub(crate) mod quirk {
    /// Sets NSTABLE and NS in every descriptor.
    pub(crate) const ARM_NS: usize = crate::abstractions::bindings::IO_PGTABLE_QUIRK_ARM_NS;
}
