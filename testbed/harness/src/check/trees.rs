// SPDX-License-Identifier: GPL-2.0
//! Some of the device trees of `make trees`, each with something wrong about IPMMUs.

use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::trees::{Tree, base, judge, setup};

/// The number of trees, from the first seeds. Trees of other hardware are left out: with them the
/// driver touches registers that do not exist, which no row may do.
const TREES: usize = 8;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let base = Arc::new(base(&bench.paths, &bench.provision.kernel.dtb())?);
    let trees = (1..).map(|seed| (seed, Tree::new(&base, seed)));
    let row = |(seed, tree): (u64, Tree)| {
        let base = base.clone();
        let setup = setup(&bench.paths, &format!("trees-{seed}"), &tree)?;
        let board = Fixture::new(bench, setup, |_| Ok(()));
        Ok(board.row("nothing_breaks", move |b| judge(b, &base, &tree).map(drop)))
    };
    trees
        .filter(|(_, tree)| tree.is_of_this_hardware())
        .take(TREES)
        .map(row)
        .collect()
}
