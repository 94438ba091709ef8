// SPDX-License-Identifier: GPL-2.0

//! Late EOI, for a guest: an event channel of another domain stays masked until its handler has
//! finished, and longer if the other domain sends events without work (XSA-332).
//!
//! | type | what it is |
//! |---|---|
//! | [`SpuriousEvents`] | how many spurious events in a row a channel had, and how long it waits for that |
//! | [`EoiQueue`] | the channels that wait, by the time at which they are unmasked |
//!
//! Times are in a unit of the caller's, which only has to be the same everywhere: jiffies or
//! nanoseconds. What does not live here: the timer that looks at the queue, and unmasking.

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
}

impl SpuriousEvents {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            in_a_row: 0,
            total: 0,
            delayed: 0,
        }
    }

    /// An event's handler has finished. Returns how long the channel stays masked; 0 if it is
    /// unmasked at once.
    ///
    /// The count does not stop before the threshold, whatever that is: C's stops at the logarithm
    /// of four seconds in jiffies, so that a higher threshold is never reached.
    pub fn finish(&mut self, was_spurious: bool, policy: DelayPolicy) -> u64 {
        if !was_spurious {
            self.in_a_row = 0;
            return 0;
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
        delay
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

/// No channel: the end of the queue.
const END: u32 = u32::MAX;

/// A channel's place in the queue.
#[derive(Clone, Copy, Debug)]
pub struct EoiSlot {
    /// When the channel is unmasked.
    due: u64,
    /// The next one, if it waits.
    next: Option<u32>,
}

impl EoiSlot {
    /// Of a channel that does not wait.
    pub const fn new() -> Self {
        Self { due: 0, next: None }
    }
}

impl Default for EoiSlot {
    fn default() -> Self {
        Self::new()
    }
}

/// The channels that wait for their EOI, the first one that is due first. A channel is a number
/// below the length of the table of slots, which every function gets.
///
/// Channels whose delay is the longest one come to the end without a search; C's list does that
/// too. Used with a lock held.
#[derive(Clone, Copy, Debug)]
pub struct EoiQueue {
    first: u32,
    last: u32,
}

impl EoiQueue {
    /// Without channels.
    pub const fn new() -> Self {
        Self {
            first: END,
            last: END,
        }
    }

    /// Puts a channel into the queue, behind those that are due at the same time. Returns whether it
    /// is the first one now, so that the timer has to be set anew. A channel that waits already
    /// stays where it is.
    pub fn add(&mut self, slots: &mut [EoiSlot], channel: u32, due: u64) -> bool {
        match slots.get(channel as usize) {
            Some(slot) if slot.next.is_none() && channel != END => {}
            _ => return false,
        }
        let after = match self.due_of(slots, self.last) {
            Some(last) if last <= due => self.last,
            _ => self.last_before(slots, due),
        };
        let next = match slots.get_mut(after as usize).map(|slot| &mut slot.next) {
            Some(next) => next.replace(channel).unwrap_or(END),
            None => core::mem::replace(&mut self.first, channel),
        };
        if let Some(slot) = slots.get_mut(channel as usize) {
            *slot = EoiSlot {
                due,
                next: Some(next),
            };
        }
        if next == END {
            self.last = channel;
        }
        after == END
    }

    fn due_of(&self, slots: &[EoiSlot], channel: u32) -> Option<u64> {
        slots.get(channel as usize).map(|slot| slot.due)
    }

    fn next_of(&self, slots: &[EoiSlot], channel: u32) -> u32 {
        let next = slots.get(channel as usize).and_then(|slot| slot.next);
        next.unwrap_or(END)
    }

    /// The last channel that is due at this time or before.
    fn last_before(&self, slots: &[EoiSlot], due: u64) -> u32 {
        let (mut before, mut at) = (END, self.first);
        while self.due_of(slots, at).is_some_and(|other| other <= due) {
            before = at;
            at = self.next_of(slots, at);
        }
        before
    }

    /// When the first channel is due.
    pub fn next_due(&self, slots: &[EoiSlot]) -> Option<u64> {
        self.due_of(slots, self.first)
    }

    /// Takes the first channel off the queue, if it is due.
    pub fn take_due(&mut self, slots: &mut [EoiSlot], now: u64) -> Option<u32> {
        let channel = self.first;
        if self.next_due(slots)? > now {
            return None;
        }
        self.remove(slots, channel);
        Some(channel)
    }

    /// Takes a channel out of the queue, when it is closed. Returns whether it was waiting.
    pub fn remove(&mut self, slots: &mut [EoiSlot], channel: u32) -> bool {
        let slot = slots.get_mut(channel as usize);
        let Some(next) = slot.and_then(|slot| slot.next.take()) else {
            return false;
        };
        let mut before = END;
        let mut at = self.first;
        while at != channel && at != END {
            before = at;
            at = self.next_of(slots, at);
        }
        match slots.get_mut(before as usize) {
            Some(slot) => slot.next = Some(next),
            None => self.first = next,
        }
        if self.last == channel {
            self.last = before;
        }
        true
    }
}

impl Default for EoiQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
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
        (0..count).map(|_| events.finish(true, policy)).collect()
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
        assert_eq!(events.finish(false, POLICY), 0);
        assert_eq!(events.finish(true, POLICY), 0, "it begins anew");
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

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Add(u32, u64),
        Take(u64),
        Remove(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u32..10, 0u64..20).prop_map(|(channel, due)| Step::Add(channel, due)),
            2 => (0u64..25).prop_map(Step::Take),
            2 => (0u32..10).prop_map(Step::Remove),
        ];
        proptest::collection::vec(step, 1..80)
    }

    proptest! {
        #[test]
        fn channels_come_in_the_order_in_which_they_are_due(steps in steps()) {
            let (mut queue, mut slots) = (EoiQueue::default(), vec![EoiSlot::default(); 8]);
            let mut model: Vec<(u64, u32)> = Vec::new();
            for step in steps {
                let waits = |model: &[(u64, u32)], channel| {
                    model.iter().position(|(_, other)| *other == channel)
                };
                match step {
                    Step::Add(channel, due) => {
                        let first = queue.add(&mut slots, channel, due);
                        // The last two have no slot.
                        if channel < 8 && waits(&model, channel).is_none() {
                            let at = model.partition_point(|(other, _)| *other <= due);
                            model.insert(at, (due, channel));
                            prop_assert_eq!(first, at == 0);
                        } else {
                            prop_assert!(!first);
                        }
                    }
                    Step::Take(now) => {
                        let due = model.first().is_some_and(|(due, _)| *due <= now);
                        let expected = due.then(|| model.remove(0).1);
                        prop_assert_eq!(queue.take_due(&mut slots, now), expected);
                    }
                    Step::Remove(channel) => {
                        let at = waits(&model, channel);
                        prop_assert_eq!(queue.remove(&mut slots, channel), at.is_some());
                        if let Some(at) = at {
                            model.remove(at);
                        }
                    }
                }
                let first = model.first().map(|(due, _)| *due);
                prop_assert_eq!(queue.next_due(&slots), first);
            }
            while let Some(channel) = queue.take_due(&mut slots, u64::MAX) {
                prop_assert_eq!(model.remove(0).1, channel);
            }
            prop_assert!(model.is_empty());
        }
    }
}
