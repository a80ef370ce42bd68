// SPDX-License-Identifier: GPL-2.0
//! Boards that several rows share, and the state that all rows share.

use std::fs;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use libtest_mimic::{Completion, Failed, Trial};

use super::debian_install;
use super::junit::Cases;
use super::ledger::{C, Ledger, judge};
use crate::board::reports::LATE_PROBE;
use crate::board::{Board, Driver, Setup, System};
use crate::paths::Paths;
use crate::provision::{Arch, Provision, Purpose};

/// The time that building a kernel may take on a slow machine.
const KERNEL: Duration = Duration::from_secs(30 * 60);
const LATE: &str = "no time was left for it";

/// The state that all scenarios share.
pub struct Bench {
    pub paths: Paths,
    pub provision: Arc<Provision>,
    pub ledger: Ledger,
    pub cases: Cases,
    /// Other systems, by [`System`], or the errors of making them. Each is made for the first row
    /// that needs it.
    others: [OnceLock<Result<Provision, String>>; System::COUNT],
    /// The time after which no row begins.
    until: Option<Instant>,
}

impl Bench {
    /// Creates the state for one run, in which no row begins after `until`. Boots no board.
    pub fn new(provision: Arc<Provision>, until: Option<Instant>) -> Self {
        Self {
            paths: provision.paths.clone(),
            provision,
            ledger: Ledger::default(),
            cases: Cases::default(),
            others: Default::default(),
            until,
        }
    }

    /// Returns a row that runs `work` without the board of a fixture.
    pub fn row(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce(&Self) -> Result<()> + Send + 'static,
    ) -> Trial {
        let work = |bench: &Self| work(bench).map_err(|e| Failed::from(format!("{e:#}")));
        self.trial(name, work)
    }

    /// Returns a row that runs `work`, and enters its result and duration in the JUnit report.
    pub fn trial(
        self: &Arc<Self>,
        name: String,
        work: impl FnOnce(&Self) -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        self.trial_after(name, |_| Duration::ZERO, work)
    }

    /// Works like [`Self::trial`]. `wait` returns how long it may take until `work` can begin.
    fn trial_after(
        self: &Arc<Self>,
        name: String,
        wait: impl FnOnce(&Self) -> Duration + Send + 'static,
        work: impl FnOnce(&Self) -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        let this = self.clone();
        Trial::ignorable_test(name.clone(), move || {
            let wait = wait(&this);
            if this
                .until
                .is_some_and(|until| Instant::now() + wait >= until)
            {
                this.cases.skip(&name, LATE);
                return Ok(Completion::ignored_with(LATE));
            }
            this.cases.watch(&name, || work(&this))?;
            Ok(Completion::Completed)
        })
    }

    /// Returns a row that is skipped for the reason `why`.
    pub fn skipped(self: &Arc<Self>, name: &'static str, why: &'static str) -> Trial {
        let this = self.clone();
        Trial::ignorable_test(name, move || {
            this.cases.skip(name, why);
            Ok(Completion::ignored_with(why))
        })
    }

    /// Returns whether a system is the one with which the run began.
    fn is_first(&self, arch: Arch, system: System) -> bool {
        match system {
            System::Testbed => arch == Arch::Arm64,
            System::Serial => self.provision.kernel.purpose().has_ports(),
            System::Xen => self.provision.xen.is_some(),
            _ => false,
        }
    }

    /// Returns how long it may take until a system is ready.
    fn wait_for(&self, arch: Arch, system: System) -> Duration {
        let is_there = self.is_first(arch, system) || self.others[system as usize].get().is_some();
        if is_there { Duration::ZERO } else { KERNEL }
    }

    /// Returns the system that boots on a board. Makes it first if it does not exist yet.
    pub fn provision(&self, arch: Arch, system: System) -> Result<&Provision> {
        let provision = &self.provision;
        if self.is_first(arch, system) {
            return Ok(provision);
        }
        let other = |arch, purpose| provision.prepare_other(arch, purpose);
        let prepare = || match system {
            System::Testbed => other(Arch::Arm, Purpose::Tests),
            System::Serial => other(Arch::Arm64, Purpose::Serial),
            System::Kvm => other(Arch::Arm64, Purpose::Kvm),
            System::Socs => other(Arch::Arm64, Purpose::Socs),
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

/// A board that several rows use one after the other. It is booted for the first of them, and again
/// after a row that failed.
pub struct Fixture {
    bench: Arc<Bench>,
    setup: Setup,
    prepare: Prepare,
    board: Mutex<Option<Board>>,
}

impl Fixture {
    /// Returns a board that boots with `setup`, and that `prepare` then makes ready.
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

    /// Returns a row that runs `work` on this board, and leaves the board fit for the next row.
    pub fn row(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, work, None)
    }

    /// Returns a row that runs `work` on a board with the C driver. The row fails unless the result
    /// is the known behaviour `expected`.
    pub fn observed(
        self: &Arc<Self>,
        name: &str,
        expected: C,
        work: impl FnOnce(&mut Board) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, work, Some(expected))
    }

    /// Returns the ledger of features and results.
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
        let (arch, system) = (self.setup.arch, self.setup.system);
        let wait = move |bench: &Bench| bench.wait_for(arch, system);
        self.bench.trial_after(name.clone(), wait, move |bench| {
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

    /// Runs `work` on the board, which is booted if necessary. The next row gets the same board if
    /// `expected` accepts the result, and the board is clean.
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
        // Reads the messages also after a failure: they are the first place to look.
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

    /// Boots the board. Boots it again if the core warns that it met a client late, because its
    /// deferred probe was under way when its IPMMU was registered. That can happen with any driver
    /// in a module, and is no row's subject. A driver that causes it at each boot is found.
    fn boot(&self) -> Result<Board> {
        const BOOTS: u32 = 3;
        let provision = self.bench.provision(self.setup.arch, self.setup.system)?;
        if let (Driver::Rust, Some(why)) = (self.setup.driver, &provision.no_module) {
            bail!("there is no module to load: {why}");
        }
        let mut boots = 1;
        loop {
            let mut board = Board::boot(provision, &self.setup)?;
            let prepared = (self.prepare)(&mut board);
            if boots == BOOTS || !board.told_of_late_probe().unwrap_or(false) {
                return prepared.map(|()| board);
            }
            boots += 1;
            println!("{}: boots again, after {LATE_PROBE:?}", self.setup.name);
        }
    }
}
