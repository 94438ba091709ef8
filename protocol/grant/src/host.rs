// SPDX-License-Identifier: GPL-2.0

//! A grant table on the heap, for tests and host tools.

use crate::deferred::Waiting;
use crate::entry::GrantTable;
use crate::references::Slots;
use crate::{SharedWord, Version};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64};
use std::boxed::Box;
use std::ops::{Deref, DerefMut};
use std::vec::Vec;
use xen_shared::WrittenBetween;

/// Words of 64 bits in an entry of version 2, the larger one.
const WORDS: usize = 2;

/// A table of entries and status words, open to the third writer.
#[derive(Debug)]
pub struct HostMemory {
    /// The version of the entries.
    pub version: Version,
    /// Each entry's 16 bytes, of which version 1 uses 8.
    pub entries: Vec<[AtomicU64; WORDS]>,
    /// Each entry's status word in the low half, of version 2.
    pub status: Vec<AtomicU64>,
}

impl HostMemory {
    /// A table of so many zeroed entries.
    pub fn new(version: Version, entries: usize) -> Self {
        Self {
            version,
            entries: (0..entries).map(|_| Default::default()).collect(),
            status: (0..entries).map(|_| Default::default()).collect(),
        }
    }
}

/// The table as a side reaches it, with a third writer who is called before each operation.
#[derive(Debug)]
pub struct HostTable<'m, F> {
    /// The memory.
    pub memory: &'m HostMemory,
    /// The third writer.
    pub writer: F,
}

impl<'m, F: Fn(&HostMemory)> HostTable<'m, F> {
    /// The memory with a third writer; `|_| {}` is one that writes nothing.
    pub fn new(memory: &'m HostMemory, writer: F) -> Self {
        Self { memory, writer }
    }

    fn word<W>(&self, word: W) -> WrittenBetween<'_, W, HostMemory, F> {
        WrittenBetween {
            word,
            memory: self.memory,
            writer: &self.writer,
        }
    }

    /// The word of 64 bits of an entry that has an offset, and the bit at which it begins in that.
    fn entry(&self, reference: u32, offset: usize) -> Option<(&'m AtomicU64, u32)> {
        let entry = self.memory.entries.get(reference as usize)?;
        Some((entry.get(offset / 8)?, offset as u32 % 8 * 8))
    }
}

/// A part of 16 or 32 bits of a word of 64: the heap's atomics have one width each.
#[derive(Clone, Copy, Debug)]
pub struct HalfWord<'w, T> {
    word: &'w AtomicU64,
    shift: u32,
    width: core::marker::PhantomData<T>,
}

impl<'w, T> HalfWord<'w, T> {
    /// The part that begins at a bit.
    pub fn new(word: &'w AtomicU64, shift: u32) -> Self {
        let width = core::marker::PhantomData;
        Self { word, shift, width }
    }
}

macro_rules! parts {
    ($($value:ident),*) => {
        $(impl HalfWord<'_, $value> {
            /// Changes the part as one operation; `None` leaves it. Returns what it was.
            fn change(&self, to: impl Fn($value) -> Option<$value>) -> Result<$value, $value> {
                let part = |word: u64| (word >> self.shift) as $value;
                let mask = u64::from($value::MAX) << self.shift;
                let changed = self.word.fetch_update(SeqCst, SeqCst, |word| {
                    Some(word & !mask | u64::from(to(part(word))?) << self.shift)
                });
                changed.map(part).map_err(part)
            }
        }

        impl SharedWord for HalfWord<'_, $value> {
            type Value = $value;

            fn load(&self) -> $value {
                (self.word.load(SeqCst) >> self.shift) as $value
            }
            fn store(&self, value: $value) {
                self.swap(value);
            }
            fn compare_exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                self.change(|now| (now == old).then_some(new))
            }
            fn fetch_or(&self, bits: $value) -> $value {
                let (Ok(was) | Err(was)) = self.change(|now| Some(now | bits));
                was
            }
            fn fetch_clear(&self, bits: $value) -> $value {
                let (Ok(was) | Err(was)) = self.change(|now| Some(now & !bits));
                was
            }
            fn swap(&self, value: $value) -> $value {
                let (Ok(was) | Err(was)) = self.change(|_| Some(value));
                was
            }
        })*
    };
}

parts!(u16, u32);

impl<'m, F: Fn(&HostMemory)> GrantTable for HostTable<'m, F> {
    type U16<'a>
        = WrittenBetween<'a, HalfWord<'m, u16>, HostMemory, F>
    where
        Self: 'a;
    type U32<'a>
        = WrittenBetween<'a, HalfWord<'m, u32>, HostMemory, F>
    where
        Self: 'a;
    type U64<'a>
        = WrittenBetween<'a, &'m AtomicU64, HostMemory, F>
    where
        Self: 'a;

    fn version(&self) -> Version {
        self.memory.version
    }

    fn entry_u16(&self, reference: u32, offset: usize) -> Option<Self::U16<'_>> {
        let (word, shift) = self.entry(reference, offset)?;
        Some(self.word(HalfWord::new(word, shift)))
    }

    fn entry_u32(&self, reference: u32, offset: usize) -> Option<Self::U32<'_>> {
        let (word, shift) = self.entry(reference, offset)?;
        Some(self.word(HalfWord::new(word, shift)))
    }

    fn entry_u64(&self, reference: u32, offset: usize) -> Option<Self::U64<'_>> {
        let (word, _) = self.entry(reference, offset)?;
        Some(self.word(word))
    }

    fn status_u16(&self, reference: u32) -> Option<Self::U16<'_>> {
        let word = self.memory.status.get(reference as usize)?;
        Some(self.word(HalfWord::new(word, 0)))
    }
}

/// A deferred grant on the heap.
#[derive(Debug)]
pub struct WaitingBox<P>(Box<Waiting<P, Self>>);

impl<P> WaitingBox<P> {
    /// Allocates its memory.
    pub fn new(waiting: Waiting<P, Self>) -> Self {
        Self(Box::new(waiting))
    }
}

impl<P> Deref for WaitingBox<P> {
    type Target = Waiting<P, Self>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<P> DerefMut for WaitingBox<P> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Slots for Vec<AtomicU32> {
    fn load(&self, reference: u32) -> u32 {
        let slot = self.get(reference as usize);
        slot.map_or(0, |slot| slot.load(Relaxed))
    }

    fn store(&self, reference: u32, value: u32) {
        if let Some(slot) = self.get(reference as usize) {
            slot.store(value, Relaxed);
        }
    }

    fn room(&self) -> u32 {
        self.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_word_changes_alone() {
        let word = AtomicU64::new(0x1111_2222_3333_4444);
        let part = HalfWord::<u16>::new(&word, 16);
        assert_eq!(part.compare_exchange(0x3333, 0xaaaa), Ok(0x3333));
        assert_eq!(part.compare_exchange(0x3333, 0xbbbb), Err(0xaaaa));
        assert_eq!(part.fetch_or(0x0001), 0xaaaa);
        assert_eq!(part.fetch_clear(0x0001), 0xaaab);
        assert_eq!(part.swap(0xcccc), 0xaaaa);
        part.store(0xdddd);
        assert_eq!(part.load(), 0xdddd);
        let upper = HalfWord::<u32>::new(&word, 32);
        assert_eq!(upper.swap(0x9999_8888), 0x1111_2222);
        assert_eq!(word.load(SeqCst), 0x9999_8888_dddd_4444);
    }
}
