// SPDX-License-Identifier: GPL-2.0
//! Snapshots of the IPMMUs' registers, as read from the emulator.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};

use super::qmp::Qmp;

/// The IPMMUs of an R-Car H3: labels in the device tree, and device names in Linux. The first one
/// is the root.
pub const IPMMUS: [(&str, &str); 17] = [
    ("ipmmu_mm", "e67b0000.iommu"),
    ("ipmmu_ds0", "e6740000.iommu"),
    ("ipmmu_ds1", "e7740000.iommu"),
    ("ipmmu_hc", "e6570000.iommu"),
    ("ipmmu_ir", "ff8b0000.iommu"),
    ("ipmmu_mp0", "ec670000.iommu"),
    ("ipmmu_pv0", "fd800000.iommu"),
    ("ipmmu_pv1", "fd950000.iommu"),
    ("ipmmu_pv2", "fd960000.iommu"),
    ("ipmmu_pv3", "fd970000.iommu"),
    ("ipmmu_rt", "ffc80000.iommu"),
    ("ipmmu_vc0", "fe6b0000.iommu"),
    ("ipmmu_vc1", "fe6f0000.iommu"),
    ("ipmmu_vi0", "febd0000.iommu"),
    ("ipmmu_vi1", "febe0000.iommu"),
    ("ipmmu_vp0", "fe990000.iommu"),
    ("ipmmu_vp1", "fe980000.iommu"),
];

/// The context of a Gen3 root that this driver uses for parking.
pub const PARKING: u32 = 7;

/// IMTTBCR.PMB, which is never set for page tables of stage 1.
const STAGE_2: u32 = 1 << 30;

/// The number of contexts of a Gen4 IPMMU; others have fewer.
const CONTEXTS: u32 = 16;

/// The number of micro-TLBs of a Gen4 IPMMU; others have fewer.
pub(super) const UTLBS: u32 = 64;

/// Returns the device name in Linux of an IPMMU of the H3.
pub fn device_of(ipmmu: &str) -> Result<&'static str> {
    let found = IPMMUS.iter().find(|(label, _)| *label == ipmmu);
    let (_, device) = found.with_context(|| format!("an H3 has no {ipmmu}"))?;
    Ok(device)
}

/// The registers that are not zero, by (IPMMU, register).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers(BTreeMap<(String, String), u32>);

/// One register that differs between two snapshots.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// `ipmmu_xx.NAME`
    pub name: String,
    /// The values in the first and in the second snapshot.
    pub values: (u32, u32),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.values;
        write!(f, "{}: {before:#010x} -> {after:#010x}", self.name)
    }
}

impl Registers {
    /// Returns the registers of IPMMUs whose names begin with `prefix`.
    pub fn within(&self, prefix: &str) -> Self {
        let mut registers = self.clone();
        registers
            .0
            .retain(|(ipmmu, _), _| ipmmu.starts_with(prefix));
        registers
    }

    /// Reads the registers of `ipmmus`.
    pub fn read(qmp: &mut Qmp, ipmmus: &[String]) -> Result<Self> {
        let mut all = BTreeMap::new();
        for ipmmu in ipmmus {
            let value = qmp.get(&format!("/machine/{ipmmu}"), "registers")?;
            let text = value.as_str().context("registers is not text")?;
            parse(ipmmu, text, &mut all)?;
        }
        Ok(Self(all))
    }

    /// Returns a copy with names and values changed by `change`. Its arguments are an IPMMU, and a
    /// register's name and value.
    pub fn changed(&self, change: impl Fn(&str, &str, u32) -> (String, u32)) -> Self {
        let changed = self.0.iter().map(|((ipmmu, name), value)| {
            let (name, value) = change(ipmmu, name, *value);
            ((ipmmu.clone(), name), value)
        });
        Self(changed.collect())
    }

    /// Returns the number of registers that are not zero.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes the registers of contexts that are off, which still contain the values of their last
    /// use. Also removes those of parking in caches without a parked micro-TLB.
    pub fn in_use(mut self) -> Self {
        let all = self.clone();
        self.0
            .retain(|(ipmmu, name), _| match name.split_once('(') {
                Some((register, index)) if !register.starts_with("IMU") => {
                    all.is_used(ipmmu, index.trim_end_matches(')'))
                }
                _ => true,
            });
        self
    }

    /// Removes the registers of micro-TLBs that are off, fault addresses, memory attributes of
    /// stage 2 contexts, and control registers of caches without a context that is on. All of them
    /// have random values if registers are random at power-on.
    pub fn written(mut self) -> Self {
        let all = self.clone();
        self.0
            .retain(|(ipmmu, name), _| match name.split_once('(') {
                None => ipmmu == IPMMUS[0].0 || all.has_context(ipmmu),
                Some(("IMELAR" | "IMEUAR", _)) => false,
                Some(("IMMAIR0", index)) => {
                    all.get(ipmmu, &format!("IMTTBCR({index}")) & STAGE_2 == 0
                }
                Some(("IMUCTR" | "IMUASID", index)) => index
                    .trim_end_matches(')')
                    .parse()
                    .is_ok_and(|utlb| all.context_of(ipmmu, utlb).is_some()),
                _ => true,
            });
        self
    }

