// SPDX-License-Identifier: GPL-2.0
//! `kexec [-p] KERNEL INITRD COMMAND-LINE`: boots another kernel from this one, or with `-p` once
//! this one panics. Busybox cannot.

use std::env;
use std::ffi::{CString, c_ulong};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use rustix::system::{RebootCommand, reboot};

/// `KEXEC_FILE_ON_CRASH` of `linux/kexec.h`.
const ON_CRASH: c_ulong = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (on_crash, rest) = match &arguments[..] {
        [first, rest @ ..] if first == "-p" => (true, rest),
        all => (false, all),
    };
    let [kernel, initrd, line] = rest else {
        bail!("usage: kexec [-p] KERNEL INITRD COMMAND-LINE");
    };
    if on_crash {
        return load(kernel, initrd, line, ON_CRASH);
    }
    load(kernel, initrd, line, 0)?;
    reboot(RebootCommand::Kexec).context("the kernel does not start another one")
}

/// Loads the next kernel into this one.
fn load(kernel: &str, initrd: &str, line: &str, flags: c_ulong) -> Result<()> {
    let open = |name: &str| File::open(name).with_context(|| format!("cannot open {name}"));
    let (kernel, initrd) = (open(kernel)?, open(initrd)?);
    let line = CString::new(line)?;
    // SAFETY: Both files are open, and so many bytes are there, the zero at the
    // end among them. The kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initrd.as_raw_fd(),
            line.as_bytes_with_nul().len(),
            line.as_ptr(),
            flags,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error()).context("the kernel does not take it");
    }
    Ok(())
}
