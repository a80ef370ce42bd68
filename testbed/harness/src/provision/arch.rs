// SPDX-License-Identifier: GPL-2.0
//! The differences between kernels of 64 and 32 bits, and between purposes.

use std::env;

use anyhow::{Context, Result};

use super::apt::Wanted;

/// The purpose of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Tests. Finds errors of the driver and of the kernel itself.
    Tests,
    /// Measurements, and long runs under load.
    Bench,
    /// As `Tests`, with serial ports that use DMA.
    Serial,
    /// Tests in a domain of Xen.
    Xen,
    /// As `Tests`, with KVM.
    Kvm,
    /// As `Tests`, with all SoCs of R-Car Gen3 and Gen4, and of RZ/G2.
    Socs,
    /// Tests. Finds errors that leave no trace otherwise.
    Sanitised,
    /// As `Tests`, with PREEMPT_RT.
    Realtime,
    /// As `Tests`, with pages of 64 KiB.
    LargePages,
}

impl Purpose {
    /// The purposes of kernels that all rows can run on instead of `Tests`.
    const OTHERS: [Self; 3] = [Self::Sanitised, Self::Realtime, Self::LargePages];

    /// Returns the purpose of the kernel that rows run on. With `IPMMU_KERNEL=sanitised make
    /// check`, all rows run on the sanitised kernel.
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

    /// Returns the suffix for names of results with this purpose; empty for `Tests`.
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

    /// Returns the path of the configuration for this purpose, below the testbed.
    pub fn config(self, arch: Arch) -> &'static str {
        match self {
            Self::Xen => "guest/kernel-xen.config",
            _ => arch.config(),
        }
    }

    /// Returns the path of changes to the configuration, below the testbed.
    pub fn changes(self) -> Option<String> {
        match self {
            Self::Tests | Self::Xen => None,
            _ => Some(format!("guest/kernel{}.config", self.suffix())),
        }
    }

    /// Returns the purpose of a kernel with few differences. A copy of its build is the beginning
    /// of this one.
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
    /// 64 bits, the architecture of the R-Car H3.
    Arm64,
    /// 32 bits.
    Arm,
}

impl Arch {
    /// Returns the name in the kernel's build.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// Returns the suffix for names of results; empty for the architecture of the H3.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Arm64 => "",
            Self::Arm => "-arm",
        }
    }

    /// Returns the path of the kernel's configuration, below the testbed.
    pub fn config(self) -> &'static str {
        match self {
            Self::Arm64 => "guest/kernel.config",
            Self::Arm => "guest/kernel-arm.config",
        }
    }

    /// Returns the path of the image that boots, below the kernel's build directory.
    pub fn image(self) -> &'static str {
        match self {
            Self::Arm64 => "arch/arm64/boot/Image",
            Self::Arm => "arch/arm/boot/zImage",
        }
    }

    /// Returns the targets of the kernel's build. No device tree is needed for 32 bits, as that
    /// board uses one of the testbed.
    pub fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Arm64 => &["Image", "modules", "dtbs"],
            Self::Arm => &["zImage", "modules"],
        }
    }

    /// Returns the package of busybox, which is the guest's user space.
    pub fn busybox(self) -> Wanted<'static> {
        match self {
            Self::Arm64 => Wanted::Package("busybox-static:arm64"),
            Self::Arm => Wanted::Package("busybox-static:armhf"),
        }
    }
}
