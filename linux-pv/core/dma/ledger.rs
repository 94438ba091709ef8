// SPDX-License-Identifier: GPL-2.0

//! Who uses bounce buffers and exchanged memory, and how much: a row of counters for each device.
//!
//! Rows belong to names, not to addresses of structures, so that a device that is unplugged leaves nothing that could be
//! mistaken for another, and one that comes back finds its row. Only ways that are slow anyway count here.

use core::sync::atomic::AtomicI64;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};

use crate::plan::Why;

/// Bytes of a name that are kept.
pub const NAME: usize = 32;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Bytes in the pool's bounce buffers now.
    PoolNow,
    /// Bytes in large bounce buffers now.
    LargeNow,
    /// Mappings that got a large bounce buffer.
    LargeMappings,
    /// Mappings that failed.
    Failed,
    /// Bytes of coherent memory now.
    CoherentNow,
    /// The part of it that was exchanged for contiguous memory.
    ExchangedNow,
    /// Mappings that were bounced for a reason, through the pool or a large buffer.
    Because(Why),
}

/// How many counters a row has.
const COUNTS: usize = 6 + Why::ALL.len();

impl Count {
    const fn index(self) -> usize {
        match self {
            Self::PoolNow => 0,
            Self::LargeNow => 1,
            Self::LargeMappings => 2,
            Self::Failed => 3,
            Self::CoherentNow => 4,
            Self::ExchangedNow => 5,
            Self::Because(why) => 6 + why.index(),
        }
    }
}

/// A device's counters.
pub struct Row {
    /// 0 is a row without an owner.
    key: AtomicU64,
    name: [AtomicU64; NAME / 8],
    counts: [AtomicI64; COUNTS],
}

impl Row {
    /// What each one begins as: a constant only to make many.
    #[allow(clippy::declare_interior_mutable_const)]
    const NEW: Self = Self {
        key: AtomicU64::new(0),
        name: [const { AtomicU64::new(0) }; NAME / 8],
        counts: [const { AtomicI64::new(0) }; COUNTS],
    };

    /// Adds to a counter.
    #[inline]
    pub fn add(&self, count: Count, n: i64) {
        if let Some(counter) = self.counts.get(count.index()) {
            counter.fetch_add(n, Relaxed);
        }
    }

    /// A counter.
    pub fn get(&self, count: Count) -> i64 {
        let counter = self.counts.get(count.index());
        counter.map_or(0, |counter| counter.load(Relaxed))
    }

    /// Mappings that went through the pool: those that were bounced but for the large ones, so that a mapping counts less.
    pub fn pool_mappings(&self) -> i64 {
        let bounced = Why::ALL.iter().map(|why| self.get(Count::Because(*why)));
        bounced.sum::<i64>() - self.get(Count::LargeMappings)
    }

    /// The device's name, cut to [`NAME`] bytes; zeros follow it.
    pub fn name(&self) -> [u8; NAME] {
        let mut name = [0; NAME];
        for (bytes, word) in name.chunks_exact_mut(8).zip(&self.name) {
            bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        name
    }

    fn set_name(&self, name: &[u8]) {
        for (word, to) in words(name).zip(&self.name) {
            to.store(word, Relaxed);
        }
    }
}

/// The rows of at most `N` devices, and one for all others.
pub struct Ledger<const N: usize> {
    rows: [Row; N],
    others: Row,
}

impl<const N: usize> Ledger<N> {
    /// Without rows.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            rows: [const { Row::NEW }; N],
            others: Row::NEW,
        }
    }

    /// A device's row, made if it is new. Any context.
    pub fn row(&self, name: &[u8]) -> &Row {
        let key = key_of(name);
        for row in &self.rows {
            let owner = row.key.load(Relaxed);
            if owner == key {
                return row;
            }
            if owner != 0 {
                continue;
            }
            match row.key.compare_exchange(0, key, Release, Relaxed) {
                Ok(_) => {
                    row.set_name(name);
                    return row;
                }
                Err(other) if other == key => return row,
                Err(_) => {}
            }
        }
        &self.others
    }

    /// All rows that have an owner.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.key.load(Relaxed) != 0)
    }

    /// What those have in common for whom there was no row.
    pub fn others(&self) -> &Row {
        &self.others
    }
}

