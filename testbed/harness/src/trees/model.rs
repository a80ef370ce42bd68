// SPDX-License-Identifier: GPL-2.0
//! Reads a mutated tree as the kernel reads it: what may be refused, and what may not.

use super::generator::{Tree, ipmmus};
use super::words::{CELLS, MAIN, OURS, PHANDLE};
use crate::board::dtb::node_of;
use crate::board::fdt::{Fdt, Node};
use crate::board::guest::DMACS;

/// The number of micro-TLBs that the driver knows for IPMMUs of this board, and of any generation.
const UTLBS: u32 = 48;
const UTLBS_OF_ANY: u32 = 64;

/// An IPMMU and one of its micro-TLBs, as a client names them.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub path: String,
    pub utlb: u32,
}

impl Tree {
    /// Returns the first node with this phandle.
    fn by_phandle(&self, phandle: u32) -> Option<(String, &Node)> {
        let has = |node: &Node| node.cells(PHANDLE).first() == Some(&phandle);
        let mut nodes = self.fdt.nodes().into_iter();
        nodes.find(|(_, node)| phandle != 0 && has(node))
    }

    /// Returns whether the driver is for the node.
    pub fn is_ours(&self, path: &str) -> bool {
        let compatible = self.fdt.node(path).and_then(|n| n.property("compatible"));
        let compatible = compatible.unwrap_or_default();
        // A name without its final NUL is none.
        let end = compatible.iter().rposition(|&byte| byte == 0);
        let mut names = compatible[..end.unwrap_or(0)].split(|&byte| byte == 0);
        names.any(|name| OURS.iter().any(|ours| ours.as_bytes() == name))
    }

    /// Returns whether the IPMMU has no micro-TLBs, as the driver sees it.
    pub fn is_root(&self, path: &str) -> bool {
        let node = self.fdt.node(path);
        node.is_none_or(|node| node.property(MAIN).is_none())
    }

    /// Returns whether an IPMMU that is not bound may still wait for something else.
    pub fn may_wait(&self, path: &str, is_bound: impl Fn(&str) -> bool) -> bool {
        let Some(node) = self.fdt.node(path) else {
            return false;
        };
        let is_mutated = |property: &str| {
            let mut mutations = self.mutations.iter();
            mutations.any(|m| m.node == path && m.property == property)
        };
        // In these cases the core decides.
        if node.property("iommus").is_some() || is_mutated("power-domains") {
            return true;
        }
        let root = node.cells(MAIN).first().copied();
        match root.and_then(|phandle| self.by_phandle(phandle)) {
            Some((root, node)) => root != path && is_available(node) && !is_bound(&root),
            None => false,
        }
    }

    /// Returns the references of a client, or none unless all of them are well-formed.
    pub fn references(&self, client: &str) -> Option<Vec<Reference>> {
        let value = self.fdt.node(client)?.property("iommus")?;
        if value.is_empty() || value.len() % 8 != 0 {
            return None;
        }
        let cells = crate::board::fdt::cells(value);
        let pairs = cells.chunks_exact(2);
        pairs
            .map(|pair| {
                let (path, node) = self.by_phandle(pair[0])?;
                let is_one = node.property(CELLS) == Some(&[0, 0, 0, 1]);
                (is_one && is_available(node)).then_some(Reference {
                    path,
                    utlb: pair[1],
                })
            })
            .collect()
    }

    /// Returns the DMA controllers without any mutation of them, of their IPMMU and of the root.
    pub fn untouched(&self, base: &Fdt) -> Vec<&'static str> {
        let root = &ipmmus()[0];
        let mut dmacs = DMACS.to_vec();
        dmacs.retain(|dmac| {
            let node = node_of(dmac);
            let cache = cache_of(base, &node);
            let mut all = [Some(node), cache, Some(root.clone())].into_iter();
            all.all(|path| path.is_some_and(|path| !self.is_touched(&path)))
        });
        dmacs
    }

    /// Returns whether the driver only touches registers that exist.
    pub fn is_of_this_hardware(&self) -> bool {
        let mut mutations = self.mutations.iter();
        !mutations.any(|m| ["reg", "compatible", MAIN].contains(&m.property))
    }

    /// Returns whether a client names a micro-TLB that does not exist.
    pub fn is_out_of_range(&self, references: &[Reference]) -> bool {
        let mut mutations = self.mutations.iter();
        let end = match mutations.any(|m| m.property == "compatible") {
            true => UTLBS_OF_ANY,
            false => UTLBS,
        };
        references.iter().any(|r| r.utlb >= end)
    }
}

fn is_available(node: &Node) -> bool {
    matches!(node.property("status"), None | Some(b"okay\0" | b"ok\0"))
}

/// Returns the path of a client's IPMMU.
fn cache_of(base: &Fdt, client: &str) -> Option<String> {
    let phandle = *base.node(client)?.cells("iommus").first()?;
    let nodes = base.nodes().into_iter();
    let mut found = nodes.filter(|(_, node)| node.cells(PHANDLE) == [phandle]);
    found.next().map(|(path, _)| path)
}
