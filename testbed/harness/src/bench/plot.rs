// SPDX-License-Identifier: GPL-2.0
//! `make bench-plot`: draws the figures of the last `make bench` as a picture.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths::Paths;

const ROWS: [(&str, &str); 7] = [
    ("map_unmap_4k_strict", "map + unmap 4 KiB, strict"),
    ("map_unmap_1m_strict", "map + unmap 1 MiB, strict"),
    ("map_unmap_4k_best", "map + unmap 4 KiB, best"),
    ("attach_detach", "attach + detach"),
    ("fault", "fault"),
    ("restore", "restore (without verifying)"),
    ("probe", "probe (17 IPMMUs)"),
];

const WHO: [(&str, &str, &str); 3] = [
    ("rust", "this driver", "#b7410e"),
    ("c", "C driver", "#4878a8"),
    ("limit", "bare io-pgtable", "#bbbbbb"),
];

const LEFT: f64 = 200.0;
const BAR: f64 = 12.0;
const ROW: f64 = 50.0;
/// The length of the C driver's bar.
const UNIT: f64 = 220.0;
const WIDTH: f64 = 760.0;

/// Draws the picture and writes it to `bench.svg`.
pub fn run(paths: &Paths) -> Result<()> {
    let report = paths.report();
    let path = report.join("bench.json");
    let text = fs::read_to_string(&path).context("there are no figures: run `make bench` first")?;
    let picture = draw(&serde_json::from_str(&text)?)?;
    let drawn = report.join("bench.svg");
    fs::write(&drawn, picture)?;
    println!("{} is new", paths.short(&drawn).display());
    Ok(())
}

/// Draws a bar for each driver and for the page table code alone. Its length is the cost relative
/// to the C driver's.
fn draw(report: &Value) -> Result<String> {
    let commit = report["commit"].as_str().context("no commit")?;
    let height = 60.0 + ROW * ROWS.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <!-- SPDX-License-Identifier: GPL-2.0 -->\n\
         <!-- Made by `make bench-plot` from figures of commit {commit}. -->\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"13\">Guest instructions, by those of the C driver; \
         in brackets MMIO accesses ({commit})</text>\n"
    );
    for (i, (_, name, colour)) in WHO.iter().enumerate() {
        let x = LEFT + 120.0 * i as f64;
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"39\">{name}</text>",
            x + 14.0
        )?;
    }
    for (row, (key, name)) in ROWS.iter().enumerate() {
        let top = 55.0 + ROW * row as f64;
        writeln!(svg, "<text x=\"10\" y=\"{}\">{name}</text>", top + 22.0)?;
        let number = |who: &str, what: &str| {
            let value = report[who][key][what].as_f64();
            value.with_context(|| format!("{key} of {who} has no {what}"))
        };
        let unit = UNIT / number("c", "insns")?;
        for (i, (who, _, colour)) in WHO.iter().enumerate() {
            let insns = number(who, "insns")?;
            if insns == 0.0 {
                continue;
            }
            let mmio = number(who, "mmio_reads")? + number(who, "mmio_writes")?;
            let (y, width) = (top + (BAR + 1.0) * i as f64, insns * unit);
            writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{BAR}\" \
                 fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.0}\">{insns:.0} ({mmio:.3})</text>",
                LEFT + width + 4.0,
                y + 10.0
            )?;
        }
    }
    Ok(svg.replace(".000)", ")") + "</svg>\n")
}
