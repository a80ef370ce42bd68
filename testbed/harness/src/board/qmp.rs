// SPDX-License-Identifier: GPL-2.0
//! QEMU's control socket: properties of the models, events, and power buttons.

use std::io::{BufReader, BufWriter};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use qapi::qmp;
use serde_json::Value;

/// The stream of a session. Its buffer makes each command a single write: QEMU acts on the last
/// bracket, and after `quit` a write of the rest of the line would fail.
type Stream = qapi::Stream<BufReader<UnixStream>, BufWriter<UnixStream>>;

/// A QMP session.
pub struct Qmp {
    inner: qapi::Qmp<Stream>,
    seen: Vec<qmp::Event>,
}

impl Qmp {
    /// Opens a session on a connected socket.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let reader = BufReader::new(stream.try_clone()?);
        let mut inner = qapi::Qmp::new(qapi::Stream::new(reader, BufWriter::new(stream)));
        inner.handshake().context("QEMU does not speak QMP")?;
        Ok(Self {
            inner,
            seen: Vec::new(),
        })
    }

    /// Reads a property of an object.
    pub fn get(&mut self, path: &str, property: &str) -> Result<Value> {
        let command = qmp::qom_get {
            path: path.into(),
            property: property.into(),
        };
        self.inner
            .execute(&command)
            .with_context(|| format!("reading {property} of {path}"))
    }

    /// Writes a property of an object.
    pub fn set(&mut self, path: &str, property: &str, value: Value) -> Result<()> {
        let command = qmp::qom_set {
            path: path.into(),
            property: property.into(),
            value,
        };
        self.inner
            .execute(&command)
            .with_context(|| format!("writing {property} of {path}"))?;
        Ok(())
    }

    /// Returns the state of QEMU and the registers of the CPUs, as text for reports about a board
    /// that does not answer.
    pub fn cpus(&mut self) -> Result<String> {
        Ok(self.monitor("info status")? + &self.monitor("info registers -a")?)
    }

    /// Reads `count` words of 32 bits at a physical address.
    pub fn memory(&mut self, address: u64, count: usize) -> Result<Vec<u32>> {
        let text = self.monitor(&format!("xp /{count}wx {address:#x}"))?;
        let numbers = text.lines().filter_map(|line| line.split_once(':'));
        let words = numbers.flat_map(|(_, words)| words.split_whitespace());
        let words: Vec<u32> = words
            .map(|word| u32::from_str_radix(word.trim_start_matches("0x"), 16))
            .collect::<Result<_, _>>()
            .with_context(|| format!("QEMU says of {address:#x}: {text}"))?;
        ensure!(
            words.len() == count,
            "{} words at {address:#x}",
            words.len()
        );
        Ok(words)
    }

    fn monitor(&mut self, line: &str) -> Result<String> {
        let command = qmp::human_monitor_command {
            command_line: line.into(),
            cpu_index: None,
        };
        self.inner
            .execute(&command)
            .with_context(|| line.to_owned())
    }

    /// Returns whether QEMU has reported that the board sleeps. Consumes one such event.
    pub fn fell_asleep(&mut self) -> Result<bool> {
        self.inner.nop()?;
        Ok(self.take(|e| matches!(e, qmp::Event::SUSPEND { .. })))
    }

    /// Discards earlier events, so that waits see later ones only.
    pub fn forget_events(&mut self) -> Result<()> {
        self.inner.nop()?;
        self.inner.events().for_each(drop);
        self.seen.clear();
        Ok(())
    }

    /// Presses the power button of a sleeping board, and waits until QEMU reports its wake-up.
    pub fn wake(&mut self) -> Result<()> {
        self.inner
            .execute(&qmp::system_wakeup {})
            .context("waking the board")?;
        self.wait("WAKEUP", Duration::from_secs(30), |e| {
            matches!(e, qmp::Event::WAKEUP { .. })
        })
    }

    /// Presses the reset button of the board.
    pub fn reset(&mut self) -> Result<()> {
        let reset = qmp::system_reset {};
        self.inner.execute(&reset).context("resetting the board")?;
        Ok(())
    }

    /// Keeps QEMU running when the board switches itself off or resets itself, so that its state
    /// can still be read; see [`Self::wait_shutdown`].
    pub fn stay_after_shutdown(&mut self) -> Result<()> {
        self.inner
            .execute(&qmp::set_action {
                shutdown: Some(qmp::ShutdownAction::pause),
                reboot: Some(qmp::RebootAction::shutdown),
                panic: None,
                watchdog: None,
            })
            .context("keeping QEMU")?;
        Ok(())
    }

    /// Waits until QEMU reports that the board has switched itself off.
    pub fn wait_shutdown(&mut self, limit: Duration) -> Result<()> {
        self.wait("SHUTDOWN", limit, |e| {
            matches!(e, qmp::Event::SHUTDOWN { .. })
        })
    }

    /// Ends QEMU.
    pub fn quit(&mut self) -> Result<()> {
        self.inner.execute(&qmp::quit {})?;
        Ok(())
    }

    /// Removes the first wanted event from those received. Returns whether there was one.
    fn take(&mut self, wanted: impl Fn(&qmp::Event) -> bool) -> bool {
        self.seen.extend(self.inner.events());
        let at = self.seen.iter().position(wanted);
        at.map(|at| self.seen.remove(at)).is_some()
    }

    /// Waits for a wanted event. The others stay for later waits.
    fn wait(
        &mut self,
        name: &str,
        limit: Duration,
        wanted: impl Fn(&qmp::Event) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.take(&wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("QEMU reported no {name} within {} s", limit.as_secs());
            }
            self.wait_readable(left)?;
            // The crate reads events only while it waits for an answer.
            self.inner.nop()?;
        }
        Ok(())
    }

    fn wait_readable(&self, limit: Duration) -> Result<()> {
        let reader = self.inner.inner().get_ref_read();
        if !reader.buffer().is_empty() {
            return Ok(());
        }
        let mut fds = [PollFd::new(reader.get_ref().as_fd(), PollFlags::POLLIN)];
        poll(
            &mut fds,
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX),
        )?;
        Ok(())
    }
}
