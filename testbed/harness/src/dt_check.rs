// SPDX-License-Identifier: GPL-2.0
//! `make dt-check`: validates device trees of the project, and of the emulated boards, against the
//! kernel's bindings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::board::pcie;
use crate::check::generations;
use crate::exec::Log;
use crate::paths::Paths;
use crate::provision::{Provision, python};
use crate::ui::Step;

/// The package of the validator.
const DTSCHEMA: &str = "dtschema==2026.9";

/// The bindings that are checked: the IPMMU's, and those of the masters behind it. The rest of a
/// board's device tree is not the project's.
const BINDINGS: [&str; 5] = [
    "iommu/renesas,ipmmu-vmsa",
    "dma/renesas,rcar-dmac",
    "mmc/renesas,sdhi",
    "pci/rcar-pci-host",
    "net/renesas,etheravb",
];

/// Boards in the kernel's tree, with the project's overlays for them.
const BOARDS: [(&str, Option<&str>); 4] = [
    ("r8a77951-ulcb", None),
    ("r8a77951-ulcb", Some("h3-starter-kit-ipmmu")),
    ("r8a779g0-white-hawk", None),
    ("r8a779g0-white-hawk", Some("white-hawk-ipmmu")),
];

/// The project's own device trees, and the number of bindings that they follow. In the second the
/// nodes around the IPMMU belong to no SoC.
const OURS: [(&str, usize); 2] = [
    ("dts/ipmmu-example.dts", BINDINGS.len()),
    ("testbed/guest/gen2.dts", 1),
];

struct Check<'a> {
    paths: &'a Paths,
    linux: PathBuf,
    out: PathBuf,
}

/// Validates all device trees. Returns whether nothing was found.
pub fn run(paths: &Paths) -> Result<bool> {
    let check = Check {
        paths,
        linux: Provision::linux_source(paths)?,
        out: paths.build().join("dtb"),
    };
    fs::create_dir_all(&check.out)?;
    let schema = check.schema()?;
    let mut good = check.all_are_listed()?;
    for (board, overlay) in BOARDS {
        let name = overlay.map_or(board.to_owned(), |o| format!("{board} with {o}"));
        good &= check.judge(&name, &schema, &BINDINGS, |log, step| {
            let dtb = check.board(board, log, step)?;
            overlay.map_or(Ok(dtb.clone()), |overlay| {
                check.overlay(&dtb, overlay, log, step)
            })
        })?;
    }
    let log = &mut Log::create(paths, "dt-generations")?;
    let h3 = check.board(BOARDS[0].0, log, &Step::new("Making device trees"))?;
    // Only the IPMMU's binding: the DMA controllers there belong to no SoC.
    for dtb in generations::device_trees(paths, &h3)? {
        let stem = dtb.file_stem().context("no name")?.to_string_lossy();
        let name = format!("{} with an IPMMU of {stem}", BOARDS[0].0);
        good &= check.judge(&name, &schema, &BINDINGS[..1], |_, _| Ok(dtb.clone()))?;
    }
    good &= check.judge("PCIe of the tests", &schema, &BINDINGS, |_, _| {
        pcie::device_tree(paths, &h3)
    })?;
    for (source, bindings) in OURS {
        good &= check.judge(source, &schema, &BINDINGS[..bindings], |log, step| {
            let stem = Path::new(source).file_stem().context("no name")?;
            let dtb = check.out.join(stem).with_extension("dtb");
            check.compile(&paths.repo.join(source), &dtb, log, step)?;
            Ok(dtb)
        })?;
    }
    Ok(good)
}

