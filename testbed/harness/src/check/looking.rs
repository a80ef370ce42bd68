// SPDX-License-Identifier: GPL-2.0
//! Information for users: why a device is not translated, the state of driver and hardware, and the
//! module parameters.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::Bench;
use super::feature::{C, Feature, Pair, Part};
use crate::board::guest::DMACS;
use crate::board::registers::IPMMUS;
use crate::board::{Board, Driver, Setup};

/// The product register of R-Car H3, cut 2.0, whose IPMMU cannot be used.
pub const H3_ES2: u32 = 0x0000_4f10;

/// A device that upstream's policy allows on SoCs with a usable IPMMU.
const VERIFIED: &str = "ee140000.mmc";

const BY_POLICY: Feature = Feature {
    id: "refused_by_policy",
    part: Part::Looking,
    says: "The log names each device once that the policy leaves untranslated.",
    c: C::Fails("0 messages"),
};

const BY_SOC_CUT: Feature = Feature {
    id: "refused_by_soc_cut",
    part: Part::Looking,
    says: "On a SoC revision with an unusable IPMMU nothing is translated, and the log says so.",
    c: C::Fails("0 messages"),
};

const UTLBS_IN_DEBUGFS: Feature = Feature {
    id: "debugfs_utlbs",
    part: Part::Looking,
    says: "debugfs shows the micro-TLBs in use and their contexts as the hardware holds them.",
    c: C::Fails("No such file"),
};

const PARAMETERS: Feature = Feature {
    id: "parameters_are_described",
    part: Part::Looking,
    says: "modinfo describes every module parameter.",
    c: C::NotApplicable("built in, and without parameters"),
};

pub fn rows(bench: &Arc<Bench>) -> Vec<Trial> {
    let policy = Pair::new(bench, Setup::new("policy", Driver::Rust), |b| {
        b.load_driver(&[])
    })
    .feature(BY_POLICY, by_policy)
    .feature(UTLBS_IN_DEBUGFS, utlbs_in_debugfs)
    .feature(PARAMETERS, parameters);
    let cut = Setup::new("soc-cut", Driver::Rust).prr(H3_ES2);
    let cut = Pair::new(bench, cut, |b| b.load_driver(&[])).feature(BY_SOC_CUT, by_soc_cut);
    policy.rows().chain(cut.rows()).collect()
}

fn is_in_a_group(board: &mut Board, device: &str) -> Result<bool> {
    let group = format!("/sys/bus/platform/devices/{device}/iommu_group");
    Ok(board.try_sh(&format!("[ -e {group} ]"))?.code == 0)
}

/// Returns the messages that say why `device` is not translated.
fn messages_about(board: &mut Board, device: &str) -> Result<Vec<String>> {
    board.new_messages()?;
    let about = |line: &&str| line.contains(device) && line.contains("translat");
    Ok(board
        .klog
        .lines()
        .filter(about)
        .map(str::to_owned)
        .collect())
}

/// Expects an untranslated device to work, and one message to say why, however often it is probed.
fn told_once(board: &mut Board, device: &str, why: &str) -> Result<()> {
    ensure!(!is_in_a_group(board, device)?, "{device} is in a group");
    if DMACS.contains(&device) {
        board.dma(&[device])?;
        board.client("unbind", device)?;
        board.client("bind", device)?;
        board.dma(&[device])?;
    }
    let said = messages_about(board, device)?;
    ensure!(
        said.len() == 1 && said[0].contains(why),
        "{} messages say that {device} is not translated: {said:?}",
        said.len()
    );
    Ok(())
}

fn by_policy(board: &mut Board) -> Result<()> {
    ensure!(is_in_a_group(board, VERIFIED)?, "{VERIFIED} is in no group");
    ensure!(
        messages_about(board, VERIFIED)?.is_empty() || board.driver == Driver::C,
        "{VERIFIED} is said not to be translated"
    );
    DMACS
        .iter()
        .try_for_each(|d| told_once(board, d, "not verified on this SoC"))
}

fn by_soc_cut(board: &mut Board) -> Result<()> {
    for device in DMACS.iter().chain([&VERIFIED]) {
        told_once(board, device, "SoC revision cannot be used")?;
    }
    Ok(())
}

fn utlbs_in_debugfs(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    let mut in_use = 0;
    for (label, device) in &IPMMUS[1..] {
        let text = board.sh(&format!("cat /sys/kernel/debug/ipmmu/{device}/utlbs"))?;
        let listed: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
        let held: Vec<String> = (0..48)
            .filter_map(|n| Some((n, registers.context_of(label, n)?)))
            .map(|(utlb, context)| format!("uTLB {utlb}: context {context}"))
            .collect();
        ensure!(listed == held, "{label}: {listed:?} instead of {held:?}");
        in_use += held.len();
    }
    ensure!(in_use > 0, "none is in use");
    Ok(())
}

fn parameters(board: &mut Board) -> Result<()> {
    let described = board.sh("modinfo -F parm ipmmu_vmsa || modinfo ipmmu_vmsa")?;
    let listed = board.sh("ls /sys/module/ipmmu_vmsa/parameters")?;
    ensure!(!listed.trim().is_empty(), "there are none");
    for name in listed.split_whitespace() {
        let told = described
            .lines()
            .filter_map(|l| l.split_once(&format!("{name}:")));
        ensure!(
            told.into_iter().any(|(_, text)| text.trim().len() > 10),
            "{name} is not described: {described}"
        );
    }
    Ok(())
}
