// SPDX-License-Identifier: GPL-2.0
//! Progress: one line that changes on a terminal, plain lines in a log.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The interval of lines that say that work goes on, where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// One step that takes a while.
pub struct Step {
    what: String,
    begun: Instant,
    bar: Option<ProgressBar>,
    spoke: Mutex<Instant>,
}

impl Step {
    /// Announces the step.
    pub fn new(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}")
                .expect("the template is a constant");
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.set_prefix(what.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("  ... {what}");
        }
        Self {
            what,
            begun: Instant::now(),
            bar,
            spoke: Mutex::new(Instant::now()),
        }
    }

    /// Shows a line of the step's progress.
    pub fn note(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(line.trim().to_owned());
            return;
        }
        let mut spoke = self.spoke.lock().expect("no holder panics");
        if spoke.elapsed() >= HEARTBEAT {
            *spoke = Instant::now();
            eprintln!("      {} ({})", self.what, elapsed(self.begun));
        }
    }

    /// Announces that the step succeeded.
    pub fn done(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("  ok  {} ({})", self.what, elapsed(self.begun));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Returns the time since `since` as text.
fn elapsed(since: Instant) -> String {
    let seconds = since.elapsed().as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else {
        format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            seconds % 60.0
        )
    }
}