impl Check<'_> {
    /// Returns whether each source in dts/ is validated here.
    fn all_are_listed(&self) -> Result<bool> {
        let mut good = true;
        for entry in fs::read_dir(self.paths.repo.join("dts"))? {
            let path = entry?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let ours = OURS.iter().any(|(source, _)| path.ends_with(source));
            if !ours && !BOARDS.iter().any(|(_, overlay)| *overlay == Some(&stem)) {
                eprintln!(
                    "FAIL  {}: for which board?",
                    self.paths.short(&path).display()
                );
                good = false;
            }
        }
        Ok(good)
    }

    /// Makes one device tree and validates it. Returns whether nothing was found.
    fn judge(
        &self,
        name: &str,
        schema: &Path,
        bindings: &[&str],
        make: impl FnOnce(&mut Log, &Step) -> Result<PathBuf>,
    ) -> Result<bool> {
        let step = Step::new(format!("Validating {name}"));
        let log_name = name.replace(['/', ' '], "-");
        let mut log = Log::create(self.paths, &format!("dt-{log_name}"))?;
        let dtb = make(&mut log, &step)?;
        let before = log.text()?.lines().count();
        let mut validate = Command::new(self.tool("dt-validate")?);
        validate
            .arg("-s")
            .arg(schema)
            .args(["-l", &bindings.join(":")]);
        let ended = log.run(&step, "dt-validate", validate.arg(&dtb));
        let text = log.text()?;
        // The first line is the command.
        let found: Vec<&str> = text.lines().skip(before + 1).collect();
        if ended.is_ok() && found.is_empty() {
            step.done();
            return Ok(true);
        }
        drop(step);
        eprintln!("FAIL  {name}");
        for line in found {
            eprintln!("      {line}");
        }
        Ok(false)
    }

    /// Returns the path of a program of the validator.
    fn tool(&self, name: &str) -> Result<PathBuf> {
        python::program(self.paths, DTSCHEMA, name)
    }

    /// Returns all of the kernel's bindings, preprocessed for quick validation.
    fn schema(&self) -> Result<PathBuf> {
        let source = self.linux.file_name().context("no name")?.to_string_lossy();
        let schema = self
            .paths
            .cache
            .join(format!("tools/{}-{source}.json", python::named(DTSCHEMA)));
        if schema.exists() {
            return Ok(schema);
        }
        let tool = self.tool("dt-mk-schema")?;
        let step = Step::new("Reading the kernel's bindings (about a minute)");
        let mut log = Log::create(self.paths, "dt-mk-schema")?;
        let part = schema.with_extension("part");
        let mut make = Command::new(tool);
        make.arg("-j").arg("-o").arg(&part);
        make.arg(self.linux.join("Documentation/devicetree/bindings"));
        log.run(&step, "reading the bindings", &mut make)?;
        fs::rename(part, &schema)?;
        step.done();
        Ok(schema)
    }

    /// Compiles a device tree of the kernel's boards, with the symbols that overlays refer to.
    fn board(&self, name: &str, log: &mut Log, step: &Step) -> Result<PathBuf> {
        let dir = self.linux.join("arch/arm64/boot/dts/renesas");
        let source = self.out.join(format!("{name}.pp.dts"));
        let mut preprocess = Command::new("gcc");
        preprocess.args(["-E", "-nostdinc", "-undef", "-D__DTS__", "-P"]);
        preprocess.args(["-x", "assembler-with-cpp", "-I"]);
        preprocess.arg(self.linux.join("include"));
        preprocess.arg("-o").arg(&source);
        preprocess.arg(dir.join(format!("{name}.dts")));
        log.run(step, "preprocessing the board", &mut preprocess)?;
        let dtb = self.out.join(format!("{name}.check.dtb"));
        self.compile(&source, &dtb, log, step)?;
        Ok(dtb)
    }

    /// Applies an overlay of the project to a board.
    fn overlay(&self, dtb: &Path, name: &str, log: &mut Log, step: &Step) -> Result<PathBuf> {
        let source = self.paths.repo.join(format!("dts/{name}.dtso"));
        let overlay = self.out.join(format!("{name}.dtbo"));
        self.compile(&source, &overlay, log, step)?;
        let both = self.out.join(format!("{name}.check.dtb"));
        let mut apply = Command::new("fdtoverlay");
        apply.arg("-i").arg(dtb).arg("-o").arg(&both).arg(&overlay);
        log.run(step, "applying the overlay", &mut apply)?;
        if !both.exists() {
            bail!("fdtoverlay wrote nothing; see {}", log.shown().display());
        }
        Ok(both)
    }

    fn compile(&self, source: &Path, out: &Path, log: &mut Log, step: &Step) -> Result<()> {
        let mut dtc = Command::new("dtc");
        dtc.args(["-q", "-@", "-I", "dts", "-O", "dtb", "-o"]);
        log.run(step, "compiling a device tree", dtc.arg(out).arg(source))
    }
}
