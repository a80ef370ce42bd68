// SPDX-License-Identifier: GPL-2.0
//! Scenarios with several address spaces, of which the device sees one at a time.

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;

use super::{Bench, IOVA, Subject, WINDOW};
use crate::device::Device;
use crate::iommufd::{Access, Id, Iommufd};
use crate::memory::Pages;

/// An address space with a page of its own, where the others have theirs.
struct Space {
    ioas: Id,
    page: Pages,
}

impl Space {
    fn new(iommufd: &Iommufd) -> Result<Self> {
        let space = Self {
            ioas: iommufd.alloc_ioas()?,
            page: Pages::new(1)?,
        };
        iommufd.map(space.ioas, IOVA, &space.page, Access::ReadWrite)?;
        Ok(space)
    }
}

/// Returns `count` of them.
fn several(iommufd: &Iommufd, count: u32) -> Result<Vec<Space>> {
    (0..count).map(|_| Space::new(iommufd)).collect()
}

/// Attaches the device to each of `targets`, in either direction and back and forth. It reaches the
/// page of that space, and no other's.
fn visit(bench: &Bench<'_>, spaces: &[Space], targets: &[Id]) -> Result<()> {
    let there = 0..spaces.len();
    let back = there.clone().rev();
    for index in there.chain(back) {
        let marks: Vec<_> = spaces.iter().map(|_| bench.pattern()).collect();
        for (space, &mark) in spaces.iter().zip(&marks) {
            space.page.fill(0, mark);
        }
        bench
            .device
            .attach(targets[index])
            .with_context(|| format!("attaching to space {index}"))?;
        bench
            .reaches(IOVA, &spaces[index].page, 0)
            .with_context(|| format!("in space {index}"))?;
        for (other, space) in spaces.iter().enumerate() {
            ensure!(
                other == index || space.page.holds(0, marks[other]),
                "in space {index} the device wrote to the page of space {other}"
            );
        }
    }
    Ok(())
}

/// Lets domains of address spaces come and go with the device.
pub fn spaces(subject: &Subject, count: u32) -> Result<()> {
    let bench = subject.open()?;
    let spaces = several(&bench.iommufd, count)?;
    let targets: Vec<Id> = spaces.iter().map(|space| space.ioas).collect();
    visit(&bench, &spaces, &targets)
}

/// Keeps more domains than the hardware has contexts.
pub fn domains(subject: &Subject, count: u32) -> Result<()> {
    let bench = subject.open()?;
    let spaces = several(&bench.iommufd, count)?;
    let targets = spaces
        .iter()
        .map(|space| bench.iommufd.alloc_domain(bench.device.id(), space.ioas))
        .collect::<Result<Vec<Id>>>()?;
    visit(&bench, &spaces, &targets)?;
    bench.device.attach(bench.ioas)?;
    for &domain in &targets {
        bench.iommufd.destroy(domain).context("IOMMU_DESTROY")?;
    }
    bench.reaches(WINDOW, &bench.window, 0)
}

/// Maps in a domain before any device sees it, and again after the device was elsewhere.
pub fn mapped_first(subject: &Subject, _: u32) -> Result<()> {
    let bench = subject.open()?;
    let ioas = bench.iommufd.alloc_ioas()?;
    let domain = bench.iommufd.alloc_domain(bench.device.id(), ioas)?;
    let page = Pages::new(1)?;
    bench.iommufd.map(ioas, IOVA, &page, Access::ReadWrite)?;
    for target in [domain, bench.ioas, domain] {
        bench.device.attach(target)?;
        if target == domain {
            bench.reaches(IOVA, &page, 0)?;
        }
    }
    Ok(())
}

