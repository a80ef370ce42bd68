// SPDX-License-Identifier: GPL-2.0
//! The kernel's interface, made by bindgen from `uapi.h`, and the one function
//! that goes through it.

use std::ffi::c_void;
use std::os::fd::AsFd;

use rustix::io;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    non_camel_case_types,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    dead_code
)]
mod generated {
    include!(env!("USERDMA_UAPI"));
}
pub use generated::*;

/// An argument of an ioctl that tells the kernel its own size.
///
/// # Safety
///
/// The type is the one that the kernel reads and writes with `OPCODE`, and
/// holds no pointer that the kernel writes through.
pub unsafe trait Argument: Copy {
    /// The ioctl that takes it.
    const OPCODE: Opcode;
    /// Returns the place of its size.
    fn size(&mut self) -> &mut u32;
}

macro_rules! argument {
    ($type:ident, $size:ident, $opcode:ident) => {
        // SAFETY: The header declares this structure for this ioctl; what it
        // points to is only read.
        unsafe impl Argument for $type {
            const OPCODE: Opcode = $opcode;
            fn size(&mut self) -> &mut u32 {
                &mut self.$size
            }
        }
    };
}

argument!(vfio_device_bind_iommufd, argsz, USERDMA_BIND_IOMMUFD);
argument!(vfio_device_attach_iommufd_pt, argsz, USERDMA_ATTACH);
argument!(vfio_device_detach_iommufd_pt, argsz, USERDMA_DETACH);
argument!(vfio_region_info, argsz, USERDMA_REGION_INFO);
argument!(iommu_destroy, size, USERDMA_DESTROY);
argument!(iommu_ioas_alloc, size, USERDMA_IOAS_ALLOC);
argument!(iommu_ioas_map, size, USERDMA_IOAS_MAP);
argument!(iommu_ioas_unmap, size, USERDMA_IOAS_UNMAP);
argument!(iommu_hwpt_alloc, size, USERDMA_HWPT_ALLOC);

/// Private: what it points to is written to.
#[derive(Clone, Copy)]
struct Ranges(iommu_ioas_iova_ranges);

// SAFETY: The header declares what is inside for this ioctl; `iova_ranges()` alone makes it, with
// a pointer to as much memory as it says.
unsafe impl Argument for Ranges {
    const OPCODE: Opcode = USERDMA_IOAS_IOVA_RANGES;
    fn size(&mut self) -> &mut u32 {
        &mut self.0.size
    }
}

/// Returns the IOVAs that the address space `ioas` has: of each range the first and the last.
pub fn iova_ranges(iommufd: impl AsFd, ioas: u32) -> io::Result<Vec<(u64, u64)>> {
    // More than any device reserves.
    let mut ranges = [iommu_iova_range::default(); 16];
    let wanted = Ranges(iommu_ioas_iova_ranges {
        ioas_id: ioas,
        num_iovas: ranges.len() as u32,
        allowed_iovas: ranges.as_mut_ptr() as u64,
        ..Default::default()
    });
    let count = ask(iommufd, wanted)?.0.num_iovas as usize;
    Ok(ranges[..count].iter().map(|r| (r.start, r.last)).collect())
}

/// The ioctl that takes an `A`.
struct Call<A>(A);

// SAFETY: The pointer is to an `A`, which by the trait's contract is what the
// kernel reads and writes with this number.
unsafe impl<A: Argument> Ioctl for Call<A> {
    type Output = A;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        A::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, pointer: *mut c_void) -> io::Result<A> {
        // SAFETY: It is what `as_ptr()` returned.
        Ok(unsafe { *pointer.cast::<A>() })
    }
}

/// Asks the kernel, and returns the argument as the kernel left it.
pub fn ask<A: Argument>(fd: impl AsFd, mut argument: A) -> io::Result<A> {
    *argument.size() = size_of::<A>() as u32;
    // SAFETY: By the trait's contract this is a call that the kernel knows.
    unsafe { ioctl(fd, Call(argument)) }
}
