// SPDX-License-Identifier: GPL-2.0
//! `kexec KERNEL INITRD COMMAND-LINE`: boots another kernel from this one, for
//! arm64. Busybox cannot.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

// System calls of Linux on arm64.
const OPENAT: usize = 56;
const WRITE: usize = 64;
const EXIT: usize = 93;
const REBOOT: usize = 142;
const KEXEC_FILE_LOAD: usize = 294;

const AT_FDCWD: usize = -100_isize as usize;
const REBOOT_MAGIC: [usize; 2] = [0xfee1_dead, 672_274_793];
const REBOOT_CMD_KEXEC: usize = 0x4558_4543;

// The stack has the number of arguments, and then pointers to them.
global_asm!(".global _start", "_start:", "mov x0, sp", "b main");

/// Calls the kernel.
///
/// # Safety
///
/// As the call demands of its arguments.
unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let mut result = arguments[0];
    // SAFETY: The kernel leaves all registers but the first alone; the rest is
    // up to the caller.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            options(nostack),
        );
    }
    result as isize
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: The call takes no pointer.
        unsafe { call(EXIT, [code, 0, 0, 0, 0]) };
    }
}

/// Ends the program with a message, where `result` is an error.
fn check(result: isize, message: &str) -> usize {
    if result < 0 {
        // SAFETY: The pointer and the length are those of a string.
        unsafe { call(WRITE, [2, message.as_ptr() as usize, message.len(), 0, 0]) };
        exit(1);
    }
    result as usize
}

/// Opens a file to be read.
///
/// # Safety
///
/// `path` points to a string that ends with a zero.
unsafe fn open(path: *const u8) -> usize {
    // SAFETY: As the caller promises.
    let file = unsafe { call(OPENAT, [AT_FDCWD, path as usize, 0, 0, 0]) };
    check(file, "kexec: a file cannot be opened\n")
}

/// The size of a string with the zero that it ends with.
///
/// # Safety
///
/// It ends with a zero.
unsafe fn size(string: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: Nothing after the zero is read. Volatile, or the compiler makes a
    // call of a C library's strlen() of it, which is not there.
    while unsafe { string.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length + 1
}

#[unsafe(no_mangle)]
extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: `_start` gives us the stack as the kernel has prepared it.
    let count = unsafe { *stack };
    if count != 4 {
        check(-1, "usage: kexec KERNEL INITRD COMMAND-LINE\n");
    }
    // SAFETY: So many pointers to strings are there.
    let [kernel, initrd, line] = [2, 3, 4].map(|at| unsafe { *stack.add(at) } as *const u8);
    // SAFETY: These are strings.
    let loaded = unsafe {
        let (kernel, initrd) = (open(kernel), open(initrd));
        call(KEXEC_FILE_LOAD, [kernel, initrd, size(line), line as usize, 0])
    };
    check(loaded, "kexec: the kernel does not take it\n");
    let [magic, magic2] = REBOOT_MAGIC;
    // SAFETY: The call takes no pointer.
    let rebooted = unsafe { call(REBOOT, [magic, magic2, REBOOT_CMD_KEXEC, 0, 0]) };
    check(rebooted, "kexec: the kernel does not start it\n");
    exit(0)
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(2)
}
