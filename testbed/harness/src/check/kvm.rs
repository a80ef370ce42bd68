// SPDX-License-Identifier: GPL-2.0
//! A KVM guest with a device of its own. All of the guest's memory is above 4 GiB, and the device
//! reaches it through tables of stage 2.
//!
//! `testbed/guest/userdma` is the virtual machine monitor, and contains the KVM guest's code.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::common::faults;
use super::vfio::{run, same_as_before, take};
use super::{Bench, Fixture, stage2, vfio};
use crate::board::{Board, System};

/// The end of the guest's memory, which begins at 4 GiB.
const END: u64 = 10 << 30;
/// The number of accesses to each address: one write and one read.
const ATTEMPTS: usize = 2;
const SLEEPS: u32 = 2;

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = stage2::vfio_setup(bench, "kvm")?.system(System::Kvm);
    let board = Fixture::new(bench, setup, take);
    Ok(vec![
        board.row("a_guest_has_a_device_to_itself", |b| {
            same_as_before(b, |b| run(b, "guest").map(drop))
        }),
        board.row("what_a_guest_does_not_have_is_refused", |b| {
            same_as_before(b, refused)
        }),
        board.row("a_guest_goes_on_after_a_suspend", |b| {
            same_as_before(b, |b| vfio::asleep(b, "guest-asleep", SLEEPS))
        }),
    ])
}

/// Fails unless the log has exactly the refused accesses, in order, with their addresses.
fn refused(board: &mut Board) -> Result<()> {
    let ktap = run(board, "guest-refused")?;
    let kernel = ktap.sum("kernel");
    let messages = board.new_messages()?;
    let reported: Vec<u64> = faults(&messages).iter().map(|f| f.iova).collect();
    let wanted = [END, kernel].map(|address| [address; ATTEMPTS]).concat();
    ensure!(
        reported == wanted,
        "reported {reported:x?}, not {wanted:x?}"
    );
    Ok(())
}
