// SPDX-License-Identifier: GPL-2.0

//! zstd (RFC 8878). The decoder allocates the window that the frame header asks for: 128 MiB for a kernel, whatever its
//! size, as the compressor read it from a pipe. A back reference cannot reach beyond the start, so the decoder gets
//! another header, of a single-segment frame whose window is the uncompressed file.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::{self, Read};

use super::{CHUNK, Error, File, Input, Output};

/// Bytes that are unpacked before the size is checked; the last block may exceed it.
const STEP: usize = 1 << 20;
/// Largest uncompressed size of a block, in bytes.
const BLOCK: u64 = 128 << 10;

/// Fields of the frame header's descriptor (3.1.1.1.1): dictionary id, checksum behind the last block, single segment
/// (no window field), size of the content size field (2: four bytes).
const DICTIONARY: u8 = 3;
const CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 3;
const SINGLE_SEGMENT: u8 = 1 << 5;
const SIZE_SHIFT: u8 = 6;

/// Bytes that unpacking allocates: a buffer that grows to the next power of two while the smaller one still exists.
pub(super) fn room(size: u64) -> u64 {
    2 * (size + STEP as u64 + BLOCK).next_power_of_two()
}

pub(super) fn unpack<F: File>(
    input: &mut Input<'_, F>,
    output: &mut Output<'_>,
    size: u64,
) -> Result<(), Error> {
    let head = header(input, size)?;
    let mut source = Source { head: &head, input };
    let mut decoder = FrameDecoder::new();
    decoder.init(&mut source).map_err(|_| Error::Damaged)?;
    let step = || BlockDecodingStrategy::UptoBytes(STEP);
    while !decoder
        .decode_blocks(&mut source, step())
        .map_err(|_| Error::Damaged)?
    {
        // It returns nothing before the end unless there is more than the window.
        if decoder.can_collect() > 0 {
            return Err(Error::OtherSize);
        }
    }
    let mut chunk = alloc::vec![0; CHUNK];
    loop {
        match decoder.read(&mut chunk).map_err(|_| Error::Damaged)? {
            0 => return Ok(()),
            count => output.push(&chunk[..count])?,
        }
    }
}

/// Reads the frame's header and returns its replacement.
fn header<F: File>(input: &mut Input<'_, F>, size: u64) -> Result<[u8; 9], Error> {
    let mut fixed = [0; 5];
    input.fill(&mut fixed)?;
    let descriptor = fixed[4];
    if descriptor & (DICTIONARY | RESERVED) != 0 {
        return Err(Error::Damaged);
    }
    let single = descriptor & SINGLE_SEGMENT != 0;
    let size_bytes = match descriptor >> SIZE_SHIFT {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let mut rest = [0; 9];
    input.fill(&mut rest[..size_bytes + usize::from(!single)])?;
    let mut head = [0; 9];
    head[..4].copy_from_slice(&fixed[..4]);
    head[4] = descriptor & CHECKSUM | SINGLE_SEGMENT | 2 << SIZE_SHIFT;
    let size = u32::try_from(size).map_err(|_| Error::Size(size))?;
    head[5..].copy_from_slice(&size.to_le_bytes());
    Ok(head)
}

/// The replaced header, then the rest of the input.
struct Source<'s, 'f, F> {
    head: &'s [u8],
    input: &'s mut Input<'f, F>,
}

impl<F: File> Read for Source<'_, '_, F> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, io::Error> {
        if self.head.is_empty() {
            return Ok(self.input.take(to));
        }
        let count = self.head.len().min(to.len());
        let (now, later) = self.head.split_at(count);
        to[..count].copy_from_slice(now);
        self.head = later;
        Ok(count)
    }
}
