// SPDX-License-Identifier: GPL-2.0
//! The emulated board: booting it, and holding on to it.

pub mod calls;
pub mod cards;
pub mod console;
pub mod dtb;
pub mod guest;
pub mod hardware;
pub mod ktap;
pub mod pcie;
pub mod qmp;
pub mod registers;

use std::fs::{File, OpenOptions};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;

use crate::paths::Paths;
use crate::provision::{Arch, Provision};
use console::Console;
use hardware::{GEN2, H3, Hardware};
use qmp::Qmp;

/// Long enough for a loaded machine without acceleration.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const CONNECT_LIMIT: u16 = 30_000;

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
    /// Whether a new card is in every MMC host.
    pub cards: bool,
    /// The generation of an IPMMU that no H3 has.
    pub extra: Option<&'static str>,
    /// Whether IPMMUs lose their registers with the power of their area.
    pub power_areas: bool,
    /// The functions of the card in each PCIe slot, as for QEMU's `-device`.
    pub pcie: [Vec<String>; pcie::SLOTS],
    /// What is on the cards.
    pub files: Vec<PathBuf>,
    /// What the eMMC is a copy of, unless it has a new file system.
    pub emmc: Option<PathBuf>,
    /// The initramfs, unless the one with the driver as it is.
    pub initramfs: Option<PathBuf>,
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
            cards: false,
            extra: None,
            power_areas: false,
            pcie: Default::default(),
            files: Vec::new(),
            emmc: None,
            initramfs: None,
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

    /// With power areas that are really cut.
    pub fn power_areas(mut self) -> Self {
        self.power_areas = true;
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

    fn command_line(&self) -> String {
        let driver = match (self.system, self.driver) {
            (System::Testbed, Driver::Rust) => "initcall_blacklist=ipmmu_driver_init",
            _ => "",
        };
        format!("{APPEND} {driver} {}", self.append)
    }

    fn machine(&self) -> String {
        let mut machine = String::from("rcar-h3");
        if let Some(prr) = self.prr {
            machine += &format!(",prr={prr:#x}");
        }
        if let Some(generation) = self.extra {
            machine += &format!(",extra-ipmmu={generation}");
        }
        if self.power_areas {
            machine += ",power-areas=on";
        }
        machine
    }
}

/// What is in the MMC hosts when the board is switched on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CardsAre {
    /// Empty file systems; the logs begin anew, too.
    New,
    /// What the board left there when it was last switched off.
    Kept,
}

/// A running board.
pub struct Board {
    qemu: Child,
    /// The control socket.
    pub qmp: Qmp,
    /// The serial line.
    pub console: Console,
    /// Every kernel message so far.
    pub klog: String,
    /// Which driver it was booted for.
    pub driver: Driver,
    /// What it runs with.
    system: System,
    /// The labels of its IPMMUs.
    ipmmus: Vec<&'static str>,
    /// What of it the tests know.
    pub hardware: &'static Hardware,
    _sockets: TempDir,
}

impl Board {
    /// Boots until the agent answers.
    pub fn boot(paths: &Paths, provision: &Provision, setup: &Setup) -> Result<Self> {
        let mut board = Self::power_on(paths, provision, setup)?;
        board
            .console
            .wait_ready(BOOT_LIMIT)
            .with_context(|| format!("booting ({})", setup.name))?;
        Ok(board)
    }

    /// Takes the power away and boots again, with the cards as they are. Numbers
    /// of commands go on: who is brought back from a card may still answer one.
    pub fn power_cycle(
        &mut self,
        paths: &Paths,
        provision: &Provision,
        setup: &Setup,
    ) -> Result<()> {
        self.qemu.kill()?;
        self.qemu.wait()?;
        let mut fresh = Self::start(paths, provision, setup, CardsAre::Kept)?;
        fresh.console.continue_from(&self.console);
        fresh.klog = mem::take(&mut self.klog);
        *self = fresh;
        self.console
            .wait_ready(BOOT_LIMIT)
            .with_context(|| format!("booting again ({})", setup.name))
    }

    /// Starts QEMU and takes hold of its sockets.
    pub fn power_on(paths: &Paths, provision: &Provision, setup: &Setup) -> Result<Self> {
        Self::start(paths, provision, setup, CardsAre::New)
    }

