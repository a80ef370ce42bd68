// SPDX-License-Identifier: GPL-2.0
//! The names that one file defines, and its uses of other modules.

use std::collections::BTreeSet;
use std::iter::Peekable;

use anyhow::{Result, anyhow};
use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

type Tokens = Peekable<IntoIter>;

/// The names of a module or a path, the outermost first.
pub type Names = Vec<String>;

/// A use of a path in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    /// The modules inside of the file that contain the use.
    pub inside: Names,
    pub path: Names,
    /// The name that is imported, `*` for all names; none for a use in an expression.
    pub as_name: Option<String>,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub struct Source {
    pub uses: Vec<Use>,
    /// The modules that the file declares.
    pub modules: BTreeSet<String>,
    /// The other items that the file defines.
    pub items: BTreeSet<String>,
    /// The macros that the file defines. Other files may find them in the crate's root.
    pub macros: BTreeSet<String>,
}

/// Keywords before the name of an item.
const ITEMS: [&str; 8] = [
    "fn", "struct", "enum", "union", "trait", "type", "const", "static",
];
/// The beginnings of paths inside the crate.
const BEGINNINGS: [&str; 3] = ["crate", "super", "self"];

impl Source {
    pub fn parse(text: &str) -> Result<Self> {
        let tokens: TokenStream = text.parse().map_err(|e| anyhow!("{e}"))?;
        let mut this = Self::default();
        this.read(tokens, &[]);
        // All modules of the file are known only at its end.
        let known = &this.modules;
        this.uses.retain(|u| {
            let first = u.path[0].as_str();
            u.as_name.is_some() || BEGINNINGS.contains(&first) || known.contains(first)
        });
        Ok(this)
    }

    fn read(&mut self, tokens: TokenStream, inside: &[String]) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => self.read(group.stream(), inside),
                TokenTree::Ident(name) => self.word(&name.to_string(), &mut tokens, inside),
                // `$crate`, or a variable of a macro, begins no path of this file.
                TokenTree::Punct(p) if p.as_char() == '$' => drop(tokens.next()),
                _ => (),
            }
        }
    }

    fn word(&mut self, word: &str, tokens: &mut Tokens, inside: &[String]) {
        match (word, tokens.peek()) {
            ("use", Some(TokenTree::Ident(_))) => self.tree(Vec::new(), tokens, inside),
            ("mod", Some(TokenTree::Ident(name))) => {
                let name = name.to_string();
                tokens.next();
                if let Some(TokenTree::Group(body)) = tokens.peek() {
                    let inner: Names = inside.iter().chain([&name]).cloned().collect();
                    let body = body.stream();
                    tokens.next();
                    self.read(body, &inner);
                } else if inside.is_empty() {
                    self.modules.insert(name);
                }
            }
            (kind, Some(TokenTree::Ident(name))) if ITEMS.contains(&kind) => {
                self.items.insert(name.to_string());
            }
            ("macro_rules", Some(TokenTree::Punct(_))) => {
                tokens.next();
                self.macros
                    .extend(tokens.next().map(|name| name.to_string()));
            }
            _ => self.path(word, tokens, inside),
        }
    }

    /// Reads a path in an expression. A name alone is no path.
    fn path(&mut self, first: &str, tokens: &mut Tokens, inside: &[String]) {
        let mut path = vec![first.to_owned()];
        while colons(tokens) {
            match tokens.peek() {
                Some(TokenTree::Ident(name)) => path.push(name.to_string()),
                _ => break,
            }
            tokens.next();
        }
        if path.len() > 1 {
            self.enter(path, None, inside);
        }
    }

    /// Reads the tree that follows `use`, or a part of it between braces.
    fn tree(&mut self, mut path: Names, tokens: &mut Tokens, inside: &[String]) {
        let outer = path.clone();
        let mut as_name = None;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(name) if name == "as" => {
                    as_name = tokens.next().map(|t| t.to_string());
                }
                TokenTree::Ident(name) => path.push(name.to_string()),
                TokenTree::Punct(p) if p.as_char() == '*' => as_name = Some("*".into()),
                TokenTree::Punct(p) if p.as_char() == ',' => {
                    self.imported(&outer, &mut path, &mut as_name, inside);
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let mut inner = group.stream().into_iter().peekable();
                    self.tree(path.clone(), &mut inner, inside);
                    path.clone_from(&outer);
                }
                TokenTree::Punct(p) if p.as_char() == ';' => break,
                _ => (),
            }
        }
        self.imported(&outer, &mut path, &mut as_name, inside);
    }

    /// Records a complete path of a tree, and resets `path` to `outer`, with which it begins.
    fn imported(
        &mut self,
        outer: &Names,
        path: &mut Names,
        as_name: &mut Option<String>,
        inside: &[String],
    ) {
        let mut whole = std::mem::replace(path, outer.clone());
        let renamed = as_name.take();
        if whole.len() == outer.len() && renamed.is_none() {
            return;
        }
        // `a::{self, b}`
        if whole.len() > 1 && whole.last().is_some_and(|n| n == "self") {
            whole.pop();
        }
        let name = renamed.or_else(|| whole.last().cloned());
        self.enter(whole, name, inside);
    }

    fn enter(&mut self, path: Names, as_name: Option<String>, inside: &[String]) {
        self.uses.push(Use {
            inside: inside.to_vec(),
            path,
            as_name,
        });
    }
}

/// Skips `::`, if that is next. Returns whether it was.
fn colons(tokens: &mut Tokens) -> bool {
    let mut ahead = tokens.clone();
    for _ in 0..2 {
        match ahead.next() {
            Some(TokenTree::Punct(p)) if p.as_char() == ':' => (),
            _ => return false,
        }
    }
    *tokens = ahead;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_all_its_branches() {
        let text = "use a::{self, b as c, d::{e, f::*}, };\nuse g;\nimpl F + use<'a>";
        let uses = Source::parse(text).unwrap().uses;
        let found: Vec<(String, &str)> = uses
            .iter()
            .map(|u| (u.path.join("::"), u.as_name.as_deref().unwrap()))
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(p, n)| (p.as_str(), *n)).collect();
        assert_eq!(
            found,
            [
                ("a", "a"),
                ("a::b", "c"),
                ("a::d::e", "e"),
                ("a::d::f", "*"),
                ("g", "g")
            ]
        );
    }

    #[test]
    fn paths_in_code_count_where_they_are_of_this_crate() {
        let text = "fn f() { m!(crate::a::B::new(x), std::fs::read(y), c::<T>::d) }\n\
                    mod c; mod g { h!($crate::i, super::j::k) }";
        let source = Source::parse(text).unwrap();
        let paths: Vec<String> = source.uses.iter().map(|u| u.path.join("::")).collect();
        assert_eq!(paths, ["crate::a::B::new", "super::j::k"]);
        assert_eq!(source.uses[1].inside, ["g"]);
        assert!(source.modules.contains("c") && source.items.contains("f"));
    }
}
