// SPDX-License-Identifier: GPL-2.0
//! Files from the Debian mirror that the host's apt uses.
//!
//! A private apt root makes other suites than the host's available, and leaves the host's package
//! lists alone. apt checks signatures against Debian's keyring. Sizes and hashes come from the
//! signed lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::artifact::file_sha256;
use crate::exec::{Log, capture};
use crate::lock::Lock;
use crate::paths::Paths;
use crate::ui::Step;

/// The suite of packages and sources, regardless of the host's.
const SUITE: &str = "trixie";
/// An older suite. Only sources are used from it.
const OLDER: &str = "bookworm";
/// The suite of packages that are in no release yet.
const UNSTABLE: &str = "sid";

/// The error message after apt has failed.
const NO_NETWORK: &str = "cannot fetch from the Debian mirror that this system's apt uses \
                          (is there a network?)";

/// One file, as apt's signed lists describe it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Download {
    /// The name in the download directory.
    pub name: String,
    sha256: String,
}

/// A request to apt.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A binary package.
    Package(&'a str),
    /// A source package: `NAME`, or `NAME/SUITE` for another suite than the usual one.
    Source(&'a str),
    /// Binary packages, with all their dependencies.
    System(System<'a>),
    /// Binary packages with all their dependencies, from the unstable suite.
    Unstable(System<'a>),
}

/// Packages for a system on which nothing is installed yet.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    /// The name of the system in messages.
    pub name: &'a str,
    /// Debian's name of the architecture.
    pub architecture: &'a str,
    /// The packages to install, in apt's notation.
    pub packages: &'a [&'a str],
}

impl Wanted<'_> {
    pub fn name(&self) -> &str {
        match self {
            Self::Package(name) | Self::Source(name) => name,
            Self::System(system) | Self::Unstable(system) => system.name,
        }
    }

    /// Returns the key under which the chosen files are stored.
    fn key(&self) -> String {
        match self {
            Self::Package(name) | Self::Source(name) => (*name).into(),
            Self::System(s) => format!("{}: {}", s.architecture, s.packages.join(" ")),
            Self::Unstable(s) => format!("{UNSTABLE}: {}", Self::System(*s).key()),
        }
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Package(name) => vec!["download".into(), (*name).into()],
            Self::Source(name) => vec![
                "source".into(),
                "--download-only".into(),
                match name.contains('/') {
                    true => (*name).into(),
                    false => format!("{name}/{SUITE}"),
                },
            ],
            Self::System(system) | Self::Unstable(system) => system.arguments(),
        }
    }

    fn suite(&self) -> &'static str {
        match self {
            Self::Unstable(_) => UNSTABLE,
            _ => SUITE,
        }
    }
}

impl System<'_> {
    fn arguments(&self) -> Vec<String> {
        let architecture = self.architecture;
        let options = [
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures={architecture}"),
            "APT::Install-Recommends=false".into(),
            "Dir::State::status=/dev/null".into(),
            // Without this, `install` prints only MD5 hashes.
            "Acquire::ForceHash=SHA256".into(),
        ];
        let options = options.into_iter().flat_map(|o| ["-o".into(), o]);
        let install = ["--download-only".into(), "install".into()];
        let packages = self.packages.iter().map(ToString::to_string);
        options.chain(install).chain(packages).collect()
    }
}

/// The cache, locked against other processes, with downloads into it through a private apt root.
pub struct Store<'a> {
    pub paths: &'a Paths,
    _lock: Lock,
    /// Earlier choices. Versions change only if the mirror no longer offers the chosen one.
    chosen: BTreeMap<String, Vec<Download>>,
    /// The suites with package lists that were read in this run.
    updated: Vec<&'static str>,
}

impl<'a> Store<'a> {
    /// Locks the cache, and opens its download directory.
    pub fn open(paths: &'a Paths) -> Result<Self> {
        let this = Self {
            _lock: Lock::take(&paths.cache.join("lock"))?,
            chosen: match fs::read(Self::manifest(paths)) {
                Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
                Err(_) => BTreeMap::new(),
            },
            paths,
            updated: Vec::new(),
        };
        fs::create_dir_all(this.directory())?;
        Ok(this)
    }

    /// Returns the download directory.
    pub fn directory(&self) -> PathBuf {
        self.paths.cache.join("dl")
    }

    fn manifest(paths: &Paths) -> PathBuf {
        paths.cache.join("dl/chosen.json")
    }

    /// Returns the files of `wanted`. Asks the mirror only the first time.
    pub fn choose(&mut self, wanted: Wanted<'_>) -> Result<Vec<Download>> {
        if let Some(files) = self.chosen.get(&wanted.key()) {
            return Ok(files.clone());
        }
        self.update(wanted.suite())?;
        let uris = capture(
            self.apt_get(wanted.suite())
                .arg("--print-uris")
                .args(wanted.arguments()),
        )
        .with_context(|| format!("the Debian mirror has no {}", wanted.name()))?;
        let files = uris
            .lines()
            .filter(|line| line.starts_with('\''))
            .map(parse_uri)
            .collect::<Result<Vec<_>>>()?;
        self.chosen.insert(wanted.key(), files.clone());
        fs::write(
            Self::manifest(self.paths),
            serde_json::to_vec_pretty(&self.chosen)?,
        )?;
        Ok(files)
    }

