// SPDX-License-Identifier: GPL-2.0
//! The emulated board: boots it and keeps it running.

pub mod calls;
pub mod cards;
pub mod console;
pub mod dtb;
pub mod fdt;
pub mod groups;
pub mod guest;
pub mod hardware;
pub mod ktap;
pub mod pcie;
pub mod qmp;
pub mod registers;
pub mod reports;
mod setup;
mod sleep;
pub mod unkind;
pub mod wiring;
pub mod xen;

use std::fs::{self, File, OpenOptions};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;

use crate::paths::Paths;
use crate::provision::Provision;
use console::Console;
use hardware::Hardware;
use qmp::Qmp;
use wiring::Wiring;

pub use setup::{Driver, Setup, System};

/// The time limit of a boot. Suffices on a loaded machine without acceleration.
pub const BOOT_LIMIT: Duration = Duration::from_secs(120);
const CONNECT_LIMIT: u16 = 30_000;

/// The contents of the cards at power-on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CardsAre {
    /// The contents that the setup asks for. The logs begin empty.
    New,
    /// The contents at the last power-off. The logs are continued.
    Kept,
}

/// A running board.
pub struct Board {
    qemu: Child,
    /// QEMU's control socket.
    pub qmp: Qmp,
    /// The serial console.
    pub console: Console,
    /// The harness's end of the second serial port, if the board has one.
    pub port: Option<UnixStream>,
    /// Every kernel message that was read so far.
    pub klog: String,
    /// The IOMMU driver that the board was booted for.
    pub driver: Driver,
    /// The system that the board runs.
    system: System,
    /// The names of the IPMMUs in QEMU.
    ipmmus: Vec<String>,
    /// The wiring in the device tree that the machine was made from; otherwise empty.
    pub wiring: Wiring,
    /// The hardware that tests refer to.
    pub hardware: &'static Hardware,
    /// Whether IPMMUs may sleep while the system is awake.
    autosuspend: bool,
    stage2: bool,
    soc: Option<&'static str>,
    /// Whether the kernel checks for leaks.
    is_sanitised: bool,
    /// Whether registers are random at power-on.
    is_random: bool,
    _sockets: TempDir,
}

impl Board {
    /// Boots the board, and waits until the agent is ready.
    pub fn boot(provision: &Provision, setup: &Setup) -> Result<Self> {
        let mut board = Self::start(provision, setup, CardsAre::New)?;
        board
            .console
            .wait_ready(BOOT_LIMIT)
            .with_context(|| format!("booting ({})", setup.name))?;
        board.keep_awake()?;
        Ok(board)
    }

    /// Cuts the power and boots again, with the same contents of the cards. Command numbers
    /// continue, as a system that resumes from a card may still answer an earlier command.
    pub fn power_cycle(&mut self, provision: &Provision, setup: &Setup) -> Result<()> {
        self.qemu.kill()?;
        self.qemu.wait()?;
        let mut fresh = Self::start(provision, setup, CardsAre::Kept)?;
        fresh.console.continue_from(&self.console);
        fresh.klog = mem::take(&mut self.klog);
        *self = fresh;
        self.console
            .wait_ready(BOOT_LIMIT)
            .with_context(|| format!("booting again ({})", setup.name))?;
        self.keep_awake()
    }

