// SPDX-License-Identifier: GPL-2.0
//! Searches files and folders that use each other in a circle. None of them can be read first.
//!
//! The uses of a file are its `use` lines and its paths, also those in macros, that begin with
//! `crate`, `super`, `self`, a module that it declares or a name that it imports. A name that a
//! module imports from another file counts as a use of that other file. The names of `use …::*` are
//! not followed: they count as names of the file that has the line.
//!
//! There must be no circle of entries in any folder, be they files or folders. Then there is none
//! between the files of any two folders, either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The number of imports through which a name is followed. Some never end: `use anyhow;`.
const HOPS: usize = 8;

/// Fails if there are circles among `files`, and names a shortest one of each folder. The files are
/// a crate in the folder `top`, with the file `root` as its root.
pub fn expect_none(top: &Path, root: &str, files: &[PathBuf]) -> Result<()> {
    let mut source = Crate::default();
    for file in files {
        let text = fs::read_to_string(file)?;
        let name = file.strip_prefix(top)?.to_string_lossy();
        source
            .read(&name, root, &text)
            .with_context(|| file.display().to_string())?;
    }
    let found = source.circles();
    if !found.is_empty() {
        bail!("{}", found.join("; "));
    }
    Ok(())
}

/// A path, and the module that contains it.
#[derive(Clone)]
struct Use {
    module: String,
    path: String,
}

/// The files of a crate. A module has its whole name: `crate::a::b`.
#[derive(Default)]
struct Crate {
    /// The names of the files, by module.
    files: BTreeMap<String, String>,
    uses: Vec<Use>,
    /// The uses that give a module another name, by module and name: `crate::a::b::Name`.
    imports: BTreeMap<String, Use>,
}

