// SPDX-License-Identifier: GPL-2.0
//! The mutations of one property, or of a node.

use super::words::{CELLS, MAIN, PHANDLE, numbers_for, phandles_in, words_for};
use crate::board::fdt::{Fdt, Node, value};
use crate::random::Random;

/// A kind of mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The property is missing.
    Dropped,
    /// The property is there twice, with two values where it holds numbers.
    PropertyTwice,
    /// The value is there twice, one after the other.
    ValueTwice,
    /// The value is a text where numbers belong, or the other way round.
    WrongType,
    /// The value is empty.
    Empty,
    ByteLess,
    CellLess,
    CellMore,
    /// One cell has another number.
    Number,
    /// The value is another text.
    Word,
    /// A reference leads to the node itself.
    ToItself,
    /// A reference leads to another IPMMU.
    ToOther,
    /// A reference leads to a node that is no IPMMU.
    ToStranger,
    /// A reference leads nowhere.
    ToNothing,
    /// Two IPMMUs are each other's root.
    Cycle,
    /// An IPMMU is a client of itself, or of another.
    Behind,
    /// The property has the value of another IPMMU's.
    Borrowed,
    /// A cache becomes a root.
    NewRoot,
    /// The node is there twice.
    NodeTwice,
}

impl Kind {
    pub const ALL: [Self; 19] = [
        Self::Dropped,
        Self::PropertyTwice,
        Self::ValueTwice,
        Self::WrongType,
        Self::Empty,
        Self::ByteLess,
        Self::CellLess,
        Self::CellMore,
        Self::Number,
        Self::Word,
        Self::ToItself,
        Self::ToOther,
        Self::ToStranger,
        Self::ToNothing,
        Self::Cycle,
        Self::Behind,
        Self::Borrowed,
        Self::NewRoot,
        Self::NodeTwice,
    ];
}

/// The place of a mutation.
pub struct Place<'a> {
    pub fdt: &'a mut Fdt,
    /// The paths of the IPMMUs.
    pub ipmmus: &'a [String],
    pub node: &'a str,
    pub property: &'a str,
}

/// The interrupt that no device of the board has.
const FREE_INTERRUPT: [u32; 3] = [0, 500, 4];
const TEXT: &[u8] = b"wrong\0";
/// Phandles that no node has.
const NOBODY: [u32; 4] = [0, 0xdead, 0x7fff_ffff, 0xffff_ffff];

