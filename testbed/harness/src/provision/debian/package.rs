// SPDX-License-Identifier: GPL-2.0
//! The Debian packages: one with the module for one kernel, and one that adds the module to the
//! initramfs of every kernel. Their texts are in `packaging/debian`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use walkdir::WalkDir;

use super::kernel::DebianKernel;
use crate::exec::{Log, capture};
use crate::paths::Paths;
use crate::provision::kernel::MODULE;
use crate::tree::Author;
use crate::ui::Step;

/// The directory of modules that `modprobe` searches first.
const UPDATES: &str = "updates";

/// The name of the source package. Names of packages begin with it.
const SOURCE: &str = "ipmmu-vmsa";

/// The files that add the driver to an initramfs, below the directory of initramfs-tools.
pub const INITRAMFS: [&str; 2] = ["hooks/ipmmu_vmsa", "scripts/init-top/ipmmu_vmsa"];

/// Builds the packages in `build/deb`, in place of older ones. Returns their paths.
pub fn build(paths: &Paths, kernel: &DebianKernel<'_>) -> Result<Vec<PathBuf>> {
    let module = kernel.module()?;
    let step = Step::new("Packing the Debian packages");
    let mut log = Log::create(paths, "deb")?;
    let out = paths.build().join("deb");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let mut packer = Packer::new(paths, kernel, &out)?;

    let stage = tempfile::tempdir_in(&out)?;
    let modules = format!("usr/lib/modules/{}/{UPDATES}", kernel.release.name);
    let to = stage.path().join(modules).join(MODULE);
    install(&module, &to, 0o644)?;
    compress(kernel, &to, &mut log, &step)?;
    let name = format!("{SOURCE}-modules-{}", kernel.release.name);
    let first = packer.pack("modules", &name, "arm64", stage.path())?;

    let stage = tempfile::tempdir_in(&out)?;
    for file in INITRAMFS {
        let from = paths.repo.join("packaging/initramfs-tools").join(file);
        let to = stage.path().join("usr/share/initramfs-tools").join(file);
        install(&from, &to, 0o755)?;
    }
    let name = format!("{SOURCE}-initramfs");
    let second = packer.pack("initramfs", &name, "all", stage.path())?;
    step.done();
    Ok(vec![first, second])
}

/// Strips debug information from the module and compresses it with xz, as Debian does.
fn compress(kernel: &DebianKernel<'_>, module: &Path, log: &mut Log, step: &Step) -> Result<()> {
    let dir = module.parent().context("the module is in no directory")?;
    let mounts = [(dir, "/mod")];
    let file = format!("/mod/{MODULE}");
    let mut strip = kernel.root.command(&mounts, "aarch64-linux-gnu-strip");
    log.run(step, "stripping", strip.args(["--strip-debug", &file]))?;
    let mut xz = kernel.root.command(&mounts, "xz");
    xz.args(["--check=crc32", "--lzma2=dict=1MiB"]);
    log.run(step, "compressing", xz.arg(&file))
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
    fs::copy(from, to).with_context(|| format!("cannot read {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// The inputs that all packages share.
struct Packer {
    texts: PathBuf,
    out: PathBuf,
    /// The placeholders that stand between `@` in the texts, and their values.
    words: Vec<(&'static str, String)>,
    /// The time stamp of all files.
    epoch: String,
}

impl Packer {
    fn new(paths: &Paths, kernel: &DebianKernel<'_>, out: &Path) -> Result<Self> {
        let texts = paths.repo.join("packaging/debian");
        let changelog = fs::read_to_string(texts.join("changelog"))?;
        let between = |from: &str, to: &str| {
            let (_, rest) = changelog.split_once(from)?;
            Some(rest.split_once(to)?.0.trim().to_owned())
        };
        let version = between("(", ")").context("packaging/debian/changelog has no version")?;
        let date = between("@MAINTAINER@", "\n").context("the changelog has no date")?;
        let epoch = capture(Command::new("date").args(["+%s", "-d", &date]))?;
        Ok(Self {
            texts,
            out: out.to_owned(),
            words: vec![
                ("MAINTAINER", Author::find(&paths.repo)?.to_string()),
                ("VERSION", version),
                ("RELEASE", kernel.release.name.clone()),
                ("KERNEL_VERSION", kernel.release.version.clone()),
            ],
            epoch: epoch.trim().into(),
        })
    }

    fn fill_in(&self, text: &str) -> String {
        let fill = |text: String, (word, value): &(&str, String)| {
            text.replace(&format!("@{word}@"), value)
        };
        self.words.iter().fold(text.to_owned(), fill)
    }

    /// Adds the files that all packages contain to `stage`, and packs it. Returns the package.
    fn pack(&mut self, kind: &str, name: &str, arch: &str, stage: &Path) -> Result<PathBuf> {
        let doc = stage.join("usr/share/doc").join(name);
        fs::create_dir_all(&doc)?;
        let read = |name: &str| {
            let text = fs::read_to_string(self.texts.join(name))?;
            anyhow::Ok(self.fill_in(&text))
        };
        fs::write(doc.join("copyright"), read("copyright")?)?;
        let changelog = doc.join("changelog");
        fs::write(&changelog, read("changelog")?)?;
        capture(Command::new("gzip").arg("-9n").arg(&changelog))?;
        // Before the control files are added, as these are not installed.
        let size = format!("\nInstalled-Size: {}\n", kilobytes(stage)?);
        let sums = checksums(stage)?;
        let control = stage.join("DEBIAN");
        fs::create_dir(&control)?;
        fs::write(control.join("md5sums"), sums)?;
        for entry in fs::read_dir(self.texts.join(kind))? {
            let entry = entry?;
            let text = fs::read_to_string(entry.path())?;
            let text = self.fill_in(&text).replacen(
                '\n',
                &size,
                usize::from(entry.file_name() == "control"),
            );
            let to = control.join(entry.file_name());
            fs::write(&to, text)?;
            fs::set_permissions(&to, entry.metadata()?.permissions())?;
        }
        tidy(stage)?;
        let version = &self.words[1].1;
        let deb = self.out.join(format!("{name}_{version}_{arch}.deb"));
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "-Zxz", "--build"]);
        build.arg(stage).arg(&deb);
        capture(build.env("SOURCE_DATE_EPOCH", &self.epoch))?;
        Ok(deb)
    }
}

/// Returns the installed size in KiB, for apt.
fn kilobytes(stage: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in WalkDir::new(stage) {
        let entry = entry?;
        sum += match entry.file_type().is_file() {
            true => entry.metadata()?.len().div_ceil(1024),
            false => 1,
        };
    }
    Ok(sum)
}

/// Returns the checksums of the installed files, for `dpkg --verify`.
fn checksums(stage: &Path) -> Result<String> {
    let script = "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum";
    capture(Command::new("sh").args(["-c", script]).current_dir(stage))
}

/// Sets permissions that do not depend on the user's umask.
fn tidy(stage: &Path) -> Result<()> {
    for entry in WalkDir::new(stage) {
        let entry = entry?;
        let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
