// SPDX-License-Identifier: GPL-2.0
//! Scenarios that pass the device through to a KVM guest with memory above 4 GiB.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use super::{Subject, fact, refusal};
use crate::iommufd::Access;
use crate::memory::{GIANT_PAGE, PAGE, Pages};
use crate::vm::{Errand, Vm, WORDS};

/// Beginning and end of the guest's memory. The machine has no memory there.
const BEGIN: u64 = 1 << 32;
const END: u64 = BEGIN + TIMES * GIANT_PAGE as u64;
/// The number of times that the same memory is mapped side by side: there is not that much.
const TIMES: u64 = 6;

/// A guest with the device, whose IOVAs are the guest's addresses.
struct Guest<'a> {
    subject: &'a Subject,
    memory: &'a Pages,
    vm: Vm<'a>,
}

/// Makes a guest, and does `work` with it.
fn with_guest(subject: &Subject, work: impl FnOnce(Guest<'_>) -> Result<()>) -> Result<()> {
    let bench = subject.open()?;
    // Not the address space of the test's window.
    let ioas = bench.iommufd.alloc_ioas()?;
    bench.device.attach(ioas)?;
    let memory = Pages::giant()?;
    Vm::install(&memory);
    let mut vm = Vm::new(&bench.device, BEGIN)?;
    for at in (BEGIN..END).step_by(memory.size()) {
        vm.add_memory(at, &memory)?;
        bench.iommufd.map(ioas, at, &memory, Access::ReadWrite)?;
    }
    work(Guest {
        subject,
        memory: &memory,
        vm,
    })
}

impl Guest<'_> {
    /// Copies, by the device, the page at `from`, filled with `pattern`, to the page at `to`.
    fn copy(&mut self, from: u64, to: u64) -> Result<()> {
        let pattern = self.subject.pattern();
        let right = self.vm.run(&Errand {
            filled: from,
            pattern,
            source: from,
            destination: to,
            compared: to,
        })?;
        ensure!(
            right == WORDS,
            "from {from:#x} to {to:#x} the guest sees {right} words copied"
        );
        ensure!(
            self.memory.holds(offset(to), pattern),
            "from {from:#x} to {to:#x} nothing was copied"
        );
        fact("bytes", 2 * PAGE);
        Ok(())
    }

    /// Copies between all parts of the guest's memory.
    fn copies(&mut self) -> Result<()> {
        for n in 0..TIMES {
            let part = |n: u64| BEGIN + n * GIANT_PAGE as u64;
            let from = part(n) + (2 * n + 1) * PAGE as u64;
            let to = part(TIMES - n) - (n + 1) * PAGE as u64;
            self.copy(from, to)?;
        }
        Ok(())
    }

    /// Fails unless the device neither writes nor reads at `forbidden`, which the guest does not have.
    fn is_refused(&mut self, forbidden: u64) -> Result<()> {
        let (own, other) = (BEGIN + PAGE as u64, END - PAGE as u64);
        for (source, destination) in [(own, forbidden), (forbidden, other)] {
            let errand = Errand {
                filled: own,
                pattern: self.subject.pattern(),
                source,
                destination,
                compared: other,
            };
            let mut right = 0;
            refusal::of(|| {
                right = self.vm.run(&errand)?;
                Ok(())
            })?;
            ensure!(right == 0, "the guest sees {right} words copied");
        }
        Ok(())
    }
}

/// Returns the offset of the guest's address `at` in its memory.
fn offset(at: u64) -> usize {
    at as usize % GIANT_PAGE
}

/// Lets the guest copy by the device.
pub fn copies(subject: &Subject, _: u32) -> Result<()> {
    with_guest(subject, |mut guest| guest.copies())
}

/// Fails if the guest reaches the addresses behind its memory, or the host's kernel at its physical
/// address.
pub fn refused(subject: &Subject, _: u32) -> Result<()> {
    let kernel = kernel()?;
    fact("kernel", kernel as usize);
    let before = page_of_machine(kernel)?;
    with_guest(subject, |mut guest| {
        for forbidden in [END, kernel] {
            guest
                .is_refused(forbidden)
                .with_context(|| format!("{forbidden:#x}"))?;
        }
        guest.copies()
    })?;
    let after = page_of_machine(kernel)?;
    ensure!(before == after, "the device wrote into the host's kernel");
    Ok(())
}

/// Returns the physical address of the kernel's code.
fn kernel() -> Result<u64> {
    let map = fs::read_to_string("/proc/iomem")?;
    let line = map.lines().find(|line| line.ends_with(": Kernel code"));
    let (begin, _) = line
        .and_then(|line| line.trim().split_once('-'))
        .context("/proc/iomem has no kernel")?;
    Ok(u64::from_str_radix(begin, 16)?)
}

/// Returns a page of the machine's memory, at the physical address `at`.
fn page_of_machine(at: u64) -> Result<[u8; PAGE]> {
    let mut page = [0; PAGE];
    let memory = File::open("/dev/mem").context("/dev/mem")?;
    memory.read_exact_at(&mut page, at)?;
    Ok(page)
}

/// Sleeps that often with the host. Each time the guest goes on.
pub fn asleep(subject: &Subject, times: u32) -> Result<()> {
    with_guest(subject, |mut guest| {
        guest.copies()?;
        for _ in 0..times {
            fs::write("/sys/power/state", "mem").context("cannot sleep")?;
            guest.copies()?;
            guest.is_refused(END)?;
        }
        Ok(())
    })
}
