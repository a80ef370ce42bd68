// SPDX-License-Identifier: GPL-2.0
//! Helpers for tokens of Rust.

use std::ops::Range;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Returns the tokens without attributes and doc comments.
pub fn without_attributes(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let in_brackets =
            matches!(&token, TokenTree::Group(g) if g.delimiter() == Delimiter::Bracket);
        match kept.as_slice() {
            // An attribute of the enclosing item, or of the next one.
            [.., hash, not] if in_brackets && is_punct(hash, '#') && is_punct(not, '!') => {
                kept.truncate(kept.len() - 2);
            }
            [.., hash] if in_brackets && is_punct(hash, '#') => kept.truncate(kept.len() - 1),
            _ => kept.push(token),
        }
    }
    kept
}

/// Returns whether the token is this word.
pub fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(name) if name == word)
}

/// Returns whether the token is this character.
pub fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == c)
}

/// Returns whether the token and the next one belong together.
pub fn is_joint(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(p) if p.spacing() == Spacing::Joint)
}

/// Returns whether the token is a block, or looks like one.
pub fn is_block(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace)
}

/// Returns the range of these tokens in the text.
pub fn range_of(tokens: &[TokenTree]) -> Range<usize> {
    let of = |t: &TokenTree| t.span().byte_range();
    of(&tokens[0]).start..of(&tokens[tokens.len() - 1]).end
}

/// Returns whether an expression goes on with token `next` after a block.
pub fn goes_on(next: Option<&TokenTree>) -> bool {
    next.is_some_and(|t| {
        is_word(t, "else") || [';', '.', '?', ','].into_iter().any(|c| is_punct(t, c))
    })
}

/// Returns the name of the function that a statement calls last.
pub fn last_call(statement: &[TokenTree]) -> Option<String> {
    let mut name = None;
    for (at, token) in statement.iter().enumerate() {
        if let TokenTree::Ident(ident) = token {
            if arguments(statement, at + 1).is_some() {
                name = Some(ident.to_string());
            }
        }
    }
    name
}

/// Returns the end of the arguments that begin at `at`, and the text in `::<>` before them.
pub fn arguments(tokens: &[TokenTree], at: usize) -> Option<(usize, Option<String>)> {
    let is_arguments =
        |t: &TokenTree| matches!(t, TokenTree::Group(g) if g.delimiter() == Delimiter::Parenthesis);
    if is_arguments(tokens.get(at)?) {
        return Some((at, None));
    }
    let (generic, rest) = (tokens.get(at..at + 3)?, tokens.get(at + 3..)?);
    if !(is_punct(&generic[0], ':') && is_punct(&generic[2], '<')) {
        return None;
    }
    let end = rest.iter().position(|t| is_punct(t, '>'))?;
    let register = rest[..end].iter().map(ToString::to_string).collect();
    is_arguments(rest.get(end + 1)?).then_some((at + 3 + end + 1, Some(register)))
}

/// Returns the beginning of the receiver of a method call whose dot is at `dot`.
pub fn receiver(tokens: &[TokenTree], dot: usize) -> usize {
    let is_part = |t: &TokenTree| match t {
        TokenTree::Ident(name) => !["return", "in", "match", "if", "else"]
            .iter()
            .any(|w| name == w),
        TokenTree::Group(g) => g.delimiter() != Delimiter::Brace,
        TokenTree::Punct(p) => ['.', '?'].contains(&p.as_char()),
        TokenTree::Literal(_) => true,
    };
    let before = tokens[..dot].iter().rev().take_while(|t| is_part(t));
    dot - before.count()
}

/// Returns the comparison that begins with these tokens, and the opposite one.
pub fn comparison(code: &str, tokens: &[TokenTree]) -> Option<(Range<usize>, &'static str)> {
    let first = tokens.first()?;
    let second = tokens.get(1).filter(|_| is_joint(first));
    let is = |a, b| is_punct(first, a) && second.is_some_and(|t| is_punct(t, b));
    let two = |opposite| Some((range_of(&tokens[..2]), opposite));
    if is('=', '=') {
        return two("!=");
    }
    if is('!', '=') {
        return two("==");
    }
    if is('<', '=') {
        return two(">");
    }
    if is('>', '=') {
        return two("<");
    }
    // Without blanks on both sides it is a bracket.
    let range = range_of(&tokens[..1]);
    let is_apart = second.is_none()
        && code[..range.start].ends_with(char::is_whitespace)
        && code[range.end..].starts_with(' ');
    match is_apart {
        true if is_punct(first, '<') => Some((range, ">=")),
        true if is_punct(first, '>') => Some((range, "<=")),
        _ => None,
    }
}

/// Returns whether these tokens have a comparison.
pub fn has_comparison(code: &str, tokens: &[TokenTree]) -> bool {
    (0..tokens.len()).any(|at| comparison(code, &tokens[at..]).is_some())
}
