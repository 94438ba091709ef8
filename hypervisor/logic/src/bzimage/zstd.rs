// SPDX-License-Identifier: GPL-2.0

//! zstd (RFC 8878). The decoder keeps as many bytes as the frame says that copies reach back, its window: for a kernel
//! 128 MiB, whatever it unpacks to, as the packer did not know the size. Nothing reaches back beyond the beginning, so
//! the decoder gets another header, of a frame whose window is the whole file.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::{self, Read};

use super::{Error, File, Input, Output, PIECE};

/// How much is unpacked before the size is looked at, in bytes; the last block goes beyond it.
const STEP: usize = 1 << 20;
/// What a block unpacks to at most, in bytes.
const BLOCK: u64 = 128 << 10;

/// Fields of the frame header's descriptor (3.1.1.1.1): a dictionary is needed, a checksum follows the last block, no
/// window is named as it is the file's size, how long the file's size is (2: four bytes).
const DICTIONARY: u8 = 3;
const CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 3;
const SINGLE_SEGMENT: u8 = 1 << 5;
const SIZE_SHIFT: u8 = 6;

/// How much memory unpacking takes, in bytes: a buffer that grows to the next power of two, while its smaller
/// predecessors are still there.
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
        // It hands nothing out before the end unless there is more than the window.
        if decoder.can_collect() > 0 {
            return Err(Error::OtherSize);
        }
    }
    let mut piece = alloc::vec![0; PIECE];
    loop {
        match decoder.read(&mut piece).map_err(|_| Error::Damaged)? {
            0 => return Ok(()),
            count => output.push(&piece[..count])?,
        }
    }
}

/// Reads the frame's header and returns the one to use.
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

/// The header, then the rest.
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
