// SPDX-License-Identifier: GPL-2.0
//! `make bench-profile`: finds the functions in which the instructions of `make bench` are spent.
//! Prints them, and writes `profile.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};

use super::{board, measure};
use crate::board::{Board, Driver};
use crate::provision::Provision;

/// The share of a call's instructions below which a function is not shown.
const SHOWN: f64 = 0.005;

/// Symbols by address.
type Symbols = BTreeMap<u64, String>;

/// Measures each driver once, and writes the profile.
pub fn run(provision: &Provision) -> Result<()> {
    let paths = &provision.paths;
    if let Some(why) = &provision.no_module {
        bail!("there is no module to measure: {why}");
    }
    let mut page = String::new();
    for driver in [Driver::C, Driver::Rust] {
        page += &profile(provision, driver)
            .with_context(|| format!("measuring the {driver:?} driver"))?;
    }
    fs::write(paths.report().join("profile.txt"), &page)?;
    print!("{page}");
    Ok(())
}

fn profile(provision: &Provision, driver: Driver) -> Result<String> {
    let paths = &provision.paths;
    let counts = paths.log().join(format!("{driver:?}-profile"));
    let (mut board, calls) = board::boot(provision, driver, Some(&counts), |setup| {
        setup.counted_time()
    })?;
    measure::all(&mut board, &calls)?;
    let symbols = symbols(&mut board)?;
    board.power_off()?;

    let mut page = format!("\n{driver:?} driver, instructions per call\n");
    let made = calls.read()?;
    let text = fs::read_to_string(&counts)?;
    let mut functions: Vec<&str> = made.iter().map(|c| c.function.as_str()).collect();
    functions.sort_unstable();
    functions.dedup();
    for function in functions {
        let of_it = || made.iter().filter(|c| c.function == function);
        let times = of_it().count() as f64;
        let all = of_it().map(|c| c.cost.instructions).sum::<u64>() as f64;
        let _ = writeln!(page, "\n{function}: {:.1}, {times} calls", all / times);
        describe(&mut page, times, &shares(&text, function, &symbols)?);
    }
    Ok(page)
}

/// Returns the symbols of the kernel and its modules.
fn symbols(board: &mut Board) -> Result<Symbols> {
    let said = board.sh("grep -i ' [tw] ' /proc/kallsyms")?;
    let symbols = said.lines().filter_map(|line| {
        let (address, rest) = line.split_once(' ')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        let name = rest.split_whitespace().nth(1)?;
        Some((address, name.to_owned()))
    });
    Ok(symbols.collect())
}

/// Returns the instructions of all calls of `function`, by the function in which they are.
fn shares(text: &str, function: &str, symbols: &Symbols) -> Result<Vec<(String, u64)>> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, address, count] = fields[..] else {
            bail!("the plugin says {line:?}");
        };
        if name == function {
            let address = u64::from_str_radix(address, 16)?;
            let inside = symbols.range(..=address).next_back();
            let inside = inside.map_or("?", |(_, symbol)| symbol);
            *sums.entry(inside.to_owned()).or_insert(0) += count.parse::<u64>()?;
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(sums)
}

fn describe(page: &mut String, times: f64, shares: &[(String, u64)]) {
    let all: u64 = shares.iter().map(|(_, count)| count).sum();
    for (symbol, count) in shares {
        if *count as f64 >= all as f64 * SHOWN {
            let _ = writeln!(page, "{:10.1}  {symbol}", *count as f64 / times);
        }
    }
}
