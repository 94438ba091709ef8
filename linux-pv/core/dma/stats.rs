// SPDX-License-Identifier: GPL-2.0

//! Counters of each device that uses bounce buffers or coherent memory.
//!
//! The key of a device's row is its name, not its address, so a device that is unplugged is not
//! mistaken for another, and gets its row again when it comes back. Only slow paths count.

use core::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{
        Relaxed,
        Release, //
    },
};

use crate::plan::BounceReason;

/// Maximum length of a name in bytes; longer names are truncated.
pub const MAX_NAME: usize = 32;

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Bytes currently in bounce buffers of the pool.
    PoolBytes,
    /// Bytes currently in large bounce buffers.
    LargeBytes,
    /// Mappings with a large bounce buffer.
    LargeMappings,
    /// Failed mappings.
    Failed,
    /// Bytes of coherent memory currently allocated.
    CoherentBytes,
    /// The part of these that was exchanged for contiguous memory.
    ExchangedBytes,
    /// Bounced mappings, through the pool or a large buffer, by reason.
    Bounced(BounceReason),
}

/// The number of counters in a row.
const COUNTS: usize = 6 + BounceReason::ALL.len();

impl Stat {
    const fn index(self) -> usize {
        match self {
            Self::PoolBytes => 0,
            Self::LargeBytes => 1,
            Self::LargeMappings => 2,
            Self::Failed => 3,
            Self::CoherentBytes => 4,
            Self::ExchangedBytes => 5,
            Self::Bounced(reason) => 6 + reason.index(),
        }
    }
}

/// The counters of a device.
pub struct DeviceRow {
    /// Hash of the name, 0 for a free row.
    key: AtomicU64,
    name: [AtomicU64; MAX_NAME / 8],
    counts: [AtomicI64; COUNTS],
}

impl DeviceRow {
    /// Initial value of array elements.
    #[allow(clippy::declare_interior_mutable_const)]
    const NEW: Self = Self {
        key: AtomicU64::new(0),
        name: [const { AtomicU64::new(0) }; MAX_NAME / 8],
        counts: [const { AtomicI64::new(0) }; COUNTS],
    };

    /// Adds to a counter. Any context.
    #[inline]
    pub fn add(&self, count: Stat, n: i64) {
        if let Some(counter) = self.counts.get(count.index()) {
            counter.fetch_add(n, Relaxed);
        }
    }

    /// Reads a counter.
    pub fn get(&self, count: Stat) -> i64 {
        let counter = self.counts.get(count.index());
        counter.map_or(0, |counter| counter.load(Relaxed))
    }

    /// Mappings through the pool: all bounced mappings without the large ones.
    pub fn pool_mappings(&self) -> i64 {
        let bounced = BounceReason::ALL
            .iter()
            .map(|reason| self.get(Stat::Bounced(*reason)));
        bounced.sum::<i64>() - self.get(Stat::LargeMappings)
    }

    /// The device's name, truncated to [`MAX_NAME`] bytes and padded with zeros.
    pub fn name(&self) -> [u8; MAX_NAME] {
        let mut name = [0; MAX_NAME];
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

/// Rows of at most `N` devices, and one for all others.
pub struct DeviceStats<const N: usize> {
    rows: [DeviceRow; N],
    others: DeviceRow,
}

impl<const N: usize> DeviceStats<N> {
    /// Without a device.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            rows: [const { DeviceRow::NEW }; N],
            others: DeviceRow::NEW,
        }
    }

