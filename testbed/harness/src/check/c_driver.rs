// SPDX-License-Identifier: GPL-2.0
//! The upstream C driver on the same machine. These rows validate the model.

use std::sync::Arc;

use libtest_mimic::Trial;

use super::common::{TWO_IPMMUS, dma_through_two_ipmmus, unmapped_access_faults};
use super::{Bench, Fixture};
use crate::board::{Driver, Setup};

/// A value of the product register for a SoC that the C driver does not know. On a known SoC its
/// policy refuses the DMA controllers.
pub const UNKNOWN_SOC: u32 = 0x0000_7f00;

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let setup = Setup::new("c-driver", Driver::C).prr(UNKNOWN_SOC);
    let board = Fixture::new(bench, setup, |_| Ok(()));
    vec![
        board.row("boot_and_bind", |b| b.expect_bound_except(&[])),
        board.row("dma_through_two_ipmmus", dma_through_two_ipmmus),
        board.row("unmapped_access_faults", unmapped_access_faults),
        board.row("dma_before_and_after_suspend", |b| {
            b.dma(&TWO_IPMMUS)?;
            let before = b.registers()?;
            b.suspend(|_| Ok(()))?;
            b.expect_registers(&before)?;
            b.dma(&TWO_IPMMUS).map(drop)
        }),
    ]
}
