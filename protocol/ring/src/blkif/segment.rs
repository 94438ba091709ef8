// SPDX-License-Identifier: GPL-2.0

//! Segments: runs of sectors within a granted page.

use xen_abi::io::blkif::{
    Segment, MAX_SEGMENTS_PER_REQUEST, SECTORS_PER_PAGE, SECTOR_SIZE, SEGMENTS_PER_INDIRECT_PAGE,
};
use xen_abi::PAGE_SIZE;

pub use crate::pages::{pieces, Piece, Pieces};

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_page_holds_512_segments() {
        let expected = [(0, 0), (1, 1), (512, 1), (513, 2), (4096, 8)];
        for (segments, pages) in expected {
            assert_eq!(indirect_pages(segments), pages);
        }
    }
}
