// SPDX-License-Identifier: GPL-2.0
//! `make shell`: the booted board's console on the user's terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::board::{Board, Driver, Setup};
use crate::paths::Paths;
use crate::provision::Provision;

/// Ctrl-A, then x: as in QEMU's own console.
const ESCAPE: u8 = 0x01;

const BANNER: &str = "\
Booting the board. Its console is yours now:
  - after `echo mem > /sys/power/state` it sleeps; any key wakes it;
  - Ctrl-A x switches it off and quits (Ctrl-A Ctrl-A sends a Ctrl-A).
";

/// Puts the terminal back when dropped, whatever happens.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Boots and stays until the user leaves or the board is switched off.
pub fn run(paths: &Paths, provision: &Provision) -> Result<()> {
    if !stdin().is_terminal() {
        bail!("`make shell` needs a terminal");
    }
    if let Some(why) = &provision.no_module {
        eprintln!("There is no module to load: {why}");
    }
    print!("{BANNER}");
    let setup = Setup::new("shell", Driver::Rust).append("testbed=shell");
    let board = Board::power_on(paths, provision, &setup)?;
    let raw = RawTerminal::enter()?;
    let ended = Session::new(board)?.run();
    drop(raw);
    println!();
    ended
}

/// What the loop of one session knows.
struct Session {
    board: Board,
    serial: UnixStream,
    keyboard: File,
    asleep: bool,
    escaped: bool,
}

impl Session {
    fn new(board: Board) -> Result<Self> {
        let serial = board.console.stream()?;
        let keyboard = File::from(stdin().as_fd().try_clone_to_owned()?);
        Ok(Self {
            board,
            serial,
            keyboard,
            asleep: false,
            escaped: false,
        })
    }

    fn run(mut self) -> Result<()> {
        loop {
            let (typed, said, event) = self.wait()?;
            if said && !self.show()? {
                return Ok(());
            }
            if event {
                match self.board.qmp.has_suspended() {
                    Ok(true) => {
                        self.asleep = true;
                        print!("\r\n[the board sleeps; press any key to wake it]\r\n");
                        stdout().flush()?;
                    }
                    Ok(false) => {}
                    // QEMU has ended: the board was switched off.
                    Err(_) => return Ok(()),
                }
            }
            if typed && !self.forward()? {
                return Ok(());
            }
        }
    }

    /// Which of keyboard, serial line and control socket have something.
    fn wait(&self) -> Result<(bool, bool, bool)> {
        let ready = PollFlags::POLLIN;
        let control = self.board.qmp.as_fd();
        let mut fds = [
            PollFd::new(self.keyboard.as_fd(), ready),
            PollFd::new(self.serial.as_fd(), ready),
            PollFd::new(control, ready),
        ];
        poll(&mut fds, PollTimeout::NONE)?;
        let has = |fd: &PollFd| fd.revents().is_some_and(|r| !r.is_empty());
        Ok((has(&fds[0]), has(&fds[1]), has(&fds[2])))
    }

    /// Board to screen; false at its end.
    fn show(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        match self.serial.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(n) => {
                stdout().write_all(&buffer[..n])?;
                stdout().flush()?;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// Keyboard to board; false if the user wants to leave.
    fn forward(&mut self) -> Result<bool> {
        let mut buffer = [0; 256];
        let n = self.keyboard.read(&mut buffer)?;
        if n == 0 {
            return Ok(false);
        }
        for &key in &buffer[..n] {
            if std::mem::take(&mut self.escaped) {
                match key {
                    b'x' | b'X' => return Ok(false),
                    ESCAPE => self.board.console.send(&[key])?,
                    _ => {}
                }
            } else if key == ESCAPE {
                self.escaped = true;
            } else if std::mem::take(&mut self.asleep) {
                self.board.qmp.wake()?;
            } else {
                self.board.console.send(&[key])?;
            }
        }
        Ok(true)
    }
}
