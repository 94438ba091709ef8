// SPDX-License-Identifier: GPL-2.0

//! A read that its backend never answers, and what becomes of the memory it was for.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};

use crate::block::hold::SECTOR;

const DISK: &str = "/dev/xvda";

/// What the memory is used for when it is free again.
const MARK: u8 = 0xa5;

const LEN: usize = 64 << 10;
const ALIGN: usize = 4096;

/// How long the memory is looked at.
const WATCH: Duration = Duration::from_secs(12);

/// Waits for the disk, reads, and prints `changed` if the memory that it has back is written by somebody else, else `kept`.
pub fn watch() -> io::Result<()> {
    while !Path::new(DISK).exists() {
        sleep(Duration::from_millis(20));
    }
    let mut memory = vec![0; LEN + ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    let buffer = &mut memory[start..start + LEN];
    let file = open(DISK, OFlags::RDONLY | OFlags::DIRECT, Mode::empty())?;
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(SECTOR * 512))?;
    let read = file.read(buffer);
    eprintln!("the read ends: {read:?}");
    buffer.fill(MARK);
    let end = Instant::now() + WATCH;
    while Instant::now() < end {
        if std::hint::black_box(&*buffer)
            .iter()
            .any(|byte| *byte != MARK)
        {
            println!("changed");
            return Ok(());
        }
        sleep(Duration::from_millis(5));
    }
    println!("kept");
    Ok(())
}