    fn start(
        paths: &Paths,
        provision: &Provision,
        setup: &Setup,
        cards_are: CardsAre,
    ) -> Result<Self> {
        let sockets = tempfile::tempdir()?;
        let serial = UnixListener::bind(sockets.path().join("serial"))?;
        let control = UnixListener::bind(sockets.path().join("qmp"))?;
        let log = |kind: &str| -> Result<(PathBuf, File)> {
            let path = paths.log().join(format!("{}.{kind}.log", setup.name));
            let mut open = OpenOptions::new();
            match cards_are {
                CardsAre::New => open.write(true).create(true).truncate(true),
                CardsAre::Kept => open.append(true).create(true),
            };
            let file = open.open(&path)?;
            Ok((path, file))
        };
        let (_, transcript) = log("console")?;
        let (errors, errors_file) = log("qemu")?;
        let mut command = qemu_command(provision, setup, sockets.path());
        if setup.cards {
            insert_cards(paths, setup, cards_are, &mut command)?;
        }
        if setup.pcie.iter().flatten().any(|f| f == pcie::NVME) {
            command.args(pcie::new_disk(paths, &setup.name)?);
        }
        for (slot, functions) in setup.pcie.iter().enumerate() {
            command.args(pcie::options(slot, functions));
        }
        let mut qemu = command
            .stdin(Stdio::null())
            // Never written to; its end tells that QEMU has ended.
            .stdout(Stdio::piped())
            .stderr(errors_file)
            .spawn()
            .with_context(|| format!("cannot run {}", provision.qemu.binary.display()))?;
        let alive: OwnedFd = qemu.stdout.take().context("no pipe")?.into();
        let connect = || -> Result<(UnixStream, UnixStream)> {
            Ok((accept(&serial, &alive)?, accept(&control, &alive)?))
        };
        let (serial, control) = match connect() {
            Ok(both) => both,
            Err(e) => {
                let _ = qemu.kill();
                let _ = qemu.wait();
                let said = std::fs::read_to_string(&errors).unwrap_or_default();
                return Err(e.context(format!("QEMU did not start: {}", said.trim())));
            }
        };
        Ok(Self {
            qemu,
            qmp: Qmp::new(control)?,
            console: Console::new(serial, transcript)?,
            klog: String::new(),
            driver: setup.driver,
            system: setup.system,
            ipmmus: registers::labels(setup.extra),
            hardware: setup.hardware,
            _sockets: sockets,
        })
    }

    /// Switches the board off.
    pub fn power_off(mut self) -> Result<()> {
        self.qmp.quit()?;
        self.qemu.wait()?;
        Ok(())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // Already gone after power_off; otherwise nobody wants it any more.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn qemu_command(provision: &Provision, setup: &Setup, sockets: &Path) -> Command {
    let chardev = |name: &str| format!("socket,id={name},path={}", sockets.join(name).display());
    let dtb = setup.dtb.clone().unwrap_or_else(|| provision.kernel.dtb());
    // setpriv: no board may outlive the one who booted it.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&provision.qemu.binary)
        .args([
            "-M",
            &setup.machine(),
            "-display",
            "none",
            "-monitor",
            "none",
        ])
        .args(["-cpu", setup.hardware.cpu])
        .args(["-chardev", &chardev("serial")])
        .args(["-serial", "chardev:serial"])
        .args(["-chardev", &chardev("qmp")])
        .args(["-mon", "chardev=qmp,mode=control"])
        .arg("-kernel")
        .arg(provision.kernel.image())
        .arg("-dtb")
        .arg(dtb)
        .arg("-initrd")
        .arg(setup.initramfs.as_ref().unwrap_or(&provision.initramfs))
        .args(["-append", &setup.command_line()]);
    if let Some(plugin) = &setup.plugin {
        command.args(["-plugin", plugin]);
    }
    command.args(&setup.options);
    command
}

fn insert_cards(
    paths: &Paths,
    setup: &Setup,
    cards_are: CardsAre,
    command: &mut Command,
) -> Result<()> {
    for host in &cards::MMC_HOSTS {
        let image = host.image(paths, &setup.name);
        if cards_are == CardsAre::New {
            match &setup.emmc {
                Some(original) if host.is_emmc() => cards::copy(original, &image)?,
                _ => cards::create(&image, &setup.files)?,
            }
        }
        command.args(["-drive", &host.option(&image)]);
    }
    Ok(())
}

/// Waits for QEMU to connect, but not for one that is gone.
fn accept(listener: &UnixListener, alive: &OwnedFd) -> Result<UnixStream> {
    let mut fds = [
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(alive.as_fd(), PollFlags::POLLIN),
    ];
    if poll(&mut fds, PollTimeout::from(CONNECT_LIMIT))? == 0 {
        bail!("QEMU did not connect");
    }
    let connected = fds[0]
        .revents()
        .is_some_and(|r| r.contains(PollFlags::POLLIN));
    if !connected {
        bail!("QEMU ended at once");
    }
    Ok(listener.accept()?.0)
}
