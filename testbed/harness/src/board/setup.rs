// SPDX-License-Identifier: GPL-2.0
//! The description of a board to boot.

use std::path::PathBuf;

use derive_setters::Setters;

use super::hardware::{GEN2, H3, Hardware};
use super::{pcie, unkind};
use crate::provision::Arch;

/// The kernel's command line for every boot. Messages go to the log only, for `dmesg`; oopses also
/// go to the console.
const APPEND: &str = "console=ttySC0,115200 loglevel=1 printk.devkmsg=on log_buf_len=1M";

/// The IOMMU driver that the board runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Upstream's driver.
    C,
    /// This driver.
    Rust,
}

/// The system that boots, and the place of the driver in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The testbed's kernel, with the C driver built in, and this driver as a module.
    Testbed,
    /// As `Testbed`, with serial ports that use DMA.
    Serial,
    /// As `Testbed`, with KVM.
    Kvm,
    /// As `Testbed`, with the other SoCs of R-Car and RZ/G2.
    Socs,
    /// As `Testbed`, with this driver built in, and no other.
    BuiltIn,
    /// As `Testbed`, with this driver among the modules of its own tree, and no other.
    InTree,
    /// Debian's kernel, with the package of this driver.
    Debian,
    /// The testbed's kernel in domains of Xen. Xen drives the IPMMUs.
    Xen,
}

impl System {
    /// The number of systems.
    pub const COUNT: usize = Self::Xen as usize + 1;
}

/// A board to boot. Setters are derived for fields with `generate`.
#[derive(Clone, Debug, Setters)]
#[setters(generate = false)]
pub struct Setup {
    /// The name of the board and of its logs.
    pub name: String,
    /// The driver that is expected to drive the IPMMUs.
    #[setters(generate)]
    pub driver: Driver,
    /// The system that boots.
    #[setters(generate)]
    pub system: System,
    /// The value of the SoC's product register, if not that of an H3.
    #[setters(generate, strip_option)]
    pub prr: Option<u32>,
    /// The board whose device tree the machine is made from, by its name in the kernel's sources;
    /// none for the H3's machine.
    pub tree: Option<&'static str>,
    /// The device tree blob, if not the board's own.
    #[setters(generate, strip_option)]
    pub dtb: Option<PathBuf>,
    /// The architecture of the kernel.
    pub arch: Arch,
    /// The hardware that tests refer to.
    pub hardware: &'static Hardware,
    /// Additions to the kernel's command line.
    pub append: String,
    /// Whether the board has a second serial port.
    pub port: bool,
    /// Whether there is a card behind every MMC host.
    #[setters(generate, bool)]
    pub cards: bool,
    /// The generation of an extra IPMMU, which no H3 has.
    #[setters(generate, strip_option, rename = "extra_ipmmu")]
    pub extra: Option<&'static str>,
    /// Whether there are masters that never stop. The device tree must contain them.
    #[setters(generate, bool)]
    pub traffic: bool,
    /// Whether IPMMUs lose their registers with the power of their area.
    pub power_areas: bool,
    /// Whether idle IPMMUs may sleep while the system is awake. If not, the registers do not depend
    /// on the time at which a row reads them.
    #[setters(generate, bool)]
    pub autosuspend: bool,
    /// Whether this driver is loaded with the option to use page tables of stage 2.
    #[setters(generate, bool)]
    pub stage2: bool,
    /// The SoC that the kernel sees, if not that of the product register.
    pub soc: Option<&'static str>,
    /// The functions of the card in each PCIe slot, in the notation of QEMU's `-device`.
    pub pcie: [Vec<String>; pcie::SLOTS],
    /// The files on the cards.
    #[setters(generate, into)]
    pub files: Vec<PathBuf>,
    /// The image that is copied to the eMMC; none for a new file system.
    #[setters(generate, strip_option)]
    pub emmc: Option<PathBuf>,
    /// The initramfs, if not the usual one with the driver.
    pub initramfs: Option<PathBuf>,
    /// How unkind the IPMMUs are: keywords of the model, joined by `+`.
    pub unkind: Option<String>,
    /// A QEMU plugin, with its arguments.
    #[setters(generate, strip_option)]
    pub plugin: Option<String>,
    /// Additional options for QEMU.
    pub options: Vec<String>,
}

impl Setup {
    /// Describes the H3's board with `driver`, and defaults for all else.
    pub fn new(name: &str, driver: Driver) -> Self {
        Self {
            name: unkind::called(name),
            driver,
            system: System::Testbed,
            prr: None,
            tree: None,
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
            soc: None,
            pcie: Default::default(),
            files: Vec::new(),
            emmc: None,
            initramfs: None,
            unkind: unkind::boards(),
            plugin: None,
            options: Vec::new(),
        }
    }

