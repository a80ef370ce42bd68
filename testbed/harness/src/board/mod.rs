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

/// Long enough for a loaded machine without acceleration.
pub const BOOT_LIMIT: Duration = Duration::from_secs(120);
const CONNECT_LIMIT: u16 = 30_000;

/// The contents of the cards when the board is switched on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CardsAre {
    /// Empty file systems; the logs begin anew, too.
    New,
    /// The contents of when the board was last switched off.
    Kept,
}

/// A running board.
pub struct Board {
    qemu: Child,
    /// The control socket.
    pub qmp: Qmp,
    /// The serial line.
    pub console: Console,
    /// The other end of the second serial port, if there is one.
    pub port: Option<UnixStream>,
    /// Every kernel message so far.
    pub klog: String,
    /// The driver that it was booted for.
    pub driver: Driver,
    /// The system that it runs.
    system: System,
    /// The machine's names of its IPMMUs.
    ipmmus: Vec<String>,
    /// What its device tree says, if the machine was made from it.
    pub wiring: Wiring,
    /// Its hardware, as far as tests know it.
    pub hardware: &'static Hardware,
    /// Whether IPMMUs may sleep while the system is awake.
    autosuspend: bool,
    stage2: bool,
    soc: Option<&'static str>,
    /// Whether its kernel looks for leaks.
    is_sanitised: bool,
    /// Whether registers are random when power comes.
    is_random: bool,
    _sockets: TempDir,
}

impl Board {
    /// Boots until the agent answers.
    pub fn boot(provision: &Provision, setup: &Setup) -> Result<Self> {
        let mut board = Self::start(provision, setup, CardsAre::New)?;
        board
            .console
            .wait_ready(BOOT_LIMIT)
            .with_context(|| format!("booting ({})", setup.name))?;
        board.keep_awake()?;
        Ok(board)
    }

    /// Takes the power away and boots again, with the cards as they are. Commands are numbered on:
    /// a system that comes back from a card may still answer one.
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

    /// Starts QEMU, and connects to its sockets.
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
            // Nothing writes to it; its end shows that QEMU has ended.
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
        // Already gone after power_off; otherwise no longer needed.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Boots a board whose console is the user's terminal, and waits until it is switched off.
pub fn on_terminal(provision: &Provision, setup: &Setup) -> Result<()> {
    let mut qemu = qemu_command(provision, setup, CardsAre::New)?;
    let ended = qemu.args(["-serial", "mon:stdio"]).status()?;
    ensure!(ended.success(), "QEMU ended with {ended}");
    Ok(())
}

/// Returns QEMU with the board, but for the places where its console and others lead to.
fn qemu_command(provision: &Provision, setup: &Setup, cards_are: CardsAre) -> Result<Command> {
    let paths = &provision.paths;
    // setpriv: no board may outlive the process that booted it.
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

/// Returns the device tree that the board boots.
fn dtb(provision: &Provision, setup: &Setup) -> PathBuf {
    match (&setup.dtb, setup.tree) {
        (Some(dtb), _) => dtb.clone(),
        (None, Some(board)) => provision.kernel.dtb_of(board),
        (None, None) => provision.kernel.dtb(),
    }
}

/// Returns the kernel's command line. Some checkers have to be switched on.
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

/// Waits for QEMU to connect; fails if QEMU ends.
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