impl Place<'_> {
    /// Mutates the place by `kind`. Returns the paths of other nodes that are concerned, or changes
    /// nothing and returns none if the kind does not fit.
    pub fn mutate(&mut self, kind: Kind, random: &mut Random) -> Option<Vec<String>> {
        match kind {
            Kind::Cycle => return self.cycle(random),
            Kind::Behind => return self.behind(random),
            Kind::Borrowed => return self.borrow(random),
            Kind::NewRoot => return self.new_root(),
            Kind::NodeTwice => return self.node_twice(),
            Kind::ToItself | Kind::ToOther | Kind::ToStranger | Kind::ToNothing => {
                self.refer(kind, random)?;
            }
            _ => self.rewrite(kind, random)?,
        }
        Some(Vec::new())
    }

    fn this(&mut self) -> Option<&mut Node> {
        self.fdt.node_mut(self.node)
    }

    fn is_ipmmu(&self) -> bool {
        self.ipmmus.iter().any(|path| path == self.node)
    }

    /// Mutates the property by a kind that needs no other node.
    fn rewrite(&mut self, kind: Kind, random: &mut Random) -> Option<()> {
        let name = self.property;
        let node = self.this()?;
        let mut bytes = node.property(name).map(<[u8]>::to_vec);
        match kind {
            Kind::Word => bytes = Some(random.one(words_for(name)?).to_vec()),
            Kind::Number => bytes = Some(renumbered(name, &bytes?, random)?),
            Kind::PropertyTwice => {
                let first = bytes.clone()?;
                let second = renumbered(name, &first, random).unwrap_or(first);
                node.properties.push((name.into(), second));
            }
            Kind::Dropped => {
                bytes.take()?;
                node.properties.retain(|(n, _)| n != name);
            }
            _ => resize(kind, name, bytes.as_mut()?, random)?,
        }
        if let Some(bytes) = bytes {
            node.set(name, bytes);
        }
        Some(())
    }

    /// Puts another phandle at one of the property's places for phandles.
    fn refer(&mut self, kind: Kind, random: &mut Random) -> Option<()> {
        let own = *self
            .fdt
            .node(self.node)?
            .cells(PHANDLE)
            .first()
            .unwrap_or(&0);
        let phandle = match kind {
            Kind::ToItself => own,
            Kind::ToOther => self.phandle_of_other(random)?.0,
            Kind::ToStranger => {
                let nodes = self.fdt.nodes();
                let strangers = nodes.iter().filter(|(path, _)| !self.ipmmus.contains(path));
                let phandles: Vec<u32> = strangers
                    .filter_map(|(_, node)| node.cells(PHANDLE).first().copied())
                    .filter(|phandle| *phandle != own)
                    .collect();
                *random.one(&phandles)
            }
            _ => *random.one(&NOBODY),
        };
        let name = self.property;
        let node = self.this()?;
        let mut cells = node.cells(name);
        let at = phandles_in(name, cells.len())?;
        let at = *random.one(&at);
        if phandle == 0 && kind == Kind::ToItself || cells[at] == phandle {
            return None;
        }
        cells[at] = phandle;
        node.set(name, value(&cells));
        Some(())
    }

    /// Returns the phandle and the path of another IPMMU; none if chance chose this one.
    fn phandle_of_other(&self, random: &mut Random) -> Option<(u32, String)> {
        let other = random.one(self.ipmmus);
        let phandle = *self.fdt.node(other)?.cells(PHANDLE).first()?;
        (other != self.node).then(|| (phandle, other.clone()))
    }

    fn cycle(&mut self, random: &mut Random) -> Option<Vec<String>> {
        let own = *self.fdt.node(self.node)?.cells(PHANDLE).first()?;
        if !self.is_ipmmu() || self.property != MAIN {
            return None;
        }
        let (phandle, other) = self.phandle_of_other(random)?;
        self.this()?.set(MAIN, value(&[phandle, 0]));
        self.fdt.node_mut(&other)?.set(MAIN, value(&[own, 0]));
        Some(vec![other])
    }

    fn behind(&mut self, random: &mut Random) -> Option<Vec<String>> {
        if !self.is_ipmmu() || self.property != CELLS {
            return None;
        }
        let own = *self.fdt.node(self.node)?.cells(PHANDLE).first()?;
        let phandle = match random.below(2) {
            0 => own,
            _ => self.phandle_of_other(random)?.0,
        };
        let utlb = random.below(64) as u32;
        self.this()?.set("iommus", value(&[phandle, utlb]));
        Some(Vec::new())
    }

    fn borrow(&mut self, random: &mut Random) -> Option<Vec<String>> {
        let (_, other) = self.phandle_of_other(random)?;
        let theirs = self.fdt.node(&other)?.property(self.property)?.to_vec();
        let name = self.property;
        let is_ipmmu = self.is_ipmmu();
        let node = self.this()?;
        if !is_ipmmu || node.property(name) == Some(&theirs) {
            return None;
        }
        node.set(name, theirs);
        Some(vec![other])
    }

    fn new_root(&mut self) -> Option<Vec<String>> {
        let name = self.property;
        let node = self.this()?;
        if name != MAIN || node.property(MAIN).is_none() {
            return None;
        }
        node.properties.retain(|(n, _)| n != MAIN);
        node.set("interrupts", value(&FREE_INTERRUPT));
        Some(Vec::new())
    }

    fn node_twice(&mut self) -> Option<Vec<String>> {
        if !self.is_ipmmu() {
            return None;
        }
        let (parent, name) = self.node.rsplit_once('/')?;
        let parent = self.fdt.node_mut(parent)?;
        let at = parent.children.iter().position(|node| node.name == name)?;
        let twin = parent.children[at].clone();
        parent.children.insert(at + 1, twin);
        Some(Vec::new())
    }
}

/// Lengthens or shortens a value, or gives it another type.
fn resize(kind: Kind, name: &str, bytes: &mut Vec<u8>, random: &mut Random) -> Option<()> {
    match kind {
        Kind::ValueTwice => bytes.extend(bytes.clone()),
        Kind::WrongType if words_for(name).is_some() => *bytes = value(&[random.below(256) as u32]),
        Kind::WrongType => *bytes = TEXT.to_vec(),
        Kind::Empty => bytes.clear(),
        Kind::ByteLess => drop(bytes.pop()?),
        Kind::CellLess => bytes.truncate(bytes.len().checked_sub(4)?),
        _ => bytes.extend(random.one(numbers_for(name, 0)?).to_be_bytes()),
    }
    Some(())
}

/// Returns a value in which one cell is another number; none if that is not possible.
fn renumbered(name: &str, bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut cells = crate::board::fdt::cells(bytes);
    let at = random.below(cells.len().max(1));
    let old = *cells.get(at)?;
    let number = *random.one(numbers_for(name, at)?);
    cells[at] = match (name, at) {
        // The address moves a little, as further away there may be nothing at all.
        ("reg", 1) => old.wrapping_add(number),
        _ => number,
    };
    (cells[at] != old).then(|| value(&cells))
}