    /// Describes a board with 32-bit CPUs and an IPMMU of R-Car Gen2, with the device tree `dtb`.
    pub fn gen2(name: &str, driver: Driver, dtb: PathBuf) -> Self {
        Self {
            dtb: Some(dtb),
            arch: Arch::Arm,
            hardware: &GEN2,
            extra: Some("gen2"),
            ..Self::new(name, driver)
        }
    }

    /// Describes a machine made from the device tree of `board` in the kernel's sources.
    pub fn of_tree(name: &str, board: &'static str) -> Self {
        Self {
            tree: Some(board),
            system: System::Socs,
            ..Self::new(name, Driver::Rust)
        }
    }

    /// Makes IPMMUs lose their registers with the power of their area, and lets them sleep.
    pub fn power_areas(mut self) -> Self {
        self.power_areas = true;
        self.autosuspend()
    }

    /// Uses page tables of stage 2, and makes the kernel see a SoC of Gen3 that has them. The
    /// board's product register must name no SoC.
    pub fn stage2_of_gen3(mut self) -> Self {
        self.soc = Some("r8a77965");
        self.stage2()
    }

    /// Sets the additions to the kernel's command line, in place of earlier ones.
    pub fn append(mut self, text: &str) -> Self {
        self.append = text.into();
        self
    }

    /// Adds a second serial port, and boots a kernel that uses DMA for it. The device tree must
    /// enable the port.
    pub fn port(mut self) -> Self {
        self.port = true;
        self.system(System::Serial)
    }

    /// Puts a card with `functions` into the first PCIe slot. The device tree must enable the slot:
    /// [`pcie::device_tree`].
    pub fn pcie(self, functions: &[&str]) -> Self {
        self.pcie_slot(0, functions)
    }

    /// Puts a card with `functions` into PCIe slot `slot`.
    pub fn pcie_slot(mut self, slot: usize, functions: &[&str]) -> Self {
        self.pcie[slot] = functions.iter().map(|&f| f.into()).collect();
        self
    }

    /// Makes IPMMUs unkind in the ways of `words`, and in no others.
    pub fn unkind(mut self, words: &str) -> Self {
        self.unkind = Some(words.into()).filter(|w: &String| !w.is_empty());
        self
    }

    /// Makes contexts that are off refuse, on IPMMUs that are unkind in all ways. The driver relies
    /// on it between the end of a kernel and the probe of the next, and while an image is made.
    pub fn refuses_when_off(mut self) -> Self {
        if self.unkind.as_deref() == Some(unkind::ALL) {
            let words = unkind::WORDS.into_iter();
            let words: Vec<_> = words.filter(|word| *word != unkind::OFF_PASSES).collect();
            self.unkind = Some(words.join("+"));
        }
        self
    }

    /// Returns whether registers are random at power-on.
    pub(super) fn is_random(&self) -> bool {
        let words = self.unkind.as_deref().unwrap_or("").split('+');
        words
            .into_iter()
            .any(|word| [unkind::ALL, "reset"].contains(&word))
    }

    /// Adds options for QEMU.
    pub fn options(mut self, options: &[impl ToString]) -> Self {
        self.options.extend(options.iter().map(ToString::to_string));
        self
    }

    /// Lets time advance with executed instructions, so that timers do not depend on the host's
    /// speed. Uses one CPU, so that tasks do not migrate.
    pub fn counted_time(self) -> Self {
        self.append("maxcpus=1")
            .options(&["-icount", "shift=0,sleep=off"])
    }

    /// Returns the type that groups have by default.
    pub fn group_type(&self) -> &'static str {
        match self.append.contains("iommu.strict=0") {
            true => "DMA-FQ",
            false => "DMA",
        }
    }

    /// Returns the kernel's command line. If this driver is a module, clients wait for it without a
    /// time limit, as the host may be slow.
    pub(super) fn command_line(&self) -> String {
        let driver = match (self.system, self.driver) {
            (System::Testbed | System::Serial | System::Kvm | System::Socs, Driver::Rust) => {
                "initcall_blacklist=ipmmu_driver_init deferred_probe_timeout=-1"
            }
            _ => "",
        };
        format!("{APPEND} {driver} {}", self.append)
    }

    pub(super) fn machine(&self) -> String {
        let mut machine = String::from(match self.tree {
            Some(_) => "rcar-ipmmu",
            None => "rcar-h3",
        });
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
