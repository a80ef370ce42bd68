// SPDX-License-Identifier: GPL-2.0
//! A small Debian 13 for the board, with Debian's kernel and initramfs-tools, but without the
//! driver's packages.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

use super::kernel::Release;
use crate::exec::{Log, capture};
use crate::provision::apt::{Store, System, Wanted};
use crate::provision::arch::Arch;
use crate::provision::artifact::{Key, keyed};
use crate::provision::kernel::{DTB, Kernel};
use crate::provision::root::unpack;
use crate::provision::source;
use crate::ui::Step;

/// The packages of the system, besides the kernel.
const PACKAGES: [&str; 22] = [
    // The kernel's packages need a newer version than that of the first Debian 13.
    "linux-base/trixie-backports",
    "initramfs-tools",
    "kmod",
    "udev",
    "busybox",
    "zstd",
    "dpkg",
    "e2fsprogs",
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "mawk",
    "sed",
    "util-linux",
];

/// Modules of Debian's kernel that mount the card while Debian has no initramfs, in the order of
/// their dependencies.
const MODULES: [&str; 10] = [
    "fixed",
    "gpio-regulator",
    "gpio-rcar",
    "tmio_mmc_core",
    "renesas_sdhi_core",
    "renesas_sdhi_internal_dmac",
    "mbcache",
    "jbd2",
    "crc16",
    "ext4",
];

/// The size of the card, which must be a power of two.
const SIZE: u64 = 1 << 30;

/// The unpacked system.
pub struct Disk {
    dir: PathBuf,
    /// Debian's kernel, with the board's device tree.
    pub kernel: Kernel,
}

impl Disk {
    /// Unpacks the system, unless the cache has it.
    pub fn prepare(store: &mut Store, release: &Release) -> Result<Self> {
        let paths = store.paths;
        let image = format!("linux-image-{}", release.name);
        let packages: Vec<&str> = PACKAGES.into_iter().chain([image.as_str()]).collect();
        let system = Wanted::System(System {
            name: "Debian 13 with its kernel for arm64",
            architecture: "arm64",
            packages: &packages,
        });
        let key = Key::new("debian disk 1").text("files", &source::version(&store.choose(system)?));
        let dir = keyed(&paths.cache, "debian-disk", key, |dir| {
            let debs = store.fetch(system)?;
            let step = Step::new("Unpacking Debian 13 for the board");
            let mut log = Log::create(paths, "debian-disk")?;
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
            let tree = dir.join("tree");
            unpack(&debs, &tree, &["./usr/share/doc"], &mut log, &step)?;
            symlink("mawk", tree.join("usr/bin/awk"))?;
            register(&debs, &tree)?;
            boot_files(dir, &tree, &release.name)?;
            let mut format = Command::new("env");
            format.args([
                "--",
                "mkfs.ext4",
                "-q",
                "-L",
                "debian",
                "-E",
                "root_owner=0:0",
                "-d",
            ]);
            format.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            File::create(dir.join("emmc.img"))?.set_len(SIZE)?;
            format.arg(&tree).arg(dir.join("emmc.img"));
            log.run(&step, "making a file system", &mut format)?;
            fs::remove_dir_all(&tree)?;
            step.done();
            Ok(())
        })?;
        let kernel = Kernel::at(dir.join("kernel"), Arch::Arm64, None)?;
        Ok(Self { dir, kernel })
    }

    /// Returns the path of the eMMC's image.
    pub fn image(&self) -> PathBuf {
        self.dir.join("emmc.img")
    }

    /// Returns the paths of the modules that are needed to mount a card.
    pub fn modules(&self) -> Vec<PathBuf> {
        let dir = self.dir.join("modules");
        MODULES.map(|m| dir.join(format!("{m}.ko"))).into()
    }
}

/// Registers the packages with dpkg, as if it had installed them.
fn register(debs: &[PathBuf], tree: &Path) -> Result<()> {
    let dpkg = tree.join("var/lib/dpkg");
    for dir in ["info", "updates"] {
        fs::create_dir_all(dpkg.join(dir))?;
    }
    let mut status = String::new();
    for deb in debs {
        let query = |option: &str| capture(Command::new("dpkg-deb").arg(option).arg(deb));
        let control = query("-f")?;
        let field = |name: &str| {
            control
                .lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
        };
        let name = field("Package").context("a package has no name")?;
        writeln!(
            status,
            "{}\nStatus: install ok installed\n",
            control.trim_end()
        )?;
        let files = capture(Command::new("sh").args([
            "-c",
            "dpkg-deb --fsys-tarfile \"$1\" | tar -t | sed -e 's|^\\./|/|' -e 's|/$||' -e 's|^$|/.|'",
            "sh",
        ]).arg(deb))?;
        let list = match field("Multi-Arch") {
            Some("same") => format!("{name}:arm64.list"),
            _ => format!("{name}.list"),
        };
        fs::write(dpkg.join("info").join(list), files)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dpkg.join("status"))?;
    file.write_all(status.as_bytes())?;
    Ok(())
}

/// Copies the files that the board boots, and unpacks the modules that mount its card.
fn boot_files(dir: &Path, tree: &Path, release: &str) -> Result<()> {
    let modules = tree.join("usr/lib/modules").join(release);
    let board = Path::new(DTB).file_name().context("the dtb is a file")?;
    let copies = [
        (modules.join("vmlinuz"), Arch::Arm64.image()),
        (modules.join("dtb/renesas").join(board), DTB),
    ];
    let kernel = dir.join("kernel");
    for (from, to) in copies {
        let to = kernel.join(to);
        fs::create_dir_all(to.parent().context("it is in a directory")?)?;
        fs::copy(&from, to).with_context(|| format!("no {}", from.display()))?;
    }
    fs::create_dir_all(kernel.join("include/config"))?;
    fs::write(kernel.join("include/config/kernel.release"), release)?;

    // This is otherwise done when dpkg configures the kernel's packages.
    fs::copy(
        modules.join("config"),
        tree.join(format!("boot/config-{release}")),
    )?;
    unpack_modules(&modules, &dir.join("modules"))
}

fn unpack_modules(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in WalkDir::new(from.join("kernel")) {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy();
        let Some(name) = file.strip_suffix(".ko.xz") else {
            continue;
        };
        if MODULES.contains(&name) {
            let mut xz = Command::new("xz");
            let to = File::create(to.join(format!("{name}.ko")))?;
            let done = xz.arg("-dc").arg(entry.path()).stdout(to).status()?;
            ensure!(done.success(), "{file} cannot be decompressed");
        }
    }
    Ok(())
}
