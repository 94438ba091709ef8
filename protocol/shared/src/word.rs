// SPDX-License-Identifier: GPL-2.0

//! A word that the other side may change between any two operations.

/// A word of shared memory, changed by atomic operations only.
///
/// What is read is a private copy: it is validated and used, and the word is not read again for the
/// same decision. The trait is used by static dispatch, and every method wants `#[inline]`: the
/// kernel has no link-time optimisation across crates.
///
/// # What an implementation promises
///
/// - Each method is one access of the word's size, naturally aligned; nothing is torn, repeated or
///   invented.
/// - [`load`](Self::load) is an acquire: no later access of this side moves before it.
///   [`store`](Self::store) is a release: no earlier access moves behind it.
/// - All other methods read, change and write the word in one step, and are full barriers: all
///   accesses before them are ordered before all accesses behind them, a store before a load
///   included. That is what a `lock` prefix does on x86, and what Linux documents for atomic
///   operations that return a value (`Documentation/atomic_t.txt`). A failed
///   [`compare_exchange`](Self::compare_exchange) orders as a load does.
/// - They hold towards other processors in a uniprocessor kernel too (Linux: `sync_*` and `virt_*`
///   instead of `smp_*`), since the other side runs on one.
/// - No method waits for the other side.
pub trait SharedWord {
    /// `u8`, `u16`, `u32` or `u64`.
    type Value: Copy + Eq;

    /// Reads the word.
    fn load(&self) -> Self::Value;

    /// Overwrites the word, for words or moments in which the other side changes nothing of it.
    fn store(&self, value: Self::Value);

    /// Replaces the word if it equals `old`. Both results have what the word was.
    fn compare_exchange(
        &self,
        old: Self::Value,
        new: Self::Value,
    ) -> Result<Self::Value, Self::Value>;

    /// Sets bits, and returns what the word was.
    fn fetch_or(&self, bits: Self::Value) -> Self::Value;

    /// Clears bits, and returns what the word was.
    fn fetch_clear(&self, bits: Self::Value) -> Self::Value;

    /// Replaces the word, and returns what it was.
    ///
    /// An implementation with an exchange instruction uses it. This one repeats a
    /// compare-and-exchange, which another writer can delay, but only by writing again each time.
    #[inline]
    fn swap(&self, value: Self::Value) -> Self::Value {
        let mut old = self.load();
        loop {
            match self.compare_exchange(old, value) {
                Ok(was) => return was,
                Err(now) => old = now,
            }
        }
    }
}

impl<W: SharedWord + ?Sized> SharedWord for &W {
    type Value = W::Value;

    #[inline]
    fn load(&self) -> Self::Value {
        W::load(self)
    }
    #[inline]
    fn store(&self, value: Self::Value) {
        W::store(self, value)
    }
    #[inline]
    fn compare_exchange(
        &self,
        old: Self::Value,
        new: Self::Value,
    ) -> Result<Self::Value, Self::Value> {
        W::compare_exchange(self, old, new)
    }
    #[inline]
    fn fetch_or(&self, bits: Self::Value) -> Self::Value {
        W::fetch_or(self, bits)
    }
    #[inline]
    fn fetch_clear(&self, bits: Self::Value) -> Self::Value {
        W::fetch_clear(self, bits)
    }
    #[inline]
    fn swap(&self, value: Self::Value) -> Self::Value {
        W::swap(self, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering};

    /// A word without an exchange instruction, which somebody else changes `times` times.
    struct NoSwap<'w> {
        word: &'w AtomicU32,
        times: AtomicU32,
    }

    impl SharedWord for NoSwap<'_> {
        type Value = u32;
        fn load(&self) -> u32 {
            self.word.load(Ordering::SeqCst)
        }
        fn store(&self, value: u32) {
            self.word.store(value, Ordering::SeqCst);
        }
        fn compare_exchange(&self, old: u32, new: u32) -> Result<u32, u32> {
            let left = self.times.load(Ordering::SeqCst);
            if left > 0 {
                self.times.store(left - 1, Ordering::SeqCst);
                self.word.fetch_add(1, Ordering::SeqCst);
            }
            SharedWord::compare_exchange(self.word, old, new)
        }
        fn fetch_or(&self, bits: u32) -> u32 {
            SharedWord::fetch_or(self.word, bits)
        }
        fn fetch_clear(&self, bits: u32) -> u32 {
            SharedWord::fetch_clear(self.word, bits)
        }
    }

    #[test]
    fn a_swap_without_an_instruction_returns_what_it_replaced() {
        let word = AtomicU32::new(7);
        for times in [0, 1, 5] {
            word.store(7, Ordering::SeqCst);
            let times = AtomicU32::new(times);
            let before = 7 + times.load(Ordering::SeqCst);
            let other = NoSwap { word: &word, times };
            assert_eq!(other.swap(100), before);
            assert_eq!(other.load(), 100);
        }
    }

    #[test]
    fn every_width_has_the_same_operations() {
        macro_rules! check {
            ($($atomic:ident),*) => {$(
                // Through a reference, as a method that takes a word by value does it.
                let word = &$atomic::new(0b0101);
                assert_eq!(SharedWord::fetch_or(&word, 0b0010), 0b0101);
                assert_eq!(SharedWord::fetch_clear(&word, 0b0100), 0b0111);
                assert_eq!(SharedWord::load(&word), 0b0011);
                assert_eq!(SharedWord::compare_exchange(&word, 0b0011, 9), Ok(0b0011));
                assert_eq!(SharedWord::compare_exchange(&word, 0b0011, 8), Err(9));
                assert_eq!(SharedWord::swap(&word, 1), 9);
                SharedWord::store(&word, 2);
                assert_eq!(SharedWord::load(&word), 2);
            )*};
        }
        check!(AtomicU8, AtomicU16, AtomicU32, AtomicU64);
    }
}
