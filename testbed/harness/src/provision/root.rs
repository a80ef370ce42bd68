// SPDX-License-Identifier: GPL-2.0
//! Debian 13 systems in directories, which become the root of processes: one with the compilers of
//! Debian's kernel, and one with lintian.

use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt::{Store, System, Wanted};
use super::artifact::{Key, keyed};
use super::source;
use crate::exec::{Log, capture};
use crate::ui::Step;

/// The packages that build Debian's kernel for arm64 on amd64, with those for its Rust code and for
/// programs that run during the build.
const COMPILERS: System<'_> = System {
    name: "the compilers of Debian 13",
    architecture: "amd64",
    packages: &[
        "rustc/trixie",
        "rust-src/trixie",
        "bindgen",
        "gcc-14-aarch64-linux-gnu",
        "libc6-dev-arm64-cross",
        "gcc-14",
        "libc6-dev",
        "libelf-dev",
        "libssl-dev",
        "openssl",
        "pahole",
        "make",
        "flex",
        "bison",
        "bc",
        "perl-base",
        "python3-minimal",
        "kmod",
        "xz-utils",
        "mawk",
        "bash",
        "dash",
        "coreutils",
        "diffutils",
        "findutils",
        "grep",
        "sed",
        "tar",
        "gzip",
    ],
};

/// The package checker lintian, and the programs that it calls.
const LINTIAN: System<'_> = System {
    name: "Debian's lintian",
    architecture: "amd64",
    packages: &[
        "lintian",
        "bash",
        "coreutils",
        "dash",
        "debianutils",
        "diffutils",
        "findutils",
        "grep",
        "gzip",
        "libc-bin",
        "mawk",
        "sed",
    ],
};

/// Paths that are not unpacked: half of the system, but nothing that the compilers need.
const NOT_NEEDED: [&str; 8] = [
    "./usr/share/doc",
    "./usr/share/locale",
    "./usr/share/man",
    "./usr/lib/llvm-19/lib/*.a",
    "./usr/src/rustc-*/compiler",
    "./usr/src/rustc-*/src",
    "./usr/src/rustc-*/tests",
    "./usr/src/rustc-*/vendor",
];

/// Runs a program with a directory as its root and others mounted there. Only this process sees the
/// mounts, and they end with it.
const ENTER: &str = r#"
set -e
root=$1
shift
for own in /dev /proc; do
	mount --rbind "$own" "$root$own"
done
while [ "$1" != -- ]; do
	mkdir -p "$root$2"
	mount --bind "$1" "$root$2"
	shift 2
done
shift
exec env -i PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C chroot "$root" "$@"
"#;

/// The directory of an unpacked system.
pub struct Root(PathBuf);

impl Root {
    /// Unpacks a system with the compilers, unless the cache has it.
    pub fn compilers(store: &mut Store) -> Result<Self> {
        Self::prepare(store, "debian-root", COMPILERS)
    }

    /// Unpacks a system with lintian, unless the cache has it.
    pub fn lintian(store: &mut Store) -> Result<Self> {
        Self::prepare(store, "debian-lintian", LINTIAN)
    }

    /// Unpacks a system unless the cache has it, and checks that it can be entered.
    fn prepare(store: &mut Store, name: &str, system: System<'_>) -> Result<Self> {
        let paths = store.paths;
        ensure!(
            ARCH == "x86_64",
            "Debian's compilers for arm64 are run on amd64 here, and this is {ARCH}"
        );
        let wanted = Wanted::System(system);
        let key = Key::new("debian root 1").text("files", &source::version(&store.choose(wanted)?));
        let dir = keyed(&paths.cache, name, key, |dir| {
            let debs = store.fetch(wanted)?;
            let step = Step::new(format!("Unpacking {}", system.name));
            let mut log = Log::create(paths, name)?;
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
            unpack(&debs, dir, &NOT_NEEDED, &mut log, &step)?;
            // These links are otherwise made by scripts of the packages.
            symlink("mawk", dir.join("usr/bin/awk"))?;
            symlink("debian", dir.join("etc/dpkg/origins/default"))?;
            step.done();
            Ok(())
        })?;
        let this = Self(dir);
        capture(&mut this.command(&[], "true")).with_context(|| {
            format!(
                "cannot make the directory of {} the root of a process: this needs root, or \
                 unprivileged user namespaces",
                system.name
            )
        })?;
        Ok(this)
    }

    /// Returns the command that runs `program` in this system, with host directories mounted.
    pub fn command(&self, mounts: &[(&Path, &str)], program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if !is_root {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", ENTER, "sh"]).arg(&self.0);
        for (from, to) in mounts {
            command.arg(from).arg(to);
        }
        command.arg("--").arg(program);
        command
    }

    /// Returns a string that changes with any package of the system.
    pub fn key(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// Unpacks packages into the root directory of a system.
pub fn unpack(
    debs: &[PathBuf],
    dir: &Path,
    without: &[&str],
    log: &mut Log,
    step: &Step,
) -> Result<()> {
    fs::create_dir_all(dir.join("usr"))?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(dir.join("usr").join(name))?;
        symlink(format!("usr/{name}"), dir.join(name))?;
    }
    let script = "dir=$1\nshift\nwhile [ \"$1\" != -- ]; do\n\
                  without=\"$without --exclude=$1\"\nshift\ndone\nshift\n\
                  for deb; do\necho \"${deb##*/}\"\n\
                  dpkg-deb --fsys-tarfile \"$deb\" | tar -x -C \"$dir\" --no-same-owner \
                  --keep-directory-symlink \
                  --no-wildcards-match-slash $without || exit 1\ndone\n";
    let mut tar = Command::new("sh");
    tar.args(["-f", "-c", script, "sh"]).arg(dir);
    tar.args(without).arg("--").args(debs);
    log.run(step, "unpacking packages of Debian 13", &mut tar)
}
