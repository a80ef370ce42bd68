// SPDX-License-Identifier: GPL-2.0
//! The models' own tests, through QEMU's qtest protocol, without a kernel or a driver.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use libtest_mimic::{Failed, Trial};

use super::Bench;
use crate::exec::capture;

/// Returns one row for each test that the test binaries list.
pub fn rows(bench: &Arc<Bench>) -> Result<Vec<Trial>> {
    if bench.provision.qemu.qtests.is_empty() {
        // The user's own QEMU comes without tests.
        return Ok(vec![bench.skipped("model", "QEMU= brings no model tests")]);
    }
    let mut rows = Vec::new();
    for binary in &bench.provision.qemu.qtests {
        let listed = capture(qtest(bench, binary).arg("-l"))?;
        for test in listed.lines().filter(|l| l.starts_with('/')) {
            rows.push(row(bench, binary, test));
        }
    }
    Ok(rows)
}

fn row(bench: &Arc<Bench>, binary: &Path, test: &str) -> Trial {
    let name = format!(
        "model::{}",
        test.trim_start_matches("/aarch64/").replace('/', "::")
    );
    let (binary, test) = (binary.to_owned(), test.to_owned());
    bench.trial(name.clone(), move |bench| {
        let output = qtest(bench, &binary).args(["-p", &test]).output()?;
        let said = [output.stdout, output.stderr].concat();
        let log = bench
            .paths
            .log()
            .join(format!("{}.log", name.replace("::", "-")));
        fs::write(&log, &said)?;
        let seen = match output.status.success() {
            true => Ok(()),
            false => Err(anyhow!("failed")),
        };
        bench.ledger.note(&name, &seen);
        if seen.is_ok() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said);
        let why: Vec<&str> = said.lines().filter(|l| !l.starts_with("ok ")).collect();
        Err(Failed::from(why.join("\n")))
    })
}

fn qtest(bench: &Bench, binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env("QTEST_QEMU_BINARY", &bench.provision.qemu.binary);
    command.env_remove("G_TEST_DBUS_DAEMON");
    command
}
