// SPDX-License-Identifier: GPL-2.0
//! The report of all instruments that try to break the driver: `build/report/robustness.json`.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// The last run of an instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The target of make, with the kernel's name if it is another one.
    pub instrument: String,
    /// The fault that was planted, if one was.
    pub planted: Option<String>,
    /// What was tried, with numbers.
    pub tried: String,
    /// What was found. With a planted fault this must not be 0.
    pub findings: u64,
    pub seconds: u64,
}

/// Enters `run` in the report, in place of the last one of the same instrument and fault.
pub fn enter(paths: &Paths, run: Run) -> Result<()> {
    let file = paths.report().join("robustness.json");
    let mut runs: Vec<Run> = match fs::read_to_string(&file) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))?
        }
        Err(_) => Vec::new(),
    };
    runs.retain(|r| (&r.instrument, &r.planted) != (&run.instrument, &run.planted));
    runs.push(run);
    runs.sort_by(|a, b| (&a.instrument, &a.planted).cmp(&(&b.instrument, &b.planted)));
    Ok(fs::write(
        file,
        serde_json::to_string_pretty(&runs)? + "\n",
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_run_of_each_instrument_stays() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let paths = Paths {
            repo: dir.path().to_owned(),
            cache: dir.path().to_owned(),
        };
        fs::create_dir_all(paths.report())?;
        let run = |instrument: &str, planted: Option<&str>, findings| Run {
            instrument: instrument.into(),
            planted: planted.map(Into::into),
            tried: "1 seed".into(),
            findings,
            seconds: 2,
        };
        for (instrument, planted, findings) in [
            ("trees", None, 3),
            ("races", None, 0),
            ("races", Some("no flush"), 1),
            ("trees", None, 0),
        ] {
            enter(&paths, run(instrument, planted, findings))?;
        }
        let text = fs::read_to_string(paths.report().join("robustness.json"))?;
        let runs: Vec<Run> = serde_json::from_str(&text)?;
        let expected = [
            run("races", None, 0),
            run("races", Some("no flush"), 1),
            run("trees", None, 0),
        ];
        assert_eq!(runs, expected);
        Ok(())
    }
}
