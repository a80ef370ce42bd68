// SPDX-License-Identifier: GPL-2.0
//! Modified device trees: with a mistake, or with more devices.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::fdt::{self, Fdt, Node};
use super::registers::IPMMUS;
use crate::exec::capture;
use crate::paths::Paths;

/// Returns the path of the node whose device Linux calls `ADDRESS.NAME`.
pub fn node_of(device: &str) -> String {
    let (address, name) = device.split_once('.').expect("a platform device's name");
    format!("/soc/{name}@{address}")
}

/// A device tree blob in a file. Each change rewrites the file.
pub struct Dtb {
    path: PathBuf,
}

impl Dtb {
    /// Returns the path of the blob called `name`.
    pub fn place(paths: &Paths, name: &str) -> PathBuf {
        paths.build().join("dtb").join(format!("{name}.dtb"))
    }

    /// Copies `original` to `build/dtb/<name>.dtb`.
    pub fn copy(paths: &Paths, original: &Path, name: &str) -> Result<Self> {
        let dir = paths.build().join("dtb");
        fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{name}.dtb"));
        fs::copy(original, &path).with_context(|| format!("cannot copy {}", original.display()))?;
        Ok(Self { path })
    }

    /// Opens an existing blob.
    pub fn open(path: PathBuf) -> Self {
        Self { path }
    }

    /// Compiles `source` to `build/dtb/<name>.dtb`.
    pub fn compile(paths: &Paths, source: &Path, name: &str) -> Result<Self> {
        let dir = paths.build().join("dtb");
        fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{name}.dtb"));
        let mut dtc = Command::new("dtc");
        dtc.args(["-I", "dts", "-O", "dtb", "-o"]);
        capture(dtc.arg(&path).arg(source))?;
        Ok(Self { path })
    }

    /// Removes a property.
    pub fn delete(self, node: &str, property: &str) -> Result<Self> {
        self.change(node, |node| {
            let at = node.properties.iter().position(|(n, _)| n == property);
            node.properties.remove(at.context("it is not there")?);
            Ok(())
        })
    }

    /// Replaces one cell of a property.
    pub fn set_cell(self, node: &str, property: &str, index: usize, value: u32) -> Result<Self> {
        self.change(node, |node| {
            let mut cells = node.cells(property);
            let cell = cells.get_mut(index);
            *cell.with_context(|| format!("{property} has no cell {index}"))? = value;
            node.set(property, fdt::value(&cells));
            Ok(())
        })
    }

    /// Sets a property to `cells`.
    pub fn set_cells(self, node: &str, property: &str, cells: &[u32]) -> Result<Self> {
        self.set(node, property, fdt::value(cells))
    }

    /// Sets a property to a string.
    pub fn set_text(self, node: &str, property: &str, text: &str) -> Result<Self> {
        self.set(node, property, [text.as_bytes(), &[0]].concat())
    }

    /// Sets a property without a value.
    pub fn set_flag(self, node: &str, property: &str) -> Result<Self> {
        self.set(node, property, Vec::new())
    }

    fn set(self, node: &str, property: &str, value: Vec<u8>) -> Result<Self> {
        self.change(node, |node| {
            node.set(property, value);
            Ok(())
        })
    }

    /// Reverses the order of a node's children.
    pub fn reverse_children(self, node: &str) -> Result<Self> {
        self.change(node, |node| {
            node.children.reverse();
            Ok(())
        })
    }

    fn change(self, node: &str, work: impl FnOnce(&mut Node) -> Result<()>) -> Result<Self> {
        let mut fdt = self.read()?;
        let found = fdt.node_mut(node).context("it is not there");
        let changed = found.and_then(work);
        changed.with_context(|| format!("changing {node} of {}", self.path.display()))?;
        fs::write(&self.path, fdt.to_blob())?;
        Ok(self)
    }

    fn read(&self) -> Result<Fdt> {
        Fdt::parse(&fs::read(&self.path)?)
    }

    /// Returns one cell of a property.
    pub fn cell(&self, node: &str, property: &str, index: usize) -> Result<u32> {
        let fdt = self.read()?;
        let cells = fdt.node(node).map(|node| node.cells(property));
        let cell = cells.and_then(|cells| cells.get(index).copied());
        cell.with_context(|| format!("{property} of {node} has no cell {index}"))
    }

    /// Puts masters behind IPMMUs: for each the master, the IPMMU, and how many micro-TLBs, from 0.
    pub fn put_behind(mut self, masters: &[(&str, &str, u32)]) -> Result<Self> {
        for (master, ipmmu, utlbs) in masters {
            let utlbs: Vec<u32> = (0..*utlbs).collect();
            self = self.put_one_behind(master, ipmmu, &utlbs)?;
        }
        Ok(self)
    }

    /// Puts `master` behind `ipmmu`, with the micro-TLBs `utlbs`.
    pub fn put_one_behind(self, master: &str, ipmmu: &str, utlbs: &[u32]) -> Result<Self> {
        let (_, device) = IPMMUS
            .iter()
            .find(|(label, _)| *label == ipmmu)
            .context("no such IPMMU")?;
        let phandle = self.cell(&node_of(device), "phandle", 0)?;
        let cells: Vec<u32> = utlbs.iter().flat_map(|utlb| [phandle, *utlb]).collect();
        self.set_cells(&node_of(master), "iommus", &cells)
    }

    /// Appends device tree source. It refers to nodes by path, as in `&{/soc}`.
    pub fn add(self, source: &str) -> Result<Self> {
        let (before, after) = (self.path.with_extension("old"), &self.path);
        fs::rename(after, &before)?;
        let mut decompile = Command::new("dtc");
        let old = capture(
            decompile
                .args(["-q", "-I", "dtb", "-O", "dts"])
                .arg(&before),
        )?;
        let path = self.path.with_extension("dts");
        fs::write(&path, old + source)?;
        let mut compile = Command::new("dtc");
        compile.args(["-q", "-I", "dts", "-O", "dtb", "-o"]);
        capture(compile.arg(after).arg(&path))?;
        fs::remove_file(before)?;
        Ok(self)
    }

    /// Returns the path of the finished blob.
    pub fn into_path(self) -> PathBuf {
        self.path
    }
}
