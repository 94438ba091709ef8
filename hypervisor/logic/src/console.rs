// SPDX-License-Identifier: GPL-2.0

//! The console ring: the last output of the hypervisor and dom0, for `xl dmesg`.
//!
//! Bytes are numbered from the hypervisor's start. A reader continues with the number of the next byte.

use alloc::vec;
use alloc::vec::Vec;

/// Capacity in bytes.
pub const SIZE: u32 = 32 << 10;

/// The ring's state.
pub struct ConsoleRing {
    bytes: Vec<u8>,
    /// Number of the next byte to be written; it wraps at 2 to the 32.
    written: u32,
    /// Number of the first byte that is kept and was not cleared.
    first: u32,
}

/// Result of a read.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// The bytes that were read.
    pub bytes: Vec<u8>,
    /// Number of the byte after them.
    pub next: u32,
}

impl ConsoleRing {
    /// An empty ring.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; SIZE as usize],
            written: 0,
            first: 0,
        }
    }

    /// Appends bytes, overwriting the oldest.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[(self.written % SIZE) as usize] = *byte;
            self.written = self.written.wrapping_add(1);
            if self.written.wrapping_sub(self.first) > SIZE {
                self.first = self.written.wrapping_sub(SIZE);
            }
        }
    }

    /// Reads up to `max` bytes, from byte `from` on, or from the oldest one if that has been overwritten.
    pub fn read(&self, from: Option<u32>, max: u32) -> Read {
        let kept = self.written.wrapping_sub(self.first);
        let start = match from {
            Some(from) if from.wrapping_sub(self.first) <= kept => from,
            _ => self.first,
        };
        let count = self.written.wrapping_sub(start).min(max);
        let byte = |i| self.bytes[(start.wrapping_add(i) % SIZE) as usize];
        Read {
            bytes: (0..count).map(byte).collect(),
            next: start.wrapping_add(count),
        }
    }

    /// Drops the bytes before a number.
    pub fn clear(&mut self, until: u32) {
        if until.wrapping_sub(self.first) <= self.written.wrapping_sub(self.first) {
            self.first = until;
        }
    }
}

impl Default for ConsoleRing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reader_goes_on_where_it_stopped() {
        let mut ring = ConsoleRing::new();
        ring.write(b"hello ");
        let first = ring.read(None, 4);
        assert_eq!(first.bytes, b"hell");
        ring.write(b"world");
        assert_eq!(ring.read(Some(first.next), 100).bytes, b"o world");
        assert_eq!(
            ring.read(Some(12), 100).bytes,
            b"hello world",
            "nobody has written that far"
        );
        ring.clear(6);
        assert_eq!(ring.read(None, 100).bytes, b"world");
        assert_eq!(ring.read(Some(2), 100).bytes, b"world", "it is gone");
    }

    proptest! {
        #[test]
        fn the_last_bytes_are_kept_across_the_wrap(start in any::<u32>(), lengths in proptest::collection::vec(0usize..20_000, 1..8)) {
            let mut ring = ConsoleRing { written: start, first: start, ..ConsoleRing::new() };
            let mut all: Vec<u8> = Vec::new();
            for (i, length) in lengths.into_iter().enumerate() {
                let text = vec![i as u8 + 1; length];
                ring.write(&text);
                all.extend(text);
            }
            let kept = &all[all.len().saturating_sub(SIZE as usize)..];
            let read = ring.read(None, u32::MAX);
            prop_assert_eq!(&read.bytes[..], kept);
            prop_assert_eq!(read.next, start.wrapping_add(all.len() as u32));
        }
    }
}
