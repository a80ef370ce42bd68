// SPDX-License-Identifier: GPL-2.0
//! Helpers for several scenarios.

use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::board::Board;
use crate::board::guest::DMACS;
use crate::board::registers::PARKING;

/// An address that no DMA mapping uses: IOVAs are allocated from the top.
pub const UNMAPPED: u32 = 0x1234_5678;

/// Channels behind two IPMMUs: dmac0 is behind DS0, dmac1 and dmac2 are behind DS1. One channel of
/// each controller, and a second one of dmac0 with a uTLB of its own.
pub const TWO_IPMMUS: [&str; 4] = [
    "e6700000.dma-controller",
    "e6700000.dma-controller:5",
    "e7300000.dma-controller",
    "e7310000.dma-controller:9",
];

/// A fault as a driver reported it.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The faulting address.
    pub iova: u64,
    /// The context, if the driver names it.
    pub context: Option<u64>,
}

/// Returns the faults in kernel messages.
pub fn faults(messages: &str) -> Vec<Fault> {
    messages
        .lines()
        .filter(|line| line.contains("Unhandled fault"))
        .filter_map(|line| {
            Some(Fault {
                iova: number_after(line, "iova ")?,
                context: number_after(line, "context "),
            })
        })
        .collect()
}

fn number_after(line: &str, word: &str) -> Option<u64> {
    let rest = &line[line.find(word)? + word.len()..];
    let (digits, radix) = match rest.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (rest, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    u64::from_str_radix(&digits[..end], radix).ok()
}

/// Expects that the channels of two IPMMUs are translated, and that DMA works on them at once.
pub fn dma_through_two_ipmmus(board: &mut Board) -> Result<()> {
    let registers = board.registers()?;
    for (ipmmu, utlb) in [("ipmmu_ds0", 1), ("ipmmu_ds1", 1), ("ipmmu_ds1", 17)] {
        let context = registers
            .context_of(ipmmu, utlb)
            .with_context(|| format!("uTLB {utlb} of {ipmmu} is not enabled"))?;
        ensure!(
            registers.get("ipmmu_mm", &format!("IMCTR({context})")) & 1 != 0,
            "context {context} of uTLB {utlb} of {ipmmu} is not enabled"
        );
    }
    board.dma(&TWO_IPMMUS).map(drop)
}

/// Expects one correct report of an access to an unmapped address.
pub fn unmapped_access_faults(board: &mut Board) -> Result<()> {
    let script = format!("fault.sh {} 0 {UNMAPPED:#x}", DMACS[0]);
    one_fault(board, ("ipmmu_ds0", 0), UNMAPPED, &script)
}

/// Runs `script`, which makes a master behind this micro-TLB access the unmapped `address`. Expects
/// one report, with that address and, if the driver names one, the right context.
pub fn one_fault(
    board: &mut Board,
    (ipmmu, utlb): (&str, u32),
    address: u32,
    script: &str,
) -> Result<()> {
    board.new_messages()?;
    let context = board
        .registers()?
        .context_of(ipmmu, utlb)
        .with_context(|| format!("uTLB {utlb} of {ipmmu} is not enabled"))?;
    board.test(script)?;
    let messages = board.new_messages()?;
    let faults = faults(&messages);
    ensure!(faults.len() == 1, "reported {faults:?}, not one fault");
    ensure!(
        faults[0].iova == u64::from(address),
        "reported {:#x} instead of {address:#x}",
        faults[0].iova
    );
    if let Some(reported) = faults[0].context {
        ensure!(
            reported == u64::from(context),
            "reported context {reported} instead of {context}"
        );
    }
    Ok(())
}

/// Returns the first IOVA of each mapping that the kernel makes during `work`.
pub fn mapped(board: &mut Board, work: impl FnOnce(&mut Board) -> Result<()>) -> Result<Vec<u64>> {
    board.sh("echo 1 > /sys/kernel/tracing/events/iommu/map/enable")?;
    work(board)?;
    board.sh("echo 0 > /sys/kernel/tracing/events/iommu/map/enable")?;
    let trace = board
        .sh("cd /sys/kernel/tracing && grep -o 'map: .* iova=0x[0-9a-f]*' trace; echo > trace")?;
    let lines = trace.lines();
    let mapped: Vec<u64> = lines.filter_map(|l| number_after(l, "iova=")).collect();
    ensure!(!mapped.is_empty(), "nothing was mapped");
    Ok(mapped)
}

/// Returns the messages about IPMMUs at warning level or worse, also those that are printed for a
/// client.
pub fn complaints(raw_messages: &str) -> Vec<&str> {
    raw_messages
        .lines()
        .filter(|line| {
            let level = line.strip_prefix('<').and_then(|l| l.split_once('>'));
            // Facility 0 is the kernel; 4 is a warning.
            level.is_some_and(|(l, _)| l.parse::<u32>().is_ok_and(|l| l <= 4))
        })
        .filter(|line| line.contains("ipmmu") || line.contains("iommu"))
        // The kernel's own messages about a failed probe, and about a module from outside its tree.
        .filter(|line| !line.contains("probe with driver") && !line.contains("taints kernel"))
        .collect()
}

/// Limit for waiting until the hardware or the kernel has done something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `is_so` returns true. Fails with `otherwise` if that takes too long.
pub fn wait_until(
    board: &mut Board,
    otherwise: &'static str,
    is_so: impl Fn(&mut Board) -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    while !is_so(board)? {
        ensure!(begun.elapsed() < PATIENCE, otherwise);
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The message of BusyBox's `rmmod` about a module in use.
const IN_USE: &str = "Resource temporarily unavailable";

/// Expects that the module cannot be removed while a device is behind one of its IPMMUs, bound to a
/// driver or not, as the core holds the module. `works` checks DMA after each refusal.
pub fn rmmod_is_refused(board: &mut Board, works: fn(&mut Board) -> Result<()>) -> Result<()> {
    let refused = |board: &mut Board| {
        let output = board.try_sh("rmmod ipmmu_vmsa 2>&1")?;
        ensure!(output.code != 0, "rmmod was not refused");
        ensure!(
            output.text.contains(IN_USE),
            "rmmod says: {}",
            output.text.trim()
        );
        board.expect_bound_except(&[])
    };
    refused(board)?;
    works(board)?;
    board.clients_leave()?;
    refused(board).context("with no driver bound to the clients")?;
    board.clients_come()?;
    works(board)
}

/// How many times the module is removed and loaded.
const TIMES: u32 = 20;

/// Removes and loads the module. The IPMMUs have no clients, and removal must leave nothing on.
pub fn rmmod_and_modprobe(
    board: &mut Board,
    ipmmus: &[(&str, &str)],
    utlbs: Range<u32>,
) -> Result<()> {
    for number in 1..=TIMES {
        board.expect_bound_except(&[])?;
        board
            .unload_driver()
            .with_context(|| format!("going for the {number}. time"))?;
        let left = board.registers()?;
        for (ipmmu, _) in ipmmus {
            ensure!(
                !utlbs.clone().any(|n| left.context_of(ipmmu, n).is_some()),
                "a micro-TLB of {ipmmu} is left on"
            );
            let imctr = |n| left.get(ipmmu, &format!("IMCTR({n})"));
            ensure!(
                (0..=PARKING).all(|n| imctr(n) & 1 == 0),
                "a context of {ipmmu} is left on"
            );
        }
        board.load_driver(&[])?;
    }
    board.expect_bound_except(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_drivers_faults_are_understood() {
        let ours = "<3>[1.0] ipmmu-vmsa e67b0000.iommu: Unhandled fault: context 2, \
                    iova 0x12345678, status 0x00000101 (not mapped), clients: e6700000.dma";
        let upstream = "<3>[1.0] ipmmu-vmsa e67b0000.iommu: Unhandled fault: status \
                        0x00000001 iova 0x12345678";
        let at = |context| Fault {
            iova: 0x1234_5678,
            context,
        };
        assert_eq!(faults(ours), [at(Some(2))]);
        assert_eq!(faults(upstream), [at(None)]);
    }

    #[test]
    fn complaints_are_the_drivers_own() {
        let log = "<6>[1] ipmmu-vmsa a: root, 8 contexts\n\
                   <3>[1] ipmmu-vmsa b: no interrupt\n\
                   <4>[1] ipmmu-vmsa b: probe with driver ipmmu-vmsa failed with error -6\n\
                   <4>[1] ipmmu_vmsa: loading out-of-tree module taints kernel.\n\
                   <3>[1] other c: no\n";
        assert_eq!(complaints(log), ["<3>[1] ipmmu-vmsa b: no interrupt"]);
    }
}
