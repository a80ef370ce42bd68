// SPDX-License-Identifier: GPL-2.0
//! `make shell`: the booted board's console on the user's terminal.

use std::io::{IsTerminal, stdin};

use anyhow::{Result, bail};

use crate::board::{self, Driver, Setup};
use crate::provision::Provision;

const BANNER: &str = "\
Booting the board, then opening its console:
  - after `echo mem > /sys/power/state` the board sleeps; any key wakes it;
  - Ctrl-A x switches it off and quits (Ctrl-A Ctrl-A sends a Ctrl-A).
";

/// Boots the board. Returns when the user leaves or the board is switched off.
pub fn run(provision: &Provision) -> Result<()> {
    if !stdin().is_terminal() {
        bail!("`make shell` needs a terminal");
    }
    if let Some(why) = &provision.no_module {
        eprintln!("There is no module to load: {why}");
    }
    print!("{BANNER}");
    let setup = Setup::new("shell", Driver::Rust).append("testbed=shell");
    board::on_terminal(provision, &setup)
}
