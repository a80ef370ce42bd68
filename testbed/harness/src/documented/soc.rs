// SPDX-License-Identifier: GPL-2.0
//! Compares the table of SoCs in the documentation with the kernel's binding, this driver,
//! upstream's driver, and the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::check::{generations, socs};

const PAGE: &str = "Documentation/socs.rst";
const BINDING: &str = "Documentation/devicetree/bindings/iommu/renesas,ipmmu-vmsa.yaml";
const UPSTREAM: &str = "drivers/iommu/ipmmu-vmsa.c";
const DRIVER: &str = "ipmmu_vmsa.rs";

/// The beginning of all compatible strings.
const PREFIX: &str = "renesas,ipmmu-";
/// The fallback compatible strings of all Gen2 SoCs and of most Gen4 SoCs, with the generations.
const FALLBACKS: [(&str, &str); 2] = [
    ("renesas,ipmmu-vmsa", "Gen2"),
    ("renesas,rcar-gen4-ipmmu-vmsa", "Gen4"),
];

/// A SoC in a line of the table or of the binding.
#[derive(Debug, PartialEq, Eq)]
struct Soc {
    name: String,
    generation: String,
}

/// Fails if the page, the binding, both drivers and the tests disagree.
pub fn check(repo: &Path, linux: &Path) -> Result<()> {
    let read = |dir: &Path, name: &str| {
        fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let binding = of_binding(&read(linux, BINDING)?);
    ensure!(binding.len() > 20, "{BINDING} is not understood");
    let driver = of_driver(&read(repo, DRIVER)?);
    let denied = denied(&read(linux, UPSTREAM)?);
    ensure!(!denied.is_empty(), "{UPSTREAM} is not understood");
    let page = rows(&read(repo, PAGE)?);

    for (compatible, soc) in &binding {
        let row = page
            .get(compatible)
            .with_context(|| format!("{PAGE} does not have {compatible}"))?;
        ensure!(
            row.0 == *soc,
            "{PAGE} says of {compatible} {:?}, and {BINDING} {soc:?}",
            row.0
        );
        let taken = driver
            .get(&format!("{PREFIX}{compatible}"))
            .or_else(|| driver.get(fallback(&soc.generation)?));
        ensure!(
            taken == Some(&soc.generation),
            "{DRIVER} takes {compatible} for {taken:?}, not for {}",
            soc.generation
        );
        known_from(compatible, &row.1, &denied)?;
    }
    let extra = page.keys().find(|c| !binding.contains_key(*c));
    ensure!(extra.is_none(), "{BINDING} does not have {extra:?}");
    Ok(())
}

/// Fails unless `claim`, from the last column, agrees with the tests and with upstream's driver.
fn known_from(compatible: &str, claim: &str, denied: &[String]) -> Result<()> {
    ensure!(
        generations::bound().any(|c| c == compatible),
        "no test binds {compatible}"
    );
    let board = socs::BOARDS.iter().find(|b| b.soc == compatible);
    let emulated =
        generations::emulated().any(|c| c == compatible) || board.is_some_and(|b| b.is_translated);
    ensure!(
        claim.starts_with("emulated") == emulated,
        "{PAGE} says that {compatible} is {claim:?}, and the tests differ"
    );
    ensure!(
        emulated || claim.starts_with("bound"),
        "{PAGE} says nothing of where {compatible} is known from"
    );
    let mut words = claim.split([' ', ',', ';']);
    let named = words.find(|word| word.starts_with("r8a"));
    ensure!(
        named == board.map(|b| b.name),
        "{PAGE} says that {compatible} is {claim:?}, and the board that the tests boot is {:?}",
        board.map(|b| b.name)
    );
    ensure!(
        claim.contains("upstream translates nothing") == denied.iter().any(|d| d == compatible),
        "{PAGE} says that {compatible} is {claim:?}, and {UPSTREAM} differs"
    );
    Ok(())
}

fn fallback(generation: &str) -> Option<&'static str> {
    let of = FALLBACKS.iter().find(|(_, g)| *g == generation);
    of.map(|(compatible, _)| *compatible)
}

