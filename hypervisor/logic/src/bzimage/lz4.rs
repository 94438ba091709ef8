// SPDX-License-Identifier: GPL-2.0

//! lz4 in its legacy format (`lz4 -l`, lz4_Frame_format.md, "Legacy frame"): a magic number, then blocks, each after
//! its compressed size. A block holds 8 MiB, the last one less.

use super::{Error, File, Input, Output};

/// Largest uncompressed size of a block, in bytes.
const BLOCK: usize = 8 << 20;
/// Largest compressed size of a block, in bytes: incompressible data grow by a 255th.
const PACKED: usize = BLOCK + BLOCK / 255 + 16;

/// Bytes that unpacking allocates.
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
