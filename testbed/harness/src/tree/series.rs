// SPDX-License-Identifier: GPL-2.0
//! The driver as a series of patches, each with one subject.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use walkdir::WalkDir;

use super::author::Author;
use super::edits::EDITS;
use super::kernel_crate::{HERE, THERE};
use super::payload::{HOME, Payload, patterns};
use super::source::Tree;
use crate::exec::{Log, capture};
use crate::ui::Step;

/// The directory with the files and the message of each patch.
const TEXTS: &str = "packaging/series";

/// The file with the cover letter.
const COVER: &str = "00-cover";

/// One patch: its files and its message.
struct Part {
    name: String,
    files: Vec<String>,
    message: String,
}

impl Part {
    /// Parses a patch: one line for each file, an empty line, and the message.
    fn parse(name: String, text: &str) -> Result<Self> {
        let (files, message) = text
            .split_once("\n\n")
            .with_context(|| format!("{TEXTS}/{name} has no message"))?;
        Ok(Self {
            name,
            files: files.lines().map(in_tree).collect(),
            message: message.to_owned(),
        })
    }

    /// Returns whether the patch names `path`, or a directory that contains it.
    fn names(&self, path: &str) -> bool {
        self.files.iter().any(|named| is_in(path, named))
    }
}

/// Returns whether `path` is `named`, or is in the directory `named`.
fn is_in(path: &str, named: &str) -> bool {
    path == named || (named.ends_with('/') && path.starts_with(named))
}

/// Returns the path in the kernel's tree of a file that a patch names.
fn in_tree(file: &str) -> String {
    match file.strip_prefix(HERE) {
        Some(abstraction) => format!("{THERE}{abstraction}"),
        None if file == "Documentation/" || file.starts_with("rust/") => file.to_owned(),
        None => format!("{HOME}/{file}"),
    }
}

/// Reads the cover letter, and the patches in order.
fn parts(repo: &Path) -> Result<(String, Vec<Part>)> {
    let (mut cover, mut parts) = (None, Vec::new());
    for entry in WalkDir::new(repo.join(TEXTS)).sort_by_file_name() {
        let path = entry?.into_path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path)?;
        if name == COVER {
            cover = Some(text);
        } else {
            parts.push(Part::parse(name.into_owned(), &text)?);
        }
    }
    let cover = cover.with_context(|| format!("{TEXTS}/{COVER} is missing"))?;
    ensure!(parts.len() > 1, "{TEXTS} has no patches");
    Ok((cover, parts))
}

/// Returns the files of each patch, with their texts. Files that no patch names are the driver, the
/// last patch. Fails if a file below `rust/` is not named, or any file is named twice.
fn assign(parts: &[Part], payload: &Payload) -> Result<Vec<Vec<(String, String)>>> {
    let mut assigned = vec![Vec::new(); parts.len()];
    for (path, text) in payload.files() {
        let mut naming = (0..parts.len()).filter(|&number| parts[number].names(path));
        let number = match (naming.next(), naming.next()) {
            (Some(_), Some(other)) => {
                bail!("{TEXTS}/{}: {path} is in two patches", parts[other].name)
            }
            (Some(number), None) => number,
            (None, _) if path.starts_with("rust/") => {
                bail!("{path} is in no patch: name it in a file of {TEXTS}/")
            }
            (None, _) => parts.len() - 1,
        };
        assigned[number].push((path.to_owned(), text.to_owned()));
    }
    let is_missing = |named: &&String| !payload.files().any(|(path, _)| is_in(path, named));
    for part in parts {
        if let Some(named) = part.files.iter().find(is_missing) {
            bail!("{TEXTS}/{}: there is no {named}", part.name);
        }
    }
    Ok(assigned)
}

/// A temporary repository. Settings of the user do not affect it.
struct Git<'a> {
    top: &'a Path,
    author: &'a Author,
}

impl Git<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.top).args(arguments);
        for variable in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"] {
            git.env(variable, "/dev/null");
        }
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), self.author.name());
            git.env(format!("GIT_{role}_EMAIL"), self.author.email());
        }
        git
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        capture(&mut self.command(arguments))
    }

    /// Creates the repository, with all present files in its first commit.
    fn init(&self) -> Result<()> {
        self.run(&["init", "-q", "-b", "series"])?;
        self.run(&["add", "-A"])?;
        self.run(&["commit", "-q", "-m", "Linux"]).map(drop)
    }
}

