// SPDX-License-Identifier: GPL-2.0
//! Device trees of ours, and those in which one thing is wrong, or more is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::registers::IPMMUS;
use crate::exec::capture;
use crate::paths::Paths;

/// The node of a device that Linux calls `ADDRESS.NAME`.
pub fn node_of(device: &str) -> String {
    let (address, name) = device.split_once('.').expect("a platform device's name");
    format!("/soc/{name}@{address}")
}

/// A device tree blob of our own, to be changed.
pub struct Dtb {
    path: PathBuf,
}

impl Dtb {
    /// Where the finished one of this name is.
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

    /// Goes on with one that was finished before.
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
        capture(
            Command::new("fdtput")
                .arg("-d")
                .arg(&self.path)
                .args([node, property]),
        )?;
        Ok(self)
    }

    /// Replaces one cell of a property.
    pub fn set_cell(self, node: &str, property: &str, index: usize, value: u32) -> Result<Self> {
        let mut cells = self.cells(node, property)?;
        let cell = cells
            .get_mut(index)
            .with_context(|| format!("{property} of {node} has no cell {index}"))?;
        *cell = format!("{value:x}");
        let mut put = Command::new("fdtput");
        put.args(["-t", "x"]).arg(&self.path).args([node, property]);
        capture(put.args(cells))?;
        Ok(self)
    }

    /// Gives a property these cells.
    pub fn set_cells(self, node: &str, property: &str, cells: &[u32]) -> Result<Self> {
        let mut put = Command::new("fdtput");
        put.args(["-t", "x"]).arg(&self.path).args([node, property]);
        capture(put.args(cells.iter().map(|cell| format!("{cell:x}"))))?;
        Ok(self)
    }

    /// One cell of a property.
    pub fn cell(&self, node: &str, property: &str, index: usize) -> Result<u32> {
        let cells = self.cells(node, property)?;
        let cell = cells
            .get(index)
            .with_context(|| format!("{property} of {node} has no cell {index}"))?;
        Ok(u32::from_str_radix(cell, 16)?)
    }

    /// Puts the children of a node below the root in the reverse order.
    pub fn reverse_children(self, node: &str) -> Result<Self> {
        let mut dtc = Command::new("dtc");
        dtc.args(["-q", "-I", "dtb", "-O", "dts"]).arg(&self.path);
        let source = self.path.with_extension("dts");
        fs::write(&source, reversed(&capture(&mut dtc)?, node)?)?;
        let mut dtc = Command::new("dtc");
        dtc.args(["-q", "-I", "dts", "-O", "dtb", "-o"])
            .arg(&self.path)
            .arg(&source);
        capture(&mut dtc)?;
        Ok(self)
    }

    /// Sets a property that says all by being there.
    pub fn set_flag(self, node: &str, property: &str) -> Result<Self> {
        capture(
            Command::new("fdtput")
                .arg(&self.path)
                .args([node, property]),
        )?;
        Ok(self)
    }

    /// Puts each of these devices behind an IPMMU, with that many micro-TLBs from 0.
    pub fn put_behind(mut self, masters: &[(&str, &str, u32)]) -> Result<Self> {
        for (master, ipmmu, utlbs) in masters {
            let utlbs: Vec<u32> = (0..*utlbs).collect();
            self = self.put_one_behind(master, ipmmu, &utlbs)?;
        }
        Ok(self)
    }

    /// Puts a device behind an IPMMU, with these micro-TLBs.
    pub fn put_one_behind(self, master: &str, ipmmu: &str, utlbs: &[u32]) -> Result<Self> {
        let (_, device) = IPMMUS
            .iter()
            .find(|(label, _)| *label == ipmmu)
            .context("no such IPMMU")?;
        let phandle = self.cell(&node_of(device), "phandle", 0)?;
        let cells: Vec<u32> = utlbs.iter().flat_map(|utlb| [phandle, *utlb]).collect();
        self.set_cells(&node_of(master), "iommus", &cells)
    }

    fn cells(&self, node: &str, property: &str) -> Result<Vec<String>> {
        let mut get = Command::new("fdtget");
        get.args(["-t", "x"]).arg(&self.path).args([node, property]);
        let text = capture(&mut get)?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Sets a property to a text.
    pub fn set_text(self, node: &str, property: &str, text: &str) -> Result<Self> {
        let mut put = Command::new("fdtput");
        put.args(["-t", "s"]).arg(&self.path);
        capture(put.args([node, property, text]))?;
        Ok(self)
    }

    /// Adds device tree source; it refers to nodes by path, as `&{/soc}`.
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

    /// The finished blob.
    pub fn into_path(self) -> PathBuf {
        self.path
    }
}

/// `source`, as dtc writes it, with the children of `node` in reverse order.
fn reversed(source: &str, node: &str) -> Result<String> {
    let opening = format!("{node} {{");
    let mut before = Vec::new();
    let mut children: Vec<Vec<&str>> = Vec::new();
    let mut lines = source.lines();
    for line in lines.by_ref() {
        before.push(line);
        if line.trim() == opening {
            break;
        }
    }
    let mut depth = 0;
    for line in lines.by_ref() {
        let text = line.trim();
        if depth == 0 && text == "};" {
            let after = [line].into_iter().chain(lines);
            let children = children.into_iter().rev().flatten();
            let all: Vec<&str> = before.into_iter().chain(children).chain(after).collect();
            return Ok(all.join("\n") + "\n");
        }
        if text.ends_with('{') {
            if depth == 0 {
                children.push(Vec::new());
            }
            depth += 1;
        } else if text == "};" {
            depth -= 1;
        }
        match children.last_mut() {
            Some(child) => child.push(line),
            None => before.push(line),
        }
    }
    bail!("the device tree has no node {node}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_reversed_and_properties_stay_first() {
        let source = "/ {\n\tsoc {\n\t\tp;\n\t\ta {\n\t\t\tx {\n\t\t\t};\n\t\t};\n\t\tb {\n\t\t};\n\t};\n};\n";
        let expected = "/ {\n\tsoc {\n\t\tp;\n\t\tb {\n\t\t};\n\t\ta {\n\t\t\tx {\n\t\t\t};\n\t\t};\n\t};\n};\n";
        assert_eq!(reversed(source, "soc").unwrap(), expected);
        assert!(reversed(source, "bus").is_err());
    }
}
