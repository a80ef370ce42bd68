// SPDX-License-Identifier: GPL-2.0
//! A program that owns a PCI device, by way of VFIO and iommufd: it makes the device do DMA
//! where it may and where it may not, and looks at what arrives.
//!
//!     userdma DEVICE take               give the device to vfio-pci
//!     userdma DEVICE SCENARIO [COUNT]   see `scenarios`
//!
//! DEVICE is QEMU's `edu`, by its address, such as 0000:01:00.0. The verdict is
//! printed as KTAP.

mod device;
mod injection;
mod iommufd;
mod memory;
mod scenarios;
mod uapi;
mod vm;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [device, action, rest @ ..] = &arguments[..] else {
        eprintln!("usage: userdma DEVICE take|SCENARIO [COUNT]");
        return ExitCode::from(2);
    };
    println!("KTAP version 1\n1..1");
    match run(device, action, rest) {
        Ok(()) => {
            println!("ok 1 {action}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            println!("not ok 1 {action}\n# {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(device: &str, action: &str, rest: &[String]) -> Result<()> {
    if action == "take" {
        return device::take(device);
    }
    let count = match rest {
        [] => 1,
        [count, ..] => count.parse().context("COUNT is a number")?,
    };
    scenarios::run(device, action, count)
}
