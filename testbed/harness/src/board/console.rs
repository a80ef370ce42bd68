// SPDX-License-Identifier: GPL-2.0
//! The board's serial console and the agent that answers on it.
//!
//! The agent (testbed/guest/agent) reads `<number> <command>` lines, runs
//! each, and ends its output with a line `@@agent <number> <exit code>@@`.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The agent's line once it listens.
const READY: &str = "@@agent ready@@";

/// The beginning of Xen's own lines, and of those of the second domain.
const OF_XEN: &str = "(XEN) ";

/// Lines that only a dying kernel prints on the console: the log level keeps all others away.
const DEATH: [&str; 4] = [
    "Kernel panic",
    "Internal error: Oops",
    "Unable to handle kernel",
    "Attempted to kill init",
];

/// The beginnings of errors of a board that says nothing more.
pub const LOST: [&str; 2] = ["the board did not answer", "the kernel died"];

/// The result of a command.
#[derive(Debug)]
pub struct Output {
    /// Standard output and error, without the marker.
    pub text: String,
    /// The exit code of the shell.
    pub code: i32,
}

/// The harness' end of the serial line.
pub struct Console {
    stream: UnixStream,
    /// Everything that was received.
    transcript: File,
    /// Received and not yet claimed by a command.
    pending: String,
    next: u32,
}

impl Console {
    /// Takes over a connected serial line, keeping a transcript.
    pub fn new(stream: UnixStream, transcript: File) -> Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            transcript,
            pending: String::new(),
            next: 1,
        })
    }

    /// Numbers the next command as the one after those on `earlier`.
    pub fn continue_from(&mut self, earlier: &Self) {
        self.next = earlier.next;
    }

    /// Waits until the agent listens.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        self.wait_for(READY, limit).map(drop)
    }

    /// Waits until the agent of the kernel that follows a panic listens.
    pub fn wait_ready_after_panic(&mut self, limit: Duration) -> Result<()> {
        self.wait_past(READY, limit, &[]).map(drop)
    }

    /// Sends `command` to the agent without waiting; see [`Self::finish`].
    pub fn start(&mut self, command: &str) -> Result<u32> {
        assert!(!command.contains('\n'), "the agent reads one line");
        let number = self.next;
        self.next += 1;
        self.send(format!("{number} {command}\n").as_bytes())?;
        Ok(number)
    }

    /// Waits for the end of command `number`.
    pub fn finish(&mut self, number: u32, limit: Duration) -> Result<Output> {
        let before = self.wait_for(&format!("@@agent {number} "), limit)?;
        self.end_of(before, limit)
    }

    /// Returns the rest of a command's output, whose number was read.
    pub fn end_of(&mut self, before: String, limit: Duration) -> Result<Output> {
        let code = self.wait_for("@@", limit)?;
        let Ok(code) = code.parse() else {
            bail!("the agent gave the exit code {code:?}");
        };
        Ok(Output {
            text: before.trim_end_matches('\n').replace(OF_XEN, ""),
            code,
        })
    }

    /// Waits for the end of command `number` like [`Self::finish`], pressing
    /// a key every millisecond once nothing was heard for `patience`.
    pub fn finish_while_typing(
        &mut self,
        number: u32,
        patience: Duration,
        limit: Duration,
    ) -> Result<Output> {
        let mark = format!("@@agent {number} ");
        let before = self.type_until(&mark, patience, limit)?;
        self.end_of(before, Duration::from_secs(1))
    }

    /// Waits for one of `marks`. Returns which one it was, and the text before it.
    pub fn wait_for_any(&mut self, marks: &[&str], limit: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + limit;
        loop {
            let found = marks.iter().enumerate();
            let found = found.filter_map(|(n, mark)| Some((self.pending.find(mark)?, n)));
            if let Some((_, n)) = found.min() {
                let left = deadline.saturating_duration_since(Instant::now());
                return Ok((n, self.wait_for(marks[n], left)?));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(left)? {
                // The error shows what came instead.
                return Ok((0, self.wait_for(marks[0], Duration::ZERO)?));
            }
        }
    }

    /// Presses a key every millisecond, once nothing was heard for `patience`, until `mark` comes.
    /// Returns the text before it.
    pub fn type_until(
        &mut self,
        mark: &str,
        patience: Duration,
        limit: Duration,
    ) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut pause = patience;
        while !self.pending.contains(mark) && Instant::now() < deadline {
            if !self.receive(pause)? {
                self.send(b"\n")?;
                pause = Duration::from_millis(1);
            }
        }
        self.wait_for(mark, Duration::from_secs(1))
    }

    /// Hears what is said during this time, for whoever waits for it later.
    pub fn listen(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(left)? {
                return Ok(());
            }
        }
    }

    /// Sends raw bytes, as typing does.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => bail!("QEMU closed the console"),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut fds, PollTimeout::NONE)?;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Reads until `mark`, and returns the text before it.
    fn wait_for(&mut self, mark: &str, limit: Duration) -> Result<String> {
        self.wait_past(mark, limit, &DEATH)
    }

    /// Reads until `mark`, and fails if one of `deaths` comes first.
    fn wait_past(&mut self, mark: &str, limit: Duration, deaths: &[&str]) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.pending.find(mark) {
                let before = self.pending[..at].to_owned();
                self.pending.drain(..at + mark.len());
                return Ok(before);
            }
            if let Some(at) = deaths.iter().filter_map(|d| self.pending.find(d)).min() {
                // The rest of the report is worth a moment.
                while self.receive(Duration::from_millis(500))? {}
                let report: Vec<&str> = self.pending[at..].lines().take(40).collect();
                bail!("{}: {}", LOST[1], report.join("\n"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(left)? {
                bail!(
                    "{} within {} s; it last said:\n{}",
                    LOST[0],
                    limit.as_secs(),
                    tail(&self.pending, 10)
                );
            }
        }
    }

    /// Receives more; false if nothing arrives within `limit`.
    fn receive(&mut self, limit: Duration) -> Result<bool> {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        if poll(&mut fds, timeout)? == 0 {
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => bail!("QEMU ended; it last said:\n{}", tail(&self.pending, 10)),
            Ok(n) => {
                self.transcript.write_all(&buffer[..n])?;
                let text = String::from_utf8_lossy(&buffer[..n]);
                self.pending.extend(text.chars().filter(|&c| c != '\r'));
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(e) => Err(e.into()),
        }
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
