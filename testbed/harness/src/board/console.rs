// SPDX-License-Identifier: GPL-2.0
//! The board's serial console and the agent that answers on it.
//!
//! The agent (testbed/guest/agent) reads lines `<number> <command>`, and runs each command. A line
//! `@@agent <number> <exit code>@@` ends the output of a command.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The line that the agent prints when it is ready for commands.
const READY: &str = "@@agent ready@@";

/// The prefix of lines from Xen itself, and from the second domain.
const OF_XEN: &str = "(XEN) ";

/// Lines of a dying kernel. The log level keeps other messages off the console.
const DEATH: [&str; 4] = [
    "Kernel panic",
    "Internal error: Oops",
    "Unable to handle kernel",
    "Attempted to kill init",
];

/// The beginnings of errors after which the board no longer answers.
pub const LOST: [&str; 2] = ["the board did not answer", "the kernel died"];

/// The result of a command.
#[derive(Debug)]
pub struct Output {
    /// Standard output and error, without the agent's marker.
    pub text: String,
    /// The exit code of the shell.
    pub code: i32,
}

/// The harness's end of the serial console.
pub struct Console {
    stream: UnixStream,
    /// The log of everything that was received.
    transcript: File,
    /// Text that was received, and that no wait has consumed yet.
    pending: String,
    next: u32,
}

impl Console {
    /// Takes over a connected serial line. Writes everything received to `transcript`.
    pub fn new(stream: UnixStream, transcript: File) -> Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            transcript,
            pending: String::new(),
            next: 1,
        })
    }

    /// Continues the command numbers of `earlier`.
    pub fn continue_from(&mut self, earlier: &Self) {
        self.next = earlier.next;
    }

    /// Waits until the agent is ready. Fails if the kernel dies first.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        self.wait_for(READY, limit).map(drop)
    }

    /// Waits until the agent is ready in the next kernel, which follows the panic of this one.
    pub fn wait_ready_after_panic(&mut self, limit: Duration) -> Result<()> {
        self.wait_past(READY, limit, &[]).map(drop)
    }

    /// Sends `command` to the agent. Returns its number, for [`Self::finish`].
    pub fn start(&mut self, command: &str) -> Result<u32> {
        assert!(!command.contains('\n'), "the agent reads one line");
        let number = self.next;
        self.next += 1;
        self.send(format!("{number} {command}\n").as_bytes())?;
        Ok(number)
    }

    /// Waits until command `number` ends, and returns its result.
    pub fn finish(&mut self, number: u32, limit: Duration) -> Result<Output> {
        let before = self.wait_for(&format!("@@agent {number} "), limit)?;
        self.end_of(before, limit)
    }

    /// Reads the exit code of a command whose output, `before`, and number were read already.
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

    /// As [`Self::finish`], but sends newlines while the board is silent, as [`Self::type_until`]
    /// does.
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

    /// Waits for one of `marks`. Returns its index, and the text before it.
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
                // Fails with an error that shows the last lines received.
                return Ok((0, self.wait_for(marks[0], Duration::ZERO)?));
            }
        }
    }

    /// Waits for `mark`, and returns the text before it. Sends a newline once nothing has arrived
    /// for `patience`, and from then on after each millisecond of silence.
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

    /// Receives output for the duration `time`, and stores it for later waits.
    pub fn listen(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(left)? {
                return Ok(());
            }
        }
    }

    /// Sends raw bytes, as if they were typed.
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

    /// Reads up to `mark`, and returns the text before it. Fails if the kernel dies first.
    fn wait_for(&mut self, mark: &str, limit: Duration) -> Result<String> {
        self.wait_past(mark, limit, &DEATH)
    }

    /// Reads up to `mark`, and returns the text before it. Fails if one of `deaths` arrives first.
    fn wait_past(&mut self, mark: &str, limit: Duration, deaths: &[&str]) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.pending.find(mark) {
                let before = self.pending[..at].to_owned();
                self.pending.drain(..at + mark.len());
                return Ok(before);
            }
            if let Some(at) = deaths.iter().filter_map(|d| self.pending.find(d)).min() {
                // Waits for the rest of the report, until nothing arrives for 0.5 s.
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

    /// Receives more output. Returns false if nothing arrives within `limit`.
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
