// SPDX-License-Identifier: GPL-2.0
//! `make trees`: boots device trees in which something about IPMMUs is wrong.
//!
//! A generator knows the structure of the tree, and breaks up to four things of IPMMUs and clients
//! in each, by a seed. Each tree is booted, and the driver is loaded. Nothing may break, a message
//! must name whatever is refused, and what was not touched must work.

mod generator;
mod judge;
mod kind;
mod model;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::board::fdt::Fdt;
use crate::board::pcie;
use crate::board::{Board, Driver, Setup};
use crate::exec::capture;
use crate::paths::Paths;
use crate::provision::Provision;
use crate::robustness::{self, Run};
pub use generator::Tree;
pub use judge::{Seen, judge};

/// The name of the board.
const NAME: &str = "tree";

const APPEND: &str = "maxcpus=2";

/// Returns the board's tree, with a PCIe host.
pub fn base(paths: &Paths, original: &Path) -> Result<Fdt> {
    Fdt::parse(&fs::read(pcie::device_tree(paths, original)?)?)
}

/// Returns the board for a tree. `name` is the board's name.
pub fn setup(paths: &Paths, name: &str, tree: &Tree) -> Result<Setup> {
    let dir = paths.build().join("dtb");
    fs::create_dir_all(&dir)?;
    let dtb = dir.join(format!("{name}.dtb"));
    fs::write(&dtb, tree.fdt.to_blob())?;
    Ok(Setup::new(name, Driver::Rust)
        .dtb(dtb)
        .pcie(&["edu"])
        .append(APPEND))
}

/// Tries `count` trees, from seed `first` on. Returns whether none failed.
pub fn run(provision: &Provision, count: u64, first: u64) -> Result<bool> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("{why}");
    }
    let base = base(paths, &provision.kernel.dtb())?;
    let (begun, mut failed, mut kinds) = (Instant::now(), 0, BTreeMap::new());
    let (mut untouched, mut refused, mut of_the_core) = (0, 0, 0);
    for seed in first..first + count {
        let tree = Tree::new(&base, seed);
        for mutation in &tree.mutations {
            *kinds.entry(mutation.kind).or_insert(0_u64) += 1;
        }
        let mut log = String::new();
        match try_out(provision, &base, &tree, &mut log) {
            Ok(seen) => {
                println!("{seed}: {} as it must be", tree.mutations.len());
                untouched += u64::from(!seen.untouched.is_empty());
                refused += u64::from(seen.refused > 0);
                of_the_core += seen.of_the_core;
            }
            Err(e) => {
                failed += 1;
                let said = keep(paths, &tree, &format!("{e:#}"), &log)?;
                println!("{seed}: FAILED: {e:#}\n(see {}.*)", said.display());
            }
        }
    }
    println!("mutations: {kinds:?}");
    println!(
        "an IPMMU was refused in {refused} trees, a DMA controller was untouched in {untouched}, \
         {of_the_core} reports of the core, {} s",
        begun.elapsed().as_secs()
    );
    println!("{count} trees, {failed} failed");
    robustness::enter(
        paths,
        Run {
            instrument: "trees".into(),
            planted: None,
            tried: format!("{count} trees, from seed {first}"),
            findings: failed,
            seconds: begun.elapsed().as_secs(),
        },
    )?;
    Ok(failed == 0)
}

fn try_out(provision: &Provision, base: &Fdt, tree: &Tree, log: &mut String) -> Result<Seen> {
    let paths = &provision.paths;
    let setup = setup(paths, NAME, tree)?;
    let mut board = Board::boot(provision, &setup)?;
    let seen = judge(&mut board, base, tree);
    // Includes messages that came after the last look.
    let _ = board.raw_messages();
    log.clone_from(&board.klog);
    fs::write(paths.log().join(format!("{NAME}.dmesg.log")), log)?;
    seen
}

/// Saves a tree that failed, and its log. Returns the path of these files, without extension.
fn keep(paths: &Paths, tree: &Tree, why: &str, log: &str) -> Result<PathBuf> {
    let dir = paths.report().join("trees");
    fs::create_dir_all(&dir)?;
    let file = dir.join(tree.seed.to_string());
    let blob = file.with_extension("dtb");
    fs::write(&blob, tree.fdt.to_blob())?;
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-f", "-I", "dtb", "-O", "dts"]).arg(&blob);
    fs::write(file.with_extension("dts"), capture(&mut dtc)?)?;
    let mutations: Vec<String> = tree.mutations.iter().map(|m| format!("{m}\n")).collect();
    let text = format!("{}\n{why}\n\n{log}", mutations.concat());
    fs::write(file.with_extension("log"), text)?;
    Ok(paths.short(&file).to_owned())
}