/// Returns the SoCs of the binding, by compatible string. The binding has lists of them, which end
/// at their fallback or at the next list.
fn of_binding(text: &str) -> BTreeMap<String, Soc> {
    let mut socs = BTreeMap::new();
    let mut list: Vec<(String, String)> = Vec::new();
    let mut end = |list: &mut Vec<(String, String)>, generation: &str| {
        for (compatible, name) in list.drain(..) {
            let generation = generation.to_owned();
            socs.insert(compatible, Soc { name, generation });
        }
    };
    let section = text
        .lines()
        .skip_while(|l| l.trim() != "compatible:")
        .take_while(|l| l.trim() != "reg:");
    for line in section {
        let line = line.trim_start_matches([' ', '-']);
        let (value, comment) = line.split_once('#').unwrap_or((line, ""));
        let value = value.trim();
        if let Some(soc) = value.strip_prefix(PREFIX) {
            list.push((soc.into(), comment.trim().into()));
        } else if let Some(named) = value.strip_prefix("const: ") {
            let of = FALLBACKS.iter().find(|(f, _)| *f == named);
            end(&mut list, of.map_or("unknown", |(_, g)| g));
        } else if value == "items:" {
            end(&mut list, "Gen3");
        }
    }
    end(&mut list, "Gen3");
    socs
}

/// Returns the generations in the driver's match table, by compatible string.
fn of_driver(source: &str) -> BTreeMap<String, String> {
    let entries = source.split("DeviceId::new(c\"").skip(1);
    entries
        .filter_map(|entry| {
            let (compatible, rest) = entry.split_once('"')?;
            let (_, features) = rest.split_once("&GEN")?;
            Some((
                compatible.into(),
                format!("Gen{}", features.chars().next()?),
            ))
        })
        .collect()
}

/// Returns the SoCs on which upstream's driver translates nothing, at least on some revisions.
fn denied(source: &str) -> Vec<String> {
    let table = source.split_once("soc_denylist[]").map_or("", |(_, t)| t);
    let table = table.split_once("sentinel").map_or("", |(t, _)| t);
    let ids = table.split(".soc_id = \"").skip(1);
    ids.filter_map(|id| Some(id.split_once('"')?.0.to_owned()))
        .collect()
}

/// Returns the rows of the table, by compatible string: the SoC, and the last column.
fn rows(page: &str) -> BTreeMap<String, (Soc, String)> {
    let rule = page
        .lines()
        .find(|l| l.starts_with("===") && l.contains(' '));
    let Some(rule) = rule else {
        return BTreeMap::new();
    };
    let ends: Vec<usize> = rule.match_indices(' ').map(|(at, _)| at).collect();
    let mut rows: BTreeMap<String, (Soc, String)> = BTreeMap::new();
    let mut last = None;
    for line in page.lines() {
        let cell = |n: usize| -> &str {
            let from = if n == 0 { 0 } else { ends[n - 1] };
            let to = ends.get(n).copied().unwrap_or(line.len());
            line.get(from..to.min(line.len())).unwrap_or("").trim()
        };
        if line.starts_with("r8a") {
            let soc = Soc {
                name: cell(1).into(),
                generation: cell(2).into(),
            };
            last = Some(cell(0).to_owned());
            rows.insert(cell(0).into(), (soc, cell(3).into()));
        } else if !line.starts_with(' ') {
            last = None;
        } else if let Some(row) = last.as_ref().and_then(|l| rows.get_mut(l)) {
            row.1 += " ";
            row.1 += cell(3);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_is_understood() {
        let socs = of_binding(
            "  compatible:\n    oneOf:\n      - items:\n          - enum:\n              \
             - renesas,ipmmu-r8a7790  # R-Car H2\n          - const: renesas,ipmmu-vmsa  # x\n\n      \
             - items:\n          - enum:\n              - renesas,ipmmu-r8a7795  # R-Car H3\n  reg:\n",
        );
        let soc = |name: &str, generation: &str| Soc {
            name: name.into(),
            generation: generation.into(),
        };
        assert_eq!(socs["r8a7790"], soc("R-Car H2", "Gen2"));
        assert_eq!(socs["r8a7795"], soc("R-Car H3", "Gen3"));
    }

    #[test]
    fn rows_may_go_on() {
        let page = "======= ==== == =====\nr8a7795 H3   G3 whole\n                 board\n======= ==== == =====\n";
        assert_eq!(rows(page)["r8a7795"].1, "whole board");
    }
}
