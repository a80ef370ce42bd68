// SPDX-License-Identifier: GPL-2.0
//! Differences between kernels of 64 and of 32 bits, and between purposes.

use std::env;

use anyhow::{Context, Result};

use super::apt::Wanted;

/// The purpose of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Finds errors of the driver, and of its own.
    Tests,
    /// Measurements, and long loads.
    Bench,
    /// As `Tests`, with serial ports that use DMA.
    Serial,
    /// Runs in a domain of Xen.
    Xen,
    /// As `Tests`, with KVM.
    Kvm,
    /// As `Tests`, with all SoCs of R-Car Gen3 and Gen4, and of RZ/G2.
    Socs,
    /// Finds errors that leave no trace otherwise.
    Sanitised,
    /// As `Tests`, with PREEMPT_RT.
    Realtime,
    /// As `Tests`, with pages of 64 KiB.
    LargePages,
}

impl Purpose {
    /// Kernels that rows can run on instead of `Tests`.
    const OTHERS: [Self; 3] = [Self::Sanitised, Self::Realtime, Self::LargePages];

    /// Returns the kernel that rows run on: with `IPMMU_KERNEL=sanitised make check`, all of them
    /// run on the sanitised one.
    pub fn of_rows() -> Result<Self> {
        let Some(wanted) = env::var("IPMMU_KERNEL")
            .ok()
            .filter(|name| !name.is_empty())
        else {
            return Ok(Self::Tests);
        };
        let name = |other: &Self| other.suffix().trim_start_matches('-');
        let found = Self::OTHERS.into_iter().find(|other| name(other) == wanted);
        found.with_context(|| {
            let names: Vec<&str> = Self::OTHERS.iter().map(name).collect();
            format!("KERNEL={wanted}: there are {}", names.join(", "))
        })
    }

    /// Returns the part of a result's name for this purpose.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tests => "",
            Self::Bench => "-bench",
            Self::Serial => "-serial",
            Self::Xen => "-xen",
            Self::Kvm => "-kvm",
            Self::Socs => "-socs",
            Self::Sanitised => "-sanitised",
            Self::Realtime => "-rt",
            Self::LargePages => "-64k",
        }
    }

    /// Returns the configuration for this purpose, below the testbed.
    pub fn config(self, arch: Arch) -> &'static str {
        match self {
            Self::Xen => "guest/kernel-xen.config",
            _ => arch.config(),
        }
    }

    /// Returns changes of the configuration, below the testbed.
    pub fn changes(self) -> Option<String> {
        match self {
            Self::Tests | Self::Xen => None,
            _ => Some(format!("guest/kernel{}.config", self.suffix())),
        }
    }

    /// Returns the purpose of a kernel that differs little, so that its build is copied to begin
    /// with.
    pub fn model(self) -> Option<Self> {
        match self {
            Self::Serial | Self::Socs => Some(Self::Tests),
            _ => None,
        }
    }

    /// Returns whether the kernel has serial ports that use DMA.
    pub fn has_ports(self) -> bool {
        self == Self::Serial || Self::OTHERS.contains(&self)
    }
}

/// The architecture of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// The R-Car H3's own.
    Arm64,
    /// 32 bits.
    Arm,
}

impl Arch {
    /// Returns its name in the kernel's build.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// Returns the part of a result's name; none for the H3's own, which came first.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Arm64 => "",
            Self::Arm => "-arm",
        }
    }

    /// Returns a kernel's configuration, below the testbed.
    pub fn config(self) -> &'static str {
        match self {
            Self::Arm64 => "guest/kernel.config",
            Self::Arm => "guest/kernel-arm.config",
        }
    }

    /// Returns the image that boots, below the kernel's build directory.
    pub fn image(self) -> &'static str {
        match self {
            Self::Arm64 => "arch/arm64/boot/Image",
            Self::Arm => "arch/arm/boot/zImage",
        }
    }

    /// Returns the targets of the kernel's build. The device tree of the 32-bit board is the
    /// testbed's own.
    pub fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Arm64 => &["Image", "modules", "dtbs"],
            Self::Arm => &["zImage", "modules"],
        }
    }

    /// Returns the guest's user space.
    pub fn busybox(self) -> Wanted<'static> {
        match self {
            Self::Arm64 => Wanted::Package("busybox-static:arm64"),
            Self::Arm => Wanted::Package("busybox-static:armhf"),
        }
    }
}
