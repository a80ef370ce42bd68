// SPDX-License-Identifier: GPL-2.0
//! `build/report/junit.xml`: each row that ran or was skipped, for CI systems.

use std::fs;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use libtest_mimic::Failed;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The rows that ran or were skipped so far.
#[derive(Default)]
pub struct Cases(Mutex<Vec<TestCase>>);

impl Cases {
    /// Runs a row, and records its duration and result.
    pub fn watch(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let begun = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(work));
        let status = match &ended {
            Ok(Ok(())) => TestCaseStatus::success(),
            Ok(Err(failed)) => failure(failed.message().unwrap_or_default()),
            Err(_) => failure("the row panicked; standard error has the message"),
        };
        let mut case = TestCase::new(name, status);
        case.set_time(begun.elapsed());
        self.add(case);
        ended.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Records a row that is skipped, with the reason.
    pub fn skip(&self, name: &str, why: &str) {
        let mut status = TestCaseStatus::skipped();
        status.set_message(why);
        self.add(TestCase::new(name, status));
    }

    /// Adds a row, with the name of its board as the class name.
    fn add(&self, mut case: TestCase) {
        let board = case.name.as_str().split("::").next().unwrap_or_default();
        case.set_classname(board.to_owned());
        self.0.lock().expect("nothing panics with it").push(case);
    }

    /// Returns the rows since the last call as one suite, which began at `begun`.
    pub fn suite(&self, name: &str, begun: Instant) -> TestSuite {
        let cases = mem::take(&mut *self.0.lock().expect("nothing panics with it"));
        let mut suite = TestSuite::new(name);
        suite.add_test_cases(cases).set_time(begun.elapsed());
        suite
    }
}

/// Returns a failure with the description `said`, whose first line is also the message.
fn failure(said: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let first = said.lines().next().unwrap_or_default();
    status.set_message(first).set_description(said);
    status
}

/// Writes the report with these suites to `path`.
pub fn write(path: &Path, suites: impl IntoIterator<Item = TestSuite>) -> Result<()> {
    let mut report = Report::new("ipmmu-vmsa");
    report.add_test_suites(suites);
    let text = report.to_string()?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_has_each_row_with_its_failure() -> Result<()> {
        let cases = Cases::default();
        let fail = || Err(Failed::from("1 < 2 & \"so\"\x1b[0m\n(logs: build/log)"));
        assert!(cases.watch("late::good", || Ok(())).is_ok());
        assert!(cases.watch("late::bad", fail).is_err());
        let panics = catch_unwind(AssertUnwindSafe(|| {
            let _ = cases.watch("sleep::ugly", || panic!("on purpose"));
        }));
        assert!(panics.is_err());
        cases.skip("model", "QEMU= is given");

        let dir = tempfile::tempdir()?;
        let path = dir.path().join("junit.xml");
        write(&path, [cases.suite("check", Instant::now())])?;
        let report = Report::deserialize_from_str(&fs::read_to_string(path)?)?;
        assert_eq!((report.tests, report.failures), (4, 2));
        let suite = &report.test_suites[0];
        assert_eq!((suite.tests, suite.failures, suite.skipped), (4, 2, 1));
        let names = suite.test_cases.iter().map(|c| c.name.as_str());
        let names: Vec<&str> = names.collect();
        assert_eq!(names, ["late::good", "late::bad", "sleep::ugly", "model"]);
        let bad = &suite.test_cases[1];
        assert_eq!(bad.classname.as_ref().map(|c| c.as_str()), Some("late"));
        assert!(bad.time.is_some());
        let TestCaseStatus::NonSuccess {
            message,
            description,
            ..
        } = &bad.status
        else {
            panic!("late::bad has passed: {bad:?}");
        };
        let said = |text: &Option<quick_junit::XmlString>| text.as_ref().map(|t| t.to_string());
        assert_eq!(said(message).as_deref(), Some("1 < 2 & \"so\""));
        let all = "1 < 2 & \"so\"\n(logs: build/log)";
        assert_eq!(said(description).as_deref(), Some(all));
        Ok(())
    }
}
