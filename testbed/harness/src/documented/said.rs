// SPDX-License-Identifier: GPL-2.0
//! The texts that the driver can print, from the string literals in its sources.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::format::Format;

/// The beginnings of names of macros that print their first string to the log.
const PRINTING: [&str; 2] = ["dev_", "pr_"];
/// Functions that print their argument `fmt!(…)`, and the text that they put before.
const SAYING: [&str; 3] = ["say_once", "say", "refuse"];
const BEFORE: &str = "not translated: ";
/// The variable in which a message is composed, and the method that adds a part, which is given as
/// `fmt!(…)`.
const LINE: (&str, &str) = ("line", "write_fmt");
/// Macros with strings that are not printed at run time.
const SILENT: [&str; 8] = [
    "module",
    "string_param",
    "panic",
    "assert",
    "build_assert",
    "concat",
    "stringify",
    "compile_error",
];
/// The attribute at which the tests of a file begin.
const TESTS: &str = "kunit_tests";

/// The place of a string, which decides on its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The end of a message, in `fmt!`.
    End,
    /// A part of a message, in `fmt!`.
    Part,
    /// Any other place. The string is no message unless a macro prints it.
    Elsewhere,
}

/// The texts of sources, without newlines at the end.
#[derive(Default)]
pub struct Said {
    /// Format strings of messages.
    pub messages: BTreeSet<String>,
    /// All other strings: values in messages, and texts in debugfs.
    pub words: BTreeSet<String>,
}

impl Said {
    /// Adds the texts of a source file.
    pub fn collect(&mut self, source: &str) -> Result<()> {
        let tokens = TokenStream::from_str(source).map_err(|e| anyhow!("not Rust: {e}"))?;
        self.walk(tokens, Place::Elsewhere);
        Ok(())
    }

    fn walk(&mut self, tokens: TokenStream, place: Place) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            at += match rest {
                [TokenTree::Punct(hash), TokenTree::Group(attribute), ..]
                    if hash.as_char() == '#' =>
                {
                    if is_named(attribute, TESTS) {
                        return;
                    }
                    2
                }
                // `#![…]`, such as an inner doc comment.
                [TokenTree::Punct(hash), TokenTree::Punct(_), ..] if hash.as_char() == '#' => 3,
                [
                    TokenTree::Ident(name),
                    TokenTree::Punct(bang),
                    TokenTree::Group(group),
                    ..,
                ] if bang.as_char() == '!' => {
                    self.call(&name.to_string(), group, place);
                    3
                }
                [
                    TokenTree::Ident(line),
                    TokenTree::Punct(dot),
                    TokenTree::Ident(write),
                    TokenTree::Group(group),
                    ..,
                ] if dot.as_char() == '.' && line == LINE.0 && write == LINE.1 => {
                    self.walk(group.stream(), Place::Part);
                    4
                }
                [TokenTree::Ident(name), TokenTree::Group(group), ..]
                    if SAYING.iter().any(|says| name == says) =>
                {
                    self.walk(group.stream(), Place::End);
                    2
                }
                [TokenTree::Group(group), ..] => {
                    self.walk(group.stream(), Place::Elsewhere);
                    1
                }
                [TokenTree::Literal(literal), ..] => {
                    self.words.extend(text(&literal.to_string()));
                    1
                }
                _ => 1,
            };
        }
    }

    /// Reads the arguments of the macro `name`.
    fn call(&mut self, name: &str, group: &Group, place: Place) {
        if SILENT.contains(&name) {
            return;
        }
        let prints = PRINTING.iter().any(|p| name.starts_with(p));
        if !(prints || place != Place::Elsewhere && name == "fmt") {
            self.walk(group.stream(), Place::Elsewhere);
            return;
        }
        let mut tokens = group.stream().into_iter();
        let format = tokens.by_ref().find_map(|token| match token {
            TokenTree::Literal(literal) => text(&literal.to_string()),
            _ => None,
        });
        let format = format.map(|f| match place {
            Place::End => BEFORE.to_owned() + &f,
            // The placeholder stands for the parts that follow.
            Place::Part => f + "{}",
            Place::Elsewhere => f,
        });
        // A format without letters only prints strings from elsewhere.
        let says = |f: &String| Format::new(f).has_letters();
        self.messages.extend(format.filter(says));
        self.walk(tokens.collect(), Place::Elsewhere);
    }
}

/// Returns whether `attribute` is `[name]` or `[name(…)]`.
fn is_named(attribute: &Group, name: &str) -> bool {
    attribute.delimiter() == Delimiter::Bracket
        && matches!(
            attribute.stream().into_iter().next(),
            Some(TokenTree::Ident(ident)) if ident == name
        )
}

/// Returns the text of a string literal; none for other literals.
fn text(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.trim_end_matches("\\n").to_owned())
}
