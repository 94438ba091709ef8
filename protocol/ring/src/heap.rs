// SPDX-License-Identifier: GPL-2.0

//! Ring memory on the heap, for tests and host tools.

use crate::{FlagMem, RingMem};
use std::sync::atomic::{fence, AtomicU32, Ordering};
use std::sync::Arc;
use std::vec::Vec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Zeroed shared memory on the heap. A clone is the peer's view of the same bytes.
///
/// It is made of 32-bit atomics, so two threads may really race on it, as front and back end do.
/// An access that is misaligned or out of range panics: on the host that is a bug to be found.
#[derive(Clone, Debug)]
pub struct HeapMem {
    words: Arc<[AtomicU32]>,
}

impl HeapMem {
    /// Memory of `size` bytes, a multiple of four.
    pub fn new(size: usize) -> Self {
        assert!(size % 4 == 0, "ring memory comes in 32-bit words");
        Self {
            words: (0..size / 4).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Memory of whole 4 KiB pages, as a ring of `1 << order` pages has.
    pub fn pages(order: u32) -> Self {
        Self::new(4096 << order)
    }

    /// The hostile peer's tool: overwrites the bytes at `offset`, as many as fit.
    pub fn scribble(&self, offset: usize, bytes: &[u8]) {
        for (position, byte) in (offset..self.size()).zip(bytes) {
            let shift = position % 4 * 8;
            let word = &self.words[position / 4];
            let old = word.load(Ordering::Relaxed);
            let new = (old & !(0xff << shift)) | (u32::from(*byte) << shift);
            word.store(new, Ordering::Relaxed);
        }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0, "offset {offset} is not aligned");
        &self.words[offset / 4]
    }
}

impl RingMem for HeapMem {
    fn size(&self) -> usize {
        self.words.len() * 4
    }

    fn read<T: FromBytes>(&self, offset: usize) -> T {
        let size = size_of::<T>();
        let bytes: Vec<u8> = (0..size.div_ceil(4))
            .flat_map(|i| self.load_relaxed(offset + i * 4).to_ne_bytes())
            .collect();
        let Ok(value) = T::read_from_bytes(&bytes[..size]) else {
            unreachable!("the slice has the size of T");
        };
        value
    }

    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        for (i, chunk) in value.as_bytes().chunks(4).enumerate() {
            let at = offset + i * 4;
            match <[u8; 4]>::try_from(chunk) {
                Ok(word) => self.store_relaxed(at, u32::from_ne_bytes(word)),
                Err(_) => self.scribble(at, chunk),
            }
        }
    }

    fn load_relaxed(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Relaxed)
    }

    fn load_acquire(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn store_relaxed(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Relaxed);
    }

    fn store_release(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl FlagMem for HeapMem {
    fn set_flags(&self, offset: usize, bits: u32) {
        self.word(offset).fetch_or(bits, Ordering::SeqCst);
    }

    fn clear_flags(&self, offset: usize, bits: u32) {
        self.word(offset).fetch_and(!bits, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_sees_what_the_other_side_wrote() {
        let mem = HeapMem::new(64);
        mem.write(8, &[1u8, 2, 3, 4, 5, 6]);
        assert_eq!(mem.clone().read::<[u8; 8]>(8), [1, 2, 3, 4, 5, 6, 0, 0]);
        assert_eq!(mem.read::<[u8; 5]>(8), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn scribbling_overwrites_the_bytes_that_fit_and_no_other() {
        let mem = HeapMem::pages(1);
        assert_eq!(mem.size(), 8192);
        mem.scribble(0, &[0xff; 12]);
        mem.scribble(3, &[1, 2, 3, 4, 5, 6]);
        let expected = [255, 255, 255, 1, 2, 3, 4, 5, 6, 255, 255, 255];
        assert_eq!(mem.read::<[u8; 12]>(0), expected);
        mem.scribble(8190, &[7; 9]);
        assert_eq!(mem.read::<[u8; 4]>(8188), [0, 0, 7, 7]);
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn an_access_past_the_end_panics() {
        HeapMem::new(64).read::<u64>(60);
    }
}