impl Crate {
    fn read(&mut self, file: &str, root: &str, text: &str) -> Result<()> {
        let tokens: TokenStream = text.parse().map_err(|e| anyhow!("{e}"))?;
        let mut words = Vec::new();
        split(tokens, &mut words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let module = module(file, root);
        self.parse(&module, &words);
        self.files.insert(module, file.to_owned());
        Ok(())
    }

    fn parse(&mut self, module: &str, mut words: &[&str]) {
        // The module at each open brace, and the path before that brace if it is part of a `use`.
        let mut open = vec![(module.to_owned(), String::new())];
        let mut importing = false;
        while let (Some((module, outer)), [word, after @ ..]) = (open.last().cloned(), words) {
            let mut rest = after;
            match words {
                ["mod", name, "{", after @ ..] => {
                    open.push((format!("{module}::{name}"), outer));
                    rest = after;
                }
                ["{", ..] => open.push((module, outer)),
                ["}", ..] => drop(open.pop()),
                ["use", ..] => importing = true,
                [";", ..] => importing = false,
                ["macro_export", ")", "macro_rules", "!", name, ..] => {
                    self.import("crate", name, &module);
                }
                _ if is_name(word) => {
                    let mut path = outer + word;
                    while let [":", ":", name, after @ ..] = rest {
                        if !is_name(name) {
                            break;
                        }
                        path += &format!("::{name}");
                        rest = after;
                    }
                    match rest {
                        [":", ":", "{", after @ ..] => {
                            open.push((module, path + "::"));
                            rest = after;
                        }
                        ["as", name, after @ ..] if importing => {
                            self.import(&module, name, &path);
                            rest = after;
                        }
                        _ if importing => {
                            // `a::{self, b}`
                            let path = path.strip_suffix("::self").unwrap_or(&path);
                            self.import(&module, path.rsplit("::").next().unwrap_or(path), path);
                        }
                        _ if path.contains("::") => self.uses.push(Use::new(&module, &path)),
                        _ => (),
                    }
                }
                _ => (),
            }
            words = rest;
        }
    }

    fn import(&mut self, module: &str, name: &str, path: &str) {
        let import = Use::new(module, path);
        self.uses.push(import.clone());
        if name != "*" {
            self.imports.insert(format!("{module}::{name}"), import);
        }
    }

    /// Returns the file that a use leads to, if it is in this crate.
    fn used(&self, used: &Use, hops: usize) -> Option<&str> {
        let mut at = used.module.clone();
        let mut names = used.path.split("::");
        while let Some(name) = names.next() {
            let inner = format!("{at}::{name}");
            match name {
                "crate" => at = name.to_owned(),
                "super" => at.truncate(at.rfind("::")?),
                "self" => (),
                _ if self.files.contains_key(&inner) => at = inner,
                _ => {
                    if let Some(import) = self.imports.get(&inner).filter(|_| hops > 0) {
                        let whole: Vec<&str> = [&*import.path].into_iter().chain(names).collect();
                        let from = Use::new(&import.module, &whole.join("::"));
                        return self.used(&from, hops - 1);
                    }
                    break;
                }
            }
        }
        self.file(&at)
    }

    /// Returns the file that contains a module. It may be the file of an outer module.
    fn file(&self, module: &str) -> Option<&str> {
        match self.files.get(module) {
            Some(file) => Some(file),
            None => self.file(&module[..module.rfind("::")?]),
        }
    }

    /// Returns a shortest circle of each folder that has one, as files that use each other.
    fn circles(&self) -> Vec<String> {
        let mut folders: BTreeMap<&str, Folder> = BTreeMap::new();
        for a_use in &self.uses {
            let (user, used) = (self.file(&a_use.module), self.used(a_use, HOPS));
            let (Some(user), Some(used)) = (user, used) else {
                continue;
            };
            let mut ends = user.match_indices('/').map(|(slash, _)| slash + 1);
            let common = ends.rfind(|end| used.starts_with(&user[..*end]));
            let (folder, user_there) = user.split_at(common.unwrap_or(0));
            let (a, b) = (entry(user_there), entry(&used[folder.len()..]));
            if a != b {
                let uses_of_a = folders.entry(folder).or_default().entry(a).or_default();
                uses_of_a.insert(b, format!("{user} uses {used}"));
            }
        }
        folders.values().filter_map(circle).collect()
    }
}

impl Use {
    fn new(module: &str, path: &str) -> Self {
        let (module, path) = (module.to_owned(), path.to_owned());
        Self { module, path }
    }
}

/// The entries of a folder: for each one, the others that it uses, each with an example.
type Folder<'a> = BTreeMap<&'a str, BTreeMap<&'a str, String>>;

/// Returns a shortest circle of a folder's entries, if there is one.
fn circle(folder: &Folder) -> Option<String> {
    let back_to = |start: &&str| {
        let mut ways = VecDeque::from([(*start, Vec::new())]);
        let mut seen = BTreeSet::new();
        while let Some((last, way)) = ways.pop_front() {
            for (used, example) in folder.get(last).into_iter().flatten() {
                let longer = [way.as_slice(), &[example.as_str()]].concat();
                if used == start {
                    return Some(longer);
                }
                if seen.insert(*used) {
                    ways.push_back((*used, longer));
                }
            }
        }
        None
    };
    let shortest = folder.keys().filter_map(back_to).min_by_key(Vec::len)?;
    Some(shortest.join(", "))
}

/// Returns the first part of a path.
fn entry(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Returns the module of a file.
fn module(file: &str, root: &str) -> String {
    if file == root {
        return "crate".to_owned();
    }
    let name = file.strip_suffix(".rs").unwrap_or(file);
    let name = name.strip_suffix("/mod").unwrap_or(name);
    format!("crate::{}", name.replace('/', "::"))
}

/// Splits code into names and other characters.
fn split(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => words.push(name.to_string()),
            TokenTree::Literal(_) => words.push("\"".to_owned()),
            TokenTree::Punct(sign) => words.push(sign.to_string()),
            TokenTree::Group(group) => {
                let brace = group.delimiter() == Delimiter::Brace;
                words.push(if brace { "{" } else { "(" }.to_owned());
                split(group.stream(), words);
                words.push(if brace { "}" } else { ")" }.to_owned());
            }
        }
    }
}

