// SPDX-License-Identifier: GPL-2.0

use std::collections::BTreeSet;
use std::process::Command;

use super::generator::{Tree, ipmmus};
use super::kind::Kind;
use super::model::Reference;
use super::words::{CELLS, MAIN, PHANDLE};
use crate::board::dtb::node_of;
use crate::board::fdt::{Fdt, Node, value};
use crate::board::guest::DMACS;
use crate::board::pcie::HOSTS;
use crate::exec::capture;
use crate::random::Random;

const TREES: u64 = 300;
/// The phandles of a clock, and of the first IPMMU.
const CLOCK: u32 = 1;
const FIRST: u32 = 2;

fn node(path: &str, properties: &[(&str, Vec<u8>)]) -> Node {
    let owned = properties.iter().cloned();
    Node {
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        properties: owned.map(|(name, value)| (name.into(), value)).collect(),
        children: Vec::new(),
    }
}

/// Returns as much of the board's tree as the generator needs.
fn base() -> Fdt {
    let mut nodes = vec![node("clock", &[(PHANDLE, value(&[CLOCK]))])];
    for (n, path) in ipmmus().iter().enumerate() {
        let only = match n {
            0 => ("interrupts", value(&[0, 196, 4, 0, 197, 4])),
            _ => (MAIN, value(&[FIRST, n as u32])),
        };
        let address = 0xe600_0000 + 0x1_0000 * n as u32;
        nodes.push(node(
            path,
            &[
                ("compatible", b"renesas,ipmmu-r8a7795\0".to_vec()),
                ("reg", value(&[0, address, 0, 0x1000])),
                ("power-domains", value(&[CLOCK, 32])),
                (CELLS, value(&[1])),
                (PHANDLE, value(&[FIRST + n as u32])),
                only,
            ],
        ));
    }
    for (n, dmac) in DMACS.iter().enumerate() {
        let cache = FIRST + 1 + u32::from(n > 0);
        let iommus = value(&[cache, n as u32, cache, 8 + n as u32]);
        nodes.push(node(&node_of(dmac), &[("iommus", iommus)]));
    }
    let map = ("iommu-map", value(&[0, FIRST + 3, 0, 1]));
    nodes.push(node(HOSTS[0], &[map, ("iommu-map-mask", value(&[0]))]));
    let mut root = node("", &[]);
    root.children.push(Node {
        children: nodes,
        ..node("soc", &[])
    });
    Fdt::new(root)
}

/// Returns a tree with one mutation.
fn with(kind: Kind, node: &str, property: &'static str) -> Tree {
    let (mut random, ipmmus) = (Random::new(0), ipmmus());
    let mut tree = Tree {
        seed: 0,
        fdt: base(),
        mutations: Vec::new(),
    };
    while tree.mutations.is_empty() {
        tree.mutate(kind, node, property, &ipmmus, &mut random);
    }
    tree
}

#[test]
fn a_seed_gives_the_same_tree_again() {
    let base = base();
    let trees = || (0..20).map(|seed| Tree::new(&base, seed));
    for (one, other) in trees().zip(trees()) {
        assert_eq!(one.fdt, other.fdt);
        assert_eq!(one.mutations, other.mutations);
        assert_ne!(one.fdt, base);
    }
    let all: Vec<Vec<u8>> = trees().map(|tree| tree.fdt.to_blob()).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn each_kind_occurs_and_each_property_is_hit() {
    let base = base();
    let trees = (0..TREES).map(|seed| Tree::new(&base, seed));
    let mutations: Vec<_> = trees.flat_map(|tree| tree.mutations).collect();
    for kind in Kind::ALL {
        assert!(mutations.iter().any(|m| m.kind == kind), "no {kind:?}");
    }
    let properties: BTreeSet<_> = mutations.iter().map(|m| m.property).collect();
    assert_eq!(properties.len(), 11, "{properties:?}");
}

#[test]
fn each_tree_is_a_valid_blob() {
    let (base, dir) = (base(), tempfile::tempdir().unwrap());
    for seed in 0..40 {
        let tree = Tree::new(&base, seed);
        let blob = tree.fdt.to_blob();
        assert_eq!(Fdt::parse(&blob).unwrap(), tree.fdt);
        let file = dir.path().join("dtb");
        std::fs::write(&file, blob).unwrap();
        let mut dtc = Command::new("dtc");
        // With `-f` dtc also takes a property that is there twice.
        dtc.args(["-q", "-f", "-I", "dtb", "-O", "dts"]).arg(&file);
        capture(&mut dtc).unwrap();
    }
}

#[test]
fn what_is_not_named_by_a_mutation_is_as_it_was() {
    let base = base();
    for seed in 0..TREES {
        let tree = Tree::new(&base, seed);
        for (path, old) in base
            .nodes()
            .into_iter()
            .filter(|(_, n)| n.children.is_empty())
        {
            let new = tree.fdt.node(&path).unwrap();
            assert!(new == old || tree.is_touched(&path), "{seed}: {path}");
        }
    }
}

#[test]
fn what_is_behind_a_mutated_ipmmu_is_touched() {
    let (base, ipmmus) = (base(), ipmmus());
    let untouched = |node: &str| with(Kind::Empty, node, "reg").untouched(&base);
    assert_eq!(untouched(&ipmmus[0]), [""; 0]);
    assert_eq!(untouched(&ipmmus[1]), DMACS[1..]);
    assert_eq!(untouched(&ipmmus[2]), DMACS[..1]);
    assert_eq!(untouched(&ipmmus[5]), DMACS);
    let client = node_of(DMACS[1]);
    let tree = with(Kind::Empty, &client, "iommus");
    assert_eq!(tree.untouched(&base), [DMACS[0], DMACS[2]]);
}

#[test]
fn what_a_client_names_is_read_as_the_kernel_does() {
    let (client, cache) = (node_of(DMACS[1]), ipmmus()[2].clone());
    let of = |kind| with(kind, &client, "iommus").references(&client);
    let twice = of(Kind::ValueTwice).unwrap();
    assert_eq!(twice.len(), 4);
    let utlb = 9;
    assert_eq!(twice[3], Reference { path: cache, utlb });
    assert!(of(Kind::ToNothing).is_none() && of(Kind::ByteLess).is_none());
    // The core decides: a clock has no such cells.
    assert!(of(Kind::ToStranger).is_none());
}

#[test]
fn a_cache_waits_for_another_node_alone() {
    let cache = &ipmmus()[1];
    let waits = |kind| with(kind, cache, MAIN).may_wait(cache, |_| false);
    assert!(waits(Kind::ToOther) && waits(Kind::ToStranger) && waits(Kind::Cycle));
    assert!(!waits(Kind::ToItself) && !waits(Kind::ToNothing) && !waits(Kind::Dropped));
    let tree = with(Kind::ToOther, cache, MAIN);
    assert!(!tree.may_wait(cache, |_| true));
}

#[test]
fn what_the_driver_is_for_is_known_by_its_whole_name() {
    let cache = &ipmmus()[1];
    assert!(with(Kind::Dropped, cache, "reg").is_ours(cache));
    assert!(!with(Kind::Dropped, cache, "compatible").is_ours(cache));
    assert!(!with(Kind::WrongType, cache, "compatible").is_ours(cache));
}
