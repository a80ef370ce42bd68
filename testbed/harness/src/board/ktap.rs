// SPDX-License-Identifier: GPL-2.0
//! Test results in KTAP, the kernel's format, from guest scripts and from KUnit.

use anyhow::{Result, bail};

/// The results in a KTAP stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ktap {
    /// Names of the test cases that passed or were skipped, without suites that sum up their cases.
    pub passed: Vec<String>,
    /// Names of the suites that passed.
    pub suites: Vec<String>,
    /// Names of the test cases that were skipped. They are also in `passed`.
    pub skipped: Vec<String>,
    /// Names of the test cases and suites that failed.
    pub failed: Vec<String>,
    /// Diagnostics of the form `key=value`, in order.
    pub facts: Vec<(String, String)>,
    /// The number of cases that suites have announced.
    planned: usize,
    /// The number of cases and suites that were announced outside of suites.
    announced: usize,
}

impl Ktap {
    /// Parses KTAP at any nesting level. Ignores other lines.
    pub fn parse(text: &str) -> Self {
        let mut ktap = Self::default();
        let mut suites: Vec<&str> = Vec::new();
        let mut plan_is_next = false;
        for line in text.lines().map(without_time_stamp).map(str::trim) {
            if let Some(suite) = line.strip_prefix("# Subtest: ") {
                suites.push(suite);
                plan_is_next = true;
            } else if let Some(fact) = line.strip_prefix("# ") {
                let fact = fact.split_once('=');
                ktap.facts.extend(fact.map(|(k, v)| (k.into(), v.into())));
            } else if let Some(count) = line.strip_prefix("1..") {
                let count = count.parse::<usize>().unwrap_or(0);
                match std::mem::take(&mut plan_is_next) {
                    true => ktap.planned += count,
                    false => ktap.announced += count,
                }
            } else if let Some((good, name)) = result(line) {
                if !good {
                    ktap.failed.push(name.into());
                } else if suites.contains(&name) {
                    ktap.suites.push(name.into());
                } else {
                    ktap.passed.push(name.into());
                    if line.contains("# SKIP") {
                        ktap.skipped.push(name.into());
                    }
                }
            }
        }
        ktap
    }

    /// Fails unless at least one case and all announced cases ran, and none failed.
    pub fn judge(self) -> Result<Self> {
        if !self.failed.is_empty() {
            bail!("failed in the guest: {}", self.failed.join(", "));
        }
        let ran = self.passed.len();
        if ran == 0 || ran < self.planned {
            bail!("{ran} of {} cases ran in the guest", self.planned.max(1));
        }
        let (results, all) = (ran + self.suites.len(), self.planned + self.announced);
        if results < all {
            bail!("{results} of {all} results came from the guest");
        }
        Ok(self)
    }

    /// Returns the sum of all facts with the key `key`.
    pub fn sum(&self, key: &str) -> u64 {
        self.facts
            .iter()
            .filter(|(k, _)| k == key)
            .filter_map(|(_, v)| v.parse::<u64>().ok())
            .sum()
    }
}

/// Parses `ok 1 name` or `not ok 1 name # directive`. Returns whether it is good, and the name.
fn result(line: &str) -> Option<(bool, &str)> {
    let (good, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, name) = rest.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let name = name.split(" #").next().unwrap_or(name);
    Some((good, name.trim_start_matches("- ").trim()))
}

/// Removes a time stamp like `[    1.234567] ` from the beginning of a line.
fn without_time_stamp(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|l| l.split_once("] ")) {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kunit_cases_are_counted_once() {
        let log = "[    1.000000]     KTAP version 1\n\
                   [    1.000000]     # Subtest: ipmmu_regs\n\
                   [    1.000000]     1..2\n\
                   [    1.000000]     ok 1 packs\n\
                   [    1.000000]     # a diagnostic\n\
                   [    1.000000]     ok 2 unpacks # SKIP no\n\
                   [    1.000000] # ipmmu_regs: pass:2 fail:0 skip:0 total:2\n\
                   [    1.000000] ok 1 ipmmu_regs\n";
        let ktap = Ktap::parse(log).judge().unwrap();
        assert_eq!(ktap.passed, ["packs", "unpacks"]);
        assert_eq!(ktap.skipped, ["unpacks"]);
    }

    #[test]
    fn a_failure_is_one() {
        let ktap = Ktap::parse("KTAP version 1\n1..1\n# bytes=12\nnot ok 1 dma\n");
        assert_eq!(ktap.sum("bytes"), 12);
        assert_eq!(
            ktap.judge().unwrap_err().to_string(),
            "failed in the guest: dma"
        );
    }

    #[test]
    fn a_suite_whose_cases_did_not_run_is_no_success() {
        let log = "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: ipmmu_pm\n    \
                   1..3\nok 1 ipmmu_pm\n";
        let why = Ktap::parse(log).judge().unwrap_err().to_string();
        assert_eq!(why, "0 of 3 cases ran in the guest");
    }

    #[test]
    fn a_case_that_was_announced_and_is_missing_is_a_failure() {
        let why = Ktap::parse("KTAP version 1\n1..2\nok 1 dma\n").judge();
        assert_eq!(
            why.unwrap_err().to_string(),
            "1 of 2 results came from the guest"
        );
    }

    #[test]
    fn silence_is_a_failure() {
        assert!(Ktap::parse("sh: not found").judge().is_err());
    }
}
