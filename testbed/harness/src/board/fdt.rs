// SPDX-License-Identifier: GPL-2.0
//! Device tree blobs as nodes with properties. Other than `fdtput` and `dtc`, this can also write
//! invalid ones, such as a node with a property twice.

use anyhow::{Context, Result, bail, ensure};

const MAGIC: u32 = 0xd00d_feed;
/// The version of the format, and the oldest version that it is compatible with.
const VERSION: [u32; 2] = [17, 16];
const HEADER: usize = 40;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// A node, with its properties and children in the order of the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub properties: Vec<(String, Vec<u8>)>,
    pub children: Vec<Node>,
}

/// A device tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fdt {
    pub root: Node,
    boot_cpu: u32,
    /// The list of reserved memory, as bytes.
    reserved: Vec<u8>,
}

impl Node {
    /// Returns the value of the first property called `name`.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        let found = self.properties.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// Returns the complete cells of a property; none if the property is missing.
    pub fn cells(&self, name: &str) -> Vec<u32> {
        self.property(name).map(cells).unwrap_or_default()
    }

    /// Sets the first property called `name`, or adds one.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.properties.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.into(), value)),
        }
    }

    /// Calls `f` for this node, whose path is `path`, and for all nodes below, with their paths.
    fn walk<'a>(&'a self, path: &str, f: &mut impl FnMut(&str, &'a Self)) {
        f(if path.is_empty() { "/" } else { path }, self);
        for child in &self.children {
            child.walk(&format!("{path}/{}", child.name), f);
        }
    }
}

impl Fdt {
    /// Returns a tree with the root node `root`.
    #[cfg(test)]
    pub fn new(root: Node) -> Self {
        Self {
            root,
            boot_cpu: 0,
            reserved: Vec::new(),
        }
    }

    /// Parses a blob.
    pub fn parse(blob: &[u8]) -> Result<Self> {
        let word = |at| cell_at(blob, at).context("the device tree blob is cut off");
        ensure!(word(0)? == MAGIC, "not a device tree blob");
        let at = |n| word(n).map(|offset| offset as usize);
        let (structure, strings, reserved) = (at(8)?, at(12)?, at(16)?);
        let mut end = reserved;
        while (0..4).any(|n| cell_at(blob, end + 4 * n).is_some_and(|cell| cell != 0)) {
            end += 16;
        }
        let mut reader = Reader {
            blob,
            at: structure,
            strings,
        };
        ensure!(reader.next()? == BEGIN_NODE, "there is no root node");
        Ok(Self {
            root: reader.node()?,
            boot_cpu: word(28)?,
            reserved: blob.get(reserved..end).context("cut off")?.to_vec(),
        })
    }

    /// Returns the tree as a blob.
    pub fn to_blob(&self) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        write_node(&self.root, &mut structure, &mut strings);
        put(&mut structure, END);
        let reserved = HEADER;
        let at_structure = reserved + self.reserved.len() + 16;
        let at_strings = at_structure + structure.len();
        let mut blob = Vec::new();
        for word in [
            MAGIC,
            (at_strings + strings.len()) as u32,
            at_structure as u32,
            at_strings as u32,
            reserved as u32,
            VERSION[0],
            VERSION[1],
            self.boot_cpu,
            strings.len() as u32,
            structure.len() as u32,
        ] {
            put(&mut blob, word);
        }
        blob.extend(&self.reserved);
        blob.extend([0; 16]);
        blob.extend(structure);
        blob.extend(strings);
        blob
    }

    /// Returns the node at `path`.
    pub fn node(&self, path: &str) -> Option<&Node> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(&self.root, |node, name| {
            node.children.iter().find(|child| child.name == name)
        })
    }

    /// Returns the node at `path`, for changes.
    pub fn node_mut(&mut self, path: &str) -> Option<&mut Node> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(&mut self.root, |node, name| {
            node.children.iter_mut().find(|child| child.name == name)
        })
    }

    /// Returns all nodes, with their paths.
    pub fn nodes(&self) -> Vec<(String, &Node)> {
        let mut all = Vec::new();
        self.root
            .walk("", &mut |path, node| all.push((path.to_owned(), node)));
        all
    }
}

/// Returns the complete cells of a value.
pub fn cells(value: &[u8]) -> Vec<u32> {
    let chunks = value.chunks_exact(4);
    chunks.filter_map(|chunk| cell_at(chunk, 0)).collect()
}

