// SPDX-License-Identifier: GPL-2.0
//! Parts of the tests for boards that the emulated one has no use for: its wakeup
//! comes from outside, and no lab listens.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/board");

/// Runs `script` with what the suites that sleep share, and clocks in `rtcs`.
fn sleeping(rtcs: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", &format!(". {BOARD}/suites/sleep-lib.sh; {script}")])
        .env("RTCS", rtcs)
        .envs([
            ("work", "/nonexistent"),
            ("wake", "rtc"),
            ("debugfs", "/nonexistent"),
            ("tests", "/nonexistent"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_board_without_an_alarm_does_not_sleep() {
    let rtcs = tempfile::tempdir().unwrap();
    // A clock that cannot wake has no such file.
    fs::create_dir(rtcs.path().join("rtc0")).unwrap();
    assert_eq!(
        sleeping(rtcs.path(), "why_no_wakeup mem"),
        "no clock can wake the board from mem: see --wake external\n"
    );
}

#[test]
fn the_alarm_is_set_before_the_board_sleeps() {
    let rtcs = tempfile::tempdir().unwrap();
    fs::create_dir(rtcs.path().join("rtc0")).unwrap();
    let alarm = rtcs.path().join("rtc1/wakealarm");
    fs::create_dir(alarm.parent().unwrap()).unwrap();
    fs::write(&alarm, "").unwrap();
    assert_eq!(sleeping(rtcs.path(), "why_no_wakeup mem"), "");
    sleeping(rtcs.path(), "expect_wakeup mem");
    assert_eq!(fs::read_to_string(alarm).unwrap(), "+10\n");
}

fn run(arguments: &[&str]) -> Output {
    let script = format!("{BOARD}/run.sh");
    Command::new(script).args(arguments).output().unwrap()
}

#[test]
fn mistakes_are_told_in_one_sentence() {
    for (arguments, said) in [
        (&["--only", "nothing"][..], "there is no suite nothing"),
        (&["--wake", "me"], "--wake is rtc or external"),
        (&["--cycles", "many"], "--cycles wants a number"),
        (&["--scratch"], "--scratch wants a value"),
        (
            &["ee100000.mmc"],
            "what is ee100000.mmc? The first lines of",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(&format!("run.sh: {said}")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn suites_are_files() {
    let listed = String::from_utf8(run(&["--list"]).stdout).unwrap();
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    let mut files: Vec<String> = fs::read_dir(format!("{BOARD}/suites"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("lib.sh"))
        .map(|name| name.trim_end_matches(".sh").to_owned())
        .collect();
    files.sort_unstable();
    assert_eq!(listed, files);
}

#[test]
fn a_lab_hears_of_results_and_measurements() {
    let dir = tempfile::tempdir().unwrap();
    let ktap = dir.path().join("ktap");
    fs::write(
        &ktap,
        "KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: mem\n    1..3\n    \
         # resume.usecs=1592\n    # kernel=7.3.4\n    ok 1 mem, the 1. time\n    \
         ok 2 DMA goes on # SKIP no dmatest\n    not ok 3 registers are what they were\n\
         not ok 1 mem\nok 2 vfio # SKIP there is no edu on PCIe\n",
    )
    .unwrap();
    let output = Command::new(format!("{BOARD}/lava/report.sh"))
        .arg(&ktap)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "lava-test-case mem.resume.usecs --result pass --measurement 1592\n\
         lava-test-case mem.mem_the_1._time --result pass\n\
         lava-test-case mem.DMA_goes_on --result skip\n\
         lava-test-case mem.registers_are_what_they_were --result fail\n\
         lava-test-case mem --result fail\n\
         lava-test-case vfio --result skip\n"
    );
}
