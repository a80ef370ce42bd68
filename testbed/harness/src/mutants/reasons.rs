// SPDX-License-Identifier: GPL-2.0
//! Reasons why some changes are not noticed.

use super::places::Kind;

/// A file, a kind, a part of the code, and the reason. None stands for any file or kind.
type Reason = (
    Option<&'static str>,
    Option<Kind>,
    &'static str,
    &'static str,
);

const REASONS: [Reason; 2] = [
    (
        None,
        Some(Kind::Barrier),
        "mb(",
        "a host with strong memory order shows no loss; testbed/litmus argues for the barrier",
    ),
    (
        None,
        Some(Kind::Statement),
        "drop(",
        "it is dropped at the end of the block instead",
    ),
];

/// Returns the reason why nothing can notice a change of `code`, if there is one.
pub fn of(file: &str, kind: Kind, code: &str) -> Option<&'static str> {
    let (.., why) = REASONS.iter().find(|(in_file, of_kind, part, _)| {
        in_file.is_none_or(|f| f == file)
            && of_kind.is_none_or(|k| k == kind)
            && code.contains(part)
    })?;
    Some(why)
}