/// Returns the value that consists of `cells`.
pub fn value(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

fn cell_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

struct Reader<'a> {
    blob: &'a [u8],
    at: usize,
    strings: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<u32> {
        let cell = cell_at(self.blob, self.at).context("the structure is cut off")?;
        self.at += 4;
        Ok(cell)
    }

    fn text(&self, at: usize) -> Result<String> {
        let rest = self.blob.get(at..).context("a name is outside")?;
        let end = rest.iter().position(|&byte| byte == 0);
        let end = end.context("a name has no end")?;
        Ok(String::from_utf8(rest[..end].to_vec())?)
    }

    /// Reads a node from behind the token that begins it.
    fn node(&mut self) -> Result<Node> {
        let name = self.text(self.at)?;
        self.at = (self.at + name.len() + 1).next_multiple_of(4);
        let (mut properties, mut children) = (Vec::new(), Vec::new());
        loop {
            match self.next()? {
                BEGIN_NODE => children.push(self.node()?),
                PROPERTY => {
                    let (length, name) = (self.next()? as usize, self.next()? as usize);
                    let value = self.blob.get(self.at..self.at + length);
                    let value = value.context("a value is cut off")?.to_vec();
                    self.at = (self.at + length).next_multiple_of(4);
                    properties.push((self.text(self.strings + name)?, value));
                }
                NOP => {}
                END_NODE => break,
                token => bail!("an unknown token {token}"),
            }
        }
        Ok(Node {
            name,
            properties,
            children,
        })
    }
}

fn put(bytes: &mut Vec<u8>, cell: u32) {
    bytes.extend(cell.to_be_bytes());
}

fn put_padded(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn write_node(node: &Node, structure: &mut Vec<u8>, strings: &mut Vec<u8>) {
    put(structure, BEGIN_NODE);
    put_padded(structure, &[node.name.as_bytes(), &[0]].concat());
    for (name, value) in &node.properties {
        put(structure, PROPERTY);
        put(structure, value.len() as u32);
        put(structure, place_of(name, strings));
        put_padded(structure, value);
    }
    for child in &node.children {
        write_node(child, structure, strings);
    }
    put(structure, END_NODE);
}

/// Returns the offset of a name in the block of strings. Adds the name if it is missing.
fn place_of(name: &str, strings: &mut Vec<u8>) -> u32 {
    let wanted = [name.as_bytes(), &[0]].concat();
    let mut at = 0;
    while at < strings.len() {
        if strings[at..].starts_with(&wanted) {
            return at as u32;
        }
        let length = strings[at..].iter().position(|&byte| byte == 0);
        at += length.map_or(strings.len(), |n| n + 1);
    }
    strings.extend(wanted);
    at as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Fdt {
        let leaf = Node {
            name: "leaf@1".into(),
            properties: vec![
                ("reg".into(), value(&[1, 2])),
                ("reg".into(), vec![1, 2, 3]),
                ("flag".into(), vec![]),
            ],
            children: vec![],
        };
        let root = Node {
            name: String::new(),
            properties: vec![("flag".into(), b"x\0".to_vec())],
            children: vec![leaf.clone(), Node { ..leaf }],
        };
        Fdt {
            root,
            boot_cpu: 5,
            reserved: value(&[0, 16, 0, 32]),
        }
    }

    #[test]
    fn what_is_written_is_read_again_even_if_it_is_there_twice() {
        let fdt = small();
        assert_eq!(Fdt::parse(&fdt.to_blob()).unwrap(), fdt);
    }

    #[test]
    fn nodes_have_paths_and_cells() {
        let mut fdt = small();
        let paths: Vec<String> = fdt.nodes().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/", "/leaf@1", "/leaf@1"]);
        let leaf = fdt.node_mut("/leaf@1").unwrap();
        leaf.set("flag", value(&[7]));
        leaf.set("new", value(&[8]));
        let leaf = fdt.node("/leaf@1").unwrap();
        assert_eq!(leaf.cells("reg"), [1, 2]);
        assert_eq!((leaf.cells("flag"), leaf.cells("new")), (vec![7], vec![8]));
        assert!(fdt.node("/leaf@2").is_none() && leaf.cells("none").is_empty());
    }

    #[test]
    fn what_is_no_tree_is_an_error() {
        let blob = small().to_blob();
        assert!(Fdt::parse(&blob[..HEADER + 40]).is_err());
        assert!(Fdt::parse(&[0; 64]).is_err());
    }
}