    /// Fetches the files of `wanted`, unless they are present and intact. Returns their paths.
    pub fn fetch(&mut self, wanted: Wanted<'_>) -> Result<Vec<PathBuf>> {
        let files = self.choose(wanted)?;
        if !self.all_good(&files)? {
            self.update(wanted.suite())?;
            let step = Step::new(format!("Fetching {}", wanted.name()));
            let mut log = Log::create(self.paths, &format!("fetch-{}", file_safe(wanted.name())))?;
            let mut get = self.apt_get(wanted.suite());
            // `install` stores files in the archives, `download` in the current directory.
            fs::create_dir_all(self.directory().join("partial"))?;
            get.arg("-o").arg(format!(
                "Dir::Cache::archives={}/",
                self.directory().display()
            ));
            get.args(wanted.arguments()).current_dir(self.directory());
            log.run(&step, "the download", &mut get)
                .with_context(|| NO_NETWORK)?;
            if !self.all_good(&files)? {
                // The mirror has a newer version now.
                self.chosen.remove(&wanted.key());
                let newer = self.choose(wanted)?;
                if !self.all_good(&newer)? {
                    bail!(
                        "{} arrived damaged; see {}",
                        wanted.name(),
                        log.shown().display()
                    );
                }
                step.done();
                return Ok(self.locate(&newer));
            }
            step.done();
        }
        Ok(self.locate(&files))
    }

    fn locate(&self, files: &[Download]) -> Vec<PathBuf> {
        files
            .iter()
            .map(|f| self.directory().join(&f.name))
            .collect()
    }

    /// Returns whether all files are present and intact. Removes damaged ones, so that apt fetches
    /// them again.
    fn all_good(&self, files: &[Download]) -> Result<bool> {
        let mut good = true;
        for file in files {
            let path = self.directory().join(&file.name);
            if !path.exists() {
                good = false;
            } else if file_sha256(&path)? != file.sha256 {
                eprintln!("  {} is damaged; it is fetched again", file.name);
                fs::remove_file(&path)?;
                good = false;
            }
        }
        Ok(good)
    }

    /// Updates the private package lists of a suite, once per run.
    fn update(&mut self, suite: &'static str) -> Result<()> {
        if self.updated.contains(&suite) {
            return Ok(());
        }
        let step = Step::new("Reading the Debian package lists");
        let mut log = Log::create(self.paths, "apt-update")?;
        self.write_root(suite)?;
        let mut update = self.apt_get(suite);
        update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        log.run(&step, "reading the package lists", &mut update)
            .with_context(|| NO_NETWORK)?;
        step.done();
        self.updated.push(suite);
        Ok(())
    }

    /// Returns the private root of a suite. The unstable one has its own root, as apt takes the
    /// newest package of all suites in a root.
    fn root(&self, suite: &str) -> PathBuf {
        self.paths.cache.join(match suite {
            UNSTABLE => "apt-unstable",
            _ => "apt",
        })
    }

    fn write_root(&self, suite: &str) -> Result<()> {
        let root = self.root(suite);
        for dir in ["state/lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(root.join(dir))?;
        }
        let keyring = ["gpg", "pgp"]
            .map(|ext| format!("/usr/share/keyrings/debian-archive-keyring.{ext}"))
            .into_iter()
            .find(|path| Path::new(path).exists())
            .context("Debian's archive keys are missing: install debian-archive-keyring")?;
        let mirror = system_mirror()?;
        let list = match suite {
            UNSTABLE => format!("deb [signed-by={keyring} arch=amd64] {mirror} {UNSTABLE} main\n"),
            _ => format!(
                "deb [signed-by={keyring} arch=amd64,arm64,armhf] {mirror} {SUITE} main\n\
                 deb [signed-by={keyring} arch=amd64,arm64] {mirror} {SUITE}-backports main\n\
                 deb-src [signed-by={keyring}] {mirror} {SUITE} main\n\
                 deb-src [signed-by={keyring}] {mirror} {OLDER} main\n"
            ),
        };
        fs::write(root.join("etc/sources.list"), list)?;
        Ok(())
    }

    fn apt_get(&self, suite: &str) -> Command {
        let root = self.root(suite);
        let mut command = Command::new("apt-get");
        for (key, value) in [
            ("Dir::State", root.join("state")),
            ("Dir::Cache", root.join("cache")),
            ("Dir::Etc::sourcelist", root.join("etc/sources.list")),
            ("Dir::Etc::sourceparts", PathBuf::from("-")),
            ("Dir::Etc::preferencesparts", PathBuf::from("-")),
        ] {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        // The download directory belongs to the user, not to apt's own account.
        command.args([
            "-q",
            "-y",
            "-o",
            "APT::Sandbox::User=",
            "-o",
            "APT::Architectures=amd64,arm64,armhf",
            "-o",
            "Acquire::Retries=2",
        ]);
        command.env("LC_ALL", "C");
        command
    }
}

/// Returns the Debian mirror in the configuration of the host's apt.
fn system_mirror() -> Result<String> {
    let format = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(RELEASE)|$(COMPONENT)";
    let targets = capture(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let rows: Vec<Vec<&str>> = targets.lines().map(|l| l.split('|').collect()).collect();
    let ours = |origin: &str| {
        rows.iter()
            .filter(|r| r.len() == 5 && r[0] == origin && r[4] == "main")
            .find(|r| !r[2].contains("security") && !r[3].contains("security"))
            .map(|r| r[1].to_owned())
    };
    // Without package lists, as in a container image, apt knows no origin.
    ours("Debian")
        .or_else(|| ours(""))
        .context("this system's apt names no Debian mirror")
}

/// Parses a line `'URI' name size SHA256:hash` of `--print-uris`.
fn parse_uri(line: &str) -> Result<Download> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, name, _, hash] = fields[..] else {
        bail!("apt described a download in an unknown way");
    };
    let sha256 = hash
        .strip_prefix("SHA256:")
        .context("apt gave no SHA256 for a download")?;
    Ok(Download {
        name: name.into(),
        sha256: sha256.into(),
    })
}

fn file_safe(name: &str) -> String {
    name.replace([':', '/'], "-")
}
