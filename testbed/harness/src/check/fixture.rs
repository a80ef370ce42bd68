// SPDX-License-Identifier: GPL-2.0
//! Boards that rows use one after the other.

use std::fs;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Result, anyhow, bail};
use libtest_mimic::{Completion, Failed, Trial};

use super::debian_install;
use super::junit::Cases;
use super::ledger::{C, Ledger, judge};
use crate::board::{Board, Driver, Setup, System};
use crate::paths::Paths;
use crate::provision::{Arch, Provision, Purpose};

/// The state that all scenarios share.
pub struct Bench {
    pub paths: Paths,
    pub provision: Arc<Provision>,
    pub ledger: Ledger,
    pub cases: Cases,
    /// Other systems, by [`System`], or the reasons why there are none; each is made for the first
    /// row that needs it.
    others: [OnceLock<Result<Provision, String>>; System::COUNT],
}

impl Bench {
    /// Makes the state for one run; no board has been booted.
    pub fn new(provision: Arc<Provision>) -> Self {
        Self {
            paths: provision.paths.clone(),
            provision,
            ledger: Ledger::default(),
            cases: Cases::default(),
            others: Default::default(),
        }
    }

    /// Returns a row that does `work` without a board of a fixture.
    pub fn row(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce(&Self) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, |bench| {
            work(bench).map_err(|e| Failed::from(format!("{e:#}")))
        })
    }

    /// Returns a row that is part of the report once it ran.
    pub fn trial(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce(&Self) -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        let this = self.clone();
        Trial::test(name.clone(), move || {
            this.cases.watch(&name, || work(&this))
        })
    }

    /// Returns a row that is skipped, for this reason.
    pub fn skipped(self: &Arc<Self>, name: &'static str, why: &'static str) -> Trial {
        let this = self.clone();
        Trial::ignorable_test(name, move || {
            this.cases.skip(name, why);
            Ok(Completion::ignored_with(why))
        })
    }

    /// Returns the system that boots on a board, and makes it if it is not there yet.
    pub fn provision(&self, arch: Arch, system: System) -> Result<&Provision> {
        let provision = &self.provision;
        let is_there = match system {
            System::Testbed => arch == Arch::Arm64,
            // The sanitised kernel has such serial ports, too.
            System::Serial => provision.kernel.is_sanitised(),
            System::Xen => provision.xen.is_some(),
            _ => false,
        };
        if is_there {
            return Ok(provision);
        }
        let other = |arch, purpose| provision.prepare_other(arch, purpose);
        let prepare = || match system {
            System::Testbed => other(Arch::Arm, Purpose::Tests),
            System::Serial => other(Arch::Arm64, Purpose::Serial),
            System::Kvm => other(Arch::Arm64, Purpose::Kvm),
            System::BuiltIn => provision.prepare_built_in(),
            System::InTree => provision.prepare_in_tree(),
            System::Debian => debian_install::install(&self.paths, &provision.qemu),
            System::Xen => Provision::prepare_xen(&self.paths, &provision.qemu, None),
        };
        let made =
            self.others[system as usize].get_or_init(|| prepare().map_err(|e| format!("{e:#}")));
        made.as_ref().map_err(|e| anyhow!("{e}"))
    }
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
    /// Returns a board set up by `setup`, and by `prepare` once it runs.
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

    /// Returns a row that does `work` on this board and leaves it fit for the next.
    pub fn row(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, work, None)
    }

    /// Returns a row that does `work` where the C driver is known to do what `expected` says, and
    /// fails if it does anything else.
    pub fn observed(
        self: &Arc<Self>,
        name: &str,
        expected: C,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, work, Some(expected))
    }

    /// Returns the ledger of what rows have shown.
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
        self.bench.trial(name.clone(), move |bench| {
            let mut good = Ok(());
            let is_last = Arc::strong_count(&this) == 1;
            let work = |board: &mut Board| match is_last {
                true => work(board).and_then(|()| board.expect_no_leak()),
                false => work(board),
            };
            let seen = this.with_board(work, |seen| {
                match expected {
                    Some(c) => good = judge(c, seen),
                    None => return seen.is_ok(),
                }
                good.is_ok()
            });
            bench.ledger.note(&name, &seen);
            let verdict = match expected {
                Some(_) => good,
                None => seen,
            };
            verdict.map_err(|e| {
                let log = bench.paths.log();
                let logs = bench.paths.short(&log).join(&this.setup.name);
                Failed::from(format!("{e:#}\n(logs: {}.*.log)", logs.display()))
            })
        })
    }

    /// Does `work` on the board. The next row gets the same board if all went well, or failed as
    /// `expected`, and did no harm.
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
        // Also after a failure: the messages are what one looks at first.
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
        let mut board = Board::boot(provision, &self.setup)?;
        (self.prepare)(&mut board)?;
        Ok(board)
    }
}
