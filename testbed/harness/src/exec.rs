// SPDX-License-Identifier: GPL-2.0
//! Runs other programs, with a log or for their output.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::ui::Step;

/// The log file of one stage of work.
pub struct Log {
    file: File,
    path: PathBuf,
    shown: PathBuf,
}

impl Log {
    /// Creates `build/log/<name>.log`, or empties it.
    pub fn create(paths: &Paths, name: &str) -> Result<Self> {
        let path = paths.log().join(format!("{name}.log"));
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let shown = paths.short(&path).to_owned();
        Ok(Self { file, path, shown })
    }

    /// Runs `command` with its output in the log, and shows the last line in `step`.
    ///
    /// The error is one sentence: what was being done, and where to read more.
    pub fn run(&mut self, step: &Step, what: &str, command: &mut Command) -> Result<()> {
        writeln!(self.file, "# {command:?}")?;
        let (reader, writer) = nix::unistd::pipe().context("pipe")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::from(writer.try_clone()?))
            .stderr(Stdio::from(writer))
            .spawn()
            .with_context(|| missing(command))?;
        // The command has copies of the pipe's writing end. With them the reader below would never
        // see its end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.follow(step, reader)?;
        let status = child.wait()?;
        if !status.success() {
            bail!("{what} failed; the log is {}", self.shown.display());
        }
        Ok(())
    }

    /// Copies the lines from `reader` into the log.
    fn follow(&mut self, step: &Step, reader: OwnedFd) -> Result<()> {
        let mut lines = BufReader::new(File::from(reader));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            self.file.write_all(&line)?;
            step.note(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(())
    }

    /// Fails if a compiler, a linker, or Kconfig warned.
    pub fn expect_no_warning(&self) -> Result<()> {
        let text = self.text()?;
        let is_warning = |line: &&str| line.to_ascii_lowercase().contains("warning:");
        match text.lines().find(is_warning) {
            Some(line) => bail!("{line}; see {}", self.shown.display()),
            None => Ok(()),
        }
    }

    /// Returns the log so far.
    pub fn text(&self) -> Result<String> {
        let mut text = String::new();
        File::open(&self.path)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Returns the log's path as it is shown to the user.
    pub fn shown(&self) -> &Path {
        &self.shown
    }
}

/// Runs `command` and returns its output. Any failure is an error.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| missing(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{:?} failed: {}",
            command.get_program(),
            said.lines().last().unwrap_or("it said nothing")
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn missing(command: &Command) -> String {
    format!("cannot run {:?}", command.get_program())
}
