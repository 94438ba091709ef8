//! The console ring: the last of what the hypervisor and dom0 said, for `xl dmesg`.
//!
//! Bytes are counted from the hypervisor's start, so a reader that goes on where it stopped names the next byte.

use alloc::vec;
use alloc::vec::Vec;

/// Bytes that are kept.
pub const SIZE: u32 = 32 << 10;

/// The ring.
pub struct Ring {
    bytes: Vec<u8>,
    /// Number of the next byte to be written; it wraps at 2 to the 32.
    written: u32,
    /// Number of the first byte that is kept and was not cleared.
    first: u32,
}

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Number of the byte after them.
    pub next: u32,
}

impl Ring {
    /// An empty ring.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; SIZE as usize],
            written: 0,
            first: 0,
        }
    }

    /// Adds bytes; the oldest make room for them.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[(self.written % SIZE) as usize] = *byte;
            self.written = self.written.wrapping_add(1);
            if self.written.wrapping_sub(self.first) > SIZE {
                self.first = self.written.wrapping_sub(SIZE);
            }
        }
    }

    /// Reads at most `most` bytes, from the byte of a number on if it is still there, else from the first.
    pub fn read(&self, from: Option<u32>, most: u32) -> Read {
        let kept = self.written.wrapping_sub(self.first);
        let start = match from {
            Some(from) if from.wrapping_sub(self.first) <= kept => from,
            _ => self.first,
        };
        let count = self.written.wrapping_sub(start).min(most);
        let byte = |i| self.bytes[(start.wrapping_add(i) % SIZE) as usize];
        Read {
            bytes: (0..count).map(byte).collect(),
            next: start.wrapping_add(count),
        }
    }

    /// Forgets what comes before the byte of a number.
    pub fn clear(&mut self, until: u32) {
        if until.wrapping_sub(self.first) <= self.written.wrapping_sub(self.first) {
            self.first = until;
        }
    }
}

impl Default for Ring {
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
        let mut ring = Ring::new();
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
            let mut ring = Ring { written: start, first: start, ..Ring::new() };
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
