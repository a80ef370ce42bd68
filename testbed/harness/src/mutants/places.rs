// SPDX-License-Identifier: GPL-2.0
//! Where a source file accesses registers, and what to put there instead.

use std::ops::Range;

/// From here on a file of the driver tests itself.
const TESTS: &str = "#[kunit_tests";

/// One access.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The line that it begins in, counted from 1.
    pub line: usize,
    /// Its text, on one line.
    pub code: String,
    range: Range<usize>,
    instead: String,
}

impl Place {
    fn new(code: &str, range: Range<usize>, instead: String) -> Self {
        let words: Vec<&str> = code[range.clone()].split_whitespace().collect();
        Self {
            line: code[..range.start].matches('\n').count() + 1,
            code: words.join(" ").replace(" .", "."),
            range,
            instead,
        }
    }

    /// `source` without this access.
    pub fn mutated(&self, source: &str) -> String {
        let (before, after) = (&source[..self.range.start], &source[self.range.end..]);
        format!("{before}{}{after}", self.instead)
    }
}

/// What methods that access registers are named, or begin with before a `_`.
const VERBS: [&str; 7] = [
    ".read",
    ".write",
    ".save",
    ".restore",
    ".reset",
    ".look",
    ".wait_flushed",
];
/// What begins an entry of a list of registers to be kept.
const ENTRY: &str = "Kept::new";
/// A register that nobody wants to be kept.
const NO_ENTRY: &str = "Kept::zeroed()";
/// What is written with these is text.
const FORMATTING: [&str; 2] = ["write_fmt", "write_str"];

/// All accesses of `source` outside of its tests: calls of methods that are
/// named after one of [`VERBS`], as `read` or `reset_contexts`, and what is in
/// lists of registers to be kept.
pub fn find(source: &str) -> Vec<Place> {
    let code = &source[..source.find(TESTS).unwrap_or(source.len())];
    let mut places = Vec::new();
    for verb in VERBS {
        for (dot, _) in code.match_indices(verb) {
            if !in_comment(code, dot) {
                places.extend(place(code, dot, verb));
            }
        }
    }
    for (start, _) in code.match_indices(ENTRY) {
        if !in_comment(code, start) {
            places.extend(entry(code, start));
        }
    }
    places.sort_by_key(|place| place.range.start);
    places
}

/// The entry that begins at `start`.
fn entry(code: &str, start: usize) -> Option<Place> {
    let open = start + ENTRY.len();
    let end = open + closing(code[open..].strip_prefix('(').and(Some(&code[open..]))?)?;
    Some(Place::new(code, start..end, NO_ENTRY.into()))
}

fn in_comment(code: &str, at: usize) -> bool {
    let line = code[..at].rfind('\n').map_or(0, |n| n + 1);
    code[line..at].contains("//")
}

/// The access whose method's name begins after the dot at `dot`.
fn place(code: &str, dot: usize, verb: &str) -> Option<Place> {
    let receiver = code[..dot].trim_end();
    let start = beginning(receiver);
    let method = &code[dot + 1..];
    let name_end = method.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    if !["", "_"].contains(&&method[verb.len() - 1..name_end.min(verb.len())]) {
        return None;
    }
    if FORMATTING.contains(&&method[..name_end]) {
        return None;
    }
    let (register, open) = match method[name_end..].strip_prefix("::<") {
        Some(generic) => {
            let (register, _) = generic.split_once('>')?;
            (Some(register), name_end + "::<>".len() + register.len())
        }
        None => (None, name_end),
    };
    if !method[open..].starts_with('(') {
        return None;
    }
    let mut end = dot + 1 + open + closing(&method[open..])?;
    let instead = match (verb, register) {
        (".read", Some(register)) => format!("{register}::from(0)"),
        (".read", None) => "0u32".into(),
        // Nothing, or false, where a value is wanted.
        (".save", _) if !code[end..].starts_with(';') => "Default::default()".into(),
        (".wait_flushed", _) => "()".into(),
        _ => {
            end += usize::from(code[end..].starts_with(';'));
            String::new()
        }
    };
    Some(Place::new(code, start..end, instead))
}

/// Where the value that `text` ends with begins: names and dots, and whatever
/// there is in brackets after a name.
fn beginning(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' if depth > 0 => depth -= 1,
            c if depth > 0 || c.is_alphanumeric() || "_.".contains(c) => (),
            c => return at + c.len_utf8(),
        }
    }
    0
}

/// The length of what is between the parenthesis that `text` begins with and
/// its counterpart, both included.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => (),
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn f() {\n    \
        // regs.read(nothing)\n    \
        a.b = regs.read::<IMCTR>(f.at(1)).into();\n    \
        regs\n        .write(f.at(2), IMCTR::from(a.b));\n    \
        self.ready();\n    \
        i.reset_contexts(&regs);\n    \
        i.restored();\n    \
        f.write_str(x);\n    \
        s.a[id.index()].restore(x);\n    \
        l.enlist(|kept| kept.save(regs));\n    \
        s.put_back(|id| i.wait_flushed_in(regs, id));\n    \
        [Kept::new(f.at(1)).with_commands(x), Kept::nothing()]\n\
        }\n#[kunit_tests(x)]\nfn t() { regs.read::<IMCTR>(at) }\n";

    #[test]
    fn reads_and_writes_are_found_where_they_count() {
        let codes: Vec<(usize, String)> =
            find(SOURCE).into_iter().map(|p| (p.line, p.code)).collect();
        assert_eq!(
            codes,
            [
                (3, "regs.read::<IMCTR>(f.at(1))".to_owned()),
                (4, "regs.write(f.at(2), IMCTR::from(a.b));".to_owned()),
                (7, "i.reset_contexts(&regs);".to_owned()),
                (10, "s.a[id.index()].restore(x);".to_owned()),
                (11, "kept.save(regs)".to_owned()),
                (12, "i.wait_flushed_in(regs, id)".to_owned()),
                (13, "Kept::new(f.at(1))".to_owned()),
            ]
        );
    }

    #[test]
    fn a_read_becomes_zero_and_a_write_nothing() {
        let places = find(SOURCE);
        assert!(
            places[0]
                .mutated(SOURCE)
                .contains("a.b = IMCTR::from(0).into();")
        );
        let written = places[1].mutated(SOURCE);
        assert!(!written.contains("f.at(2)"), "{written}");
    }
}
