// SPDX-License-Identifier: GPL-2.0
//! The lines that the driver adds to files of the kernel.

use anyhow::{Context, Result};

use super::author::Author;

/// The beginning of the driver's entry in MAINTAINERS.
const HEADING: &str = "IPMMU VMSA DRIVER IN RUST\n";

/// The place of a block of lines.
enum Place {
    Before(&'static str),
    After(&'static str),
}

/// A block of lines in one file.
pub struct Edit {
    /// The file.
    pub file: &'static str,
    /// The file of the driver that needs it; for the series of patches.
    pub with: &'static str,
    place: Place,
    /// None is the entry in MAINTAINERS, which varies.
    block: Option<&'static str>,
}

pub const EDITS: [Edit; 4] = [
    Edit {
        file: "MAINTAINERS",
        with: "",
        place: Place::Before("IPS SCSI RAID DRIVER\n"),
        block: None,
    },
    Edit {
        file: "Documentation/driver-api/index.rst",
        with: "Documentation/driver-api/ipmmu-vmsa/index.rst",
        place: Place::After("   ipmi\n"),
        block: Some("   ipmmu-vmsa/index\n"),
    },
    Edit {
        file: "drivers/iommu/Kconfig",
        with: "drivers/iommu/ipmmu-vmsa-rust/Kconfig",
        place: Place::Before("config SPAPR_TCE_IOMMU\n"),
        block: Some("source \"drivers/iommu/ipmmu-vmsa-rust/Kconfig\"\n\n"),
    },
    Edit {
        file: "drivers/iommu/Makefile",
        with: "drivers/iommu/ipmmu-vmsa-rust/Makefile",
        place: Place::After("obj-$(CONFIG_IPMMU_VMSA) += ipmmu-vmsa.o\n"),
        block: Some("obj-$(CONFIG_IPMMU_VMSA_RUST) += ipmmu-vmsa-rust/\n"),
    },
];

impl Edit {
    /// Returns `text` with the block, which it did not have.
    pub fn insert(&self, text: &str, entry: &str) -> Result<String> {
        let (line, past) = match self.place {
            Place::Before(line) => (line, 0),
            Place::After(line) => (line, line.len()),
        };
        let at = find_line(text, line).with_context(|| {
            format!(
                "{} has no line \"{}\", beside which the driver's would go",
                self.file,
                line.trim()
            )
        })? + past;
        let block = self.block.unwrap_or(entry);
        Ok(format!("{}{block}{}", &text[..at], &text[at..]))
    }

    /// Returns `text` without the block.
    pub fn remove(&self, text: &str) -> String {
        let found = match self.block {
            Some(block) => find_line(text, block).map(|at| at..at + block.len()),
            None => find_line(text, HEADING).map(|at| {
                let end = text[at..].find("\n\n").map_or(text.len(), |n| at + n + 2);
                at..end
            }),
        };
        found.map_or_else(
            || text.to_owned(),
            |range| format!("{}{}", &text[..range.start], &text[range.end..]),
        )
    }
}

/// Returns where the lines `wanted` are in `text`.
fn find_line(text: &str, wanted: &str) -> Option<usize> {
    text.match_indices(wanted)
        .map(|(at, _)| at)
        .find(|&at| at == 0 || text[..at].ends_with('\n'))
}

/// Returns the entry in MAINTAINERS for files that match `patterns`.
pub fn entry(author: &Author, patterns: &[String]) -> String {
    let mut patterns: Vec<&String> = patterns.iter().collect();
    patterns.sort();
    let files: String = patterns.iter().map(|p| format!("F:\t{p}\n")).collect();
    format!(
        "{HEADING}M:\t{author}\nL:\tiommu@lists.linux.dev\n\
         L:\tlinux-renesas-soc@vger.kernel.org\nL:\trust-for-linux@vger.kernel.org\n\
         S:\tMaintained\n{files}\n"
    )
}
