// SPDX-License-Identifier: GPL-2.0
//! Searches files and folders that use each other in a circle. None of them can be read first.
//!
//! The uses of a file are its `use` lines, and its paths that begin with `crate`, `super`, `self`
//! or a module that it declares. The declaration itself is no use. A name that a module re-exports
//! counts as a use of the file that defines it.
//!
//! There must be no circle of entries in any folder, be they files or folders. Then there is none
//! between the files of any two folders, either.

mod graph;
mod names;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use graph::Graph;
use names::Crate;

/// Fails if there are circles among `files`, and names them. The files are a crate in the folder
/// `top`, with the file `root` as its root.
pub fn expect_none(top: &Path, root: &str, files: &[PathBuf]) -> Result<()> {
    let found = circles(&Crate::read(top, root, files)?);
    if !found.is_empty() {
        bail!("{}", found.join("; "));
    }
    Ok(())
}

fn circles(source: &Crate) -> Vec<String> {
    let mut graph = Graph::default();
    for (user, used) in source.uses() {
        graph.enter(user, used);
    }
    graph.circles()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the circles of a crate with `files`. The first one is its root.
    fn of(files: &[(&str, &str)]) -> Vec<String> {
        circles(&Crate::parse(files[0].0, files.iter().copied()).unwrap())
    }

    #[test]
    fn declarations_make_no_circle() {
        let files = [
            ("main.rs", "mod a;\nmod b;"),
            ("a.rs", "use crate::b::B;"),
            (
                "b.rs",
                "// use crate::a\npub struct B; const X: &str = \"crate::a::A\";",
            ),
        ];
        assert_eq!(of(&files), [""; 0]);
    }

    #[test]
    fn files_that_use_each_other_are_named() {
        let files = [
            ("main.rs", "mod a; mod b; mod c; fn main() { a::run() }"),
            ("a.rs", "use super::b::{B, C as D};"),
            ("b.rs", "pub use crate::{c, x};"),
            ("c.rs", "fn f() { g(crate::a::h()) }"),
        ];
        assert_eq!(of(&files), ["a.rs uses b.rs uses c.rs uses a.rs"]);
    }

    #[test]
    fn a_module_that_calls_its_parts_is_not_used_by_them() {
        let parts = |part| {
            [
                ("main.rs", "mod a;"),
                ("a/mod.rs", "mod b; pub struct S; fn f() { b::g() }"),
                ("a/b.rs", part),
            ]
        };
        assert_eq!(of(&parts("mod tests { use super::*; }")), [""; 0]);
        let circle = ["a/b.rs uses a/mod.rs uses a/b.rs"];
        assert_eq!(of(&parts("use super::S;")), circle);
        assert_eq!(of(&parts("mod tests { use super::super::*; }")), circle);
    }

    #[test]
    fn folders_that_use_each_other_are_named_with_their_files() {
        let files = [
            ("main.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod x; mod y;"),
            ("a/x.rs", "use crate::b::z::Z;"),
            ("a/y.rs", ""),
            ("b/mod.rs", "pub mod z; pub mod w;"),
            ("b/z.rs", ""),
            ("b/w.rs", "use crate::a::y;"),
        ];
        let circle = "a uses b uses a (a/x.rs uses b/z.rs, b/w.rs uses a/y.rs)";
        assert_eq!(of(&files), [circle]);
    }

    #[test]
    fn a_name_that_is_handed_on_leads_to_where_it_comes_from() {
        let files = |from: &'static str| {
            [
                ("main.rs", "mod a;"),
                ("a/mod.rs", from),
                ("a/b.rs", "pub struct B; pub fn make() {}"),
                ("a/c.rs", "use super::{B, make};"),
            ]
        };
        assert_eq!(
            of(&files("mod b; mod c; pub use b::{B, make}; use c::*;")),
            [""; 0]
        );
        assert_eq!(
            of(&files("mod b; mod c; pub use b::*; pub use c::C;")),
            [""; 0]
        );
        let own = "mod b; mod c; pub use c::C; pub struct B;";
        assert_eq!(of(&files(own)), ["a/c.rs uses a/mod.rs uses a/c.rs"]);
    }

    #[test]
    fn each_circle_is_told_once_and_as_short_as_it_is() {
        let files = [
            ("main.rs", ""),
            ("a.rs", "use crate::{b, c};"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
            ("d.rs", "use crate::e;"),
            ("e.rs", "use crate::{a, d};"),
        ];
        let circles = ["a.rs uses c.rs uses a.rs", "d.rs uses e.rs uses d.rs"];
        assert_eq!(of(&files), circles);
    }

    #[test]
    fn a_macro_belongs_to_the_file_that_has_it() {
        let files = [
            ("main.rs", "mod a; mod b; use a::A;"),
            ("a.rs", "use crate::make; mod tests { crate::make!(x); }"),
            (
                "b.rs",
                "#[macro_export]\nmacro_rules! make { () => { $crate::b::f() } }",
            ),
        ];
        assert_eq!(of(&files), [""; 0]);
    }
}
