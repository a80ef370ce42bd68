// SPDX-License-Identifier: GPL-2.0
//! Finds the places of a source file to change, and the changes.

use std::fmt;
use std::ops::Range;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde::Serialize;

use super::tokens::{
    arguments, comparison, goes_on, has_comparison, is_block, is_joint, is_punct, is_word,
    last_call, range_of, receiver, without_attributes,
};

/// The text with which the tests of a file begin.
const TESTS: &str = "#[kunit_tests";

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A register is not written, or reads as zero.
    Access,
    /// A comparison or a condition is inverted.
    Comparison,
    /// A statement is left out.
    Statement,
    /// A barrier or a wait is left out.
    Barrier,
    /// A field or an argument that is a literal of `bool` gets the other value.
    Flag,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Access => "register accesses",
            Self::Comparison => "comparisons",
            Self::Statement => "statements",
            Self::Barrier => "barriers",
            Self::Flag => "flags",
        })
    }
}

/// A place, and its change.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The line in which the place begins, counted from 1.
    pub line: usize,
    /// The code there, on one line.
    pub code: String,
    pub kind: Kind,
    range: Range<usize>,
    instead: String,
}

impl Place {
    /// Returns `source` with this change.
    pub fn mutated(&self, source: &str) -> String {
        let (before, after) = (&source[..self.range.start], &source[self.range.end..]);
        format!("{before}{}{after}", self.instead)
    }
}

/// The methods that access a register.
const READS: [&str; 2] = ["read", "read_at"];
const WRITES: [&str; 2] = ["write", "write_at"];
/// The functions that order or wait, and do nothing else.
const BARRIERS: [&str; 10] = [
    "mb",
    "rmb",
    "wmb",
    "smp_mb",
    "smp_rmb",
    "smp_wmb",
    "arrived",
    "cache_arrived",
    "synchronize",
    "wait_flushed",
];
/// The first words of statements that cannot be left out, or that are none.
const NOT_LEFT_OUT: [&str; 17] = [
    "let",
    "return",
    "break",
    "continue",
    "use",
    "const",
    "static",
    "type",
    "mod",
    "pub",
    "fn",
    "struct",
    "enum",
    "impl",
    "trait",
    "extern",
    "macro_rules",
];
/// The first words of statements that end with their block.
const WITH_BLOCK: [&str; 6] = ["if", "for", "while", "loop", "match", "unsafe"];

/// Returns all changes to `source`, outside of its tests.
pub fn find(source: &str) -> Result<Vec<Place>> {
    let code = &source[..source.find(TESTS).unwrap_or(source.len())];
    let tokens: TokenStream = code.parse().map_err(|e| anyhow!("{e}"))?;
    let mut finder = Finder {
        code,
        places: Vec::new(),
    };
    finder.level(tokens, false);
    let mut places = finder.places;
    places.sort_by_key(|p| (p.range.start, p.range.end));
    // A statement that is one access may be found as either.
    places.dedup_by(|b, a| a.range == b.range);
    Ok(places)
}

struct Finder<'a> {
    code: &'a str,
    places: Vec<Place>,
}

