// SPDX-License-Identifier: GPL-2.0
//! The hardware of the boards, as far as tests know it.

use super::cards::MMC_HOSTS;
use super::pcie::FUNCTIONS;
use super::registers::IPMMUS;

/// The DMA controllers of the board whose channels go through an IPMMU.
pub const DMACS: [&str; 3] = [
    "e6700000.dma-controller",
    "e7300000.dma-controller",
    "e7310000.dma-controller",
];

/// The DMA controllers' driver.
pub const DMAC_DRIVER: &str = "/sys/bus/platform/drivers/rcar-dmac";

/// A board.
#[derive(Debug)]
pub struct Hardware {
    /// Its CPUs, as QEMU knows them.
    pub cpu: &'static str,
    /// Its IPMMUs, by the machine's name and by their device name in Linux.
    pub ipmmus: &'static [(&'static str, &'static str)],
    /// Its DMA controllers.
    pub dmacs: &'static [&'static str],
    /// Whether MMC hosts are behind an IPMMU, too.
    mmc: bool,
}

/// The Starter Kit.
pub const H3: Hardware = Hardware {
    cpu: "cortex-a57",
    ipmmus: &IPMMUS,
    dmacs: &DMACS,
    mmc: true,
};

/// 32 bits, and an IPMMU of R-Car Gen2: see `testbed/guest/gen2.dts`.
pub const GEN2: Hardware = Hardware {
    cpu: "cortex-a15",
    ipmmus: &[("ipmmu_extra", "e8000000.iommu")],
    dmacs: &["e8200000.dma-controller", "e8210000.dma-controller"],
    mmc: false,
};

/// An IPMMU that no H3 has, and its cache, which Gen2 does not have.
const EXTRA_IPMMUS: [&str; 2] = ["ipmmu_extra", "ipmmu_extra0"];

impl Hardware {
    /// Returns the machine's names of the IPMMUs, with those that `extra` adds, if they are not the
    /// board's own.
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

    /// Returns all devices whose DMA our driver translates, with their drivers; the disk is on some
    /// boards only.
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
