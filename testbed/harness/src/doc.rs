// SPDX-License-Identifier: GPL-2.0
//! `make doc`: builds the pages, and the rustdoc of the driver.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec::Log;
use crate::paths::{Paths, copy_tree};
use crate::provision::{Given, Kernel, Provision};
use crate::tree;
use crate::ui::Step;

/// Lints of rustdoc. Links to private items are allowed: all items are documented, and the crate
/// has no user outside.
const RUSTDOC_LINTS: [&str; 5] = [
    "-Dwarnings",
    "-Drustdoc::broken_intra_doc_links",
    "-Drustdoc::invalid_html_tags",
    "-Drustdoc::bare_urls",
    "-Arustdoc::private_intra_doc_links",
];

/// The address of the documentation of the kernel's own crates.
const KERNEL_CRATES: &str = "https://rust.docs.kernel.org/";

/// The project's name in the pages. In the kernel's tree it is the kernel.
const PROJECT: &str = "Renesas IPMMU driver in Rust";
const AUTHOR: &str = "IPMMU in Rust project";
/// The file with the version in its first line.
const CHANGELOG: &str = "packaging/debian/changelog";

/// Builds pages and rustdoc in `build/doc/`.
pub fn run(paths: &Paths, given: &Given) -> Result<()> {
    let kernel = Provision::kernel(paths, given)?;
    let out = paths.build().join("doc");
    fs::create_dir_all(&out)?;
    let mut log = Log::create(paths, "doc")?;

    let step = Step::new("Documentation");
    pages(paths, &kernel, "html", &out, &step, &mut log)?;
    step.done();

    let rust = out.join("rust");
    let step = Step::new("Documentation of the code");
    rustdoc(paths, &kernel, &rust, &step, &mut log)?;
    step.done();

    println!("{}", paths.short(&out.join("index.html")).display());
    println!(
        "{}",
        paths.short(&rust.join("ipmmu_vmsa/index.html")).display()
    );
    Ok(())
}

/// Builds the pages of the checkout.
pub fn pages(
    paths: &Paths,
    kernel: &Kernel,
    builder: &str,
    out: &Path,
    step: &Step,
    log: &mut Log,
) -> Result<()> {
    let stage = tempfile::tempdir()?;
    let source = stage.path().join("Documentation");
    copy_tree(&paths.repo.join("Documentation"), &source)?;
    let mut sphinx = sphinx(kernel, stage.path(), "index")?;
    let version = version(&paths.repo)?;
    // The kernel's configuration takes the version from a Makefile that is not here. For its theme
    // it looks for a word that begins with "version=", and appends one with "release=".
    sphinx
        .args(["-D", &format!("version={version}")])
        .arg(format!("-Drelease={version}"))
        .arg(format!("-Dproject={PROJECT}"))
        .arg(format!("-Dauthor={AUTHOR}"))
        .arg(format!("-Dcopyright={AUTHOR}"));
    sphinx.args(["-b", builder]).arg(&source).arg(out);
    log.run(step, "sphinx-build", &mut sphinx)
}

/// Returns the version of the driver, which is in brackets, as in all changelogs of Debian.
fn version(repo: &Path) -> Result<String> {
    let text = fs::read_to_string(repo.join(CHANGELOG)).context(CHANGELOG)?;
    let bracketed = text
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let (version, _) = bracketed.with_context(|| format!("{CHANGELOG} names no version"))?;
    Ok(version.to_owned())
}

/// Builds the pages as they are in a kernel's tree, where some are missing.
pub fn pages_in_tree(paths: &Paths, kernel: &Kernel, step: &Step, log: &mut Log) -> Result<()> {
    let stage = tempfile::tempdir()?;
    let first = tree::write_documentation(&paths.repo, stage.path())?;
    let mut sphinx = sphinx(kernel, stage.path(), &first)?;
    sphinx.args(["-b", "dummy"]);
    sphinx.arg(stage.path().join("Documentation"));
    sphinx.arg(stage.path().join("out"));
    log.run(step, "sphinx-build of the pages in the tree", &mut sphinx)
}

/// Returns `sphinx-build` with the configuration of the kernel's documentation, in a `stage` where
/// the kernel's extensions find the rest of a tree that they expect.
fn sphinx(kernel: &Kernel, stage: &Path, root_doc: &str) -> Result<Command> {
    let tree = fs::canonicalize(kernel.tree())?;
    symlink(tree.join("MAINTAINERS"), stage.join("MAINTAINERS"))?;
    let mut sphinx = Command::new("/usr/bin/sphinx-build");
    sphinx
        .args(["-q", "-W", "--keep-going", "-c"])
        .arg(tree.join("Documentation"))
        .args(["-D", &format!("root_doc={root_doc}"), "-d"])
        .arg(stage.join("doctrees"))
        .env("srctree", &tree)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(sphinx)
}

/// Runs rustdoc on the driver as the kernel's build runs rustc.
pub fn rustdoc(
    paths: &Paths,
    kernel: &Kernel,
    out: &Path,
    step: &Step,
    log: &mut Log,
) -> Result<()> {
    let module = kernel.lock_and_find_module(paths)?;
    let built = module.parent().context("the module is in no directory")?;
    let saved = fs::read_to_string(built.join(".ipmmu_vmsa.o.cmd"))
        .context("the build left no word of how it called rustc")?;
    let call = for_rustdoc(&saved).context("the build did not call rustc as expected")?;
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{call} \"$@\""), "sh"])
        .arg("--output")
        .arg(out)
        .arg("--document-private-items")
        .args(RUSTDOC_LINTS);
    for name in ["core", "kernel", "pin_init", "zerocopy"] {
        shell.arg(format!("--extern-html-root-url={name}={KERNEL_CRATES}"));
    }
    // As in a kernel build: the kernel uses unstable features.
    shell.current_dir(built).env("RUSTC_BOOTSTRAP", "1");
    kernel.with_tools(&mut shell);
    log.run(step, "rustdoc", &mut shell)?;
    if !out.join("ipmmu_vmsa/index.html").exists() {
        bail!(
            "rustdoc wrote nothing; the log is {}",
            log.shown().display()
        );
    }
    Ok(())
}

/// Turns the command that built the crate into one for rustdoc, which is in the directory of rustc.
fn for_rustdoc(saved: &str) -> Option<String> {
    let line = saved.lines().next()?;
    let (_, command) = line.split_once(":= ")?;
    let mut words = Vec::new();
    let mut rest = command.split(' ').filter(|w| !w.is_empty());
    let mut called = false;
    while let Some(word) = rest.next() {
        if word == "rustc" || word.ends_with("/rustc") {
            called = true;
            words.push(format!("{}doc", word.strip_suffix('c')?));
        } else if word == "--out-dir" {
            rest.next()?;
        } else if !["--emit=", "--remap-path-"]
            .iter()
            .any(|p| word.starts_with(p))
        {
            words.push(word.to_owned());
        }
    }
    called.then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustdoc_gets_what_rustc_got_but_for_outputs() {
        let saved = "savedcmd_x.o := OBJTREE=/b /usr/bin/rustc --edition=2021  --remap-path-prefix=/a= \
                     @/b/cfg --out-dir ./ --emit=obj=x.o /a/x.rs\n\nsource := /a/x.rs\n";
        assert_eq!(
            for_rustdoc(saved).unwrap(),
            "OBJTREE=/b /usr/bin/rustdoc --edition=2021 @/b/cfg /a/x.rs"
        );
        assert_eq!(for_rustdoc("savedcmd_x.o := clang x.c\n"), None);
    }
}
