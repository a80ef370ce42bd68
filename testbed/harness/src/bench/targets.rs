// SPDX-License-Identifier: GPL-2.0
//! The targets of this driver, relative to the C driver.

use super::board::{MASTERS, idle};
use super::report::{Report, Verdict};
use crate::board::registers::IPMMUS;

/// Returns the verdicts on all targets.
pub fn judge(report: &Report) -> Vec<Verdict> {
    let insns = |name: &str| report.rust.get(name).insns / report.c.get(name).insns;
    let mmio = |name: &str| report.rust.get(name).mmio();
    let restore = report.rust.get("restore");
    vec![
        Verdict::at_most(
            "map + unmap 4 KiB, strict: instructions, of the C driver's",
            1.15,
            insns("map_unmap_4k_strict"),
        ),
        Verdict::at_most(
            "map + unmap 4 KiB, strict: MMIO accesses, of the C driver's",
            1.0,
            mmio("map_unmap_4k_strict") / report.c.get("map_unmap_4k_strict").mmio(),
        ),
        Verdict::at_most(
            "map + unmap 4 KiB, best mode: instructions, of the C driver's",
            0.9,
            insns("map_unmap_4k_best"),
        ),
        Verdict::at_most(
            "map + unmap 4 KiB, best mode: MMIO accesses",
            0.02,
            mmio("map_unmap_4k_best"),
        ),
        Verdict::at_most(
            "attach + detach: instructions, of the C driver's",
            1.2,
            insns("attach_detach"),
        ),
        Verdict::at_most(
            "restore: instructions without verifying, of the C driver's",
            1.3,
            insns("restore"),
        ),
        Verdict::at_most(
            "restore: MMIO writes, of those that the registers require",
            1.0,
            restore.mmio_writes / required_writes(),
        ),
        Verdict::at_most(
            "save + restore of an idle IPMMU: MMIO accesses",
            2.0,
            mmio("sleep_of_all_idle") / idle().count() as f64,
        ),
        Verdict::at_most(
            "fault: instructions, of the C driver's",
            1.3,
            insns("fault"),
        ),
        Verdict::at_most(
            "probe: instructions, of the C driver's",
            1.8,
            insns("probe"),
        ),
        Verdict::at_most(
            "size of .text, of the C driver's",
            6.0,
            report.rust.text_bytes as f64 / report.c.text_bytes as f64,
        ),
    ]
}

/// Returns the number of writes that a restore needs. Each context has five registers in the root
/// and IMCTR in its cache, and so has parking in each cache with a group; each micro-TLB has two,
/// and each IPMMU two control registers.
fn required_writes() -> f64 {
    let utlbs: u32 = MASTERS.iter().map(|(_, _, utlbs)| utlbs).sum();
    let contexts = MASTERS.len() * 6;
    let parking = 5 + MASTERS.len();
    (contexts + parking + IPMMUS.len() * 2) as f64 + f64::from(utlbs * 2)
}
