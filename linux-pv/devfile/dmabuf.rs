// SPDX-License-Identifier: GPL-2.0

//! Buffers that are shared with other drivers (dma-bufs): which memory a process may ask for,
//! whether a list of segments consists of whole pages, and how a buffer is found by its file
//! descriptor.

use xen_abi::linux::gntdev::dma_flag;

use crate::mapping::PAGE;

/// Why a request for memory is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its flags contradict each other.
    Contradiction,
    /// The kernel has no allocator for memory of this kind.
    NoSuchMemory,
}

/// Checks at which memory a process asks to map grants ([`dma_flag`]). Memory of devices
/// needs an allocator that is a build option of Linux (`XEN_GRANT_DMA_ALLOC`); unknown flags are
/// ignored, as in C.
pub fn ordinary_memory(flags: u32) -> Result<(), Refused> {
    let of_devices = dma_flag::WC | dma_flag::COHERENT;
    match flags & of_devices {
        0 => Ok(()),
        both if both == of_devices => Err(Refused::Contradiction),
        _ => Err(Refused::NoSuchMemory),
    }
}

/// A piece of memory as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address of its first byte.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Whether the segments are whole pages, none beyond the end of the address space, and `count`
/// pages in all.
pub fn are_pages(segments: impl IntoIterator<Item = Segment>, count: u64) -> bool {
    let mut total = 0u64;
    for segment in segments {
        let whole = segment.address % PAGE == 0 && segment.len % PAGE == 0;
        if !whole || segment.len == 0 || segment.address.checked_add(segment.len).is_none() {
            return false;
        }
        total = match total.checked_add(segment.len / PAGE) {
            Some(total) if total <= count => total,
            _ => return false,
        };
    }
    total == count
}

/// The addresses of the pages of such segments, in order.
pub fn pages(segments: impl IntoIterator<Item = Segment>) -> impl Iterator<Item = u64> {
    let each = |segment: Segment| {
        let pages = segment.len / PAGE;
        (0..pages).map(move |page| segment.address + page * PAGE)
    };
    segments.into_iter().flat_map(each)
}

/// The key that a buffer is found by: the file descriptor that the process had for it. That may
/// become another file's while the buffer exists, so several buffers may have it; the newest comes
/// first in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    fd: u32,
    // Counted downwards, so that later ones are less.
    number: u64,
}

impl Key {
    /// Not greater than any key with this file descriptor: the newest is the first that is not
    /// less.
    pub const fn newest(fd: u32) -> Self {
        Self { fd, number: 0 }
    }

    /// Whether the buffer had that file descriptor.
    pub const fn is(&self, fd: u32) -> bool {
        self.fd == fd
    }
}

/// Makes keys that all differ.
#[derive(Debug)]
pub struct Keys {
    next: u64,
}

impl Keys {
    /// No key was made yet.
    pub const fn new() -> Self {
        Self { next: u64::MAX }
    }

    /// The key of a new buffer.
    pub fn make(&mut self, fd: u32) -> Key {
        let number = self.next;
        // It would take centuries to get to 0.
        self.next = self.next.saturating_sub(1);
        Key { fd, number }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        collections::BTreeMap,
        vec::Vec, //
    };

    fn segments(list: &[(u64, u64)]) -> impl Iterator<Item = Segment> + '_ {
        let segment = |&(address, len): &(u64, u64)| Segment { address, len };
        list.iter().map(segment)
    }

    #[test]
    fn memory_of_devices_is_refused_and_what_nobody_knows_ignored() {
        assert_eq!(ordinary_memory(0), Ok(()));
        assert_eq!(ordinary_memory(!3), Ok(()));
        for flag in [dma_flag::WC, dma_flag::COHERENT, dma_flag::WC | 4] {
            assert_eq!(ordinary_memory(flag), Err(Refused::NoSuchMemory));
        }
        assert_eq!(ordinary_memory(3), Err(Refused::Contradiction));
        assert_eq!(ordinary_memory(!0), Err(Refused::Contradiction));
    }

    #[test]
    fn segments_have_to_be_whole_pages_and_as_many() {
        for (list, count, good) in [
            (&[][..], 0, true),
            (&[][..], 1, false),
            (&[(0x1000, 0x1000)][..], 1, true),
            (&[(0x1000, 0x3000), (0, 0x1000)][..], 4, true),
            (&[(0x1000, 0x3000), (0, 0x1000)][..], 3, false),
            (&[(0x1000, 0x3000), (0, 0x1000)][..], 5, false),
            (&[(0x1001, 0x1000)][..], 1, false),
            (&[(0x1000, 0x0fff)][..], 1, false),
            (&[(0x1000, 0x1800), (0x2800, 0x800)][..], 2, false),
            (&[(0x1000, 0), (0x1000, 0x1000)][..], 1, false),
            (&[(0u64.wrapping_sub(0x1000), 0x1000)][..], 1, false),
            (&[(0u64.wrapping_sub(0x2000), 0x1000)][..], 1, true),
            (&[(0x1000, 1 << 63), (0, 1 << 63)][..], 1, false),
        ] {
            assert_eq!(are_pages(segments(list), count), good, "{list:x?}, {count}");
        }
    }

    proptest! {
        #[test]
        fn good_segments_have_as_many_pages_as_was_said(list: Vec<(u8, u8)>, count in 0..64u64) {
            let list: Vec<_> = list
                .iter()
                .map(|&(first, pages)| (u64::from(first) * PAGE, u64::from(pages % 8) * PAGE))
                .collect();
            if are_pages(segments(&list), count) {
                let all: Vec<u64> = pages(segments(&list)).collect();
                prop_assert_eq!(all.len() as u64, count);
                let mut expected = Vec::new();
                for (at, len) in list {
                    expected.extend((at..at + len).step_by(PAGE as usize));
                }
                prop_assert_eq!(all, expected);
            }
        }
    }

    #[test]
    fn the_newest_buffer_of_a_file_descriptor_is_found_first() {
        let mut keys = Keys::new();
        let mut all = BTreeMap::new();
        for (fd, name) in [(3, "a"), (4, "b"), (3, "c"), (u32::MAX, "d")] {
            all.insert(keys.make(fd), name);
        }
        let newest = |all: &BTreeMap<Key, &'static str>, fd| {
            let mut from = all.range(Key::newest(fd)..);
            from.next()
                .filter(|(key, _)| key.is(fd))
                .map(|(key, name)| (*key, *name))
        };
        let (key, name) = newest(&all, 3).unwrap();
        assert_eq!(name, "c");
        all.remove(&key);
        assert_eq!(newest(&all, 3).unwrap().1, "a");
        assert_eq!(newest(&all, 4).unwrap().1, "b");
        assert_eq!(newest(&all, u32::MAX).unwrap().1, "d");
        for fd in [0, 2, 5] {
            assert_eq!(newest(&all, fd), None);
        }
    }
}