    /// The row of a device; added if there is none. Any context.
    pub fn row(&self, name: &[u8]) -> &DeviceRow {
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

    /// The rows of devices.
    pub fn rows(&self) -> impl Iterator<Item = &DeviceRow> {
        self.rows.iter().filter(|row| row.key.load(Relaxed) != 0)
    }

    /// The row of all devices for which there was no free row.
    pub fn others(&self) -> &DeviceRow {
        &self.others
    }
}

/// A name in words of eight bytes, the last one padded with zeros.
fn words(name: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let word = |bytes: &[u8]| {
        let bytes = bytes.iter().rev();
        bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    name.chunks(8).map(word)
}

/// The hash of a name, never 0. It is computed twice for each bounced mapping, so by words.
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
    use std::vec::Vec;

    use crate::testing::{
        race,
        ROUNDS, //
    };

    use super::*;

    #[test]
    fn rows_belong_to_names() {
        let stats = DeviceStats::<2>::new();
        stats.row(b"0000:00:03.0").add(Stat::PoolBytes, 4096);
        stats
            .row(b"0000:00:04.0")
            .add(Stat::Bounced(BounceReason::OutOfReach), 1);
        stats.row(b"0000:00:03.0").add(Stat::PoolBytes, -96);
        let rows: Vec<_> = stats
            .rows()
            .map(|row| (row.name(), row.get(Stat::PoolBytes)))
            .collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].0.starts_with(b"0000:00:03.0\0") && rows[0].1 == 4000);
        assert_eq!(
            stats
                .row(b"0000:00:04.0")
                .get(Stat::Bounced(BounceReason::OutOfReach)),
            1
        );
        assert_eq!(
            stats
                .row(b"0000:00:04.0")
                .get(Stat::Bounced(BounceReason::Forced)),
            0
        );
    }

    #[test]
    fn every_count_has_a_counter_of_its_own() {
        let counts = [
            Stat::PoolBytes,
            Stat::LargeBytes,
            Stat::LargeMappings,
            Stat::Failed,
            Stat::CoherentBytes,
            Stat::ExchangedBytes,
        ];
        let counts: Vec<_> = counts
            .into_iter()
            .chain(BounceReason::ALL.map(Stat::Bounced))
            .collect();
        let stats = DeviceStats::<1>::new();
        for (n, count) in (1..).zip(&counts) {
            stats.row(b"a").add(*count, n);
        }
        let row = stats.row(b"a");
        let read: Vec<_> = counts.iter().map(|count| row.get(*count)).collect();
        assert_eq!(read, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(row.counts.len(), counts.len());
    }

    #[test]
    fn mappings_through_the_pool_are_what_was_bounced_and_not_large() {
        let stats = DeviceStats::<1>::new();
        let row = stats.row(b"a");
        for reason in BounceReason::ALL {
            row.add(Stat::Bounced(reason), 2);
        }
        row.add(Stat::LargeMappings, 1);
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
        let stats = DeviceStats::<1>::new();
        stats.row(b"a").add(Stat::Failed, 1);
        for name in [b"b", b"c"] {
            stats.row(name).add(Stat::Failed, 1);
        }
        assert_eq!(stats.others().get(Stat::Failed), 2);
        assert_eq!(stats.rows().count(), 1);
    }

    #[test]
    fn long_names_are_cut_but_kept_apart() {
        let stats = DeviceStats::<2>::new();
        let mut name = [b'x'; 40];
        stats.row(&name);
        name[39] = b'y';
        stats.row(&name);
        assert_eq!(stats.rows().count(), 2);
        assert!(stats.rows().all(|row| row.name() == [b'x'; MAX_NAME]));
    }

    #[test]
    fn a_row_is_made_once_by_two() {
        let sets: Vec<_> = (0..ROUNDS).map(|_| DeviceStats::<4>::new()).collect();
        race(|round, _| {
            for name in [b"a", b"b"] {
                sets[round].row(name).add(Stat::Failed, 1);
            }
        });
        for stats in &sets {
            let rows = stats.rows().map(|row| row.get(Stat::Failed));
            assert_eq!(rows.collect::<Vec<_>>(), [2, 2]);
        }
    }

    #[test]
    fn two_who_want_the_same_row_get_one_each() {
        let sets: Vec<_> = (0..ROUNDS).map(|_| DeviceStats::<2>::new()).collect();
        race(|round, who| sets[round].row([b"a", b"b"][who]).add(Stat::Failed, 1));
        for stats in &sets {
            let rows = stats.rows().map(|row| row.get(Stat::Failed));
            assert_eq!(rows.collect::<Vec<_>>(), [1, 1]);
        }
    }
}
