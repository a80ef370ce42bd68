// SPDX-License-Identifier: GPL-2.0
//! The emulated board: booting it, and holding on to it.

pub mod calls;
pub mod cards;
pub mod console;
pub mod dtb;
pub mod groups;
pub mod guest;
pub mod hardware;
pub mod ktap;
pub mod pcie;
pub mod qmp;
pub mod registers;
mod setup;

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
use crate::provision::Provision;
use console::Console;
use hardware::Hardware;
use qmp::Qmp;

pub use setup::{Driver, Setup, System};

/// Long enough for a loaded machine without acceleration.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const CONNECT_LIMIT: u16 = 30_000;

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
    /// The other end of the second serial port, if there is one.
    pub port: Option<UnixStream>,
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
    /// Whether IPMMUs may sleep while the system is awake.
    autosuspend: bool,
    stage2: bool,
    /// Whether registers are random when power comes.
    is_random: bool,
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
        board.keep_awake()?;
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
            .with_context(|| format!("booting again ({})", setup.name))?;
        self.keep_awake()
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
        let connect = || -> Result<_> {
            let port = port.as_ref().map(|port| accept(port, &alive)).transpose()?;
            Ok((accept(&serial, &alive)?, accept(&control, &alive)?, port))
        };
        let (serial, control, port) = match connect() {
            Ok(all) => all,
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
            port,
            klog: String::new(),
            driver: setup.driver,
            system: setup.system,
            ipmmus: registers::labels(setup.extra),
            hardware: setup.hardware,
            autosuspend: setup.autosuspend,
            stage2: setup.stage2,
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
    if setup.port {
        command
            .args(["-chardev", &chardev("port")])
            .args(["-serial", "chardev:port"]);
    }
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
