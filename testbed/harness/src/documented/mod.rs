// SPDX-License-Identifier: GPL-2.0
//! Compares the documentation with the code: messages, SoCs, lists of files.

mod format;
mod said;
mod soc;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

pub use soc::check as socs;

use format::Format;
use said::Said;

/// The page that explains the driver's messages.
const PAGE: &str = "Documentation/messages.rst";

/// The page with the assumptions of unsafe code in each file.
const REVIEWING: &str = "Documentation/reviewing.rst";
const ABSTRACTIONS: &str = "abstractions/";
/// The page with the suites of tests for boards.
const BOARD: &str = "Documentation/board.rst";
const RUN: &str = "testbed/guest/board/run.sh";

/// Fails unless the page explains all messages in the driver's sources, and no others.
pub fn messages(repo: &Path, sources: &[PathBuf]) -> Result<()> {
    let mut said = Said::default();
    for file in sources {
        said.collect(&fs::read_to_string(file)?)
            .with_context(|| file.display().to_string())?;
    }
    let page = fs::read_to_string(repo.join(PAGE))?;
    let wrong = compare(&said, &page);
    ensure!(wrong.is_empty(), "{PAGE}: {}", wrong.join("; "));
    Ok(())
}

/// Fails unless lists in pages have an item for each abstraction with unsafe code, and for each
/// suite. Abstractions in the list must exist.
pub fn lists(repo: &Path, sources: &[PathBuf]) -> Result<()> {
    let page = fs::read_to_string(repo.join(REVIEWING))?;
    for file in sources.iter().filter_map(|f| f.strip_prefix(repo).ok()) {
        let name = file.display().to_string();
        let is_safe = !fs::read_to_string(repo.join(file))?.contains("unsafe ");
        ensure!(
            is_safe || !name.starts_with(ABSTRACTIONS) || terms(&page).any(|t| t.is(&name)),
            "{REVIEWING} does not have {name}"
        );
    }
    for term in terms(&page) {
        let (Term::Message(name) | Term::Word(name)) = term;
        ensure!(
            !name.starts_with(ABSTRACTIONS) || repo.join(name).is_file(),
            "{REVIEWING} has {name}, which is not there"
        );
    }
    let page = fs::read_to_string(repo.join(BOARD))?;
    let script = fs::read_to_string(repo.join(RUN))?;
    let suites = script.lines().find_map(|l| l.strip_prefix("suites='"));
    for suite in suites
        .with_context(|| format!("{RUN} has no suites"))?
        .split_whitespace()
    {
        let suite = suite.trim_end_matches('\'');
        ensure!(
            page.lines()
                .any(|l| l.starts_with(&format!("``{suite}`` "))),
            "{BOARD} does not have the suite {suite}"
        );
    }
    Ok(())
}

/// Returns errors: texts that are printed but not explained, or explained but never printed.
fn compare(said: &Said, page: &str) -> Vec<String> {
    let messages = formats(&said.messages);
    let mut words = formats(&said.words);
    // A format without letters would match any text.
    words.retain(Format::has_letters);
    // The values in a message must be among the words.
    let is_filling = |text: &str| words.iter().any(|w| w.fillings(text).is_some());
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for term in terms(page) {
        match term {
            Term::Message(text) => {
                let explained: Vec<&Format> = messages
                    .iter()
                    .filter(|m| {
                        m.fillings(text).is_some_and(|fillings| {
                            fillings.iter().all(|f| is_placeholder(f) || is_filling(f))
                        })
                    })
                    .collect();
                if explained.is_empty() {
                    wrong.push(format!("no source prints \"{text}\""));
                }
                used.extend(explained.iter().map(|m| m.text()));
            }
            Term::Word(text) if !is_filling(text) => {
                wrong.push(format!("no source has the words \"{text}\""));
            }
            Term::Word(_) => (),
        }
    }
    for message in &messages {
        if !used.contains(message.text()) {
            wrong.push(format!("\"{}\" is not explained", message.text()));
        }
    }
    for word in &said.words {
        if word.contains(' ') && !word.contains('{') && !page.contains(word.as_str()) {
            wrong.push(format!("the words \"{word}\" are not explained"));
        }
    }
    wrong
}

