// SPDX-License-Identifier: GPL-2.0
//! Features, and the rows that show them.
//!
//! A [`Feature`] is a behaviour in one sentence. [`Pair::feature`] shows it by the same work on two
//! boards, which differ in the driver only. `evidence.rs` names other rows that show features.

use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Trial;

use super::{Bench, Fixture};
use crate::board::{Board, Driver, Setup};

pub use super::ledger::{C, Feature, Part};

/// Two boards that differ in the driver only.
pub struct Pair {
    rust: Arc<Fixture>,
    c: Arc<Fixture>,
    of_rust: Vec<Trial>,
    of_c: Vec<Trial>,
}

impl Pair {
    /// Returns two boards with `setup`, one for each driver, which `prepare` makes ready.
    pub fn new(
        bench: &Arc<Bench>,
        setup: Setup,
        prepare: impl Fn(&mut Board) -> Result<()> + Clone + Send + Sync + 'static,
    ) -> Self {
        let mut of_c = setup.clone();
        of_c.name += "-c-driver";
        Self {
            rust: Fixture::new(bench, setup.driver(Driver::Rust), prepare.clone()),
            c: Fixture::new(bench, of_c.driver(Driver::C), prepare),
            of_rust: Vec::new(),
            of_c: Vec::new(),
        }
    }

    /// Adds rows in which `work` shows `feature`: on both boards, or on this driver's alone if the
    /// feature does not apply to the C driver. The rows of a board run in the order of these calls.
    pub fn feature(
        mut self,
        feature: Feature,
        work: impl Fn(&mut Board) -> Result<()> + Clone + Send + 'static,
    ) -> Self {
        let rust = self.rust.row(feature.id, work.clone());
        let mut c_rows = Vec::new();
        if !matches!(feature.c, C::NotApplicable(_)) {
            let c = self.c.observed(feature.id, feature.c, work);
            c_rows.push(c.name().to_owned());
            self.of_c.push(c);
        }
        let c_names: Vec<&str> = c_rows.iter().map(String::as_str).collect();
        self.rust.ledger().enter(feature, &[rust.name()], &c_names);
        self.of_rust.push(rust);
        self
    }

    /// Returns all rows.
    pub fn rows(self) -> impl Iterator<Item = Trial> {
        self.of_rust.into_iter().chain(self.of_c)
    }
}
