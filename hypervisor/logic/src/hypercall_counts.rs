// SPDX-License-Identifier: GPL-2.0

//! How often each hypercall was made, and failed.

use alloc::collections::BTreeMap;

/// Counts of one hypercall and subcommand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often it was made.
    pub calls: u64,
    /// How often it returned an error.
    pub errors: u64,
    /// The last error, negative, or 0.
    pub last_error: i64,
}

/// A hypercall's number and subcommand; 0 if it has none.
pub type HypercallKey = (u32, u32);

/// Most keys that are counted separately. A guest that makes up numbers must not exhaust memory.
const MAX_KEYS: usize = 512;

/// All counts.
#[derive(Debug, Default)]
pub struct HypercallCounts {
    counts: BTreeMap<HypercallKey, Count>,
    /// Calls of further keys, which are not counted separately.
    others: u64,
    /// The command of the domctl, sysctl or platform_op that is being made, which stands in the guest's memory.
    pub(crate) command: u32,
}

impl HypercallCounts {
    /// Counts a hypercall and its return value. Returns whether it failed for the first time, which is worth a message.
    pub fn count(&mut self, key: HypercallKey, outcome: i64) -> bool {
        if self.counts.len() >= MAX_KEYS && !self.counts.contains_key(&key) {
            self.others += 1;
            return false;
        }
        let count = self.counts.entry(key).or_default();
        count.calls += 1;
        // Return values of -4095 to -1 are errors; others may be addresses or times.
        if (-4095..0).contains(&outcome) {
            count.errors += 1;
            count.last_error = outcome;
            return count.errors == 1;
        }
        false
    }

    /// All counts, by number and command.
    pub fn counts(&self) -> impl Iterator<Item = (HypercallKey, Count)> + '_ {
        self.counts.iter().map(|(key, count)| (*key, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_makes_up_numbers_fills_nothing() {
        let mut counts = HypercallCounts::default();
        for command in 0..10_000 {
            counts.count((3, command), 0);
        }
        assert_eq!(counts.counts().count(), MAX_KEYS);
        assert_eq!(counts.others, 10_000 - MAX_KEYS as u64);
    }

    #[test]
    fn the_first_failure_is_told() {
        let mut counts = HypercallCounts::default();
        assert!(!counts.count((17, 0), 0x4_0014));
        assert!(counts.count((17, 9), -38));
        assert!(!counts.count((17, 9), -38));
        let expected = Count {
            calls: 2,
            errors: 2,
            last_error: -38,
        };
        assert!(counts.counts().any(|entry| entry == ((17, 9), expected)));
    }
}
