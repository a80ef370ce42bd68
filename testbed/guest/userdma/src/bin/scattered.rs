// SPDX-License-Identifier: GPL-2.0
//! `scattered FILE OFFSET`: writes 512 KiB at once, past the page cache, from memory of which no
//! two pages in a row are neighbours: they are first touched in another order.

use std::env;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use anyhow::{Context, Result, bail, ensure};

const PAGE: usize = 4096;
const PAGES: usize = 128;
/// A stride that has nothing in common with the number of pages, and so meets each of them once.
const STRIDE: usize = 37;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, offset] = &arguments[..] else {
        bail!("usage: scattered FILE OFFSET");
    };
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(file)
        .with_context(|| format!("cannot open {file}"))?;

    // Zeroes have no memory until they are written.
    let mut memory = vec![0u8; (PAGES + 1) * PAGE];
    let skipped = memory.as_ptr().align_offset(PAGE);
    let pages = &mut memory[skipped..][..PAGES * PAGE];
    for n in 0..PAGES {
        pages[n * STRIDE % PAGES * PAGE] = n as u8 + 1;
    }
    let written = file.write_at(pages, offset.parse()?)?;
    ensure!(written == pages.len(), "{written} bytes were written");
    Ok(())
}
