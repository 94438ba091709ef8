// SPDX-License-Identifier: GPL-2.0

//! Segments: runs of sectors within a granted page.

use core::iter::FusedIterator;
use xen_abi::io::blkif::{
    Segment, MAX_SEGMENTS_PER_REQUEST, SECTORS_PER_PAGE, SECTOR_SIZE, SEGMENTS_PER_INDIRECT_PAGE,
};
use xen_abi::PAGE_SIZE;

/// Makes the segment of `len` bytes at `offset` of the page granted as `gref`.
///
/// None if that is not a run of whole sectors within the page, or empty.
#[inline]
pub fn segment(gref: u32, offset: usize, len: usize) -> Option<Segment> {
    let end = offset.checked_add(len)?;
    if len == 0 || end > PAGE_SIZE || offset % SECTOR_SIZE != 0 || len % SECTOR_SIZE != 0 {
        return None;
    }
    Some(Segment {
        gref,
        first_sect: (offset / SECTOR_SIZE) as u8,
        last_sect: (end / SECTOR_SIZE).wrapping_sub(1) as u8,
        pad: 0,
    })
}

/// Number of sectors in a segment that the peer has made.
///
/// None if it is not a run within a page.
#[inline]
pub fn sectors(segment: &Segment) -> Option<u32> {
    if usize::from(segment.last_sect) >= SECTORS_PER_PAGE {
        return None;
    }
    let span = segment.last_sect.checked_sub(segment.first_sect)?;
    Some(u32::from(span).wrapping_add(1))
}

/// Number of pages that hold the segments of an indirect request.
#[inline]
pub const fn indirect_pages(nr_segments: usize) -> usize {
    nr_segments.div_ceil(SEGMENTS_PER_INDIRECT_PAGE)
}

/// Whether a transfer of so many segments needs an indirect request.
#[inline]
pub const fn needs_indirect(nr_segments: usize) -> bool {
    nr_segments > MAX_SEGMENTS_PER_REQUEST
}

/// A piece of a buffer that lies within one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Number of the page, counted from the one the buffer's offset is relative to.
    pub page: usize,
    /// First byte in that page.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
}

/// Cuts a buffer of `len` bytes, which starts `offset` bytes into its first page or behind it,
/// at the page boundaries. The pieces are what can be granted, one segment each.
#[inline]
pub fn pieces(offset: usize, len: usize) -> Pieces {
    Pieces {
        page: offset / PAGE_SIZE,
        offset: offset % PAGE_SIZE,
        len,
    }
}

/// Iterator over the pieces of a buffer, see [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces {
    page: usize,
    offset: usize,
    len: usize,
}

impl Iterator for Pieces {
    type Item = Piece;

    #[inline]
    fn next(&mut self) -> Option<Piece> {
        if self.len == 0 {
            return None;
        }
        let len = PAGE_SIZE.wrapping_sub(self.offset).min(self.len);
        let piece = Piece {
            page: self.page,
            offset: self.offset,
            len,
        };
        self.page = self.page.wrapping_add(1);
        self.offset = 0;
        self.len = self.len.wrapping_sub(len);
        Some(piece)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        // The buffer may end at the very top of the address space, so no sum of the two.
        let first = PAGE_SIZE.wrapping_sub(self.offset).min(self.len);
        let rest = self.len.wrapping_sub(first).div_ceil(PAGE_SIZE);
        let count = rest.wrapping_add((first > 0).into());
        (count, Some(count))
    }
}

impl ExactSizeIterator for Pieces {}
impl FusedIterator for Pieces {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_segment_is_a_run_of_whole_sectors_within_a_page() {
        for offset in 0..=PAGE_SIZE {
            for len in (0..=PAGE_SIZE + 512).step_by(256) {
                let good =
                    offset % 512 == 0 && len % 512 == 0 && len > 0 && offset + len <= PAGE_SIZE;
                let made = segment(9, offset, len);
                assert_eq!(made.is_some(), good, "offset {offset} len {len}");
                if let Some(made) = made {
                    assert_eq!(made.gref, 9);
                    assert_eq!(usize::from(made.first_sect) * 512, offset);
                    assert_eq!(sectors(&made), Some(len as u32 / 512));
                }
            }
        }
        assert_eq!(segment(9, usize::MAX - 511, 512), None);
    }

    #[test]
    fn a_peers_segment_must_not_leave_the_page_or_run_backwards() {
        for first_sect in 0..=255 {
            for last_sect in 0..=255 {
                let segment = Segment {
                    first_sect,
                    last_sect,
                    ..Segment::default()
                };
                let good = first_sect <= last_sect && last_sect < 8;
                let expected = good.then(|| u32::from(last_sect) - u32::from(first_sect) + 1);
                assert_eq!(sectors(&segment), expected);
            }
        }
    }

    #[test]
    fn pieces_cover_the_buffer_and_cross_no_page() {
        for offset in (0..3 * PAGE_SIZE).step_by(512) {
            for len in (0..3 * PAGE_SIZE).step_by(512) {
                let all: Vec<Piece> = pieces(offset, len).collect();
                assert_eq!(all.len(), pieces(offset, len).len());
                let mut at = offset;
                for piece in &all {
                    assert_eq!(piece.page * PAGE_SIZE + piece.offset, at);
                    assert!(piece.len > 0 && piece.offset + piece.len <= PAGE_SIZE);
                    at += piece.len;
                }
                assert_eq!(at, offset + len);
            }
        }
    }

    #[test]
    fn a_page_holds_512_segments() {
        let expected = [(0, 0), (1, 1), (512, 1), (513, 2), (4096, 8)];
        for (segments, pages) in expected {
            assert_eq!(indirect_pages(segments), pages);
        }
    }
}