/// Writes the series to `out`, which is emptied first. Returns the files, the cover letter first.
pub fn emit(repo: &Path, tree: &Tree, author: &Author, out: &Path) -> Result<Vec<PathBuf>> {
    let (cover, parts) = parts(repo)?;
    let payload = Payload::collect(repo)?;
    let stage = tempfile::tempdir()?;
    let work = Tree::excerpt(tree, stage.path())?;
    let git = Git {
        top: stage.path(),
        author,
    };
    git.init()?;
    let mut so_far: Vec<String> = Vec::new();
    for (part, files) in parts.iter().zip(assign(&parts, &payload)?) {
        for (path, text) in &files {
            work.write(path, text)?;
            so_far.push(path.clone());
        }
        let patterns = patterns(so_far.iter().map(String::as_str));
        for edit in &EDITS {
            if edit.grows() || files.iter().any(|(path, _)| edit.is_for(path)) {
                let text = edit.remove(&work.read(edit.file)?);
                work.write(edit.file, &edit.insert(&text, author, &patterns)?)?;
            }
        }
        git.run(&["add", "-A"])?;
        git.run(&["commit", "-q", "-s", "-m", &part.message])?;
    }
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    let base = format!("HEAD~{}", parts.len());
    git.run(&["config", "branch.series.description", &cover])?;
    let mut format = git.command(&["format-patch", "-q", "--cover-letter", "--thread=shallow"]);
    format.args(["--cover-from-description=subject", "-o"]);
    capture(format.arg(out).arg(base))?;
    let mut patches: Vec<PathBuf> = fs::read_dir(out)?
        .map(|e| Ok(e?.path()))
        .collect::<Result<_>>()?;
    patches.sort();
    shorten(patches.first().context("git wrote no patch")?)?;
    Ok(patches)
}

/// Removes the lines about new files from the cover letter. Its list of files also contains them,
/// and checkpatch complains about long lines.
fn shorten(cover: &Path) -> Result<()> {
    let text = fs::read_to_string(cover)?;
    let kept = text.lines().filter(|l| !l.starts_with(" create mode "));
    fs::write(cover, kept.flat_map(|l| [l, "\n"]).collect::<String>())?;
    Ok(())
}

/// Fails unless the files that were added since `base` are formatted as rustfmt does.
fn expect_format(git: &Git, base: &str, tree: &Tree, step: &Step, log: &mut Log) -> Result<()> {
    let added = git.run(&["diff", "--name-only", "--diff-filter=A", base, "--", "*.rs"])?;
    let mut format = Command::new("/usr/bin/rustfmt");
    format
        .args(["--check", "--edition", "2021", "--config-path"])
        .arg(tree.top.join(".rustfmt.toml"))
        .args(added.lines().map(|file| git.top.join(file)));
    log.run(step, "rustfmt of the patches' files", &mut format)
}

/// Fails unless the series applies to `tree`, is formatted, has the result of an installation, can
/// be removed without a trace, and passes checkpatch.
pub fn verify(repo: &Path, tree: &Tree, step: &Step, log: &mut Log) -> Result<()> {
    let author = Author::find(repo)?;
    let dir = tempfile::tempdir()?;
    let patches = emit(repo, tree, &author, &dir.path().join("patches"))?;

    let (clean, installed) = (dir.path().join("clean"), dir.path().join("installed"));
    let work = Tree::excerpt(tree, &clean)?;
    let git = Git {
        top: &clean,
        author: &author,
    };
    git.init()?;
    let mut apply = git.command(&["am", "--quiet"]);
    // The first file is the cover letter, which is no patch.
    log.run(step, "git am", apply.args(&patches[1..]))?;

    let base = format!("HEAD~{}", patches.len() - 1);
    expect_format(&git, &base, tree, step, log)?;

    Tree::excerpt(tree, &installed)?.install(repo, &author)?;
    let mut compare = Command::new("diff");
    compare
        .args(["-r", "--exclude=.git"])
        .arg(&clean)
        .arg(&installed);
    log.run(
        step,
        "comparing the patches with install-tree",
        &mut compare,
    )?;

    work.uninstall()?;
    git.run(&["add", "-A"])?;
    let mut left = git.command(&["diff", "--exit-code", "--cached"]);
    left.arg(&base);
    log.run(
        step,
        "comparing uninstall-tree with the tree before",
        &mut left,
    )?;

    let mut check = Command::new("perl");
    check
        .arg(tree.top.join("scripts/checkpatch.pl"))
        .arg("--root")
        .arg(&tree.top)
        .args(["--strict", "--terse", "--show-types", "--no-summary"])
        // checkpatch asks for an entry in MAINTAINERS for each new file. The comparison with
        // install-tree has shown that there is one.
        .args(["--ignore", "FILE_PATH_CHANGES"])
        .args(&patches);
    log.run(step, "checkpatch of the patches", &mut check)
}
