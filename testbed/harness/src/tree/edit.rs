// SPDX-License-Identifier: GPL-2.0
//! A block of lines that the driver adds to a file of the kernel.

use anyhow::{Context, Result};

use super::author::Author;

/// The place of a block, beside a line of the file.
pub enum Place {
    Before(&'static str),
    After(&'static str),
}

/// The lines of a block.
pub enum Block {
    Lines(&'static str),
    Entry(Entry),
}

/// An entry in MAINTAINERS.
pub struct Entry {
    pub heading: &'static str,
    /// The mailing lists.
    pub lists: &'static [&'static str],
    /// The directories with the files of the entry.
    pub tops: &'static [&'static str],
}

/// A block of lines to add to one file.
pub struct Edit {
    /// The path of the file in the kernel's tree.
    pub file: &'static str,
    pub place: Place,
    pub block: Block,
    /// The files and directories of the driver that need this edit; none for an entry, which grows
    /// with each file.
    pub with: &'static [&'static str],
}

impl Entry {
    /// Returns the lines of the entry, with those of the sorted `patterns` that are in its
    /// directories. Returns an empty string if there are none.
    fn text(&self, author: &Author, patterns: &[String]) -> String {
        let is_ours = |p: &&String| self.tops.iter().any(|top| p.starts_with(top));
        let files: String = patterns
            .iter()
            .filter(is_ours)
            .map(|p| format!("F:\t{p}\n"))
            .collect();
        if files.is_empty() {
            return files;
        }
        let lists: String = self
            .lists
            .iter()
            .map(|list| format!("L:\t{list}\n"))
            .collect();
        format!(
            "{}M:\t{author}\n{lists}S:\tMaintained\n{files}\n",
            self.heading
        )
    }
}

impl Edit {
    /// Returns `text`, which must lack the block, with it. An entry without files adds nothing.
    pub fn insert(&self, text: &str, author: &Author, patterns: &[String]) -> Result<String> {
        let block = match &self.block {
            Block::Lines(lines) => (*lines).to_owned(),
            Block::Entry(entry) => entry.text(author, patterns),
        };
        if block.is_empty() {
            return Ok(text.to_owned());
        }
        let (line, past) = match self.place {
            Place::Before(line) => (line, 0),
            Place::After(line) => (line, line.len()),
        };
        let at = find_line(text, line).with_context(|| {
            format!(
                "{} has no line \"{}\", beside which the driver's would go",
                self.file,
                line.trim()
            )
        })? + past;
        Ok(format!("{}{block}{}", &text[..at], &text[at..]))
    }

    /// Returns `text` without the block.
    pub fn remove(&self, text: &str) -> String {
        let found = match &self.block {
            Block::Lines(lines) => find_line(text, lines).map(|at| at..at + lines.len()),
            Block::Entry(entry) => find_line(text, entry.heading).map(|at| {
                let end = text[at..].find("\n\n").map_or(text.len(), |n| at + n + 2);
                at..end
            }),
        };
        found.map_or_else(
            || text.to_owned(),
            |range| format!("{}{}", &text[..range.start], &text[range.end..]),
        )
    }

    /// Returns whether the file `path` needs this edit.
    pub fn is_for(&self, path: &str) -> bool {
        self.with.iter().any(|with| is_below(path, with))
    }

    /// Returns whether the block grows with each file.
    pub fn grows(&self) -> bool {
        matches!(self.block, Block::Entry(..))
    }
}

/// Returns whether `path` is `other`, or is in the directory `other`.
pub fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the offset of the lines `wanted` in `text`.
fn find_line(text: &str, wanted: &str) -> Option<usize> {
    text.match_indices(wanted)
        .map(|(at, _)| at)
        .find(|&at| at == 0 || text[..at].ends_with('\n'))
}
