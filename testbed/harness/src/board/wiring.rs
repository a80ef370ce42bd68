// SPDX-License-Identifier: GPL-2.0
//! The IPMMUs in a SoC's device tree, and the masters behind them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::fdt::{Fdt, Node};

/// The property of a cache that names its root.
const MAIN: &str = "renesas,ipmmu-main";

/// An IPMMU, by its device name in Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipmmu {
    pub device: String,
    /// The device name of the root, if the IPMMU is a cache.
    pub root: Option<String>,
    pub is_gen4: bool,
}

/// A master with the property `iommus`, by its device name in Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub device: String,
    /// The IPMMU and the micro-TLB of each port, in order.
    pub ports: Vec<(String, u32)>,
    /// Whether the master is enabled in the device tree.
    pub is_enabled: bool,
    pub kind: Kind,
}

/// The kind of a master, if the emulated board has a model of it; otherwise `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A SYS-DMAC: the address of the first channel, and the distance between channels.
    Dmac {
        channels: u64,
        stride: u64,
    },
    Mmc,
    Other,
}

/// The IPMMUs of a SoC, and the masters behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    pub ipmmus: Vec<Ipmmu>,
    pub clients: Vec<Client>,
}

impl Wiring {
    /// Reads a device tree blob. Leaves out disabled IPMMUs.
    pub fn of(blob: &[u8]) -> Result<Self> {
        let fdt = Fdt::parse(blob)?;
        let nodes = fdt.nodes();
        let named = |(_, node): &(String, &Node)| {
            let phandle = *node.cells("phandle").first()?;
            Some((phandle, device(node)?))
        };
        let devices: BTreeMap<u32, String> = nodes.iter().filter_map(named).collect();
        let find = |phandle: u32| {
            let found = devices.get(&phandle).cloned();
            found.with_context(|| format!("{phandle:#x} is the phandle of no device"))
        };
        let mut wiring = Self::default();
        for (_, node) in &nodes {
            let Some(device) = device(node) else {
                continue;
            };
            if is_like(node, "renesas,ipmmu-") && is_enabled(node) {
                let root = node.cells(MAIN).first().copied();
                wiring.ipmmus.push(Ipmmu {
                    device,
                    root: root.map(find).transpose()?,
                    is_gen4: is_like(node, "renesas,rcar-gen4-ipmmu-vmsa"),
                });
            } else if let Some(iommus) = node.property("iommus") {
                ensure!(iommus.len() % 8 == 0, "iommus of {device}");
                let pairs = node.cells("iommus");
                let ports = pairs.chunks(2).map(|pair| Ok((find(pair[0])?, pair[1])));
                wiring.clients.push(Client {
                    ports: ports.collect::<Result<_>>()?,
                    is_enabled: is_enabled(node),
                    kind: kind(node),
                    device,
                });
            }
        }
        Ok(wiring)
    }
}

fn is_like(node: &Node, prefix: &str) -> bool {
    let compatible = node.property("compatible").unwrap_or_default();
    let mut strings = compatible.split(|&byte| byte == 0);
    strings.any(|string| string.starts_with(prefix.as_bytes()))
}

fn is_enabled(node: &Node) -> bool {
    let status = node.property("status");
    status.is_none_or(|status| status == b"okay\0")
}

/// Returns the device name in Linux of a node with registers. In all device trees of these SoCs,
/// addresses of devices have two cells.
fn device(node: &Node) -> Option<String> {
    let (name, _) = node.name.split_once('@')?;
    let reg = node.cells("reg");
    let [high, low, ..] = reg[..] else {
        return None;
    };
    Some(format!("{:x}.{name}", address(high, low)))
}

fn address(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn kind(node: &Node) -> Kind {
    let reg = node.cells("reg");
    if is_like(node, "renesas,rcar-gen4-dmac") && reg.len() >= 8 {
        Kind::Dmac {
            channels: address(reg[4], reg[5]),
            stride: 0x1000,
        }
    } else if is_like(node, "renesas,rcar-dmac") {
        Kind::Dmac {
            channels: address(reg[0], reg[1]) + 0x8000,
            stride: 0x80,
        }
    } else if is_like(node, "renesas,rcar-gen3-sdhi") || is_like(node, "renesas,rcar-gen4-sdhi") {
        Kind::Mmc
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::fdt::value;

    fn node(name: &str, properties: &[(&str, Vec<u8>)]) -> Node {
        let own = |(name, value): &(&str, Vec<u8>)| ((*name).to_owned(), value.clone());
        Node {
            name: name.into(),
            properties: properties.iter().map(own).collect(),
            children: vec![],
        }
    }

    #[test]
    fn caches_have_roots_and_masters_have_ports() {
        let compatible = |text: &str| ("compatible", [text.as_bytes(), &[0]].concat());
        let reg = |base: u32| ("reg", value(&[0, base, 0, 0x1000]));
        let mut root = node("", &[]);
        root.children = vec![
            node(
                "iommu@e6740000",
                &[
                    compatible("renesas,ipmmu-r8a7795"),
                    reg(0xe674_0000),
                    (MAIN, value(&[2, 0])),
                    ("phandle", value(&[1])),
                ],
            ),
            node(
                "iommu@e67b0000",
                &[
                    compatible("renesas,ipmmu-r8a7795"),
                    reg(0xe67b_0000),
                    ("phandle", value(&[2])),
                ],
            ),
            node(
                "dma-controller@e6700000",
                &[
                    compatible("renesas,rcar-dmac"),
                    reg(0xe670_0000),
                    ("status", b"disabled\0".to_vec()),
                    ("iommus", value(&[1, 0, 1, 1])),
                ],
            ),
        ];
        let wiring = Wiring::of(&Fdt::new(root).to_blob()).unwrap();
        let (cache, root) = ("e6740000.iommu".to_owned(), "e67b0000.iommu".to_owned());
        assert_eq!(wiring.ipmmus[0].root, Some(root));
        assert_eq!(wiring.ipmmus[1].root, None);
        let dmac = &wiring.clients[0];
        assert_eq!(dmac.ports, [(cache.clone(), 0), (cache, 1)]);
        assert!(!dmac.is_enabled);
        let (channels, stride) = (0xe670_8000, 0x80);
        assert_eq!(dmac.kind, Kind::Dmac { channels, stride });
    }
}
