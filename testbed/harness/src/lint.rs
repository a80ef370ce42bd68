// SPDX-License-Identifier: GPL-2.0
//! `make lint`: checks the code without running it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::circles;
use crate::doc;
use crate::documented;
use crate::exec::Log;
use crate::litmus;
use crate::paths::{Paths, driver_sources};
use crate::provision::{BUILD_STD, Given, Kernel, Provision, RUST_TARGET, UAPI, python};
use crate::tree::{self, Tree};
use crate::ui::Step;

struct Lint<'a> {
    paths: &'a Paths,
    kernel: &'a Kernel,
}

/// A check: its name and its function.
type Check = (
    &'static str,
    for<'a, 'b> fn(&'b Lint<'a>, &'b Step, &'b mut Log) -> Result<()>,
);

const CHECKS: [Check; 18] = [
    ("unsafe stays in abstractions/", |l, s, o| {
        l.unsafe_code(s, o)
    }),
    ("driver: no circle of files or folders", |l, _, _| {
        circles::expect_none(&l.paths.repo, "ipmmu_vmsa.rs", &l.rust_files()?)
    }),
    ("testbed: no circle of files or folders", |l, _, _| {
        let source = l.paths.testbed().join("harness/src");
        let files = l.files("testbed/harness/src", &["rs"])?;
        circles::expect_none(&source, "main.rs", &files)
    }),
    ("driver: rustfmt with the kernel's rules", |l, s, o| {
        l.driver_format(s, o)
    }),
    ("driver: no warning from rustc or clippy", |l, s, o| {
        l.driver_clippy(s, o)
    }),
    ("driver: checkpatch --strict", |l, s, o| l.checkpatch(s, o)),
    ("driver: patches apply, and pass checkpatch", |l, s, o| {
        tree::verify(&l.paths.repo, &Tree::open(&l.kernel.tree())?, s, o)
    }),
    ("documentation: reST, device trees", |l, s, o| {
        l.documentation(s, o)
    }),
    ("documentation: rustdoc of the driver", |l, s, o| {
        l.comments(s, o)
    }),
    (
        "documentation: every message, SoC and abstraction",
        |l, _, _| l.documented(),
    ),
    (
        "driver: litmus tests of what has no common lock",
        |l, s, _| litmus::judge(l.paths, &l.files("testbed/litmus", &["litmus"])?, s),
    ),
    ("board tests: jobs for LAVA", |l, s, o| l.lava_jobs(s, o)),
    ("testbed: cargo fmt", |l, s, o| l.testbed_format(s, o)),
    ("testbed: cargo clippy", |l, s, o| l.testbed_clippy(s, o)),
    ("guest: cargo fmt, cargo clippy", |l, s, o| {
        l.guest_program(s, o)
    }),
    ("testbed: unit tests", |l, s, o| l.testbed_tests(s, o)),
    ("scripts: shellcheck", |l, s, o| l.shellcheck(s, o)),
    ("recipe of Yocto: oelint-adv", |l, s, o| l.recipe(s, o)),
];

/// A Python program that fails for a job that LAVA would refuse.
const LAVA_JUDGE: &str = "\
import sys, yaml
from lava_common.schemas import validate
with open(sys.argv[1]) as job:
    validate(yaml.safe_load(job), strict=True, extra_context_variables=[])
";

/// The package of the checker of recipes.
const OELINT: &str = "oelint-adv==9.11.2";

/// The checker's rules that the recipe breaks: the repository has no address yet, the checkout
/// determines the commit, and a module is for the board alone.
const NOT_FOR_THE_RECIPE: [&str; 5] = [
    "oelint.var.mandatoryvar.HOMEPAGE",
    "oelint.var.suggestedvar.BUGTRACKER",
    "oelint.var.suggestedvar.CVE_PRODUCT",
    "oelint.vars.autorev",
    "oelint.var.bbclassextend",
];

/// Runs all checks. Returns whether none found anything.
pub fn run(paths: &Paths, given: &Given) -> Result<bool> {
    let kernel = Provision::kernel(paths, given)?;
    let lint = Lint {
        paths,
        kernel: &kernel,
    };
    let mut good = true;
    for (number, (what, check)) in CHECKS.iter().enumerate() {
        let step = Step::new(*what);
        let mut log = Log::create(paths, &format!("lint-{}", number + 1))?;
        match check(&lint, &step, &mut log) {
            Ok(()) => step.done(),
            Err(e) => {
                drop(step);
                good = false;
                eprintln!("FAIL  {what}: {e:#}");
                let text = log.text()?;
                let lines: Vec<&str> = text.lines().collect();
                for line in &lines[lines.len().saturating_sub(40)..] {
                    eprintln!("      {line}");
                }
            }
        }
    }
    Ok(good)
}

