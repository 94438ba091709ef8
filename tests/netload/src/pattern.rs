// SPDX-License-Identifier: GPL-2.0

//! Content that tells where it belongs: a word of 8 bytes is a function of its place and of the stream it is in, so
//! data that was lost, repeated, exchanged, shifted or overwritten is noticed.

use std::ops::Range;

/// The content of one stream, without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
}

/// Odd, so that multiplying by it maps different places to different words (2^64 divided by the golden ratio).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

const WORD: u64 = 8;

impl Pattern {
    /// The content of stream number `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed: seed.wrapping_mul(0xd6e8_feb8_6659_fd93),
        }
    }

    /// The word at byte `WORD * index`. Its low bytes alone would repeat after 256 words: hence the shift.
    fn word(self, index: u64) -> [u8; 8] {
        let word = (index ^ self.seed).wrapping_mul(STEP);
        (word ^ (word >> 32)).to_le_bytes()
    }

    /// Fills a buffer with what belongs at `offset`.
    pub fn fill(self, offset: u64, buffer: &mut [u8]) {
        let (head, index) = split(offset, buffer.len());
        let (first, rest) = buffer.split_at_mut(head.len());
        first.copy_from_slice(&self.word(index)[head]);
        let next = index + u64::from(!first.is_empty());
        for (piece, index) in rest.chunks_mut(WORD as usize).zip(next..) {
            piece.copy_from_slice(&self.word(index)[..piece.len()]);
        }
    }

    /// The offset of the first wrong byte of a buffer that should hold what belongs at `offset`.
    pub fn first_wrong(self, offset: u64, buffer: &[u8]) -> Option<u64> {
        let (head, index) = split(offset, buffer.len());
        let (first, rest) = buffer.split_at(head.len());
        let next = index + u64::from(!first.is_empty());
        let expected_first = self.word(index);
        let right = first == &expected_first[head]
            && rest
                .chunks(WORD as usize)
                .zip(next..)
                .all(|(piece, index)| piece == &self.word(index)[..piece.len()]);
        if right {
            return None;
        }
        let mut expected = vec![0; buffer.len()];
        self.fill(offset, &mut expected);
        let place = expected.iter().zip(buffer).position(|(a, b)| a != b)?;
        Some(offset + place as u64)
    }
}

/// The part of the word at `offset` that belongs to a buffer which begins in the middle of it, and that word's index.
fn split(offset: u64, len: usize) -> (Range<usize>, u64) {
    let within = (offset % WORD) as usize;
    let end = if within == 0 {
        0
    } else {
        (within + len).min(WORD as usize)
    };
    (within..end.max(within), offset / WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_same_whole() {
        let pattern = Pattern::new(7);
        let mut whole = vec![0; 4096];
        pattern.fill(1000, &mut whole);
        for size in [1, 2, 3, 7, 8, 9, 61, 4096] {
            let mut parts = vec![0; whole.len()];
            let mut at = 0;
            for part in parts.chunks_mut(size) {
                pattern.fill(1000 + at, part);
                assert_eq!(pattern.first_wrong(1000 + at, part), None);
                at += part.len() as u64;
            }
            assert_eq!(parts, whole);
        }
    }

    #[test]
    fn every_kind_of_damage_is_found_where_it_is() {
        let pattern = Pattern::new(1);
        let mut data = vec![0; 10_000];
        pattern.fill(3, &mut data);
        for place in [0, 4, 5, 4095, 9_999] {
            let mut damaged = data.clone();
            damaged[place] ^= 0x10;
            assert_eq!(pattern.first_wrong(3, &damaged), Some(3 + place as u64));
        }
        // A page that came twice, a shift by a page, and another stream's data.
        let mut twice = data.clone();
        twice.copy_within(0..4096, 4096);
        assert_eq!(pattern.first_wrong(3, &twice).map(|at| at / 4096), Some(1));
        assert!(pattern.first_wrong(3 + 4096, &data).is_some());
        assert!(Pattern::new(2).first_wrong(3, &data).is_some());
        assert_eq!(pattern.first_wrong(5, &[]), None);
    }
}
