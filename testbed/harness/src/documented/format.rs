// SPDX-License-Identifier: GPL-2.0
//! Format strings, and their comparison with formatted texts.

/// A format string of Rust.
pub struct Format {
    text: String,
    /// The texts around the braces, in order: one more than there are pairs of braces.
    pieces: Vec<String>,
}

impl Format {
    /// Parses a format string.
    pub fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(before.to_owned());
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        pieces.push(rest.to_owned());
        Self {
            text: text.to_owned(),
            pieces,
        }
    }

    /// Returns the format string.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether there are letters outside of the braces.
    pub fn has_letters(&self) -> bool {
        let mut all = self.pieces.iter().flat_map(|p| p.chars());
        all.any(char::is_alphabetic)
    }

    /// Returns values with which this format gives `text`, if there are any.
    pub fn fillings<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let rest = text.strip_prefix(self.pieces[0].as_str())?;
        fill(&self.pieces[1..], rest)
    }
}

/// Splits `text` into values that are not empty, each followed by one of `pieces`, in order.
fn fill<'a>(pieces: &[String], text: &'a str) -> Option<Vec<&'a str>> {
    let Some((piece, others)) = pieces.split_first() else {
        return text.is_empty().then(Vec::new);
    };
    if others.is_empty() {
        let filling = text.strip_suffix(piece.as_str())?;
        return (!filling.is_empty()).then(|| vec![filling]);
    }
    text.match_indices(piece.as_str())
        .filter(|(at, _)| *at > 0)
        .find_map(|(at, _)| {
            let mut fillings = vec![&text[..at]];
            fillings.extend(fill(others, &text[at + piece.len()..])?);
            Some(fillings)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillings_are_what_is_between() {
        let format = Format::new("{}: {} is 0x{:08x}");
        assert_eq!(
            format.fillings("uTLB N: X is 0xN"),
            Some(vec!["uTLB N", "X", "N"])
        );
        assert_eq!(format.fillings("uTLB N: X is N"), None);
        assert_eq!(format.fillings(": X is 0xN"), None);
        assert_eq!(Format::new("plain").fillings("plain"), Some(vec![]));
        assert_eq!(Format::new("plain").fillings("plainer"), None);
    }
}
