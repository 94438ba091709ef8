//! Which hypercalls guests made, and with what success: what a guest needs is read off here.

use alloc::collections::BTreeMap;

/// How often a call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In all.
    pub calls: u64,
    /// With an error.
    pub errors: u64,
    /// The last error, negative, or 0.
    pub last_error: i64,
}

/// Names a call: the hypercall's number and the command, 0 for those that have none.
pub type Key = (u32, u32);

/// Most keys that are told apart. A guest that makes up numbers must not fill the memory.
const MOST: usize = 512;

/// The counts.
#[derive(Debug, Default)]
pub struct Trace {
    counts: BTreeMap<Key, Count>,
    /// Calls that are not told apart any more.
    pub others: u64,
}

impl Trace {
    /// Counts a call and its outcome. Says whether a call of this name fails for the first time, which is worth a
    /// message.
    pub fn count(&mut self, key: Key, outcome: i64) -> bool {
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            self.others += 1;
            return false;
        }
        let count = self.counts.entry(key).or_default();
        count.calls += 1;
        // Errors are the last page of numbers; large values are addresses and times.
        if (-4095..0).contains(&outcome) {
            count.errors += 1;
            count.last_error = outcome;
            return count.errors == 1;
        }
        false
    }

    /// All counts, by number and command.
    pub fn counts(&self) -> impl Iterator<Item = (Key, Count)> + '_ {
        self.counts.iter().map(|(key, count)| (*key, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_makes_up_numbers_fills_nothing() {
        let mut trace = Trace::default();
        for command in 0..10_000 {
            trace.count((3, command), 0);
        }
        assert_eq!(trace.counts().count(), MOST);
        assert_eq!(trace.others, 10_000 - MOST as u64);
    }

    #[test]
    fn the_first_failure_is_told() {
        let mut trace = Trace::default();
        assert!(!trace.count((17, 0), 0x4_0014));
        assert!(trace.count((17, 9), -38));
        assert!(!trace.count((17, 9), -38));
        let expected = Count {
            calls: 2,
            errors: 2,
            last_error: -38,
        };
        assert!(trace.counts().any(|entry| entry == ((17, 9), expected)));
    }
}