/// A name, eight bytes at a time; zeros follow the last ones.
fn words(name: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let word = |bytes: &[u8]| {
        let bytes = bytes.iter().rev();
        bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    name.chunks(8).map(word)
}

/// A number for a name that is never 0. By words, for it is asked for at both ends of a bounced mapping.
#[inline]
fn key_of(name: &[u8]) -> u64 {
    let hash = words(name).fold(name.len() as u64, |hash, word| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product >> 32
    });
    hash | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{race, ROUNDS};
    use std::vec::Vec;

    #[test]
    fn rows_belong_to_names() {
        let ledger = Ledger::<2>::new();
        ledger.row(b"0000:00:03.0").add(Count::PoolNow, 4096);
        ledger
            .row(b"0000:00:04.0")
            .add(Count::Because(Why::Reach), 1);
        ledger.row(b"0000:00:03.0").add(Count::PoolNow, -96);
        let rows: Vec<_> = ledger
            .rows()
            .map(|row| (row.name(), row.get(Count::PoolNow)))
            .collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].0.starts_with(b"0000:00:03.0\0") && rows[0].1 == 4000);
        assert_eq!(
            ledger.row(b"0000:00:04.0").get(Count::Because(Why::Reach)),
            1
        );
        assert_eq!(
            ledger.row(b"0000:00:04.0").get(Count::Because(Why::Forced)),
            0
        );
    }

    #[test]
    fn every_count_has_a_counter_of_its_own() {
        let counts = [
            Count::PoolNow,
            Count::LargeNow,
            Count::LargeMappings,
            Count::Failed,
            Count::CoherentNow,
            Count::ExchangedNow,
        ];
        let counts: Vec<_> = counts
            .into_iter()
            .chain(Why::ALL.map(Count::Because))
            .collect();
        let ledger = Ledger::<1>::new();
        for (n, count) in (1..).zip(&counts) {
            ledger.row(b"a").add(*count, n);
        }
        let row = ledger.row(b"a");
        let read: Vec<_> = counts.iter().map(|count| row.get(*count)).collect();
        assert_eq!(read, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(row.counts.len(), counts.len());
    }

    #[test]
    fn mappings_through_the_pool_are_what_was_bounced_and_not_large() {
        let ledger = Ledger::<1>::new();
        let row = ledger.row(b"a");
        for why in Why::ALL {
            row.add(Count::Because(why), 2);
        }
        row.add(Count::LargeMappings, 1);
        assert_eq!(row.pool_mappings(), 5);
    }

    #[test]
    fn names_that_are_much_alike_have_keys_of_their_own() {
        let mut keys: Vec<_> = (0..=40).map(|len| key_of(&[b'x'; 40][..len])).collect();
        for bus in 0..4 {
            for slot in 0..32 {
                for function in 0..8 {
                    let name = std::format!("0000:{bus:02x}:{slot:02x}.{function}");
                    keys.push(key_of(name.as_bytes()));
                }
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn those_without_a_row_are_counted_together() {
        let ledger = Ledger::<1>::new();
        ledger.row(b"a").add(Count::Failed, 1);
        for name in [b"b", b"c"] {
            ledger.row(name).add(Count::Failed, 1);
        }
        assert_eq!(ledger.others().get(Count::Failed), 2);
        assert_eq!(ledger.rows().count(), 1);
    }

    #[test]
    fn long_names_are_cut_but_kept_apart() {
        let ledger = Ledger::<2>::new();
        let mut name = [b'x'; 40];
        ledger.row(&name);
        name[39] = b'y';
        ledger.row(&name);
        assert_eq!(ledger.rows().count(), 2);
        assert!(ledger.rows().all(|row| row.name() == [b'x'; NAME]));
    }

    #[test]
    fn a_row_is_made_once_by_two() {
        let ledgers: Vec<_> = (0..ROUNDS).map(|_| Ledger::<4>::new()).collect();
        race(|round, _| {
            for name in [b"a", b"b"] {
                ledgers[round].row(name).add(Count::Failed, 1);
            }
        });
        for ledger in &ledgers {
            let rows = ledger.rows().map(|row| row.get(Count::Failed));
            assert_eq!(rows.collect::<Vec<_>>(), [2, 2]);
        }
    }

    #[test]
    fn two_who_want_the_same_row_get_one_each() {
        let ledgers: Vec<_> = (0..ROUNDS).map(|_| Ledger::<2>::new()).collect();
        race(|round, who| ledgers[round].row([b"a", b"b"][who]).add(Count::Failed, 1));
        for ledger in &ledgers {
            let rows = ledger.rows().map(|row| row.get(Count::Failed));
            assert_eq!(rows.collect::<Vec<_>>(), [1, 1]);
        }
    }
}
