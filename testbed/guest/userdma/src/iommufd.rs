// SPDX-License-Identifier: GPL-2.0
//! `/dev/iommu`: address spaces, and the domains that translate for them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use rustix::io;

use crate::memory::Pages;
use crate::uapi::*;

/// The accesses of a device to mapped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// The number by which iommufd knows an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u32);

/// An open `/dev/iommu`, which owns all that is allocated from it.
pub struct Iommufd(File);

impl Iommufd {
    /// Opens the file.
    pub fn open() -> Result<Self> {
        let file = File::options().read(true).write(true).open("/dev/iommu");
        file.map(Self).context("/dev/iommu")
    }

    /// Returns an address space without mappings.
    pub fn alloc_ioas(&self) -> Result<Id> {
        let ioas = ask(&self.0, iommu_ioas_alloc::default()).context("IOMMU_IOAS_ALLOC")?;
        Ok(Id(ioas.out_ioas_id))
    }

    /// Returns the last IOVA that `ioas` has.
    pub fn last_iova(&self, ioas: Id) -> Result<u64> {
        let ranges = iova_ranges(&self.0, ioas.0).context("IOMMU_IOAS_IOVA_RANGES")?;
        let (_, last) = ranges.last().context("there are no IOVAs")?;
        Ok(*last)
    }

    /// Returns a domain of its own for `device` that has the mappings of `ioas`.
    pub fn alloc_domain(&self, device: Id, ioas: Id) -> Result<Id> {
        let wanted = iommu_hwpt_alloc {
            dev_id: device.0,
            pt_id: ioas.0,
            ..Default::default()
        };
        let domain = ask(&self.0, wanted).context("IOMMU_HWPT_ALLOC")?;
        Ok(Id(domain.out_hwpt_id))
    }

    /// Maps all of `pages` at `iova`.
    pub fn map(&self, ioas: Id, iova: u64, pages: &Pages, access: Access) -> Result<()> {
        let write = match access {
            Access::Read => 0,
            Access::ReadWrite => IOMMU_IOAS_MAP_WRITEABLE,
        };
        let mapping = iommu_ioas_map {
            flags: IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | write,
            ioas_id: ioas.0,
            user_va: pages.address(),
            length: pages.size() as u64,
            iova,
            ..Default::default()
        };
        ask(&self.0, mapping).context("IOMMU_IOAS_MAP")?;
        Ok(())
    }

    /// Unmaps what `map()` mapped; it must be all of it.
    pub fn unmap(&self, ioas: Id, iova: u64, size: usize) -> Result<()> {
        let mapping = iommu_ioas_unmap {
            ioas_id: ioas.0,
            iova,
            length: size as u64,
            ..Default::default()
        };
        let unmapped = ask(&self.0, mapping).context("IOMMU_IOAS_UNMAP")?.length;
        anyhow::ensure!(
            unmapped == size as u64,
            "{unmapped} of {size} bytes were unmapped"
        );
        Ok(())
    }

    /// Destroys an object, unless the kernel says why not.
    pub fn destroy(&self, id: Id) -> io::Result<()> {
        let object = iommu_destroy {
            id: id.0,
            ..Default::default()
        };
        ask(&self.0, object).map(drop)
    }
}

impl AsFd for Iommufd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
