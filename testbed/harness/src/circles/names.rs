// SPDX-License-Identifier: GPL-2.0
//! Resolution of paths in the files of a crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::source::{Names, Source, Use};

/// The number of re-exports through which a name is followed.
const HANDS: usize = 8;

/// One file of a crate.
struct File {
    name: String,
    source: Source,
}

/// The files of a crate, by module.
pub struct Crate(BTreeMap<Names, File>);

impl Crate {
    /// Reads `files` of a crate, which are below `top`. The crate's root is the file `root`.
    pub fn read(top: &Path, root: &str, files: &[PathBuf]) -> Result<Self> {
        let mut texts = Vec::new();
        for file in files {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let name = file.strip_prefix(top)?.to_string_lossy().into_owned();
            texts.push((name, text));
        }
        Self::parse(root, texts.iter().map(|(n, t)| (n.as_str(), t.as_str())))
    }

    /// Parses files, given by names and texts.
    pub fn parse<'a>(
        root: &str,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let mut modules = BTreeMap::new();
        for (name, text) in files {
            let source = Source::parse(text).with_context(|| name.to_owned())?;
            let name = name.to_owned();
            modules.insert(module(&name, root), File { name, source });
        }
        Ok(Self(modules))
    }

    /// Returns a pair for each use: a file, and another file that it uses.
    pub fn uses(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().flat_map(move |(module, file)| {
            let used = file.source.uses.iter();
            used.filter_map(move |u| Some((file, self.file(&self.target(module, u, HANDS)?)?)))
        });
        all.map(|(user, used)| (user.name.as_str(), used.name.as_str()))
            .filter(|(user, used)| user != used)
    }

    /// Returns the file that contains a module. It may be the file of an outer module.
    fn file(&self, module: &[String]) -> Option<&File> {
        (0..=module.len())
            .rev()
            .find_map(|n| self.0.get(&module[..n]))
    }

    /// Returns the module that a use in the file `module` leads to, if it is in this crate.
    fn target(&self, module: &[String], used: &Use, hands: usize) -> Option<Names> {
        let mut at: Names = module.iter().chain(&used.inside).cloned().collect();
        let mut rest = used.path.as_slice();
        let mut relative = true;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => (),
                _ => break,
            }
            relative = false;
            rest = others;
        }
        let first = rest.first();
        if relative && !first.is_some_and(|name| self.has(&at, name)) {
            return None;
        }
        self.follow(at, rest, hands)
    }

    /// Returns whether `name` is a module in `module` with its own file.
    fn has(&self, module: &[String], name: &String) -> bool {
        let inner: Names = module.iter().chain([name]).cloned().collect();
        self.0.contains_key(&inner)
    }

    /// Returns the module that `path` leads to from the module `at`.
    fn follow(&self, mut at: Names, path: &[String], hands: usize) -> Option<Names> {
        for (number, name) in path.iter().enumerate() {
            if self.has(&at, name) {
                at.push(name.clone());
                continue;
            }
            return match self.handed_on(&at, name, hands) {
                Some(from) => self.follow(from, &path[number + 1..], hands),
                None => Some(at),
            };
        }
        Some(at)
    }

    /// Returns the module that a name in the module `at` is imported from, if it is.
    fn handed_on(&self, at: &[String], name: &str, hands: usize) -> Option<Names> {
        let file = self.0.get(at)?;
        let hands = hands.checked_sub(1)?;
        if at.is_empty() && !file.source.items.contains(name) {
            let mut others = self.0.iter();
            let exporter = others.find(|(_, other)| other.source.macros.contains(name));
            if let Some((module, _)) = exporter {
                return Some(module.clone());
            }
        }
        let imports = || file.source.uses.iter().filter(|u| u.inside.is_empty());
        let mut named = imports().filter(|u| u.as_name.as_deref() == Some(name));
        if let Some(import) = named.next() {
            return self.target(at, import, hands);
        }
        let mut all_of = imports().filter(|u| u.as_name.as_deref() == Some("*"));
        all_of.find_map(|import| {
            let from = self.target(at, import, hands)?;
            let defined = self.0.get(&from)?.source.items.contains(name);
            defined.then_some(from)
        })
    }
}

/// Returns the module of a file.
fn module(file: &str, root: &str) -> Names {
    if file == root {
        return Vec::new();
    }
    let name = file.strip_suffix(".rs").unwrap_or(file);
    let name = name.strip_suffix("/mod").unwrap_or(name);
    name.split('/').map(str::to_owned).collect()
}
