// SPDX-License-Identifier: GPL-2.0

//! gzip (RFC 1952). The checksum is not verified; the size is, and the result has to be an ELF file.

use alloc::boxed::Box;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::{CHUNK, Error, File, Input, Output};

/// Bits of the header's flags (2.3.1).
const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;

/// Size of the circular output buffer: the largest distance of a back reference (RFC 1951, 3.2.5).
const WINDOW: usize = 32 << 10;

pub(super) fn unpack<F: File>(
    input: &mut Input<'_, F>,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    header(input)?;
    let mut state = Box::<DecompressorOxide>::default();
    let (mut chunk, mut window) = (alloc::vec![0; CHUNK], alloc::vec![0; WINDOW]);
    let (mut have, mut used, mut at) = (0, 0, 0);
    loop {
        if used == have {
            (have, used) = (input.take(&mut chunk), 0);
        }
        let more = if input.left() > 0 {
            inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
        } else {
            0
        };
        let (status, read, written) =
            decompress(&mut state, &chunk[used..have], &mut window, at, more);
        used += read;
        output.push(&window[at..at + written])?;
        at = (at + written) % WINDOW;
        match status {
            TINFLStatus::Done => return Ok(()),
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::NeedsMoreInput if used == have && input.left() > 0 => {}
            _ => return Err(Error::Damaged),
        }
    }
}

fn header<F: File>(input: &mut Input<'_, F>) -> Result<(), Error> {
    let mut fixed = [0; 10];
    input.fill(&mut fixed)?;
    let (method, flags) = (fixed[2], fixed[3]);
    if method != 8 {
        return Err(Error::Damaged);
    }
    if flags & FEXTRA != 0 {
        let mut len = [0; 2];
        input.fill(&mut len)?;
        skip(input, u16::from_le_bytes(len).into())?;
    }
    for flag in [FNAME, FCOMMENT] {
        let mut byte = [u8::from(flags & flag != 0)];
        while byte != [0] {
            input.fill(&mut byte)?;
        }
    }
    if flags & FHCRC != 0 {
        skip(input, 2)?;
    }
    Ok(())
}

fn skip<F: File>(input: &mut Input<'_, F>, count: usize) -> Result<(), Error> {
    let mut byte = [0];
    (0..count).try_for_each(|_| input.fill(&mut byte))
}
