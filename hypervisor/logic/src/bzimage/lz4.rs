// SPDX-License-Identifier: GPL-2.0

//! lz4's old format (`lz4 -l`, lz4_Frame_format.md, "Legacy frame"): a magic number, then blocks with their packed size
//! before them, each of which unpacks to 8 MiB, the last one to less.

use super::{Error, File, Input, Output};

/// What a block unpacks to at most, in bytes.
const BLOCK: usize = 8 << 20;
/// What a packed block has at most, in bytes: one that cannot be packed grows by a 255th.
const PACKED: usize = BLOCK + BLOCK / 255 + 16;

/// How much memory unpacking takes, in bytes.
pub(super) const ROOM: u64 = (BLOCK + PACKED) as u64;

pub(super) fn unpack<F: File>(
    input: &mut Input<'_, F>,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let mut word = [0; 4];
    input.fill(&mut word)?;
    let (mut packed, mut block) = (alloc::vec![0; PACKED], alloc::vec![0; BLOCK]);
    while input.left() > 0 {
        input.fill(&mut word)?;
        let size = u32::from_le_bytes(word) as usize;
        let bytes = packed.get_mut(..size).ok_or(Error::Damaged)?;
        input.fill(bytes)?;
        let written =
            lz4_flex::block::decompress_into(bytes, &mut block).map_err(|_| Error::Damaged)?;
        output.push(block.get(..written).ok_or(Error::Damaged)?)?;
    }
    Ok(())
}