impl Finder<'_> {
    fn add(&mut self, kind: Kind, range: Range<usize>, instead: impl Into<String>) {
        let words: Vec<&str> = self.code[range.clone()].split_whitespace().collect();
        self.push(kind, words.join(" ").replace(" .", "."), range, instead);
    }

    /// Adds a place that is shown as its whole line.
    fn add_line(&mut self, kind: Kind, range: Range<usize>, instead: impl Into<String>) {
        let code = line_of(self.code, range.start).to_owned();
        self.push(kind, code, range, instead);
    }

    fn push(&mut self, kind: Kind, code: String, range: Range<usize>, instead: impl Into<String>) {
        self.places.push(Place {
            line: self.code[..range.start].matches('\n').count() + 1,
            code,
            kind,
            range,
            instead: instead.into(),
        });
    }

    /// Finds the places among these tokens, which may be the arguments of a call, and inside of
    /// their brackets.
    fn level(&mut self, tokens: TokenStream, are_arguments: bool) {
        let tokens: Vec<TokenTree> = without_attributes(tokens);
        self.statements(&tokens);
        self.reads(&tokens);
        self.comparisons(&tokens);
        self.conditions(&tokens);
        self.flags(&tokens, are_arguments);
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                let are_arguments = group.delimiter() == Delimiter::Parenthesis
                    && tokens[..at].last().is_some_and(is_callee);
                self.level(group.stream(), are_arguments);
            }
        }
    }

    fn statements(&mut self, tokens: &[TokenTree]) {
        let mut start = 0;
        for at in 0..tokens.len() {
            let begins = |words: &[&str]| words.iter().any(|w| is_word(&tokens[start], w));
            let ends = match &tokens[at] {
                TokenTree::Punct(p) => p.as_char() == ';',
                TokenTree::Group(g) if g.delimiter() == Delimiter::Brace => {
                    begins(&WITH_BLOCK) && !goes_on(tokens.get(at + 1))
                }
                _ => false,
            };
            let is_item = is_block(&tokens[at]) && begins(&["fn", "impl", "mod", "pub", "struct"]);
            if ends && !begins(&NOT_LEFT_OUT) {
                self.left_out(&tokens[start..=at]);
            }
            if ends || is_item {
                start = at + 1;
            }
        }
    }

    fn left_out(&mut self, statement: &[TokenTree]) {
        let is_comma = |t: &TokenTree| is_punct(t, ',');
        if statement.len() < 2 || statement.iter().any(is_comma) {
            return;
        }
        let kind = match last_call(statement) {
            Some(name) if BARRIERS.contains(&name.as_str()) => Kind::Barrier,
            Some(name) if [READS, WRITES].concat().contains(&name.as_str()) => Kind::Access,
            _ => Kind::Statement,
        };
        self.add(kind, range_of(statement), "");
    }

    /// Finds accesses to registers that are not a statement of their own.
    fn reads(&mut self, tokens: &[TokenTree]) {
        for at in 1..tokens.len() {
            let TokenTree::Ident(name) = &tokens[at] else {
                continue;
            };
            let name = name.to_string();
            let is_read = READS.contains(&name.as_str());
            let is_write = WRITES.contains(&name.as_str());
            if !is_punct(&tokens[at - 1], '.') || !(is_read || is_write) {
                continue;
            }
            let Some((end, register)) = arguments(tokens, at + 1) else {
                continue;
            };
            let start = receiver(tokens, at - 1);
            let is_statement = tokens.get(end + 1).is_some_and(|t| is_punct(t, ';'))
                && (start == 0
                    || is_punct(&tokens[start - 1], ';')
                    || is_block(&tokens[start - 1]));
            if is_statement {
                continue;
            }
            let instead = match register {
                _ if is_write => "()".to_owned(),
                Some(register) => format!("{register}::from(0)"),
                None => "0u32.into()".to_owned(),
            };
            self.add(Kind::Access, range_of(&tokens[start..=end]), instead);
        }
    }

    /// Finds literals of `bool` that are a field or an argument.
    fn flags(&mut self, tokens: &[TokenTree], are_arguments: bool) {
        for at in 0..tokens.len() {
            let opposite = match &tokens[at] {
                token if is_word(token, "false") => "true",
                token if is_word(token, "true") => "false",
                _ => continue,
            };
            let is_field = at > 0 && is_punct(&tokens[at - 1], ':');
            let begins = at == 0 || is_punct(&tokens[at - 1], ',');
            let ends = tokens.get(at + 1).is_none_or(|t| is_punct(t, ','));
            if is_field || are_arguments && begins && ends {
                self.add_line(Kind::Flag, range_of(&tokens[at..=at]), opposite);
            }
        }
    }

    fn comparisons(&mut self, tokens: &[TokenTree]) {
        for at in 0..tokens.len() {
            let Some((range, opposite)) = comparison(self.code, &tokens[at..]) else {
                continue;
            };
            let is_inner = at > 0 && is_joint(&tokens[at - 1]);
            if !is_inner {
                self.add_line(Kind::Comparison, range, opposite);
            }
        }
    }

    /// Finds conditions of `if` without a comparison.
    fn conditions(&mut self, tokens: &[TokenTree]) {
        for at in 0..tokens.len() {
            if !is_word(&tokens[at], "if") {
                continue;
            }
            let is_end = |t: &TokenTree| is_block(t) || is_punct(t, '=') || is_word(t, "let");
            let Some(length) = tokens[at + 1..].iter().position(is_end) else {
                continue;
            };
            let condition = &tokens[at + 1..at + 1 + length];
            let end = &tokens[at + 1 + length];
            // The condition ends at the block, or at the arrow of an arm of a `match`.
            let is_arrow = is_punct(end, '=') && is_joint(end);
            if condition.is_empty() || !(is_block(end) || is_arrow) {
                continue;
            }
            let range = range_of(condition);
            let text = &self.code[range.clone()];
            if !has_comparison(self.code, condition) {
                let instead = format!("!({text})");
                self.add(Kind::Comparison, range, instead);
            }
        }
    }
}

