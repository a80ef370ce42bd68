// SPDX-License-Identifier: GPL-2.0
//! Some of the device trees of `make trees`: in each something about IPMMUs is wrong.

use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::trees::{Tree, base, judge, setup};

/// So many, of the first seeds. A row may not touch registers that do not exist, which trees of
/// other hardware have the driver do.
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
