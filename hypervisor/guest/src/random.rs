// SPDX-License-Identifier: GPL-2.0

//! A pseudo-random number generator (xorshift64*, Vigna 2016).

use core::num::NonZeroU64;

/// The generator's state.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        // The state must not be 0; the first numbers of similar seeds are dropped.
        let state = NonZeroU64::new(seed ^ 0x9e37_79b9_7f4a_7c15);
        let mut random = Self(state.map_or(1, NonZeroU64::get));
        for _ in 0..8 {
            random.next();
        }
        random
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    /// A random element.
    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// True with probability 1 in `cases`.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.below(10)]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_ne!(numbers(0), [0; 3]);
        // Each seed has numbers of its own: a test of ten in a row tries ten.
        let all: BTreeSet<_> = (1000..2000).map(numbers).collect();
        assert_eq!(all.len(), 1000);
        assert_ne!(numbers(0x9e37_79b9_7f4a_7c15), [0; 3]);
    }

    #[test]
    fn all_of_several_come_up() {
        let mut random = Random::new(7);
        let mut seen = [false; 5];
        (0..200).for_each(|_| seen[random.below(5) as usize] = true);
        assert_eq!(seen, [true; 5]);
    }
}
