// SPDX-License-Identifier: GPL-2.0
//! What depends on whether a kernel has 64 bits or 32.

use super::apt::Wanted;

/// What a kernel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find errors, its own as well.
    Tests,
    /// To be measured, and to do much.
    Bench,
    /// To find errors, with serial ports that use DMA.
    Serial,
}

impl Purpose {
    /// What distinguishes names of results.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tests => "",
            Self::Bench => "-bench",
            Self::Serial => "-serial",
        }
    }

    /// What its configuration has otherwise, below the testbed.
    pub fn changes(self) -> Option<&'static str> {
        match self {
            Self::Tests => None,
            Self::Bench => Some("guest/kernel-bench.config"),
            Self::Serial => Some("guest/kernel-serial.config"),
        }
    }

    /// The purpose of a kernel that differs in so little that a copy of its build is the
    /// better beginning.
    pub fn model(self) -> Option<Self> {
        match self {
            Self::Tests | Self::Bench => None,
            Self::Serial => Some(Self::Tests),
        }
    }
}

/// What a kernel runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// The R-Car H3's own.
    Arm64,
    /// 32 bits.
    Arm,
}

impl Arch {
    /// As the kernel's build knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// What distinguishes names of results; the H3's own came first and have none.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Arm64 => "",
            Self::Arm => "-arm",
        }
    }

    /// The kernel's configuration, below the testbed.
    pub fn config(self) -> &'static str {
        match self {
            Self::Arm64 => "guest/kernel.config",
            Self::Arm => "guest/kernel-arm.config",
        }
    }

    /// What boots, below the kernel's build directory.
    pub fn image(self) -> &'static str {
        match self {
            Self::Arm64 => "arch/arm64/boot/Image",
            Self::Arm => "arch/arm/boot/zImage",
        }
    }

    /// What to make of the kernel. The 32-bit board's device tree is ours.
    pub fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Arm64 => &["Image", "modules", "dtbs"],
            Self::Arm => &["zImage", "modules"],
        }
    }

    /// The guest's user space.
    pub fn busybox(self) -> Wanted<'static> {
        match self {
            Self::Arm64 => Wanted::Package("busybox-static:arm64"),
            Self::Arm => Wanted::Package("busybox-static:armhf"),
        }
    }
}