/// Returns whether parentheses after this token have arguments. After a keyword they are a pattern.
fn is_callee(token: &TokenTree) -> bool {
    let is_keyword = ["let", "match", "if", "in", "return"]
        .iter()
        .any(|word| is_word(token, word));
    matches!(token, TokenTree::Ident(_)) && !is_keyword
}

/// Returns the line around a place, without indentation and line end.
fn line_of(code: &str, at: usize) -> &str {
    let start = code[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = code[at..].find('\n').map_or(code.len(), |n| at + n);
    code[start..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! About it.\nuse x::y;\n\
        #[inline]\n\
        fn f(&self) -> bool {\n    \
            // regs.read(nothing);\n    \
            let a = regs.read::<IMCTR>(f.at(1)).into();\n    \
            let b: IMSTR = self.root()?.read(f.at(2));\n    \
            regs\n        .write(f.at(2), IMCTR::from(a));\n    \
            hw.arrived();\n    \
            state.own = 0;\n    \
            if a.mmuen() {\n        g.write_str(x);\n    } else if a <= b {\n        h();\n    }\n    \
            match a {\n        Some(c) if !c.is_on() => c.write_at(1, 2),\n        None => (),\n    }\n    \
            a == b\n\
        }\n\
        fn g() -> H {\n    h(2, true);\n    H { i: false, j: 1 }\n}\n\
        #[kunit_tests(x)]\nmod t { fn t() { regs.read::<IMCTR>(at); } }\n";

    #[test]
    fn each_kind_is_found_where_it_counts() {
        let places = find(SOURCE).unwrap();
        let found: Vec<(Kind, &str)> = places.iter().map(|p| (p.kind, p.code.as_str())).collect();
        let of_match = "match a { Some(c) if !c.is_on() => c.write_at(1, 2), None => (), }";
        let of_if = "if a.mmuen() { g.write_str(x); } else if a <= b { h(); }";
        assert_eq!(
            found,
            [
                (Kind::Access, "regs.read::<IMCTR>(f.at(1))"),
                (Kind::Access, "self.root()?.read(f.at(2))"),
                (Kind::Access, "regs.write(f.at(2), IMCTR::from(a));"),
                (Kind::Barrier, "hw.arrived();"),
                (Kind::Statement, "state.own = 0;"),
                (Kind::Statement, of_if),
                (Kind::Comparison, "a.mmuen()"),
                (Kind::Statement, "g.write_str(x);"),
                (Kind::Comparison, "} else if a <= b {"),
                (Kind::Statement, "h();"),
                (Kind::Statement, of_match),
                (Kind::Comparison, "!c.is_on()"),
                (Kind::Access, "c.write_at(1, 2)"),
                (Kind::Comparison, "a == b"),
                (Kind::Statement, "h(2, true);"),
                (Kind::Flag, "h(2, true);"),
                (Kind::Flag, "H { i: false, j: 1 }"),
            ]
        );
        assert_eq!((places[0].line, places[2].line), (6, 8));
    }

    #[test]
    fn what_is_put_there_instead_fits() {
        let places = find(SOURCE).unwrap();
        let mutated = |at: usize| places[at].mutated(SOURCE);
        assert!(mutated(0).contains("let a = IMCTR::from(0).into();"));
        assert!(mutated(1).contains("let b: IMSTR = 0u32.into();"));
        assert!(!mutated(2).contains("IMCTR::from(a)"));
        assert!(mutated(6).contains("if !(a.mmuen()) {"));
        assert!(mutated(8).contains("else if a > b {"));
        assert!(mutated(11).contains("Some(c) if !(!c.is_on()) =>"));
        assert!(mutated(12).contains("=> (),"));
        assert!(mutated(13).contains("a != b\n"));
        assert!(mutated(15).contains("h(2, false);"));
        assert!(mutated(16).contains("H { i: true, j: 1 }"));
    }

    #[test]
    fn patterns_and_bodies_are_no_flags() {
        let source = "fn f() -> bool { false }\n\
            fn g() { if let (true, Some(a)) = b { match c { (true, _) => 3, (false, d) => e } } }";
        let places = find(source).unwrap();
        assert!(places.iter().all(|p| p.kind != Kind::Flag));
    }

    #[test]
    fn brackets_and_shifts_are_no_comparisons() {
        let source = "fn f<A: B<C>>(x: Vec<D>) -> E<F> { x << 2; g::<H>(); |y| y > 1 }";
        let places = find(source).unwrap();
        let comparisons = places.iter().filter(|p| p.kind == Kind::Comparison);
        assert_eq!(comparisons.count(), 1);
    }
}
