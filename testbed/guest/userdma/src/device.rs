// SPDX-License-Identifier: GPL-2.0
//! The PCI device, QEMU's `edu`, which has a DMA engine and a buffer of one page.
//! Its registers are in `docs/specs/edu.rst` of QEMU.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::iommufd::{Id, Iommufd};
use crate::memory::PAGE;
use crate::uapi::*;

/// The device's address of its buffer.
pub const BUFFER: u64 = 0x4_0000;
/// A time far longer than any transfer takes.
const LIMIT: Duration = Duration::from_secs(20);

const REG_ID: usize = 0x00;
pub const REG_SOURCE: usize = 0x80;
pub const REG_DESTINATION: usize = 0x88;
pub const REG_COUNT: usize = 0x90;
pub const REG_COMMAND: usize = 0x98;

const ID_MASK: u32 = 0xffff;
const ID: u32 = 0x00ed;
pub const COMMAND_RUN: u64 = 1 << 0;
pub const COMMAND_TO_MEMORY: u64 = 1 << 1;

/// The device, attached to nothing at first.
pub struct Device {
    file: File,
    id: Id,
    registers: *mut u8,
    size: usize,
}

/// Gives the PCI device `name`, such as `0000:01:00.0`, to vfio-pci.
pub fn take(name: &str) -> Result<()> {
    let device = sysfs(name);
    fs::write(device.join("driver_override"), "vfio-pci")
        .with_context(|| format!("there is no PCI device {name}"))?;
    // Fails if the driver does not take it, but does not say why.
    let _ = fs::write("/sys/bus/pci/drivers_probe", name);
    ensure!(
        device.join("vfio-dev").exists(),
        "vfio-pci does not take {name}; the kernel log may say why"
    );
    Ok(())
}

fn sysfs(name: &str) -> PathBuf {
    Path::new("/sys/bus/pci/devices").join(name)
}

impl Device {
    /// Opens the device `name` and puts it behind `iommufd`.
    pub fn open(name: &str, iommufd: &Iommufd) -> Result<Self> {
        let node = fs::read_dir(sysfs(name).join("vfio-dev"))
            .context("vfio-pci does not have the device")?
            .next()
            .context("vfio has no node for the device")??
            .file_name();
        let path = Path::new("/dev/vfio/devices").join(node);
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        let bind = vfio_device_bind_iommufd {
            iommufd: std::os::fd::AsFd::as_fd(iommufd).as_raw_fd(),
            ..Default::default()
        };
        let id = ask(&file, bind)
            .context("VFIO_DEVICE_BIND_IOMMUFD")?
            .out_devid;
        let region = region(&file, VFIO_PCI_BAR0_REGION_INDEX)?;
        let size = usize::try_from(region.size)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: New memory, at an address that the kernel chooses.
        let registers = unsafe {
            mmap(
                null_mut(),
                size,
                protection,
                MapFlags::SHARED,
                &file,
                region.offset,
            )
        }
        .context("the registers cannot be mapped")?;
        let this = Self {
            file,
            id: Id(id),
            registers: registers.cast(),
            size,
        };
        this.enable()?;
        Ok(this)
    }

    /// Switches the decoding of addresses and the mastering of the bus on.
    fn enable(&self) -> Result<()> {
        let config = region(&self.file, VFIO_PCI_CONFIG_REGION_INDEX)?;
        let command = (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER) as u16;
        let at = config.offset + u64::from(PCI_COMMAND);
        self.file.write_all_at(&command.to_le_bytes(), at)?;
        let id = self.read::<u32>(REG_ID);
        ensure!(id & ID_MASK == ID, "no edu device, it says {id:#x}");
        // No reset ends what somebody before us may have begun.
        self.wait()
    }

    /// Returns the number by which iommufd knows the device.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns the address of its registers in this process, and how many bytes they are.
    pub fn registers(&self) -> (u64, usize) {
        (self.registers as u64, self.size)
    }

    /// Shows the device an address space, or a domain, instead of the present one.
    pub fn attach(&self, to: Id) -> Result<()> {
        let attach = vfio_device_attach_iommufd_pt {
            pt_id: to.0,
            ..Default::default()
        };
        ask(&self.file, attach).context("VFIO_DEVICE_ATTACH_IOMMUFD_PT")?;
        Ok(())
    }

    /// Shows the device nothing.
    pub fn detach(&self) -> Result<()> {
        ask(&self.file, vfio_device_detach_iommufd_pt::default())
            .context("VFIO_DEVICE_DETACH_IOMMUFD_PT")?;
        Ok(())
    }

    /// Copies a page of memory into the device, wherever that leads.
    pub fn load(&self, iova: u64) -> Result<()> {
        self.begin(iova, BUFFER, COMMAND_RUN);
        self.wait()
    }

    /// Copies the device's buffer to memory, wherever that leads.
    pub fn store(&self, iova: u64) -> Result<()> {
        self.begin_store(iova);
        self.wait()
    }

    /// Begins what `store()` does.
    pub fn begin_store(&self, iova: u64) {
        self.begin(BUFFER, iova, COMMAND_RUN | COMMAND_TO_MEMORY);
    }

    fn begin(&self, source: u64, destination: u64, command: u64) {
        self.write(REG_SOURCE, source);
        self.write(REG_DESTINATION, destination);
        self.write(REG_COUNT, PAGE as u64);
        self.write(REG_COMMAND, command);
    }

    /// Waits until a transfer is over; the device does not tell its result.
    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.read::<u64>(REG_COMMAND) & COMMAND_RUN != 0 {
            ensure!(Instant::now() < deadline, "a transfer does not end");
            thread::yield_now();
        }
        Ok(())
    }

    fn read<T: Copy>(&self, register: usize) -> T {
        assert!(register + size_of::<T>() <= self.size);
        // SAFETY: Within the mapping, and registers are aligned to their size.
        unsafe { self.registers.add(register).cast::<T>().read_volatile() }
    }

    fn write(&self, register: usize, value: u64) {
        assert!(register + size_of::<u64>() <= self.size);
        // SAFETY: As in `read()`.
        unsafe {
            self.registers
                .add(register)
                .cast::<u64>()
                .write_volatile(value)
        };
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: `open()` made it, and `self` was its only user.
        let _ = unsafe { munmap(self.registers.cast(), self.size) };
    }
}

fn region(file: &File, index: u32) -> Result<vfio_region_info> {
    let wanted = vfio_region_info {
        index,
        ..Default::default()
    };
    ask(file, wanted).context("VFIO_DEVICE_GET_REGION_INFO")
}