/// Returns whether a word can be a part of a path.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || "_*".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the circles of a crate with `files` and the root `main.rs`.
    fn of(files: &[(&str, &str)]) -> Vec<String> {
        let mut source = Crate::default();
        for (name, text) in files {
            source.read(name, "main.rs", text).unwrap();
        }
        source.circles()
    }

    /// Returns the circles of a root that uses `b.rs`, and a `b.rs` with this text.
    fn back(text: &str) -> Vec<String> {
        of(&[("main.rs", "mod b; fn main() { b::f() }"), ("b.rs", text)])
    }

    const BACK: [&str; 1] = ["b.rs uses main.rs, main.rs uses b.rs"];

    #[test]
    fn declarations_comments_and_texts_are_no_uses() {
        let text = "// use crate::a;\npub struct B; const X: &str = \"crate::a::A\";";
        let files = [
            ("main.rs", "mod a; mod b; use c::C; fn f(a: u8) {}"),
            ("a.rs", "use crate::{f, b::B};"),
            ("b.rs", text),
        ];
        assert_eq!(of(&files), [""; 0]);
    }

    #[test]
    fn every_way_to_write_a_use_counts() {
        for text in [
            "use crate::X;",
            "use super::X;",
            "pub use crate::X as Y;",
            "use self::super::X;",
            "fn f() { if g() {} } use super::X;",
            "use crate::{self, b::{g}, X, std};",
            "use crate::{b::{*}, *};",
            "fn f() { g(crate::X::new()) }",
            "fn f() { assert!(super::X) }",
            "macro_rules! m { () => { $crate::X } }",
            "mod tests { use super::super::X; }",
            "mod tests { mod t {} fn f() { super::super::g::<u8>() } }",
            "fn f() -> impl X + use<'a> { super::g::<u8>() }",
        ] {
            assert_eq!(back(text), BACK, "{text}");
        }
    }

    #[test]
    fn other_paths_do_not_count() {
        for text in [
            "use std::{X, io as crate_io, fs::{File}}; use anyhow; fn f() { anyhow::f() }",
            "mod tests { use super::*; fn g() { super::f(crate::b::C) } }",
            "use self::C::{self, D as super_d};",
            "mod t {} fn f() { x::super_f::<u8>() }",
        ] {
            assert_eq!(back(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_part_that_uses_its_module_makes_a_circle_if_that_uses_it() {
        let files = |module| {
            [
                ("main.rs", "mod a;"),
                ("a/mod.rs", module),
                ("a/b.rs", "use super::S;"),
            ]
        };
        let circle = ["a/b.rs uses a/mod.rs, a/mod.rs uses a/b.rs"];
        assert_eq!(of(&files("mod b; pub struct S; fn f() { b::g() }")), circle);
        assert_eq!(of(&files("mod b; pub struct S;")), [""; 0]);
    }

    #[test]
    fn folders_that_use_each_other_are_shown_by_their_files() {
        let files = [
            ("main.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod x; mod y;"),
            ("a/x.rs", "use crate::b::z::Z;"),
            ("a/y.rs", ""),
            ("a/p/q.rs", "use super::r;"),
            ("a/p/r.rs", "use super::q;"),
            ("b/mod.rs", "pub mod z; pub mod w;"),
            ("b/z.rs", ""),
            ("b/w.rs", "use crate::a::{self}; fn f() { a::y::f() }"),
        ];
        assert_eq!(
            of(&files),
            [
                "a/x.rs uses b/z.rs, b/w.rs uses a/y.rs",
                "a/p/q.rs uses a/p/r.rs, a/p/r.rs uses a/p/q.rs"
            ]
        );
    }

    #[test]
    fn an_imported_name_leads_to_where_it_comes_from() {
        let files = |imports: &str, user: &str| {
            let folder = [("main.rs", "mod a;"), ("a/mod.rs", imports), ("a/b.rs", "")];
            of(&[folder.as_slice(), &[("a/c.rs", user)]].concat())
        };
        let circle = ["a/c.rs uses a/mod.rs, a/mod.rs uses a/c.rs"];
        let named = "pub use b::{B, b as make}; use c::C;";
        assert_eq!(files(named, "use super::{B, make as new};"), [""; 0]);
        assert_eq!(files(named, "use super::D;"), circle);
        let all = "pub use b::*; use c::C;";
        assert_eq!(files(all, "use super::B;"), circle);
        assert_eq!(files(all, "use super::*;"), circle);
    }

    #[test]
    fn a_module_comes_before_an_import_of_its_name() {
        let files = [
            ("main.rs", "mod b; mod c; pub use b::{b, c::c};"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::b::b;"),
        ];
        assert_eq!(of(&files), ["b.rs uses c.rs, c.rs uses b.rs"]);
    }

    #[test]
    fn one_of_the_shortest_circles_is_shown() {
        let files = [
            ("a.rs", "use crate::{b, c};"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
        ];
        assert_eq!(of(&files), ["a.rs uses c.rs, c.rs uses a.rs"]);
    }

    #[test]
    fn an_exported_macro_belongs_to_the_file_that_has_it() {
        let files = |export| {
            let text = format!("{export} macro_rules! _make {{ () => {{ $crate::b::f() }} }}");
            let a = "use crate::_make; mod tests { crate::_make!(x); }";
            of(&[
                ("main.rs", "mod a; mod b; use a::A;"),
                ("a.rs", a),
                ("b.rs", &text),
            ])
        };
        assert_eq!(files("#[macro_export]"), [""; 0]);
        assert_eq!(files(""), ["a.rs uses main.rs, main.rs uses a.rs"]);
    }
}
