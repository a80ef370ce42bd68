// SPDX-License-Identifier: GPL-2.0
//! Compares the registers after an attach with `stage2=on` with those of Xen's driver.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::report::Left;
use crate::bench::board::{CLIENT_UTLB, MASTERS, setup};
use crate::board::{Board, Driver};
use crate::provision::Provision;

const ROOT: &str = "ipmmu_mm";

/// Boots with this driver, calls `bind` to bind the IPMMUs, and returns those registers.
pub fn watch(provision: &Provision, bind: fn(&mut Board) -> Result<()>) -> Result<Vec<Left>> {
    let setup = setup(provision, Driver::Rust, "compare-xen", Ok)?.stage2_of_gen3();
    let mut board = Board::boot(provision, &setup)?;
    bind(&mut board)?;
    let registers = board.registers()?;
    board.expect_clean()?;
    board.power_off()?;

    let (master, cache, _) = MASTERS[0];
    let n = registers.context_of(cache, CLIENT_UTLB);
    let n = n.with_context(|| format!("{master} is not translated"))?;
    let xen = [
        (ROOT, "IMSAUXCTLR".to_owned(), 0x8),
        (ROOT, format!("IMTTBCR({n})"), 0xc000_0058),
        (ROOT, format!("IMCTR({n})"), 0x2000_0005),
        (cache, format!("IMCTR({n})"), 0x5),
        (cache, format!("IMUCTR({CLIENT_UTLB})"), n << 4 | 1),
    ];
    let left = xen.map(|(ipmmu, name, xen)| {
        let ours = registers.get(ipmmu, &name);
        Left {
            register: format!("{ipmmu}.{name}"),
            rust: ours,
            c: xen,
            because: (ours == xen).then_some("the same"),
        }
    });
    Ok(left.into())
}

/// Returns the section for the page.
pub fn page(registers: &[Left]) -> String {
    let mut text = String::from("\n## With stage2=on, beside Xen's driver\n\n");
    text += "| register | this driver | Xen | |\n|---|---|---|---|\n";
    for left in registers {
        let because = left.because.unwrap_or("unexplained");
        let _ = writeln!(
            text,
            "| {} | {:#010x} | {:#010x} | {because} |",
            left.register, left.rust, left.c
        );
    }
    text
}
