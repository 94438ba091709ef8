// SPDX-License-Identifier: GPL-2.0

//! Copies between grants and a process's memory (`GRANT_COPY`), divided into pieces that the
//! hypervisor copies by one operation each: a piece lies in one page of each side.

use xen_abi::{
    grant_table::op::copy_flag,
    linux::gntdev::CopySegment, //
};

use crate::mapping::PAGE;

/// One side of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Another domain's grant, from this byte of its page on.
    Grant {
        /// The domain.
        domain: u16,
        /// The grant reference.
        reference: u32,
        /// Less than a page, or a page if there is nothing to copy.
        offset: u16,
    },
    /// The process's memory.
    Memory {
        /// May be any number.
        address: u64,
    },
}

impl Side {
    fn decode(raw: u64, is_grant: bool) -> Self {
        if is_grant {
            Side::Grant {
                reference: raw as u32,
                offset: (raw >> 32) as u16,
                domain: (raw >> 48) as u16,
            }
        } else {
            Side::Memory { address: raw }
        }
    }

    /// Whether `len` bytes from there on are within one page, which a grant requires.
    fn has_room(&self, len: u16) -> bool {
        match self {
            Side::Grant { offset, .. } => u64::from(*offset) + u64::from(len) <= PAGE,
            Side::Memory { .. } => true,
        }
    }

    /// The number of bytes up to the end of the page, which limits a piece.
    fn left(&self) -> u64 {
        match self {
            Side::Grant { .. } => PAGE,
            Side::Memory { address } => PAGE - address % PAGE,
        }
    }

    fn advance(&mut self, len: u16) {
        match self {
            Side::Grant { offset, .. } => *offset = offset.wrapping_add(len),
            Side::Memory { address } => *address = address.wrapping_add(len.into()),
        }
    }
}

/// What the hypervisor copies by one operation; also the rest of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it is copied from.
    pub source: Side,
    /// Where it is copied to.
    pub dest: Side,
    /// Length in bytes.
    pub len: u16,
}

/// The pieces of a segment; `None` if it is invalid: one side has to be a grant, and a grant is one
/// page.
#[inline]
pub fn pieces(segment: &CopySegment) -> Option<impl Iterator<Item = Piece>> {
    let from_grant = segment.flags & copy_flag::SOURCE_GREF != 0;
    let to_grant = segment.flags & copy_flag::DEST_GREF != 0;
    if !from_grant && !to_grant {
        return None;
    }
    let mut rest = Piece {
        source: Side::decode(segment.source, from_grant),
        dest: Side::decode(segment.dest, to_grant),
        len: segment.len,
    };
    if !rest.source.has_room(rest.len) || !rest.dest.has_room(rest.len) {
        return None;
    }
    Some(core::iter::from_fn(move || {
        if rest.len == 0 {
            return None;
        }
        let in_page = rest.source.left().min(rest.dest.left());
        let len = u64::from(rest.len).min(in_page) as u16;
        let piece = Piece { len, ..rest };
        rest.source.advance(len);
        rest.dest.advance(len);
        rest.len -= len;
        Some(piece)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    use proptest::prelude::*;

    fn grant(domain: u16, reference: u32, offset: u16) -> u64 {
        u64::from(domain) << 48 | u64::from(offset) << 32 | u64::from(reference)
    }

    fn segment(source: u64, dest: u64, len: u16, flags: u16) -> CopySegment {
        CopySegment {
            source,
            dest,
            len,
            flags,
            ..Default::default()
        }
    }

    #[test]
    fn memory_is_cut_where_its_pages_end() {
        let segment = segment(0x1ff0, grant(7, 9, 100), 0x20, copy_flag::DEST_GREF);
        let pieces: Vec<Piece> = pieces(&segment).unwrap().collect();
        let dest = |offset| Side::Grant {
            domain: 7,
            reference: 9,
            offset,
        };
        let piece = |address, offset| Piece {
            source: Side::Memory { address },
            dest: dest(offset),
            len: 0x10,
        };
        assert_eq!(pieces, [piece(0x1ff0, 100), piece(0x2000, 116)]);
    }

    #[test]
    fn a_segment_without_grant_or_beyond_one_is_refused() {
        let both = copy_flag::SOURCE_GREF | copy_flag::DEST_GREF;
        assert!(pieces(&segment(0, 0, 1, 0)).is_none());
        for (offset, len, fine) in [
            (0, 4096, true),
            (1, 4096, false),
            (4096, 0, true),
            (u16::MAX, 1, false),
        ] {
            let ends = grant(1, 1, offset);
            let ok = |s: CopySegment| pieces(&s).is_some();
            assert_eq!(ok(segment(ends, 0, len, copy_flag::SOURCE_GREF)), fine);
            assert_eq!(ok(segment(0, ends, len, copy_flag::DEST_GREF)), fine);
            assert_eq!(ok(segment(ends, ends, len, both)), fine);
        }
    }

    proptest! {
        /// For any segment, the pieces are the whole of it in order, and none crosses a page.
        #[test]
        fn pieces_are_the_segment(source: u64, dest: u64, len: u16, flags in 0u16..4) {
            let segment = segment(source, dest, len, flags);
            if let Some(pieces) = pieces(&segment) {
                let mut ends = [
                    Side::decode(source, flags & copy_flag::SOURCE_GREF != 0),
                    Side::decode(dest, flags & copy_flag::DEST_GREF != 0),
                ];
                let mut total = 0u32;
                for piece in pieces {
                    prop_assert!(piece.len > 0);
                    total += u32::from(piece.len);
                    for side in [piece.source, piece.dest] {
                        let offset = match side {
                            Side::Grant { offset, .. } => u64::from(offset),
                            Side::Memory { address } => address % PAGE,
                        };
                        prop_assert!(offset + u64::from(piece.len) <= PAGE);
                    }
                    // Both sides begin where the piece before ended.
                    prop_assert_eq!([piece.source, piece.dest], ends);
                    for end in &mut ends {
                        match end {
                            Side::Grant { offset, .. } => *offset += piece.len,
                            Side::Memory { address } => {
                                *address = address.wrapping_add(piece.len.into());
                            }
                        }
                    }
                }
                prop_assert_eq!(total, u32::from(len));
            }
        }
    }
}
