// SPDX-License-Identifier: GPL-2.0
//! Reads accesses to IPMMUs from QEMU's trace events of memory regions.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::board::registers::{IPMMUS, Registers};
use crate::paths::Paths;

/// The trace events for every access to a device's registers.
const EVENTS: [&str; 2] = ["memory_region_ops_read", "memory_region_ops_write"];

/// The size of the register area of an IPMMU of R-Car Gen3.
const WINDOW: u64 = 0x1000;

/// One access to a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub is_write: bool,
    pub ipmmu: &'static str,
    pub register: String,
    pub value: u64,
}

impl Access {
    fn parse(line: &str) -> Option<Self> {
        let is_write = line.contains("memory_region_ops_write ");
        let number = |name: &str| {
            let rest = line.split_once(name)?.1.strip_prefix("0x")?;
            let end = rest.find(' ').unwrap_or(rest.len());
            u64::from_str_radix(&rest[..end], 16).ok()
        };
        let (address, value) = (number(" addr ")?, number(" value ")?);
        let base_of = |device: &str| u64::from_str_radix(device.split('.').next()?, 16).ok();
        let (ipmmu, base) = IPMMUS.iter().find_map(|(label, device)| {
            let base = base_of(device)?;
            (base..base + WINDOW)
                .contains(&address)
                .then_some((*label, base))
        })?;
        Some(Self {
            is_write,
            ipmmu,
            register: register(address - base),
            value,
        })
    }

    /// Returns the register's name without a number.
    pub fn kind(&self) -> &str {
        self.register.split('(').next().unwrap_or_default()
    }
}

/// The cache that each context translates for. Their numbers depend on the order of probing.
#[derive(Default)]
pub struct Contexts(BTreeMap<u32, &'static str>);

impl Contexts {
    /// Records the contexts that are in use now. Each cache uses one at most.
    pub fn learn(&mut self, registers: &Registers, caches: impl Iterator<Item = &'static str>) {
        for cache in caches {
            let first = (0..UTLBS).find_map(|utlb| registers.context_of(cache, utlb));
            if let Some(context) = first {
                self.0.insert(context, cache);
            }
        }
    }

    /// Returns a register's name and value without numbers of contexts.
    pub fn rename(&self, register: &str, value: u32) -> (String, u32) {
        let Some((kind, rest)) = register.split_once('(') else {
            return (register.to_owned(), value);
        };
        if kind == "IMUCTR" {
            return (register.to_owned(), value & !TTSEL);
        }
        let number = rest.trim_end_matches(')').parse().ok();
        match number.and_then(|number: u32| self.0.get(&number)) {
            Some(cache) if kind != "IMUASID" => (format!("{kind}(of {cache})"), value),
            _ => (register.to_owned(), value),
        }
    }
}

/// The number of micro-TLBs of a cache.
const UTLBS: u32 = 48;

/// The bits of IMUCTR for the number of the context.
const TTSEL: u32 = 0x1f << 4;

impl Access {
    /// Returns the access as text, without numbers of contexts and without the addresses of page
    /// tables.
    pub fn text(&self, contexts: &Contexts) -> String {
        let (register, value) = contexts.rename(&self.register, self.value as u32);
        let arrow = if self.is_write { "<-" } else { "->" };
        match self.kind() {
            "IMTTLBR0" => format!("{} {register} {arrow} table", self.ipmmu),
            _ => format!("{} {register} {arrow} {value:#x}", self.ipmmu),
        }
    }
}

/// Returns the name of the register at `offset` in the model.
fn register(offset: u64) -> String {
    let of_context = |number, offset| {
        let name = match offset {
            0x00 => "IMCTR",
            0x08 => "IMTTBCR",
            0x0c => "IMBUSCR",
            0x10 => "IMTTLBR0",
            0x14 => "IMTTUBR0",
            0x20 => "IMSTR",
            0x28 => "IMMAIR0",
            0x30 => "IMELAR",
            0x34 => "IMEUAR",
            _ => "unknown",
        };
        format!("{name}({number})")
    };
    let of_utlb = |number, offset| match offset {
        0x0 => format!("IMUCTR({number})"),
        0x8 => format!("IMUASID({number})"),
        _ => format!("unknown({number})"),
    };
    match offset {
        0x000..0x200 => of_context(offset / 0x40, offset % 0x40),
        0x300..0x500 => of_utlb((offset - 0x300) / 16, offset % 16),
        0x500 => "IMSCTLR".into(),
        0x504 => "IMSAUXCTLR".into(),
        0x600..0x800 => of_utlb(32 + (offset - 0x600) / 16, offset % 16),
        _ => format!("unknown({offset:#x})"),
    }
}

/// The file with the trace of one board.
pub struct Trace {
    path: PathBuf,
    read: usize,
}

impl Trace {
    /// Prepares a new trace: removes the file of an earlier one.
    pub fn new(paths: &Paths, name: &str) -> Self {
        let path = paths.log().join(format!("{name}.trace.log"));
        let _ = fs::remove_file(&path);
        Self { path, read: 0 }
    }

    /// Returns QEMU's options for the trace.
    pub fn options(&self) -> Vec<String> {
        let events = EVENTS.iter().flat_map(|e| ["-trace", e]);
        let file = ["-D".to_owned(), self.path.display().to_string()];
        events.map(str::to_owned).chain(file).collect()
    }

    /// Returns the accesses since the last call.
    pub fn new_accesses(&mut self) -> Result<Vec<Access>> {
        let text = fs::read_to_string(&self.path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let accesses = text[self.read..whole].lines().filter_map(Access::parse);
        let accesses = accesses.collect();
        self.read = whole;
        Ok(accesses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_to_ipmmus_are_read() {
        let line =
            "memory_region_ops_write cpu 0 mr 0x55 addr 0xe67b0040 value 0x7 size 4 name 'x'";
        let access = Access::parse(line).unwrap();
        assert_eq!(
            access.text(&Contexts::default()),
            "ipmmu_mm IMCTR(1) <- 0x7"
        );
        assert_eq!(Access::parse(&line.replace("e67b", "e6e8")), None);
    }

    #[test]
    fn contexts_are_named_after_who_uses_them() {
        let contexts = Contexts([(3, "ipmmu_hc")].into());
        assert_eq!(
            contexts.rename("IMCTR(3)", 5),
            ("IMCTR(of ipmmu_hc)".into(), 5)
        );
        assert_eq!(contexts.rename("IMUCTR(3)", 0x31), ("IMUCTR(3)".into(), 1));
        assert_eq!(contexts.rename("IMUASID(3)", 1), ("IMUASID(3)".into(), 1));
    }

    #[test]
    fn registers_have_the_names_of_the_model() {
        let offsets = [0x50, 0x310, 0x4f8, 0x600, 0x504];
        let names = [
            "IMTTLBR0(1)",
            "IMUCTR(1)",
            "IMUASID(31)",
            "IMUCTR(32)",
            "IMSAUXCTLR",
        ];
        assert_eq!(offsets.map(register), names);
    }
}
