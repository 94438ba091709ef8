// SPDX-License-Identifier: GPL-2.0

//! Writes that are to be durable when they are done.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use fastrand::Rng;
use rustix::fs::{Mode, OFlags, open};

const LEN: usize = 32 << 10;
const ALIGN: usize = 4096;

/// Writes to the start of a disk, past the page cache, and reads it again.
pub fn write(path: &str) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC;
    let mut file = File::from(open(path, flags, Mode::empty())?);
    let mut memory = vec![0; LEN + ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    let buffer = &mut memory[start..start + LEN];
    Rng::with_seed(5).fill(buffer);
    let wanted = buffer.to_vec();
    for block in buffer.chunks(ALIGN) {
        file.write_all(block)?;
    }
    buffer.fill(0);
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(buffer)?;
    match *buffer == wanted {
        true => Ok(()),
        false => Err(io::Error::other("what was written is not what is read")),
    }
}
