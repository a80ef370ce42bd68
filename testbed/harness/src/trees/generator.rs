// SPDX-License-Identifier: GPL-2.0
//! Makes device trees in which something about IPMMUs is wrong, by a seed.

use std::fmt;

use super::kind::{Kind, Place};
use super::words::{OF_CLIENT, OF_HOST, OF_IPMMU};
use crate::board::dtb::node_of;
use crate::board::fdt::Fdt;
use crate::board::guest::DMACS;
use crate::board::pcie::HOSTS;
use crate::board::registers::IPMMUS;
use crate::random::Random;

/// The largest number of mutations in a tree.
const MOST: usize = 4;
/// The number of places that are tried for a kind that does not fit everywhere.
const TRIES: usize = 200;

/// The kinds with many forms in each place. One choice in [`SHARE`] is made among these alone.
const MANY_FORMS: [Kind; 2] = [Kind::Number, Kind::Word];
const SHARE: usize = 4;

/// A change that makes a tree wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutation {
    pub kind: Kind,
    pub node: String,
    pub property: &'static str,
    /// The other nodes that the change concerns.
    pub others: Vec<String>,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, node, property) = (self.kind, &self.node, self.property);
        write!(f, "{kind:?}: {property} of {node}")?;
        match self.others.is_empty() {
            true => Ok(()),
            false => write!(f, ", with {}", self.others.join(", ")),
        }
    }
}

/// A tree with its mutations.
pub struct Tree {
    pub seed: u64,
    pub fdt: Fdt,
    pub mutations: Vec<Mutation>,
}

impl Tree {
    /// Makes the tree of `seed` from `base`.
    pub fn new(base: &Fdt, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ipmmus = ipmmus();
        let targets = targets(base, &ipmmus);
        let mut tree = Self {
            seed,
            fdt: base.clone(),
            mutations: Vec::new(),
        };
        let wanted = 1 + random.below(MOST);
        while tree.mutations.len() < wanted {
            // The kind comes first, so that one that fits few places is as frequent as the others.
            let kind = match random.below(SHARE) {
                0 => *random.one(&MANY_FORMS),
                _ => *random.one(&Kind::ALL),
            };
            for _ in 0..TRIES {
                let (node, properties) = random.one(&targets);
                let property = *random.one(properties);
                if !tree.is_touched_at(node, property)
                    && tree.mutate(kind, node, property, &ipmmus, &mut random)
                {
                    break;
                }
            }
        }
        tree
    }

    /// Returns whether the place is mutated. Two mutations could make up another device's address.
    fn is_touched_at(&self, node: &str, property: &str) -> bool {
        let mut mutations = self.mutations.iter();
        mutations.any(|m| m.property == property && m.nodes().any(|n| n == node))
    }

    /// Mutates the place by `kind`. Returns whether the kind fits there.
    pub fn mutate(
        &mut self,
        kind: Kind,
        node: &str,
        property: &'static str,
        ipmmus: &[String],
        random: &mut Random,
    ) -> bool {
        let mut place = Place {
            fdt: &mut self.fdt,
            ipmmus,
            node,
            property,
        };
        let done = place.mutate(kind, random).map(|others| Mutation {
            kind,
            node: node.to_owned(),
            property,
            others,
        });
        let is_done = done.is_some();
        self.mutations.extend(done);
        is_done
    }

    /// Returns whether a mutation concerns the node.
    pub fn is_touched(&self, node: &str) -> bool {
        self.mutations.iter().any(|m| m.nodes().any(|n| n == node))
    }
}

impl Mutation {
    fn nodes(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().map(String::as_str);
        std::iter::once(self.node.as_str()).chain(others)
    }
}

/// Returns the paths of the board's IPMMUs, the root first.
pub fn ipmmus() -> Vec<String> {
    IPMMUS.iter().map(|(_, device)| node_of(device)).collect()
}

type Target = (String, &'static [&'static str]);

/// Returns the nodes to choose from, with their properties. Nodes on which more depends are there
/// more than once.
fn targets(base: &Fdt, ipmmus: &[String]) -> Vec<Target> {
    const CACHES_OF_CLIENTS: std::ops::Range<usize> = 1..4;
    const OFTEN: usize = 4;
    let mut targets: Vec<Target> = Vec::new();
    let mut add = |path: &str, properties: &'static [&'static str], times: usize| {
        targets.extend((0..times).map(|_| (path.to_owned(), properties)));
    };
    for (n, path) in ipmmus.iter().enumerate() {
        let times = match n {
            0 => 2,
            n if CACHES_OF_CLIENTS.contains(&n) => OFTEN,
            _ => 1,
        };
        add(path, &OF_IPMMU, times);
    }
    let dmacs = DMACS.map(node_of);
    for (path, node) in base.nodes() {
        if node.property("iommus").is_some() {
            let is_used = dmacs.contains(&path) || path.contains("/mmc@");
            add(&path, &OF_CLIENT, if is_used { OFTEN } else { 1 });
        }
    }
    add(HOSTS[0], &OF_HOST, 2 * OFTEN);
    targets
}