/// Changes a domain while the device does not see it. Nothing that was cached for it may come back.
pub fn changed_meanwhile(subject: &Subject, rounds: u32) -> Result<()> {
    let bench = subject.open()?;
    let ioas = bench.iommufd.alloc_ioas()?;
    let domain = bench.iommufd.alloc_domain(bench.device.id(), ioas)?;
    let window = Pages::new(1)?;
    bench
        .iommufd
        .map(ioas, WINDOW, &window, Access::ReadWrite)?;
    let pages = [Pages::new(1)?, Pages::new(1)?];
    for round in 0..rounds as usize {
        let (old, new) = (&pages[round % 2], &pages[(round + 1) % 2]);
        if round == 0 {
            bench.iommufd.map(ioas, IOVA, old, Access::ReadWrite)?;
        }
        bench.device.attach(domain)?;
        bench.reaches(IOVA, old, 0)?;
        bench.device.attach(bench.ioas)?;
        bench.iommufd.unmap(ioas, IOVA, old.size())?;
        bench.iommufd.map(ioas, IOVA, new, Access::ReadWrite)?;
        let mark = bench.pattern();
        old.fill(0, mark);
        bench.device.attach(domain)?;
        bench.reaches(IOVA, new, 0)?;
        ensure!(old.holds(0, mark), "the device wrote where it was before");
    }
    Ok(())
}

/// Detaches the device from everything: it reaches nothing, not even what it would reach without an
/// IOMMU.
pub fn detach(subject: &Subject, rounds: u32) -> Result<()> {
    let bench = subject.open()?;
    let page = Pages::new(1)?;
    bench.map(IOVA, &page)?;
    for _ in 0..rounds {
        bench.reaches(IOVA, &page, 0)?;
        bench.prepare()?;
        bench.device.detach()?;
        let secret = bench.is_refused(IOVA, &page, 0)?;
        bench.device.attach(bench.ioas)?;
        bench.keeps_secret(secret)?;
    }
    bench.reaches(IOVA, &page, 0)
}

/// Fails unless what is in use stays, and the rest can be destroyed.
pub fn destroy(subject: &Subject, rounds: u32) -> Result<()> {
    let bench = subject.open()?;
    let busy = |id, what: &str| match bench.iommufd.destroy(id) {
        Err(Errno::BUSY) => Ok(()),
        Err(e) => Err(e).context("IOMMU_DESTROY"),
        Ok(()) => anyhow::bail!("{what} was destroyed while it was in use"),
    };
    for _ in 0..rounds {
        let space = Space::new(&bench.iommufd)?;
        let domain = bench.iommufd.alloc_domain(bench.device.id(), space.ioas)?;
        busy(space.ioas, "the address space of a domain")?;
        bench.device.attach(domain)?;
        busy(domain, "a domain")?;
        bench.reaches(IOVA, &space.page, 0)?;
        // A domain that is never attached to.
        let spare = bench.iommufd.alloc_domain(bench.device.id(), space.ioas)?;
        bench.iommufd.destroy(spare).context("a spare domain")?;
        bench.reaches(IOVA, &space.page, 0)?;
        bench.device.attach(bench.ioas)?;
        bench.iommufd.destroy(domain).context("the domain")?;
        bench.iommufd.destroy(space.ioas).context("its space")?;
        bench.reaches(WINDOW, &bench.window, 0)?;
    }
    Ok(())
}

/// Closes device and iommufd in any order, in any state.
pub fn close(subject: &Subject, rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        // Bound, and no more.
        let iommufd = Iommufd::open()?;
        drop(Device::open(&subject.name, &iommufd)?);
        drop(iommufd);

        // Detached.
        let bench = subject.open()?;
        bench.device.detach()?;
        drop(bench);

        // The device first, then what it was attached to.
        let bench = subject.open()?;
        bench.reaches(WINDOW, &bench.window, 0)?;
        let Bench {
            device,
            iommufd,
            ioas,
            ..
        } = bench;
        drop(device);
        iommufd.destroy(ioas).context("after the device")?;

        // The other way round: the device keeps what it uses.
        let bench = subject.open()?;
        let Bench {
            device,
            iommufd,
            window,
            ..
        } = bench;
        drop(iommufd);
        let sent = subject.pattern();
        window.fill(0, sent);
        device.load(WINDOW)?;
        window.fill(0, subject.pattern());
        device.store(WINDOW)?;
        ensure!(window.holds(0, sent), "the device lost its mappings");
    }
    Ok(())
}
