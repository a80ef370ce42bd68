// SPDX-License-Identifier: GPL-2.0
//! Reads the kernel's allocations, and checks whether they grow.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::board::Board;

/// The beginnings of the names of slabs for a driver's allocations.
const SLABS: [&str; 3] = ["kmalloc-", "iommu", "io-pgtable"];

/// The slab of the DMA API's cache of freed IOVAs, per CPU, size and domain. It fills up for
/// thousands of cycles, whatever the driver does.
const CACHE: &str = "iommu_iova";

/// The objects by which a slab may grow without a leak, in addition to one per four cycles.
const NOISE: u64 = 64;

/// The KiB that may get lost without a leak, in addition to half a page per cycle.
const FREE_NOISE: u64 = 16 << 10;
const FREE_PER_CYCLE: u64 = 2;

/// Memory in use after a number of cycles, with the load stopped.
#[derive(Debug, Default, Serialize)]
pub struct Memory {
    cycles: u32,
    free_kib: u64,
    unreclaimable_slab_kib: u64,
    objects: BTreeMap<String, u64>,
}

impl Memory {
    /// Reads the memory in use from the kernel, without its disk caches.
    pub fn in_use(board: &mut Board, cycles: u32) -> Result<Self> {
        board.sh("sync; echo 3 > /proc/sys/vm/drop_caches")?;
        let meminfo = board.sh("cat /proc/meminfo")?;
        let field = |name: &str| -> Result<u64> {
            meminfo
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().nth(1))
                .and_then(|value| value.parse().ok())
                .with_context(|| format!("/proc/meminfo has no {name}"))
        };
        let slabs = board.sh("cat /proc/slabinfo")?;
        Ok(Self {
            cycles,
            free_kib: field("MemFree")?,
            unreclaimable_slab_kib: field("SUnreclaim")?,
            objects: objects(&slabs),
        })
    }
}

/// Returns the number of objects in use, by slab.
fn objects(slabinfo: &str) -> BTreeMap<String, u64> {
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        let (slab, count) = (fields.next()?, fields.next()?.parse().ok()?);
        let ours = SLABS.iter().any(|s| slab.starts_with(s));
        ours.then(|| (slab.to_owned(), count))
    };
    slabinfo.lines().filter_map(parse).collect()
}

/// Fails if memory grew with the number of cycles.
pub fn expect_flat(memory: &[Memory]) -> Result<()> {
    let [first, .., last] = memory else {
        bail!("memory was not looked at");
    };
    let cycles = u64::from(last.cycles - first.cycles);
    let allowed = cycles / 4 + NOISE;
    for (slab, &now) in last.objects.iter().filter(|(slab, _)| *slab != CACHE) {
        let then = first.objects.get(slab).copied().unwrap_or(0);
        ensure!(
            now <= then + allowed,
            "{slab} grew from {then} to {now} objects in {cycles} cycles"
        );
    }
    let (then, now) = (first.free_kib, last.free_kib);
    ensure!(
        now + cycles * FREE_PER_CYCLE + FREE_NOISE >= then,
        "of {then} KiB that were free {now} are left after {cycles} cycles"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cycles: u32, objects: u64) -> Memory {
        Memory {
            cycles,
            objects: BTreeMap::from([("kmalloc-64".to_owned(), objects)]),
            ..Memory::default()
        }
    }

    #[test]
    fn an_object_per_cycle_is_a_leak() {
        let grown = |objects| {
            let memory = [after(1000, 500), after(10_000, objects)];
            expect_flat(&memory)
        };
        assert!(grown(700).is_ok());
        assert!(grown(9_500).is_err());
    }

    #[test]
    fn a_page_per_cycle_is_a_leak() {
        let left = |free_kib| {
            let memory = [(1000, 900_000), (10_000, free_kib)].map(|(cycles, free_kib)| Memory {
                cycles,
                free_kib,
                ..Memory::default()
            });
            expect_flat(&memory)
        };
        assert!(left(890_000).is_ok());
        assert!(left(900_000 - 4 * 9000).is_err());
    }

    #[test]
    fn slabs_of_interest_are_read() {
        let slabinfo = "slabinfo - version: 2.1\n# name <active_objs>\n\
                        kmalloc-64 120 128 64\next4_inode_cache 3 4 5\n";
        assert_eq!(
            objects(slabinfo),
            BTreeMap::from([("kmalloc-64".into(), 120)])
        );
    }
}
