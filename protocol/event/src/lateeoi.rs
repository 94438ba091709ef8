// SPDX-License-Identifier: GPL-2.0

//! Late EOI, for a guest: an event channel of another domain stays masked until its handler has
//! finished, and longer if the other domain sends events without work (XSA-332).
//!
//! Times are in a unit of the caller's, which only has to be the same everywhere: jiffies or
//! nanoseconds. What does not live here: the timer, and unmasking.
//!
//! The delay doubles with each spurious event. C means it to, but takes the end of each delay for
//! an event with work, so that its count begins anew and no delay is longer than a jiffy.

/// Which delays spurious events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayPolicy {
    /// Spurious events in a row that are free (`spurious_threshold` in sysfs, where 0 counts as 1).
    pub threshold: u32,
    /// The delay of the first one beyond. Each further one doubles it.
    pub first: u64,
    /// The longest delay.
    pub max: u64,
}

/// The spurious events of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpuriousEvents {
    in_a_row: u32,
    total: u64,
    delayed: u64,
    delay: u64,
    is_storm: bool,
}

/// What follows from the end of an event's handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// How long the channel stays masked; 0 if it is unmasked at once.
    pub delay: u64,
    /// It is the longest delay, for the first time: the other domain does nothing else.
    pub storm_begins: bool,
}

impl SpuriousEvents {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            in_a_row: 0,
            total: 0,
            delayed: 0,
            delay: 0,
            is_storm: false,
        }
    }

    /// An event's handler has finished.
    ///
    /// The count does not stop before the threshold, whatever that is: C's stops at the logarithm
    /// of four seconds in jiffies, so that a higher threshold is never reached.
    pub fn finish(&mut self, was_spurious: bool, policy: DelayPolicy) -> Finished {
        if !was_spurious {
            self.in_a_row = 0;
            self.delay = 0;
            return Finished::default();
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.total = self.total.saturating_add(1);
        let delay = match self.in_a_row.checked_sub(policy.threshold.max(1)) {
            None | Some(0) => 0,
            Some(beyond) => {
                let doublings = beyond.saturating_sub(1);
                let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
                policy.first.saturating_mul(factor).min(policy.max)
            }
        };
        self.delayed = self.delayed.saturating_add(delay);
        self.delay = delay;
        let storm_begins = delay != 0 && delay >= policy.max && !self.is_storm;
        self.is_storm |= storm_begins;
        Finished {
            delay,
            storm_begins,
        }
    }

    /// How long the channel was delayed for its latest event.
    pub fn delay(&self) -> u64 {
        self.delay
    }

    /// Whether the channel has had the longest delay.
    pub fn is_storm(&self) -> bool {
        self.is_storm
    }

    /// How many the channel had in all (`spurious_events` in sysfs).
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How long the channel was delayed in all (`jiffies_eoi_delayed` in sysfs).
    pub fn delayed(&self) -> u64 {
        self.delayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// C's with HZ=250, in jiffies.
    const POLICY: DelayPolicy = DelayPolicy {
        threshold: 1,
        first: 1,
        max: 250,
    };

    /// The delays of so many spurious events in a row.
    fn delays(policy: DelayPolicy, count: usize) -> Vec<u64> {
        let mut events = SpuriousEvents::new();
        let finished = (0..count).map(|_| events.finish(true, policy));
        finished.map(|finished| finished.delay).collect()
    }

    #[test]
    fn spurious_events_in_a_row_wait_longer_and_longer() {
        let expected = [0, 1, 2, 4, 8, 16, 32, 64, 128, 250, 250];
        assert_eq!(delays(POLICY, 11), expected);
        let zero = DelayPolicy {
            threshold: 0,
            ..POLICY
        };
        assert_eq!(delays(zero, 11), expected, "0 counts as 1");
        let mut events = SpuriousEvents::new();
        for _ in 0..5 {
            events.finish(true, POLICY);
        }
        assert_eq!((events.delay(), events.is_storm()), (8, false));
        assert_eq!(events.finish(false, POLICY).delay, 0);
        assert_eq!(events.finish(true, POLICY).delay, 0, "it begins anew");
        assert_eq!((events.total(), events.delayed()), (6, 15));
    }

    #[test]
    fn a_threshold_of_any_height_is_reached() {
        for threshold in [9, 10, 11, 300] {
            let policy = DelayPolicy {
                threshold,
                ..POLICY
            };
            let delays = delays(policy, threshold as usize + 12);
            assert!(delays[..threshold as usize].iter().all(|delay| *delay == 0));
            assert_eq!(delays[threshold as usize..][..3], [1, 2, 4]);
            assert_eq!(delays.last(), Some(&250));
        }
        // The doubling does not overflow.
        let policy = DelayPolicy {
            first: 3,
            max: u64::MAX,
            ..POLICY
        };
        assert_eq!(delays(policy, 80).last(), Some(&u64::MAX));
    }
    #[test]
    fn a_storm_begins_once() {
        let mut events = SpuriousEvents::new();
        let mut begins = |was_spurious| events.finish(was_spurious, POLICY).storm_begins;
        let at: Vec<_> = (0..30).filter(|_| begins(true)).collect();
        assert_eq!(at, [9], "with the first delay of 250");
        assert!(!begins(false), "an event with work in between");
        assert!((0..30).all(|_| !begins(true)), "it is the same storm");
        assert!(events.is_storm());
    }

    proptest! {
        #[test]
        fn no_delay_is_beyond_the_longest_or_without_a_spurious_event(
            spurious in proptest::collection::vec(any::<bool>(), 0..60),
            threshold in 0u32..20,
            max in 0u64..300,
        ) {
            let policy = DelayPolicy { threshold, first: 1, max };
            let mut events = SpuriousEvents::new();
            let (mut in_a_row, mut total, mut delayed) = (0, 0, 0);
            for was_spurious in spurious {
                let finished = events.finish(was_spurious, policy);
                in_a_row = if was_spurious { in_a_row + 1 } else { 0 };
                total += u64::from(was_spurious);
                delayed += finished.delay;
                prop_assert!(finished.delay <= max);
                let is_beyond = in_a_row > threshold.max(1);
                prop_assert_eq!(finished.delay > 0, is_beyond && max > 0);
                prop_assert_eq!(events.delay(), finished.delay);
            }
            prop_assert_eq!((events.total(), events.delayed()), (total, delayed));
        }
    }
}
