// SPDX-License-Identifier: GPL-2.0
//! Which board is wanted.

use std::env;
use std::path::{Path, PathBuf};

use super::hardware::{GEN2, H3, Hardware};
use super::pcie;
use crate::provision::Arch;

/// What every boot has on its command line: messages stay in the log, where
/// `dmesg` finds them, and oopses still reach the console.
const APPEND: &str = "console=ttySC0,115200 loglevel=1 printk.devkmsg=on log_buf_len=1M";

/// Which IOMMU driver the board runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The upstream one.
    C,
    /// Ours.
    Rust,
}

/// What boots, and how a driver gets into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The testbed's kernel, with the C driver built in, and ours for `modprobe`.
    Testbed,
    /// The same with serial ports that use DMA.
    Serial,
    /// The same with ours built in, and no other.
    BuiltIn,
    /// The same with ours among the modules of its own tree, and no other.
    InTree,
    /// Debian's kernel, with our package.
    Debian,
}

/// How to boot.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Names the logs.
    pub name: String,
    /// The driver that should find the IPMMUs.
    pub driver: Driver,
    /// What it runs with.
    pub system: System,
    /// What the SoC's product register says, unless an H3.
    pub prr: Option<u32>,
    /// The device tree, unless the board's own.
    pub dtb: Option<PathBuf>,
    /// What the kernel runs on.
    pub arch: Arch,
    /// What of the board the tests know.
    pub hardware: &'static Hardware,
    /// More of the command line.
    pub append: String,
    /// Whether there is a second serial port.
    pub port: bool,
    /// Whether a new card is in every MMC host.
    pub cards: bool,
    /// The generation of an IPMMU that no H3 has.
    pub extra: Option<&'static str>,
    /// Whether there are masters that never stop, which the device tree must name.
    pub traffic: bool,
    /// Whether IPMMUs lose their registers with the power of their area.
    pub power_areas: bool,
    /// Whether an IPMMU that nobody needs may sleep while the system is awake.
    pub autosuspend: bool,
    /// Whether our driver is asked for page tables of stage 2.
    pub stage2: bool,
    /// The functions of the card in each PCIe slot, as for QEMU's `-device`.
    pub pcie: [Vec<String>; pcie::SLOTS],
    /// What is on the cards.
    pub files: Vec<PathBuf>,
    /// What the eMMC is a copy of, unless it has a new file system.
    pub emmc: Option<PathBuf>,
    /// The initramfs, unless the one with the driver as it is.
    pub initramfs: Option<PathBuf>,
    /// How unkind the IPMMUs are: words of the model, joined by `+`.
    pub unkind: Option<String>,
    /// A plugin of QEMU, with its arguments.
    pub plugin: Option<String>,
    /// More options of QEMU.
    pub options: Vec<String>,
}

impl Setup {
    /// A board for `driver` as it comes.
    pub fn new(name: &str, driver: Driver) -> Self {
        Self {
            name: name.into(),
            driver,
            system: System::Testbed,
            prr: None,
            dtb: None,
            arch: Arch::Arm64,
            hardware: &H3,
            append: String::new(),
            port: false,
            cards: false,
            extra: None,
            traffic: false,
            power_areas: false,
            autosuspend: false,
            stage2: false,
            pcie: Default::default(),
            files: Vec::new(),
            emmc: None,
            initramfs: None,
            unkind: unkind_boards(),
            plugin: None,
            options: Vec::new(),
        }
    }

    /// A board with 32-bit CPUs and an IPMMU of R-Car Gen2, described by `dtb`.
    pub fn gen2(name: &str, driver: Driver, dtb: PathBuf) -> Self {
        Self {
            dtb: Some(dtb),
            arch: Arch::Arm,
            hardware: &GEN2,
            extra: Some("gen2"),
            ..Self::new(name, driver)
        }
    }

    /// For another driver.
    pub fn driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// With another kernel.
    pub fn system(mut self, system: System) -> Self {
        self.system = system;
        self
    }

    /// With one more IPMMU, of this generation, which the device tree must name.
    pub fn extra_ipmmu(mut self, generation: &'static str) -> Self {
        self.extra = Some(generation);
        self
    }

    /// With masters that never stop.
    pub fn traffic(mut self) -> Self {
        self.traffic = true;
        self
    }

