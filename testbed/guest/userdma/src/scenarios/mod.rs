// SPDX-License-Identifier: GPL-2.0
//! The scenarios.

mod asleep;
mod domains;
mod failing;
mod guest;
mod killed;
mod mappings;
mod refusal;
mod wide;

use std::cell::Cell;

use anyhow::{Result, bail, ensure};

use crate::device::Device;
use crate::iommufd::{Access, Id, Iommufd};
use crate::memory::{PAGE, Pages, Pattern};

/// The IOVA at which the tests map memory.
const IOVA: u64 = 0x5000_0000;
/// The IOVA of a page by which the device's buffer is read.
const WINDOW: u64 = 0x4800_0000;

/// A scenario, by the name that it is called with.
type Scenario = fn(&Subject, u32) -> Result<()>;

const SCENARIOS: [(&str, Scenario); 21] = [
    ("unmap", mappings::unmap),
    ("unmap-all", mappings::unmap_all),
    ("read-only", mappings::read_only),
    ("blocks", mappings::blocks),
    ("storm", mappings::storm),
    ("wide", wide::wide),
    ("spaces", domains::spaces),
    ("domains", domains::domains),
    ("mapped-first", domains::mapped_first),
    ("changed-meanwhile", domains::changed_meanwhile),
    ("detach", domains::detach),
    ("destroy", domains::destroy),
    ("close", domains::close),
    ("killed", killed::killed),
    ("hold", killed::hold),
    ("blocked", killed::blocked),
    ("failing", failing::failing),
    ("asleep", asleep::asleep),
    ("guest", guest::copies),
    ("guest-refused", guest::refused),
    ("guest-asleep", guest::asleep),
];

/// Runs the scenario `name`; `count` is for those that do something that often.
pub fn run(device: &str, name: &str, count: u32) -> Result<()> {
    let Some((_, scenario)) = SCENARIOS.iter().find(|(known, _)| *known == name) else {
        bail!("there is no scenario {name}");
    };
    let subject = Subject {
        name: device.into(),
        patterns: Cell::new(0),
    };
    scenario(&subject, count)
}

/// The device under test.
struct Subject {
    name: String,
    /// The number of patterns that were given out.
    patterns: Cell<u32>,
}

impl Subject {
    /// Opens the device, attached to an address space.
    fn open(&self) -> Result<Bench<'_>> {
        let iommufd = Iommufd::open()?;
        let device = Device::open(&self.name, &iommufd)?;
        let ioas = iommufd.alloc_ioas()?;
        device.attach(ioas)?;
        let window = Pages::new(1)?;
        iommufd.map(ioas, WINDOW, &window, Access::ReadWrite)?;
        Ok(Bench {
            subject: self,
            device,
            iommufd,
            ioas,
            window,
        })
    }

    /// Returns a pattern that was not used before.
    fn pattern(&self) -> Pattern {
        self.patterns.set(self.patterns.get() + 1);
        Pattern(self.patterns.get())
    }
}

/// The device, and a page to look into it.
struct Bench<'a> {
    subject: &'a Subject,
    // Closed before iommufd is.
    device: Device,
    iommufd: Iommufd,
    ioas: Id,
    window: Pages,
}

impl Bench<'_> {
    fn pattern(&self) -> Pattern {
        self.subject.pattern()
    }

    fn map(&self, iova: u64, pages: &Pages) -> Result<()> {
        self.iommufd.map(self.ioas, iova, pages, Access::ReadWrite)
    }

    fn unmap(&self, iova: u64, pages: &Pages) -> Result<()> {
        self.iommufd.unmap(self.ioas, iova, pages.size())
    }

    /// Fails unless the device reads and writes the page of `pages` at `offset`, at `iova`.
    fn reaches(&self, iova: u64, pages: &Pages, offset: usize) -> Result<()> {
        let (sent, other) = (self.pattern(), self.pattern());
        pages.fill(offset, sent);
        self.device.load(iova)?;
        pages.fill(offset, other);
        self.device.store(iova)?;
        ensure!(
            !pages.holds(offset, other),
            "nothing arrived at {iova:#x} of what the device wrote"
        );
        ensure!(
            pages.holds(offset, sent),
            "what the device read at {iova:#x} and wrote again is not what was there"
        );
        fact("bytes", 2 * PAGE);
        Ok(())
    }

    /// Fails if the device writes the page of `pages` at `offset`, which is not mapped at `iova`.
    /// For [`Self::keeps_secret`] it then tries to read it.
    fn is_refused(&self, iova: u64, pages: &Pages, offset: usize) -> Result<Pattern> {
        let (kept, secret) = (self.pattern(), self.pattern());
        pages.fill(offset, kept);
        refusal::of(|| self.device.store(iova))?;
        ensure!(
            pages.holds(offset, kept),
            "the device wrote to memory that was not mapped at {iova:#x}"
        );
        pages.fill(offset, secret);
        refusal::of(|| self.device.load(iova))?;
        Ok(secret)
    }

    /// Gives the device something to write, before [`Self::is_refused`].
    fn prepare(&self) -> Result<()> {
        self.window.fill(0, self.pattern());
        self.device.load(WINDOW)
    }

    /// Fails if the device has anything of `secret`.
    fn keeps_secret(&self, secret: Pattern) -> Result<()> {
        self.window.fill(0, self.pattern());
        self.device.store(WINDOW)?;
        ensure!(
            self.window.holds_nothing_of(0, secret),
            "the device read memory that was not mapped"
        );
        Ok(())
    }
}

/// Prints a fact for the reader of the results, where facts of the same name are added up.
fn fact(key: &str, value: usize) {
    println!("# {key}={value}");
}