    /// Starts QEMU and connects to its sockets.
    fn start(provision: &Provision, setup: &Setup, cards_are: CardsAre) -> Result<Self> {
        let paths = &provision.paths;
        let sockets = tempfile::tempdir()?;
        let serial = UnixListener::bind(sockets.path().join("serial"))?;
        let control = UnixListener::bind(sockets.path().join("qmp"))?;
        let port = match setup.port {
            true => Some(UnixListener::bind(sockets.path().join("port"))?),
            false => None,
        };
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
        let wiring = match setup.tree {
            Some(_) => Wiring::of(&fs::read(dtb(provision, setup))?)?,
            None => Wiring::default(),
        };
        let mut command = qemu_command(provision, setup, cards_are)?;
        let chardev = |name: &str| {
            let path = sockets.path().join(name);
            format!("socket,id={name},path={}", path.display())
        };
        command
            .args(["-monitor", "none", "-chardev", &chardev("serial")])
            .args(["-serial", "chardev:serial", "-chardev", &chardev("qmp")])
            .args(["-mon", "chardev=qmp,mode=control"]);
        if setup.port {
            command
                .args(["-chardev", &chardev("port")])
                .args(["-serial", "chardev:port"]);
        }
        let mut qemu = command
            .stdin(Stdio::null())
            // Nothing is written to this pipe. It is closed when QEMU ends.
            .stdout(Stdio::piped())
            .stderr(errors_file)
            .spawn()
            .with_context(|| format!("cannot run {}", provision.qemu.binary.display()))?;
        let alive: OwnedFd = qemu.stdout.take().context("no pipe")?.into();
        let connect = || -> Result<_> {
            let port = port.as_ref().map(|port| accept(port, &alive)).transpose()?;
            Ok((accept(&serial, &alive)?, accept(&control, &alive)?, port))
        };
        let (serial, control, port) = match connect() {
            Ok(all) => all,
            Err(e) => {
                let _ = qemu.kill();
                let _ = qemu.wait();
                let said = fs::read_to_string(&errors).unwrap_or_default();
                return Err(e.context(format!("QEMU did not start: {}", said.trim())));
            }
        };
        Ok(Self {
            qemu,
            qmp: Qmp::new(control)?,
            console: Console::new(serial, transcript)?,
            port,
            klog: String::new(),
            driver: setup.driver,
            system: setup.system,
            ipmmus: match setup.tree {
                Some(_) => wiring.ipmmus.iter().map(|i| i.device.clone()).collect(),
                None => setup.hardware.labels(setup.extra),
            },
            wiring,
            hardware: setup.hardware,
            autosuspend: setup.autosuspend,
            stage2: setup.stage2,
            soc: setup.soc,
            is_sanitised: provision.kernel.is_sanitised(),
            is_random: setup.is_random(),
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
        // After power_off QEMU has ended already; otherwise nothing needs it.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Boots a board with the user's terminal as its console, and waits until QEMU ends.
pub fn on_terminal(provision: &Provision, setup: &Setup) -> Result<()> {
    let mut qemu = qemu_command(provision, setup, CardsAre::New)?;
    let ended = qemu.args(["-serial", "mon:stdio"]).status()?;
    ensure!(ended.success(), "QEMU ended with {ended}");
    Ok(())
}

/// Returns the command that runs QEMU with the board, without options for its console and sockets.
fn qemu_command(provision: &Provision, setup: &Setup, cards_are: CardsAre) -> Result<Command> {
    let paths = &provision.paths;
    // setpriv kills QEMU when the process that booted the board ends.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&provision.qemu.binary)
        .args(["-M", &setup.machine(), "-display", "none", "-dtb"])
        .arg(dtb(provision, setup));
    if setup.tree.is_none() {
        command.args(["-cpu", setup.hardware.cpu]);
    }
    match &provision.xen {
        Some(xen) => xen::boot(&mut command, xen, provision),
        None => {
            command
                .arg("-kernel")
                .arg(provision.kernel.image())
                .arg("-initrd")
                .arg(setup.initramfs.as_ref().unwrap_or(&provision.initramfs))
                .args(["-append", &command_line(provision, setup)]);
        }
    }
    if let Some(plugin) = &setup.plugin {
        command.args(["-plugin", plugin]);
    }
    if setup.cards {
        insert_cards(paths, setup, cards_are, &mut command)?;
    }
    if setup.pcie.iter().flatten().any(|f| f == pcie::NVME) {
        command.args(pcie::new_disk(paths, &setup.name)?);
    }
    for (slot, functions) in setup.pcie.iter().enumerate() {
        command.args(pcie::options(slot, functions));
    }
    command.args(&setup.options);
    Ok(command)
}

/// Returns the path of the device tree blob that the board boots with.
fn dtb(provision: &Provision, setup: &Setup) -> PathBuf {
    match (&setup.dtb, setup.tree) {
        (Some(dtb), _) => dtb.clone(),
        (None, Some(board)) => provision.kernel.dtb_of(board),
        (None, None) => provision.kernel.dtb(),
    }
}

/// Returns the kernel's command line. On a sanitised kernel it switches some checkers on.
fn command_line(provision: &Provision, setup: &Setup) -> String {
    const WATCH: &str = "iommu.debug_pagealloc=1 page_poison=1 kasan_multi_shot ";
    let watch = match provision.kernel.is_sanitised() {
        true => WATCH,
        false => "",
    };
    format!("{watch}{}", setup.command_line())
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

/// Waits until QEMU connects. Fails if QEMU ends first.
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
