// SPDX-License-Identifier: GPL-2.0
//! Loads the driver on a mutated tree, and judges the result.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::generator::{Tree, ipmmus};
use crate::board::Board;
use crate::board::cards::MMC_HOSTS;
use crate::board::fdt::Fdt;
use crate::board::guest::{DMACS, expect_no_splat};
use crate::board::reports;

/// The limit for IPMMUs that wait for their root, and for clients that wait for IPMMUs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Warnings of the kernel's own code with any driver: a function, and its caller. This one is about
/// an `#iommu-cells` of more than any list of arguments has.
pub const OF_THE_CORE: [(&str, &str); 1] = [("__of_parse_phandle_with_args", "of_iommu_configure")];

/// Shows platform devices by their links in sysfs, and the devices that wait for others.
const LOOK: &str = "cd /sys/bus/platform/devices && \
    ls -ld *iommu*/of_node *iommu*/driver *dma-controller*/of_node *dma-controller*/iommu_group \
    *mmc*/of_node *mmc*/iommu_group 2>/dev/null; cat /sys/kernel/debug/devices_deferred";

/// The results of a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The DMA controllers that must work, and do.
    pub untouched: Vec<&'static str>,
    /// The number of IPMMUs that are not bound.
    pub refused: usize,
    /// The number of reports of the kernel's own code.
    pub of_the_core: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Device {
    node: String,
    is_bound: bool,
    is_grouped: bool,
}

/// The guest's devices and messages.
#[derive(Default)]
struct State {
    devices: BTreeMap<String, Device>,
    /// The devices that still wait for others.
    deferred: Vec<String>,
    /// All messages since the driver was loaded.
    messages: String,
}

/// Checks everything that must hold, on a board that was just booted with `tree`.
pub fn judge(board: &mut Board, base: &Fdt, tree: &Tree) -> Result<Seen> {
    // Messages from before the driver was loaded are not about it.
    board.raw_messages()?;
    let begun = board.klog.len();
    board.load_driver(&DMACS)?;
    let mut seen = Seen {
        untouched: tree.untouched(base),
        ..Seen::default()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = look(board, begun, &mut seen)?;
        let wrong = wrong(tree, &state, &seen.untouched);
        let unused = state.ipmmus().filter(|(_, device)| !device.is_bound);
        seen.refused = unused.count();
        if wrong.is_empty() {
            break;
        }
        ensure!(Instant::now() < deadline, "{}", wrong.join("; "));
        sleep(Duration::from_millis(200));
    }

    copy(board, &seen)?;
    match tree.is_of_this_hardware() {
        true => board.suspend_and_compare()?,
        false => drop(board.suspend(|_| Ok(()))?),
    }
    copy(board, &seen)?;
    look(board, begun, &mut seen)?;
    let errors = board.guest_errors()?;
    ensure!(
        errors == 0 || !tree.is_of_this_hardware(),
        "{errors} accesses to registers that do not exist"
    );
    Ok(seen)
}

fn copy(board: &mut Board, seen: &Seen) -> Result<()> {
    match seen.untouched.is_empty() {
        true => Ok(()),
        false => board.dma_briefly(&seen.untouched),
    }
}

/// Returns the guest's state. Fails if the driver caused a report.
fn look(board: &mut Board, begun: usize, seen: &mut Seen) -> Result<State> {
    let text = board.try_sh(LOOK)?.text;
    board.raw_messages()?;
    let messages = board.klog[begun..].to_owned();
    let (reports, rest) = reports::split(&messages);
    seen.of_the_core = reports.len();
    for report in reports {
        let is_known = |(function, caller): &(&str, &str)| {
            report.contains(&format!(" at {function}+")) && report.contains(&format!("  {caller}+"))
        };
        if !OF_THE_CORE.iter().any(is_known) {
            expect_no_splat(&report)?;
            bail!("the kernel reports: {report}");
        }
    }
    expect_no_splat(&rest)?;
    Ok(State::parse(&text, messages))
}

/// Returns everything that is not as it must be.
fn wrong(tree: &Tree, state: &State, untouched: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let root = &ipmmus()[0];
    for (name, device) in state.ipmmus().filter(|(_, device)| !device.is_bound) {
        let path = &device.node;
        if !tree.is_touched(path) && !tree.is_touched(root) {
            wrong.push(format!("{name} is not bound, and nothing is wrong with it"));
        }
        let waits = state.deferred.contains(name) && tree.may_wait(path, |p| state.is_bound(p));
        if tree.is_ours(path) && !waits && !state.says_of(name, path) {
            wrong.push(format!("{name} is not bound, and no message says why"));
        }
    }
    for (name, device) in state.clients() {
        let says = state.says_of(name, &device.node);
        if untouched.contains(&name.as_str()) && !device.is_grouped && !says {
            wrong.push(format!("{name} is not translated, though it is untouched"));
        }
        let Some(named) = tree.references(&device.node) else {
            continue;
        };
        if device.is_grouped && tree.is_out_of_range(&named) {
            wrong.push(format!("{name} has a micro-TLB that does not exist"));
        }
        // Otherwise the core does not ask the driver: a root is not registered.
        let mut named = named.iter();
        let is_drivers = named.all(|r| state.is_bound(&r.path) && !tree.is_root(&r.path));
        if is_drivers && !device.is_grouped && !says {
            wrong.push(format!("{name} is not translated, and no message says why"));
        }
    }
    wrong
}

impl State {
    fn parse(text: &str, messages: String) -> Self {
        let mut state = Self {
            messages,
            ..Self::default()
        };
        for line in text.lines() {
            let Some((what, to)) = line.split_once(" -> ") else {
                let name = line.split_whitespace().next().unwrap_or_default();
                state.deferred.push(name.to_owned());
                continue;
            };
            let what = what.rsplit(' ').next().unwrap_or_default();
            let Some((name, link)) = what.split_once('/') else {
                continue;
            };
            let device = state.devices.entry(name.to_owned()).or_default();
            match link {
                "of_node" => device.node = to.split("/base").nth(1).unwrap_or_default().to_owned(),
                "driver" => device.is_bound = true,
                _ => device.is_grouped = true,
            }
        }
        state
    }

    /// Returns the devices that are IPMMUs, by their nodes.
    fn ipmmus(&self) -> impl Iterator<Item = (&String, &Device)> {
        let all = ipmmus();
        let is_one = move |node: &str| all.iter().any(|path| path == node);
        self.devices.iter().filter(move |(_, d)| is_one(&d.node))
    }

    /// Returns the devices that the driver translates by default or by `allow=`.
    fn clients(&self) -> impl Iterator<Item = (&String, &Device)> {
        let wanted =
            |name: &str| DMACS.contains(&name) || MMC_HOSTS.iter().any(|host| host.device == name);
        self.devices.iter().filter(move |(name, _)| wanted(name))
    }

    fn is_bound(&self, path: &str) -> bool {
        self.ipmmus().any(|(_, d)| d.node == path && d.is_bound)
    }

    /// Returns whether a warning, or worse, names the device or its node.
    fn says_of(&self, name: &str, path: &str) -> bool {
        let node = path.rsplit('/').next().unwrap_or(path);
        let is_warning = |line: &&str| {
            let level = line.strip_prefix('<').and_then(|l| l.split_once('>'));
            level.is_some_and(|(level, _)| level.parse::<u32>().is_ok_and(|l| l <= 4))
        };
        let mut warnings = self.messages.lines().filter(is_warning);
        warnings.any(|line| line.contains(name) || line.contains(node))
    }
}
