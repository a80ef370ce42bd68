// SPDX-License-Identifier: GPL-2.0
//! The hardware of the boards that tests refer to.

use super::cards::MMC_HOSTS;
use super::pcie::FUNCTIONS;
use super::registers::IPMMUS;

/// The H3 board's DMA controllers that are behind an IPMMU.
pub const DMACS: [&str; 3] = [
    "e6700000.dma-controller",
    "e7300000.dma-controller",
    "e7310000.dma-controller",
];

/// The driver of the DMA controllers, in sysfs.
pub const DMAC_DRIVER: &str = "/sys/bus/platform/drivers/rcar-dmac";

/// The hardware of a board.
#[derive(Debug)]
pub struct Hardware {
    /// QEMU's name of the CPU model.
    pub cpu: &'static str,
    /// The IPMMUs: names in QEMU, and device names in Linux.
    pub ipmmus: &'static [(&'static str, &'static str)],
    /// The device names of the DMA controllers.
    pub dmacs: &'static [&'static str],
    /// Whether the MMC hosts are behind an IPMMU, too.
    mmc: bool,
}

/// The Starter Kit with an R-Car H3.
pub const H3: Hardware = Hardware {
    cpu: "cortex-a57",
    ipmmus: &IPMMUS,
    dmacs: &DMACS,
    mmc: true,
};

/// A board with 32-bit CPUs and an IPMMU of R-Car Gen2; see `testbed/guest/gen2.dts`.
pub const GEN2: Hardware = Hardware {
    cpu: "cortex-a15",
    ipmmus: &[("ipmmu_extra", "e8000000.iommu")],
    dmacs: &["e8200000.dma-controller", "e8210000.dma-controller"],
    mmc: false,
};

/// QEMU's names of an extra root, which no H3 has, and of its cache; Gen2 has no caches.
const EXTRA_IPMMUS: [&str; 2] = ["ipmmu_extra", "ipmmu_extra0"];

impl Hardware {
    /// Returns QEMU's names of the IPMMUs, each once, including those that the generation `extra`
    /// adds.
    pub fn labels(&self, extra: Option<&str>) -> Vec<String> {
        let more = match extra {
            None => 0,
            Some("gen2") => 1,
            Some(_) => 2,
        };
        let mut labels: Vec<&str> = self.ipmmus.iter().map(|(label, _)| *label).collect();
        labels.extend(&EXTRA_IPMMUS[..more]);
        labels.dedup();
        labels.into_iter().map(str::to_owned).collect()
    }

    /// Returns the driver and the name of each device that this driver translates. The disk is on
    /// some boards only.
    pub fn clients(&self) -> Vec<(&'static str, &'static str)> {
        let sdhi = "/sys/bus/platform/drivers/renesas_sdhi_internal_dmac";
        let hosts = MMC_HOSTS.iter().filter(|_| self.mmc);

        let disk = ("/sys/bus/pci/drivers/nvme", FUNCTIONS[0]);
        let dmacs = self.dmacs.iter().map(|device| (DMAC_DRIVER, *device));
        dmacs
            .chain(hosts.map(|h| (sdhi, h.device)))
            .chain([disk])
            .collect()
    }
}
