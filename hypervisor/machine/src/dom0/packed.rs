// SPDX-License-Identifier: GPL-2.0

//! The kernel's ELF file: the loader's module itself, or what is packed in it.

use paravane::bzimage::{self, File};

use crate::arch::frames::{FRAME, Frames};
use crate::arch::{memory, ram, time};

impl File for ram::Bytes {
    fn len(&self) -> u64 {
        ram::Bytes::len(self)
    }

    fn read(&self, at: u64, to: &mut [u8]) {
        ram::Bytes::read(self, at, to);
    }
}

/// Unpacks a module of so many bytes if it is a packed kernel; returns the kernel and its size.
///
/// # Errors
///
/// Says why it cannot be unpacked.
pub fn unpack(module: (Frames, u64)) -> Result<(Frames, u64), &'static str> {
    const NO_MEMORY: &str = "no memory to unpack the kernel";
    let file = ram::Bytes::of(&module.0, module.1);
    let packed = bzimage::find(&file).map_err(said)?;
    let Some(packed) = packed else {
        return Ok(module);
    };
    let started = time::now();
    let mut frames = Frames::take_run(packed.size.div_ceil(FRAME)).ok_or(NO_MEMORY)?;
    let mut at = 0;
    let result = memory::with_room(packed.room(), || {
        packed.unpack(&file, &mut |bytes| {
            frames.write(at, bytes);
            at += bytes.len() as u64;
        })
    });
    result.ok_or(NO_MEMORY)?.map_err(said)?;
    log::info!(
        "the kernel was packed by {:?}: {} KiB became {} KiB in {} ms",
        packed.format,
        (packed.range.end - packed.range.start) >> 10,
        packed.size >> 10,
        (time::now() - started) / 1_000_000
    );
    Ok((frames, packed.size))
}

fn said(error: bzimage::Error) -> &'static str {
    log::error!("{error}");
    "its kernel cannot be unpacked"
}