    /// Returns whether any context of an IPMMU is on.
    fn has_context(&self, ipmmu: &str) -> bool {
        let is_on = |context| self.get(ipmmu, &format!("IMCTR({context})")) & 1 != 0;
        (0..CONTEXTS).any(is_on)
    }

    /// Returns whether a context is on. For parking in a cache a micro-TLB must also point to it.
    fn is_used(&self, ipmmu: &str, context: &str) -> bool {
        let is_on = self.get(ipmmu, &format!("IMCTR({context})")) & 1 != 0;
        // Only a root walks tables. On Gen3 it has no micro-TLBs.
        let is_root = self.get(ipmmu, &format!("IMTTBCR({context})")) != 0;
        let parks = context == PARKING.to_string();
        let of_it = |utlb| self.context_of(ipmmu, utlb) == Some(PARKING);
        is_on && (is_root || !parks || (0..UTLBS).any(of_it))
    }

    /// Returns the number of registers of one IPMMU that are not zero.
    pub fn of(&self, ipmmu: &str) -> usize {
        self.0.keys().filter(|(of, _)| of == ipmmu).count()
    }

    /// Returns a register's value; 0 if the register is not listed.
    pub fn get(&self, ipmmu: &str, name: &str) -> u32 {
        let key = (ipmmu.to_owned(), name.to_owned());
        self.0.get(&key).copied().unwrap_or(0)
    }

    /// Returns the registers with another value in `later`.
    pub fn differences(&self, later: &Self) -> Vec<Difference> {
        let mut keys: Vec<_> = self.0.keys().chain(later.0.keys()).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
            .map(|(ipmmu, name)| Difference {
                name: format!("{ipmmu}.{name}"),
                values: (self.get(ipmmu, name), later.get(ipmmu, name)),
            })
            .filter(|d| d.values.0 != d.values.1)
            .collect()
    }

    /// Returns the context that a micro-TLB points to, if the micro-TLB is on.
    pub fn context_of(&self, ipmmu: &str, utlb: u32) -> Option<u32> {
        let imuctr = self.get(ipmmu, &format!("IMUCTR({utlb})"));
        (imuctr & 1 != 0).then_some((imuctr >> 4) & 0x1f)
    }
}

fn parse(ipmmu: &str, text: &str, into: &mut BTreeMap<(String, String), u32>) -> Result<()> {
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let (name, value) = line
            .trim()
            .split_once("=0x")
            .with_context(|| format!("a register of {ipmmu} reads {line:?}"))?;
        let value = u32::from_str_radix(value, 16)
            .with_context(|| format!("{name} of {ipmmu} reads {value:?}"))?;
        if value != 0 {
            into.insert((ipmmu.to_owned(), name.to_owned()), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(text: &str) -> Registers {
        let mut all = BTreeMap::new();
        parse("ipmmu_ds0", text, &mut all).unwrap();
        Registers(all)
    }

    #[test]
    fn differences_name_what_appeared_vanished_and_changed() {
        let before = registers("IMCTR(1)=0x00000001\nIMUCTR(0)=0x00000011\nIMUCTR(1)=0x1\n");
        let after = registers("IMCTR(1)=0x00000005\nIMUCTR(0)=0x00000011\nIMUCTR(2)=0x1\n");
        let said: Vec<String> = before
            .differences(&after)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "ipmmu_ds0.IMCTR(1): 0x00000001 -> 0x00000005",
                "ipmmu_ds0.IMUCTR(1): 0x00000001 -> 0x00000000",
                "ipmmu_ds0.IMUCTR(2): 0x00000000 -> 0x00000001",
            ]
        );
        assert!(before.differences(&before.clone()).is_empty());
    }

    #[test]
    fn contexts_are_read_from_enabled_utlbs_only() {
        let read = registers("IMUCTR(3)=0x00000021\nIMUCTR(4)=0x00000020\n");
        assert_eq!(read.context_of("ipmmu_ds0", 3), Some(2));
        assert_eq!(read.context_of("ipmmu_ds0", 4), None);
    }

    #[test]
    fn what_is_off_or_parks_nothing_is_not_in_use() {
        let text = "IMCTR(1)=0x1\nIMCTR(2)=0x4\nIMTTBCR(2)=0x5\nIMCTR(7)=0x1\nIMUCTR(3)=0x11\n";
        let of = |text: &str| registers(text).in_use().len();
        assert_eq!(of(text), 2);
        assert_eq!(of(&format!("{text}IMUCTR(4)=0x71\n")), 4);
        assert_eq!(of(&format!("{text}IMTTBCR(7)=0x5\n")), 4);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(parse("ipmmu_mm", "IMCTR(0)", &mut BTreeMap::new()).is_err());
    }
}
