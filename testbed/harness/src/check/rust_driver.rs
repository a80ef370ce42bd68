// SPDX-License-Identifier: GPL-2.0
//! This driver while the system is awake: binding, DMA, faults, unloading.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::c_driver::UNKNOWN_SOC;
use super::common::{
    TWO_IPMMUS, complaints, dma_through_two_ipmmus, rmmod_and_modprobe, rmmod_is_refused,
    unmapped_access_faults,
};
use super::looking::H3_ES2;
use super::{Bench, Fixture};
use crate::board::guest::DMACS;
use crate::board::registers::{IPMMUS, PARKING};
use crate::board::{Board, Driver, Setup};
use crate::random::Random;

/// The number of groups with a context. Of a root's eight contexts the first is reserved, and the
/// last is parking.
const GROUPS: u32 = PARKING - 1;

/// The number of texts for `allow=`, and the length of the longest in bytes.
const TEXTS: u64 = 8;
const LONGEST: usize = 400;
/// More bytes than a parameter of the kernel may have.
const TOO_LONG: usize = 1025;

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let board = Fixture::new(bench, Setup::new("driver", Driver::Rust), |b| {
        b.load_driver(&DMACS)
    });
    // By the policy nothing is translated on this SoC.
    let setup = Setup::new("driver-alone", Driver::Rust).prr(H3_ES2);
    let alone = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    let setup = Setup::new("crowded", Driver::Rust).prr(UNKNOWN_SOC);
    let crowded = Fixture::new(bench, setup, |b| b.load_driver(&[]));
    vec![
        board.row("boot_and_bind", boot_and_bind),
        board.row("dma_through_two_ipmmus", dma_through_two_ipmmus),
        board.row("unmapped_access_faults", unmapped_access_faults),
        board.row("unbind_with_a_client_is_refused", unbind_is_refused),
        board.row("rmmod_with_a_client_is_refused", |b| {
            rmmod_is_refused(b, dma_through_two_ipmmus)
        }),
        alone.row("rmmod_and_modprobe_again", |b| {
            rmmod_and_modprobe(b, &IPMMUS, 0..48)
        }),
        alone.row("any_bytes_for_allow", any_bytes_for_allow),
        crowded.row("more_devices_than_contexts", more_devices_than_contexts),
    ]
}

pub fn boot_and_bind(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    board.new_messages()?;
    let messages = &board.klog;
    let complaints = complaints(messages);
    ensure!(complaints.is_empty(), "{complaints:?}");
    let said = |text: &str| messages.lines().filter(|l| l.contains(text)).count();
    ensure!(
        said(&format!("{}: root, ", IPMMUS[0].1)) == 1,
        "the root was not announced once"
    );
    let caches = said(&format!("cache of {}", IPMMUS[0].1));
    ensure!(caches == IPMMUS.len() - 1, "{caches} caches were announced");
    Ok(())
}

fn unbind_is_refused(board: &mut Board) -> Result<()> {
    for (_, device) in &IPMMUS[..2] {
        let output = board.try_sh(&format!(
            "echo {device} > /sys/bus/platform/drivers/ipmmu-vmsa/unbind"
        ))?;
        ensure!(output.code != 0, "unbinding {device} was not refused");
    }
    board.expect_bound_except(&[])?;
    board.dma(&TWO_IPMMUS).map(drop)
}

/// Without a policy for the SoC every device is to be translated, but there are more devices than
/// contexts. The last ones work untranslated.
fn more_devices_than_contexts(board: &mut Board) -> Result<()> {
    board.expect_bound_except(&[])?;
    board.new_messages()?;
    let late = format!("no free context in {}", IPMMUS[0].1);
    let refused: Vec<&str> = board.klog.lines().filter(|l| l.contains(&late)).collect();
    ensure!(!refused.is_empty(), "each device got a context");
    let other: Vec<&str> = complaints(&board.klog)
        .into_iter()
        .filter(|line| !line.contains(&late))
        .collect();
    ensure!(other.is_empty(), "{other:?}");
    let groups = board.sh("ls /sys/kernel/iommu_groups | wc -l")?;
    ensure!(
        groups.trim() == GROUPS.to_string(),
        "{groups} groups instead of {GROUPS}"
    );
    board.dma(&DMACS).map(drop)
}

/// The module is loaded and unloaded with any bytes in `allow=`. Messages about them contain
/// printable ASCII only. The kernel refuses a text that is too long.
fn any_bytes_for_allow(board: &mut Board) -> Result<()> {
    board.new_messages()?;
    board.unload_driver()?;
    for seed in 1..=TEXTS {
        let text = octal(&mut Random::new(seed));
        board.sh(&format!("modprobe ipmmu_vmsa \"allow=$(printf '{text}')\""))?;
        board.unload_driver()?;
    }
    let long = format!("modprobe ipmmu_vmsa allow=$(printf '%{TOO_LONG}s' | tr ' ' x)");
    ensure!(board.try_sh(&long)?.code != 0, "{long} was not refused");
    board.load_driver(&[])?;
    board.expect_bound_except(&[])?;
    let messages = board.new_messages()?;
    let told = messages
        .lines()
        .filter(|l| l.contains("allow: no platform"));
    let told: Vec<&str> = told.collect();
    ensure!(told.len() as u64 >= TEXTS, "{} names are told", told.len());
    let is_plain = |line: &str| line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    ensure!(told.iter().all(|line| is_plain(line)), "{told:#?}");
    Ok(())
}

/// Returns random bytes without NUL, as escapes for `printf`. Separators are frequent among them.
fn octal(random: &mut Random) -> String {
    let length = 1 + random.below(LONGEST);
    let byte = |random: &mut Random| match random.below(8) {
        0 => *random.one(b", \t\"=-"),
        _ => 1 + random.below(255) as u8,
    };
    (0..length)
        .map(|_| format!("\\{:03o}", byte(random)))
        .collect()
}