    /// With power areas that are really cut.
    pub fn power_areas(mut self) -> Self {
        self.power_areas = true;
        self.autosuspend()
    }

    /// With IPMMUs that sleep when nobody needs them. Otherwise what rows see in their
    /// registers would depend on when they look.
    pub fn autosuspend(mut self) -> Self {
        self.autosuspend = true;
        self
    }

    /// With page tables of stage 2, if the driver is ours.
    pub fn stage2(mut self) -> Self {
        self.stage2 = true;
        self
    }

    /// With another value in the product register.
    pub fn prr(mut self, prr: u32) -> Self {
        self.prr = Some(prr);
        self
    }

    /// With another device tree.
    pub fn dtb(mut self, dtb: PathBuf) -> Self {
        self.dtb = Some(dtb);
        self
    }

    /// With more on the command line.
    pub fn append(mut self, text: &str) -> Self {
        self.append = text.into();
        self
    }

    /// With a second serial port, which the device tree must have enabled, and a kernel that
    /// uses DMA for it.
    pub fn port(mut self) -> Self {
        self.port = true;
        self.system(System::Serial)
    }

    /// With a new card in every MMC host.
    pub fn cards(mut self) -> Self {
        self.cards = true;
        self
    }

    /// With a card of these functions in the first PCIe slot. The device tree
    /// must say that there is one: [`pcie::device_tree`].
    pub fn pcie(self, functions: &[&str]) -> Self {
        self.pcie_slot(0, functions)
    }

    /// With a card of these functions in this PCIe slot.
    pub fn pcie_slot(mut self, slot: usize, functions: &[&str]) -> Self {
        self.pcie[slot] = functions.iter().map(|&f| f.into()).collect();
        self
    }

    /// With these files on each card.
    pub fn files(mut self, files: &[PathBuf]) -> Self {
        self.files = files.to_vec();
        self
    }

    /// With this image, which is copied, in the eMMC.
    pub fn emmc(mut self, image: &Path) -> Self {
        self.emmc = Some(image.into());
        self
    }

    /// With IPMMUs that are unkind in these ways, and no others.
    pub fn unkind(mut self, words: &str) -> Self {
        self.unkind = Some(words.into()).filter(|w: &String| !w.is_empty());
        self
    }

    /// Whether registers are random when power comes.
    pub(super) fn is_random(&self) -> bool {
        let words = self.unkind.as_deref().unwrap_or("").split('+');
        words
            .into_iter()
            .any(|word| ["all", "reset"].contains(&word))
    }

    /// With a plugin of QEMU.
    pub fn plugin(mut self, argument: &str) -> Self {
        self.plugin = Some(argument.into());
        self
    }

    /// With more options of QEMU.
    pub fn options(mut self, options: &[impl ToString]) -> Self {
        self.options = options.iter().map(ToString::to_string).collect();
        self
    }

    /// The type of the groups that devices are in, unless one is told another.
    pub fn group_type(&self) -> &'static str {
        match self.append.contains("iommu.strict=0") {
            true => "DMA-FQ",
            false => "DMA",
        }
    }

    pub(super) fn command_line(&self) -> String {
        let driver = match (self.system, self.driver) {
            (System::Testbed | System::Serial, Driver::Rust) => {
                "initcall_blacklist=ipmmu_driver_init"
            }
            _ => "",
        };
        format!("{APPEND} {driver} {}", self.append)
    }

    pub(super) fn machine(&self) -> String {
        let mut machine = String::from("rcar-h3");
        if let Some(prr) = self.prr {
            machine += &format!(",prr={prr:#x}");
        }
        if let Some(generation) = self.extra {
            machine += &format!(",extra-ipmmu={generation}");
        }
        if self.traffic {
            machine += ",traffic=on";
        }
        if self.power_areas {
            machine += ",power-areas=on";
        }
        if let Some(words) = &self.unkind {
            machine += &format!(",ipmmu-unkind={words}");
        }
        machine
    }
}

/// What every board is that is not told otherwise: `IPMMU_UNKIND=all make check` runs
/// all rows on the unkind model.
fn unkind_boards() -> Option<String> {
    env::var("IPMMU_UNKIND").ok().filter(|w| !w.is_empty())
}
