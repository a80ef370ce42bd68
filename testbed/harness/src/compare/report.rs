// SPDX-License-Identifier: GPL-2.0
//! The report of a comparison.

use std::collections::BTreeMap;

use serde::Serialize;

use super::trace::Access;

/// The numbers of accesses to each register.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub reads: BTreeMap<String, usize>,
    pub writes: BTreeMap<String, usize>,
}

impl Counts {
    pub fn of(accesses: &[Access]) -> Self {
        let mut counts = Self::default();
        for access in accesses {
            let of_kind = match access.is_write {
                true => &mut counts.writes,
                false => &mut counts.reads,
            };
            *of_kind.entry(access.kind().to_owned()).or_default() += 1;
        }
        counts
    }
}

/// A register that the drivers leave with different values.
#[derive(Debug, Serialize)]
pub struct Left {
    pub register: String,
    pub rust: u32,
    pub c: u32,
    /// The reason, if the difference is right. Without one the comparison fails.
    pub because: Option<&'static str>,
}

/// One line of two sequences side by side.
#[derive(Debug, Serialize)]
pub struct Line {
    pub rust: Option<String>,
    pub c: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Scenario {
    pub name: &'static str,
    pub rust: Counts,
    pub c: Counts,
    pub same_sequence: bool,
    /// Both sequences, if they differ.
    pub sequences: Vec<Line>,
    pub registers_differ: Vec<Left>,
}
