// SPDX-License-Identifier: GPL-2.0

//! dom0's kernel as an ELF file: the boot loader's module itself, or unpacked from a bzImage.

use paravane::bzimage::{self, File};

use crate::arch::frames::{FRAME, Frames};
use crate::arch::{memory, ram, time};
use crate::platform;

impl File for ram::Bytes {
    fn len(&self) -> u64 {
        ram::Bytes::len(self)
    }

    fn read(&self, at: u64, to: &mut [u8]) {
        ram::Bytes::read(self, at, to);
    }
}

/// Unpacks a module, given with its size, if it is a bzImage. Returns the ELF file and its size.
///
/// # Errors
///
/// A message about why it cannot be unpacked.
pub fn unpack(module: (Frames, u64)) -> Result<(Frames, u64), &'static str> {
    const NO_MEMORY: &str = "no memory to unpack the kernel";
    let file = ram::Bytes::of(&module.0, module.1);
    let packed = bzimage::find(&file).map_err(log_error)?;
    let Some(packed) = packed else {
        return Ok(module);
    };
    let started = time::now();
    let mut frames = platform::alloc_frames(packed.size.div_ceil(FRAME)).ok_or(NO_MEMORY)?;
    let mut at = 0;
    let room = platform::alloc_frames(packed.room().div_ceil(FRAME)).ok_or(NO_MEMORY)?;
    let result = memory::with_room(room, || {
        packed.unpack(&file, &mut |bytes| {
            frames.write(at, bytes);
            at += bytes.len() as u64;
        })
    });
    result.ok_or(NO_MEMORY)?.map_err(log_error)?;
    log::info!(
        "the kernel was packed by {:?}: {} KiB became {} KiB in {} ms",
        packed.format,
        (packed.range.end - packed.range.start) >> 10,
        packed.size >> 10,
        (time::now() - started) / 1_000_000
    );
    Ok((frames, packed.size))
}

/// Logs an error, and returns the message for the caller.
fn log_error(error: bzimage::Error) -> &'static str {
    log::error!("{error}");
    "its kernel cannot be unpacked"
}