impl Lint<'_> {
    fn rust_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = driver_sources(&self.paths.repo)?;
        files.retain(|f| f.extension().is_some_and(|e| e == "rs"));
        Ok(files)
    }

    fn unsafe_code(&self, _: &Step, _: &mut Log) -> Result<()> {
        let mut found = Vec::new();
        for file in self.rust_files()? {
            if file.starts_with(self.paths.repo.join("abstractions")) {
                continue;
            }
            for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
                if words.into_iter().any(|w| w == "unsafe") {
                    found.push(format!(
                        "{}:{}",
                        self.paths.short(&file).display(),
                        number + 1
                    ));
                }
            }
        }
        if !found.is_empty() {
            bail!("{}", found.join(", "));
        }
        Ok(())
    }

    fn driver_format(&self, step: &Step, log: &mut Log) -> Result<()> {
        let mut format = Command::new("/usr/bin/rustfmt");
        format
            .args(["--check", "--edition", "2021", "--config-path"])
            .arg(self.kernel.tree().join(".rustfmt.toml"))
            .args(self.rust_files()?);
        log.run(step, "rustfmt", &mut format)
    }

    fn driver_clippy(&self, step: &Step, log: &mut Log) -> Result<()> {
        let out = tempfile::tempdir_in(self.paths.build())?;
        let mut make = self.kernel.make();
        make.arg(format!("M={}", self.paths.repo.display()))
            .arg(format!("MO={}", out.path().display()))
            .args(["CLIPPY=1", "modules"]);
        log.run(step, "the build", &mut make)?;
        let warned = log
            .text()?
            .lines()
            .filter(|l| l.starts_with("warning"))
            .count();
        if warned > 0 {
            bail!("{warned} warnings; see {}", log.shown().display());
        }
        Ok(())
    }

    /// Runs checkpatch on the files for the kernel's tree.
    fn checkpatch(&self, step: &Step, log: &mut Log) -> Result<()> {
        let mut files = driver_sources(&self.paths.repo)?;
        files.extend(
            ["Kconfig"]
                .map(|f| self.paths.repo.join(f))
                .into_iter()
                .filter(|f| f.exists()),
        );
        files.extend(self.files("Documentation", &["rst"])?);
        let mut check = Command::new("perl");
        check
            .arg(self.kernel.tree().join("scripts/checkpatch.pl"))
            .args([
                "--no-tree",
                "--strict",
                "--terse",
                "--show-types",
                "--no-summary",
            ])
            // A reminder that a new file may need an entry in MAINTAINERS.
            .args(["--ignore", "FILE_PATH_CHANGES", "-f"])
            .args(files);
        log.run(step, "checkpatch", &mut check)
    }

    /// Builds the pages with the kernel's configuration, as they have none of their own.
    fn documentation(&self, step: &Step, log: &mut Log) -> Result<()> {
        let out = tempfile::tempdir()?;
        doc::pages(self.paths, self.kernel, "dummy", out.path(), step, log)?;
        doc::pages_in_tree(self.paths, self.kernel, step, log)?;
        self.device_trees(step, log)
    }

    fn comments(&self, step: &Step, log: &mut Log) -> Result<()> {
        let out = tempfile::tempdir()?;
        doc::rustdoc(self.paths, self.kernel, &out.path().join("rust"), step, log)
    }

    fn documented(&self) -> Result<()> {
        let sources = self.rust_files()?;
        documented::messages(&self.paths.repo, &sources)?;
        documented::lists(&self.paths.repo, &sources)?;
        documented::socs(&self.paths.repo, &self.kernel.tree())
    }

    /// Compiles the device trees in dts/, which are the documentation's examples.
    fn device_trees(&self, step: &Step, log: &mut Log) -> Result<()> {
        for file in self.files("dts", &["dts", "dtso"])? {
            let mut dtc = Command::new("dtc");
            dtc.args(["-@", "-I", "dts", "-O", "dtb", "-o", "/dev/null"])
                .arg(&file);
            log.run(
                step,
                &self.paths.short(&file).display().to_string(),
                &mut dtc,
            )?;
        }
        Ok(())
    }

    /// Checks jobs with LAVA's own schema, so that no lab is needed.
    fn lava_jobs(&self, step: &Step, log: &mut Log) -> Result<()> {
        let modules = Provision::lava(self.paths)?;
        for job in self.files("testbed/guest/board/lava", &["yaml"])? {
            let mut python = Command::new("/usr/bin/python3");
            python.args(["-c", LAVA_JUDGE]).arg(&job);
            python.env("PYTHONPATH", &modules);
            let name = self.paths.short(&job).display().to_string();
            log.run(step, &name, &mut python)?;
        }
        Ok(())
    }

    fn testbed_format(&self, step: &Step, log: &mut Log) -> Result<()> {
        log.run(
            step,
            "cargo fmt",
            self.cargo("cargo-fmt").args(["fmt", "--check"]),
        )
    }

    fn testbed_clippy(&self, step: &Step, log: &mut Log) -> Result<()> {
        let mut clippy = self.cargo("cargo-clippy");
        clippy.args(["clippy", "--all-targets", "--", "-D", "warnings"]);
        log.run(step, "cargo clippy", &mut clippy)
    }

    fn testbed_tests(&self, step: &Step, log: &mut Log) -> Result<()> {
        log.run(step, "cargo test", self.cargo("cargo").arg("test"))
    }

    /// Checks the guest's programs for its architecture.
    fn guest_program(&self, step: &Step, log: &mut Log) -> Result<()> {
        let programs = Provision::programs(self.paths, self.kernel)?;
        let source = self.paths.testbed().join("guest/userdma");
        let mut format = self.cargo("cargo-fmt");
        format.args(["fmt", "--check"]).current_dir(&source);
        log.run(step, "cargo fmt", &mut format)?;
        let mut clippy = self.cargo("cargo-clippy");
        clippy.args(["clippy", "--target", RUST_TARGET]);
        clippy.args(BUILD_STD).args(["--", "-D", "warnings"]);
        clippy.current_dir(&source).env("RUSTC_BOOTSTRAP", "1");
        clippy.env("USERDMA_UAPI", programs.join(UAPI));
        log.run(step, "cargo clippy", &mut clippy)
    }

    /// Returns the distribution's cargo, whatever comes first in the user's PATH.
    fn cargo(&self, tool: &str) -> Command {
        let mut command = Command::new(format!("/usr/bin/{tool}"));
        command
            .current_dir(self.paths.testbed().join("harness"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CARGO", "/usr/bin/cargo")
            .env("CARGO_TARGET_DIR", self.paths.cache.join("harness"))
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    }

    fn shellcheck(&self, step: &Step, log: &mut Log) -> Result<()> {
        let mut scripts = self.files("testbed", &["sh"])?;
        for name in [
            "testbed/guest/init",
            "testbed/guest/agent",
            ".ci/run",
            "packaging/check-kernel",
            "packaging/initramfs-tools/hooks/ipmmu_vmsa",
            "packaging/initramfs-tools/scripts/init-top/ipmmu_vmsa",
            "packaging/debian/modules/postinst",
            "packaging/debian/modules/postrm",
            "testbed/guest/tests/debian-init",
        ] {
            scripts.push(self.paths.repo.join(name));
        }
        let mut check = Command::new("shellcheck");
        check.args(["-x", "-P", "SCRIPTDIR"]).args(scripts);
        log.run(step, "shellcheck", &mut check)
    }

    fn recipe(&self, step: &Step, log: &mut Log) -> Result<()> {
        let program = python::program(self.paths, OELINT, "oelint-adv")?;
        let mut check = Command::new(program);
        check.args(["--quiet", "--mode", "all"]);
        for rule in NOT_FOR_THE_RECIPE {
            check.args(["--suppress", rule]);
        }
        check.args(self.files("packaging/yocto", &["bb", "conf"])?);
        log.run(step, "oelint-adv", &mut check)
    }

    /// Returns the files below a directory of the checkout, if it exists.
    fn files(&self, dir: &str, extensions: &[&str]) -> Result<Vec<PathBuf>> {
        let dir = self.paths.repo.join(dir);
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for entry in WalkDir::new(&dir).sort_by_file_name() {
            let path = entry
                .with_context(|| dir.display().to_string())?
                .into_path();
            if has_extension(&path, extensions) {
                files.push(path);
            }
        }
        Ok(files)
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|e| extensions.iter().any(|x| e == *x))
}
