// SPDX-License-Identifier: GPL-2.0

//! Shared words on the heap, for tests and host tools, and a third writer who changes them.

use crate::SharedWord;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering};

macro_rules! atomics {
    ($($atomic:ident, $value:ident;)*) => {
        $(impl SharedWord for $atomic {
            type Value = $value;

            fn load(&self) -> $value {
                $atomic::load(self, Ordering::SeqCst)
            }
            fn store(&self, value: $value) {
                $atomic::store(self, value, Ordering::SeqCst);
            }
            fn compare_exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                $atomic::compare_exchange(self, old, new, Ordering::SeqCst, Ordering::SeqCst)
            }
            fn fetch_or(&self, bits: $value) -> $value {
                $atomic::fetch_or(self, bits, Ordering::SeqCst)
            }
            fn fetch_clear(&self, bits: $value) -> $value {
                $atomic::fetch_and(self, !bits, Ordering::SeqCst)
            }
            fn swap(&self, value: $value) -> $value {
                $atomic::swap(self, value, Ordering::SeqCst)
            }
        })*
    };
}

atomics! {
    AtomicU8, u8;
    AtomicU16, u16;
    AtomicU32, u32;
    AtomicU64, u64;
}

/// A word before each of whose operations a function is called with the memory it lies in: the third
/// writer of tests, who changes this word or others at the worst moment.
#[derive(Debug)]
pub struct WrittenBetween<'a, W, M, F> {
    /// The word.
    pub word: W,
    /// The memory.
    pub memory: &'a M,
    /// What is called.
    pub writer: &'a F,
}

impl<W: SharedWord, M, F: Fn(&M)> SharedWord for WrittenBetween<'_, W, M, F> {
    type Value = W::Value;

    fn load(&self) -> W::Value {
        (self.writer)(self.memory);
        self.word.load()
    }
    fn store(&self, value: W::Value) {
        (self.writer)(self.memory);
        self.word.store(value);
    }
    fn compare_exchange(&self, old: W::Value, new: W::Value) -> Result<W::Value, W::Value> {
        (self.writer)(self.memory);
        self.word.compare_exchange(old, new)
    }
    fn fetch_or(&self, bits: W::Value) -> W::Value {
        (self.writer)(self.memory);
        self.word.fetch_or(bits)
    }
    fn fetch_clear(&self, bits: W::Value) -> W::Value {
        (self.writer)(self.memory);
        self.word.fetch_clear(bits)
    }
    fn swap(&self, value: W::Value) -> W::Value {
        (self.writer)(self.memory);
        self.word.swap(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_third_writer_writes_before_every_operation() {
        let word = AtomicU32::new(0);
        let calls = Cell::new(0);
        let raced = WrittenBetween {
            word: &word,
            memory: &word,
            writer: &|word: &AtomicU32| {
                calls.set(calls.get() + 1);
                AtomicU32::store(word, calls.get(), Ordering::SeqCst);
            },
        };
        assert_eq!(SharedWord::load(&raced), 1);
        assert_eq!(SharedWord::compare_exchange(&raced, 1, 9), Err(2));
        assert_eq!(SharedWord::fetch_or(&raced, 4), 3);
        assert_eq!(SharedWord::fetch_clear(&raced, 4), 4);
        assert_eq!(SharedWord::swap(&raced, 0), 5);
        SharedWord::store(&raced, 77);
        assert_eq!(calls.get(), 6);
        assert_eq!(SharedWord::load(&word), 77);
    }
}
