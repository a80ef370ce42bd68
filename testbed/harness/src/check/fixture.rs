// SPDX-License-Identifier: GPL-2.0
//! Boards that rows use one after the other.

use std::fs;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Result, anyhow, bail};
use libtest_mimic::{Failed, Trial};

use super::debian_install;
use super::ledger::{C, Ledger, judge};
use crate::board::{Board, Driver, Setup, System};
use crate::paths::Paths;
use crate::provision::{Arch, Provision};

/// What the scenarios share.
pub struct Bench {
    pub paths: Paths,
    pub provision: Provision,
    pub ledger: Ledger,
    /// What the 32-bit board boots, or why there is nothing, once a row wants it.
    arm: OnceLock<Result<Provision, String>>,
    /// The same for the board whose serial ports use DMA.
    serial: OnceLock<Result<Provision, String>>,
    /// The same for the board whose kernel has the driver built in.
    built_in: OnceLock<Result<Provision, String>>,
    /// The same for the board whose kernel has the driver among its modules.
    in_tree: OnceLock<Result<Provision, String>>,
    /// The same for the board with Debian's kernel and our package.
    debian: OnceLock<Result<Provision, String>>,
}

impl Bench {
    /// For one run; no board has been booted.
    pub fn new(paths: Paths, provision: Provision) -> Self {
        Self {
            paths,
            provision,
            ledger: Ledger::default(),
            arm: OnceLock::new(),
            serial: OnceLock::new(),
            built_in: OnceLock::new(),
            in_tree: OnceLock::new(),
            debian: OnceLock::new(),
        }
    }

    /// What boots on a board; made now if it is not there yet.
    pub fn provision(&self, arch: Arch, system: System) -> Result<&Provision> {
        let made = match (arch, system) {
            (_, System::Serial) => {
                let prepare = || self.provision.prepare_serial(&self.paths);
                self.serial.get_or_init(|| said(prepare()))
            }
            (_, System::BuiltIn) => {
                let prepare = || self.provision.prepare_built_in(&self.paths);
                self.built_in.get_or_init(|| said(prepare()))
            }
            (_, System::InTree) => {
                let prepare = || self.provision.prepare_in_tree(&self.paths);
                self.in_tree.get_or_init(|| said(prepare()))
            }
            (_, System::Debian) => {
                let prepare = || debian_install::install(&self.paths, &self.provision.qemu);
                self.debian.get_or_init(|| said(prepare()))
            }
            (Arch::Arm64, System::Testbed) => return Ok(&self.provision),
            (Arch::Arm, System::Testbed) => {
                let prepare = || self.provision.prepare_arm(&self.paths);
                self.arm.get_or_init(|| said(prepare()))
            }
        };
        made.as_ref().map_err(|e| anyhow!("{e}"))
    }
}

/// An error as it is told to each row that meets it.
fn said(made: Result<Provision>) -> Result<Provision, String> {
    made.map_err(|e| format!("{e:#}"))
}

type Prepare = Box<dyn Fn(&mut Board) -> Result<()> + Send + Sync>;

/// A board that several rows use one after the other, booted for the first of
/// them, and again after a row that failed.
pub struct Fixture {
    bench: Arc<Bench>,
    setup: Setup,
    prepare: Prepare,
    board: Mutex<Option<Board>>,
}

impl Fixture {
    /// A board set up by `setup`, and by `prepare` once it runs.
    pub fn new(
        bench: &Arc<Bench>,
        setup: Setup,
        prepare: impl Fn(&mut Board) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            bench: bench.clone(),
            setup,
            prepare: Box::new(prepare),
            board: Mutex::new(None),
        })
    }

    /// A row that does `work` on this board and leaves it fit for the next.
    pub fn row(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, work, None)
    }

    /// A row that does `work` where the C driver is known to do what `expected`
    /// says, and fails if it does anything else.
    pub fn observed(
        self: &Arc<Self>,
        name: &str,
        expected: C,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, work, Some(expected))
    }

    /// Where it is written down what rows have shown.
    pub fn ledger(&self) -> &Ledger {
        &self.bench.ledger
    }

    fn trial(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
        expected: Option<C>,
    ) -> Trial {
        let this = self.clone();
        let name = format!("{}::{name}", self.setup.name);
        Trial::test(name.clone(), move || {
            let mut good = Ok(());
            let seen = this.with_board(work, |seen| {
                match expected {
                    Some(c) => good = judge(c, seen),
                    None => return seen.is_ok(),
                }
                good.is_ok()
            });
            this.ledger().note(&name, &seen);
            let verdict = match expected {
                Some(_) => good,
                None => seen,
            };
            verdict.map_err(|e| {
                let log = this.bench.paths.log();
                let logs = this.bench.paths.short(&log).join(&this.setup.name);
                Failed::from(format!("{e:#}\n(logs: {}.*.log)", logs.display()))
            })
        })
    }

    /// Does `work` on the board, which the next row gets if nothing is wrong
    /// with it: all went well, or failed as `expected`, and did no harm.
    fn with_board(
        &self,
        work: impl FnOnce(&mut Board) -> Result<()>,
        expected: impl FnOnce(&Result<()>) -> bool,
    ) -> Result<()> {
        let mut slot = self.board.lock().expect("rows do not share a panic");
        let ready = slot.take().map_or_else(|| self.boot(), Ok);
        let mut board = match ready {
            Ok(board) => board,
            Err(e) => {
                let seen = Err(e);
                expected(&seen);
                return seen;
            }
        };
        let mut seen = work(&mut board);
        // Also after a failure: the messages are the first thing that one looks at.
        let clean = board.expect_clean();
        let harmless = clean.is_ok();
        seen = seen.and(clean);
        let path = self
            .bench
            .paths
            .log()
            .join(format!("{}.dmesg.log", self.setup.name));
        fs::write(path, &board.klog)?;
        if expected(&seen) && harmless {
            *slot = Some(board);
        }
        seen
    }

    fn boot(&self) -> Result<Board> {
        let provision = self.bench.provision(self.setup.arch, self.setup.system)?;
        if let (Driver::Rust, Some(why)) = (self.setup.driver, &provision.no_module) {
            bail!("there is no module to load: {why}");
        }
        let mut board = Board::boot(&self.bench.paths, provision, &self.setup)?;
        (self.prepare)(&mut board)?;
        Ok(board)
    }
}
