// SPDX-License-Identifier: GPL-2.0
//! A serial port that moves characters by DMA between memory and its own register. Both are
//! accessed through the micro-TLB of the DMA controller. The console's driver uses no DMA.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::common::wait_until;
use super::feature::{C, Feature, Pair, Part};
use super::{Bench, groups};
use crate::board::Board;
use crate::board::dtb::Dtb;
use crate::board::guest::DMACS;

/// The second serial port, SCIF1: its node, and its name in the guest.
const NODE: &str = "/soc/serial@e6e68000";
const PORT: &str = "/dev/ttySC1";
/// The page of the port's registers, as traced mappings show it.
const REGISTERS: &str = "paddr=0x00000000e6e68000";
/// The file with the port's character counts, and the switch that traces mappings.
const COUNTS: &str = "/proc/tty/driver/sci";
const MAP_EVENT: &str = "/sys/kernel/tracing/events/iommu/map/enable";

/// The IPMMU of the port's DMA controllers.
const IPMMU: &str = "ipmmu_ds1";

const HALF: usize = 8 << 10;
const SINGLES: usize = 32;
const LIMIT: Duration = Duration::from_secs(60);

const SERIAL_DMA: Feature = Feature {
    id: "peripheral_dma",
    part: Part::Clients,
    says: "A serial port's DMA reaches its FIFO through the IPMMU, byte by byte.",
    c: C::Works,
};

const SERIAL_DMA_SLEEPS: Feature = Feature {
    id: "peripheral_dma_sleeps",
    part: Part::Sleep,
    says: "DMA of an open serial port continues after a suspend.",
    c: C::Works,
};

pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    let setup = groups::roomy(bench, "serial")?;
    let dtb = setup.dtb.clone().context("it has one of its own")?;
    let dtb = Dtb::open(dtb)
        .set_text(NODE, "status", "okay")?
        .set_text("/aliases", "serial1", NODE)?;
    let setup = setup.dtb(dtb.into_path()).port();
    let pair = Pair::new(bench, setup, |b| {
        b.load_driver(&[])?;
        b.wait_for_channels(&DMACS)
    });
    let pair = pair
        .feature(SERIAL_DMA, byte_by_byte)
        .feature(SERIAL_DMA_SLEEPS, across_a_suspend);
    Ok(pair.rows().collect())
}

/// Returns the harness' end of the serial line.
fn line(board: &Board) -> Result<UnixStream> {
    let line = board.port.as_ref().context("there is no second port")?;
    let line = line.try_clone()?;
    line.set_read_timeout(Some(LIMIT))?;
    Ok(line)
}

/// Returns bytes that depend on their position and on the seed.
fn pattern(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes)
        .map(|n| (n * 7 + (n >> 8) * 13 + seed * 31) as u8)
        .collect()
}

/// Fails unless the bytes that come back are those in `sent`.
fn expect_back(line: &mut UnixStream, sent: &[u8]) -> Result<()> {
    let mut back = vec![0; sent.len()];
    line.read_exact(&mut back).context("nothing came back")?;
    let wrong = back.iter().zip(sent).position(|(b, s)| b != s);
    ensure!(wrong.is_none(), "byte {wrong:?} is another one");
    Ok(())
}

/// Returns how many characters the port has received since boot.
fn received(board: &mut Board) -> Result<usize> {
    let counts = board.sh(&format!("grep ^1: {COUNTS}"))?;
    let rx = counts
        .split_whitespace()
        .find_map(|w| w.strip_prefix("rx:"));
    Ok(rx.with_context(|| format!("no rx: in {counts}"))?.parse()?)
}

fn open(board: &mut Board, bytes: usize, rounds: usize) -> Result<()> {
    board
        .sh(&format!("/tests/serial.sh {PORT} {bytes} {rounds}"))
        .map(drop)
}

/// Calls `work`, which moves `bytes` bytes in each direction. Checks that each byte is moved by
/// DMA, with a translated access at both ends.
fn translated(
    board: &mut Board,
    bytes: usize,
    work: impl FnOnce(&mut Board) -> Result<()>,
) -> Result<()> {
    let before = board.count(IPMMU, "translations")?;
    work(board)?;
    let translations = board.count(IPMMU, "translations")? - before;
    let least = 4 * bytes as u64;
    ensure!(translations >= least, "{translations} of {least} accesses");
    let faults = board.count("ipmmu_mm", "faults")?;
    ensure!(faults == 0, "there were {faults} faults");
    Ok(())
}

/// Each character arrives by a transfer of its own. Each direction maps the registers' page once.
fn byte_by_byte(board: &mut Board) -> Result<()> {
    let mut line = line(board)?;
    board.sh(&format!("echo 1 > {MAP_EVENT}"))?;
    translated(board, SINGLES, |board| {
        open(board, 1, SINGLES)?;
        for byte in pattern(SINGLES, 1) {
            line.write_all(&[byte])?;
            expect_back(&mut line, &[byte])?;
        }
        Ok(())
    })?;
    board.sh(&format!("echo 0 > {MAP_EVENT}"))?;
    let trace = board.sh("cat /sys/kernel/tracing/trace; echo > /sys/kernel/tracing/trace")?;
    let mapped = trace.lines().filter(|l| l.contains(REGISTERS)).count();
    ensure!(
        mapped == 2,
        "the registers were mapped {mapped} times, not in each direction"
    );
    Ok(())
}

/// 16 KiB arrive, with a suspend in the middle while the port is open and being read.
fn across_a_suspend(board: &mut Board) -> Result<()> {
    let mut line = line(board)?;
    let sent = pattern(2 * HALF, 2);
    let wanted = received(board)? + HALF;
    translated(board, sent.len(), |board| {
        open(board, sent.len(), 1)?;
        line.write_all(&sent[..HALF])?;
        wait_until(board, "the first half does not arrive", |b| {
            Ok(received(b)? >= wanted)
        })?;
        board.suspend_and_compare()?;
        line.write_all(&sent[HALF..])?;
        expect_back(&mut line, &sent)
    })
}