fn formats(texts: &BTreeSet<String>) -> Vec<Format> {
    texts.iter().map(|text| Format::new(text)).collect()
}

/// A term that the page explains.
enum Term<'a> {
    /// A whole message.
    Message(&'a str),
    /// A value in a message, explained below the message.
    Word(&'a str),
}

impl Term<'_> {
    fn is(&self, name: &str) -> bool {
        let (Term::Message(text) | Term::Word(text)) = self;
        *text == name
    }
}

/// Returns the terms of definition lists: lines in double backquotes. Indented ones are words.
fn terms(page: &str) -> impl Iterator<Item = Term<'_>> {
    page.lines().flat_map(|line| {
        let text = line.trim_start();
        let nested = text.len() < line.len();
        let is_term = text.starts_with("``") && text.ends_with("``");
        text.split("``")
            .skip(1)
            .step_by(2)
            .filter(move |_| is_term)
            .map(move |text| match nested {
                true => Term::Word(text),
                false => Term::Message(text),
            })
    })
}

/// Returns whether `text` is a placeholder for a value: `N`, `0xN`, `DEVICES`, `...`.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix("0x").unwrap_or(text);
    name == "..." || !name.is_empty() && name.bytes().all(|c| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        let mut said = Said::default();
        said.collect(
            r#"
            fn f() {
                dev_err!(dev, "context {}: {} at 0x{:x}\n", n, why(), at);
                say_once(dev, fmt!("{reason}"), true);
                say_once(dev, fmt!("no uTLB {utlb}"), true);
                let _ = line.write_fmt(fmt!("a fault, {what}, of "));
                let _ = line.write_fmt(fmt!("{separator}{name}"));
                dev_err!(dev, "{}\n", line.as_str());
            }
            fn why() -> &'static str { if x { "no permission" } else { "gone" } }
            #[kunit_tests(x)]
            mod tests { fn f() { let s = "of a test"; } }
            "#,
        )
        .unwrap();
        said
    }

    const PAGE: &str = "Text ``not a term`` here.\n\n\
                        ``context N: WHY at 0xN``\n    In words:\n\n    \
                        ``no permission``\n        Really.\n\n\
                        ``a fault, gone, of DEVICES``\n    One of them.\n\n\
                        ``not translated: gone``\n    Yes.\n\n\
                        ``not translated: no uTLB N``\n    No.\n";

    #[test]
    fn a_complete_page_is_good() {
        assert_eq!(compare(&said(), PAGE), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_is_named() {
        let page = PAGE.replace("``a fault, gone, of DEVICES``", "``a fault, gone``");
        assert_eq!(
            compare(&said(), &page),
            [
                "no source prints \"a fault, gone\"",
                "\"a fault, {what}, of {}\" is not explained"
            ]
        );
        let page = PAGE.replace("``context N: WHY at 0xN``", "``context N: WHY``");
        assert_eq!(
            compare(&said(), &page),
            [
                "no source prints \"context N: WHY\"",
                "\"context {}: {} at 0x{:x}\" is not explained"
            ]
        );
        let page = PAGE.replace("no permission", "no mercy");
        assert_eq!(
            compare(&said(), &page),
            [
                "no source has the words \"no mercy\"",
                "the words \"no permission\" are not explained"
            ]
        );
        let page = PAGE.replace("no uTLB N``", "no uTLB``");
        assert_eq!(
            compare(&said(), &page),
            [
                "no source prints \"not translated: no uTLB\"",
                "\"not translated: no uTLB {utlb}\" is not explained"
            ]
        );
        let page = PAGE.replace("translated: gone", "translated: went");
        assert_eq!(
            compare(&said(), &page),
            [
                "no source prints \"not translated: went\"",
                "\"not translated: {reason}\" is not explained"
            ]
        );
    }
}
