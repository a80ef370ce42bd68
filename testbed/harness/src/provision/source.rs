// SPDX-License-Identifier: GPL-2.0
//! Sources and packages, unpacked in the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Download, Store, Wanted};
use super::artifact::{Key, keyed};
use crate::exec::Log;
use crate::ui::Step;

/// The kernel's source, as Debian packages it.
pub const LINUX: Wanted<'_> = Wanted::Package("linux-source-7.3");
/// QEMU's source, as Debian packages it.
pub const QEMU: Wanted<'_> = Wanted::Source("qemu");

/// Xen's source, as Debian 12 packages it.
pub const XEN: Wanted<'_> = Wanted::Source("xen/bookworm");

/// Returns the names of the packages and original tarballs among `files`, versions included.
pub fn version(files: &[Download]) -> String {
    files
        .iter()
        .map(|f| f.name.as_str())
        .filter(|n| n.ends_with(".deb") || n.contains(".orig.tar."))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Unpacks the kernel's source into `<cache>/src/linux-…`, unless it is there.
pub fn linux(store: &mut Store) -> Result<PathBuf> {
    let paths = store.paths;
    unpacked(store, LINUX, "linux", |files, dir, log, step| {
        let deb = files.first().context("linux-source has no file")?;
        let stage = tempfile::tempdir_in(paths.cache.join("src"))?;
        extract(deb, stage.path(), log, step)?;
        let tarball = fs::read_dir(stage.path().join("usr/src"))?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .find(|p| p.to_string_lossy().ends_with(".tar.xz"))
            .context("linux-source holds no tarball")?;
        untar(&tarball, dir, log, step)
    })
}

/// Unpacks QEMU's source into `<cache>/src/qemu-…`, unless it is there.
pub fn qemu(store: &mut Store) -> Result<PathBuf> {
    original(store, QEMU, "qemu")
}

/// Unpacks Xen's source into `<cache>/src/xen-…`, unless it is there.
pub fn xen(store: &mut Store) -> Result<PathBuf> {
    original(store, XEN, "xen")
}

/// Unpacks a source package without Debian's changes.
fn original(store: &mut Store, wanted: Wanted<'_>, name: &str) -> Result<PathBuf> {
    unpacked(store, wanted, name, |files, dir, log, step| {
        let tarball = files
            .iter()
            .find(|p| p.to_string_lossy().contains(".orig.tar."))
            .with_context(|| format!("the {name} source has no tarball"))?;
        untar(tarball, dir, log, step)
    })
}

/// Unpacks the packages `wanted` into a directory of the cache, unless they are there.
pub fn packages(
    store: &mut Store,
    name: &str,
    what: &str,
    wanted: &[Wanted<'_>],
) -> Result<PathBuf> {
    let paths = store.paths;
    let key = packages_in(Key::new("packages 1"), store, wanted)?;
    keyed(&paths.cache, name, key, |dir| {
        let mut files = Vec::new();
        for &package in wanted {
            files.extend(store.fetch(package)?);
        }
        let step = Step::new(format!("Unpacking {what}"));
        let mut log = Log::create(paths, name)?;
        for file in &files {
            extract(file, dir, &mut log, &step)?;
        }
        step.done();
        Ok(())
    })
}

/// Adds the versions of the packages `wanted` to a key.
pub fn packages_in(mut key: Key, store: &mut Store, wanted: &[Wanted<'_>]) -> Result<Key> {
    for &package in wanted {
        key = key.text("package", &version(&store.choose(package)?));
    }
    Ok(key)
}

fn extract(deb: &Path, dir: &Path, log: &mut Log, step: &Step) -> Result<()> {
    let mut extract = Command::new("dpkg-deb");
    extract.arg("-x").arg(deb).arg(dir);
    log.run(step, "unpacking a package", &mut extract)
}

/// Unpacks busybox's package into `dir`. Returns the path of the program.
pub fn busybox(deb: &Path, dir: &Path, log: &mut Log, step: &Step) -> Result<PathBuf> {
    extract(deb, dir, log, step)?;
    ["bin/busybox", "usr/bin/busybox"]
        .map(|name| dir.join(name))
        .into_iter()
        .find(|path| path.is_file())
        .context("the busybox package holds no busybox")
}

/// Returns the directory for the source `wanted`. Calls `unpack` to fill a new one.
fn unpacked(
    store: &mut Store,
    wanted: Wanted<'_>,
    name: &str,
    unpack: impl FnOnce(&[PathBuf], &Path, &mut Log, &Step) -> Result<()>,
) -> Result<PathBuf> {
    let paths = store.paths;
    let dir = paths.cache.join("src").join(format!(
        "{name}-{}",
        Key::new("source 1")
            .text("version", &version(&store.choose(wanted)?))
            .finish()
    ));
    let stamp = dir.with_extension("complete");
    if stamp.exists() {
        return Ok(dir);
    }
    let files = store.fetch(wanted)?;
    let step = Step::new(format!("Unpacking the {name} source"));
    let mut log = Log::create(paths, &format!("unpack-{name}"))?;
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    unpack(&files, &dir, &mut log, &step)?;
    File::create(stamp)?;
    step.done();
    Ok(dir)
}

fn untar(tarball: &Path, dir: &Path, log: &mut Log, step: &Step) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(tarball).arg("-C").arg(dir);
    tar.arg("--strip-components=1");
    log.run(step, "unpacking the source", &mut tar)
}
