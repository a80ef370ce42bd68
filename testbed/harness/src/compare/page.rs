// SPDX-License-Identifier: GPL-2.0
//! The comparison as a page.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::report::{Counts, Line, Scenario};

/// The number of lines after which a sequence is cut. The report in JSON has all of it.
const LINES: usize = 60;

/// Returns a table with one line for each scenario.
pub fn summary(scenarios: &[Scenario]) -> String {
    let mut text = String::from(
        "\n| scenario | Rust | C | sequence | registers that differ |\n|---|---|---|---|---|\n",
    );
    let sum = |of: &BTreeMap<String, usize>| of.values().sum::<usize>();
    let both = |c: &Counts| format!("{} + {}", sum(&c.reads), sum(&c.writes));
    for s in scenarios {
        let same = if s.same_sequence { "same" } else { "differs" };
        let unexplained = s.registers_differ.iter().filter(|l| l.because.is_none());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {same} | {}, {} of them unexplained |",
            s.name,
            both(&s.rust),
            both(&s.c),
            s.registers_differ.len(),
            unexplained.count(),
        );
    }
    text += "\nReads + writes of IPMMU registers.\n";
    text
}

/// Returns the page: the summary, and a section for each scenario.
pub fn page(scenarios: &[Scenario]) -> String {
    let mut text = String::from("# What both drivers do to the hardware\n");
    text += &summary(scenarios);
    for s in scenarios {
        let _ = writeln!(text, "\n## {}\n", s.name);
        text += "| register | Rust reads | C reads | Rust writes | C writes |\n";
        text += "|---|---|---|---|---|\n";
        for kind in kinds(s) {
            let of = |counts: &BTreeMap<String, usize>| counts.get(kind).copied().unwrap_or(0);
            let _ = writeln!(
                text,
                "| {kind} | {} | {} | {} | {} |",
                of(&s.rust.reads),
                of(&s.c.reads),
                of(&s.rust.writes),
                of(&s.c.writes)
            );
        }
        for left in &s.registers_differ {
            let _ = writeln!(
                text,
                "\n{}: {:#010x} (Rust), {:#010x} (C): {}",
                left.register,
                left.rust,
                left.c,
                left.because.unwrap_or("unexplained")
            );
        }
        if !s.same_sequence {
            text += &sequences(&s.sequences);
        }
    }
    text
}

fn kinds(scenario: &Scenario) -> Vec<&str> {
    let counts = [&scenario.rust, &scenario.c];
    let mut kinds: Vec<&str> = counts
        .iter()
        .flat_map(|c| c.reads.keys().chain(c.writes.keys()))
        .map(String::as_str)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn sequences(lines: &[Line]) -> String {
    let mut text = format!("\n```\n  {:<45}{}\n", "Rust", "C");
    for Line { rust, c } in lines.iter().take(LINES) {
        let mark = if rust == c { ' ' } else { '|' };
        let (rust, c) = (rust.as_deref(), c.as_deref());
        let (rust, c) = (rust.unwrap_or_default(), c.unwrap_or_default());
        let _ = writeln!(text, "{mark} {rust:<45}{c}");
    }
    if lines.len() > LINES {
        let _ = writeln!(text, "  and {} more", lines.len() - LINES);
    }
    text + "```\n"
}
