// SPDX-License-Identifier: GPL-2.0

//! Buffers cut at page boundaries, since what is granted is a page.

use core::iter::FusedIterator;
use xen_abi::PAGE_SIZE;

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
/// at the page boundaries. The pieces are what can be granted, and take a segment or a
/// ring slot each.
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
}
