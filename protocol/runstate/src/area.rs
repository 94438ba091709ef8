// SPDX-License-Identifier: GPL-2.0

//! Reading a runstate area while the hypervisor may write it.
//!
//! The hypervisor sets a bit of `state_entry_time` (`XEN_RUNSTATE_UPDATE`), writes the other
//! fields, then writes the new entry time without the bit. The time is another one after each
//! update. So what lies between two equal reads of it without the bit belongs together.
//!
//! A hypervisor without the bit (before Xen 4.4) writes an area only while its vCPU does not run.
//! There a vCPU may read its own area only, and the entry time alone shows an update in between.

use crate::SharedWord;
use xen_abi::vcpu::{runstate, RUNSTATE_UPDATE_BIT};

/// How often a read is tried. An update takes the hypervisor some hundred nanoseconds, so one that
/// is under way in all of these has stopped: the bit stays set, or nested virtualisation has taken
/// the hypervisor's own CPU away.
pub const MAX_TRIES: u32 = 64;

/// The words of an area that make up steal time, each a handle.
#[derive(Clone, Copy, Debug)]
pub struct StealWords<W> {
    /// `state_entry_time`, in system time, and the update bit.
    pub state_entry_time: W,
    /// `time[RUNSTATE_runnable]`, in nanoseconds.
    pub runnable: W,
    /// `time[RUNSTATE_offline]`, in nanoseconds.
    pub offline: W,
}

impl<W: SharedWord<Value = u64>> StealWords<W> {
    /// Nanoseconds in which the vCPU waited for a CPU or was offline, since the area counts. `None`
    /// if none of [`MAX_TRIES`] reads was without an update.
    #[inline]
    pub fn read(&self) -> Option<u64> {
        for _ in 0..MAX_TRIES {
            if let Some(time) = self.try_read() {
                return Some(time);
            }
        }
        None
    }

    /// Reads the area once. `None` if the hypervisor was writing it.
    #[inline]
    pub fn try_read(&self) -> Option<u64> {
        // A load is an acquire, so the four are made in this order.
        let entered = self.state_entry_time.load();
        let time = self.runnable.load().wrapping_add(self.offline.load());
        let is_whole = entered >> RUNSTATE_UPDATE_BIT == 0;
        (is_whole && self.state_entry_time.load() == entered).then_some(time)
    }
}

/// Whether the first word of an area (`state`, and 32 bits without a meaning) says that the vCPU
/// waits for a CPU. The answer may be outdated when it is used.
#[inline]
pub fn is_runnable(state_word: &impl SharedWord<Value = u64>) -> bool {
    state_word.load() as u32 == runstate::RUNNABLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::cell::Cell;
    use xen_shared::WrittenBetween;

    const UPDATE: u64 = 1 << RUNSTATE_UPDATE_BIT;

    /// Entry time, runnable, offline.
    type Memory = [AtomicU64; 3];

    fn memory(values: [u64; 3]) -> Memory {
        values.map(AtomicU64::new)
    }

    fn words(memory: &Memory) -> StealWords<&AtomicU64> {
        let [state_entry_time, runnable, offline] = memory;
        StealWords {
            state_entry_time,
            runnable,
            offline,
        }
    }

    /// The words, with a writer who writes before each access.
    fn raced<'a, F: Fn(&Memory)>(
        memory: &'a Memory,
        writer: &'a F,
    ) -> StealWords<WrittenBetween<'a, &'a AtomicU64, Memory, F>> {
        let [state_entry_time, runnable, offline] = memory.each_ref().map(|word| WrittenBetween {
            word,
            memory,
            writer,
        });
        StealWords {
            state_entry_time,
            runnable,
            offline,
        }
    }

    #[test]
    fn steal_time_is_what_the_vcpu_waited_and_was_offline() {
        assert_eq!(words(&memory([7, 30, 4])).read(), Some(34));
        // Whatever the hypervisor writes, nothing overflows.
        assert_eq!(words(&memory([7, u64::MAX, 2])).read(), Some(1));
    }

    #[test]
    fn a_read_during_an_update_is_refused() {
        assert_eq!(words(&memory([7 | UPDATE, 30, 4])).try_read(), None);
    }

    #[test]
    fn a_bit_that_stays_set_ends_the_read() {
        let memory = memory([7 | UPDATE, 30, 4]);
        let reads = Cell::new(0);
        let count = |_: &Memory| reads.set(reads.get() + 1);
        assert_eq!(raced(&memory, &count).read(), None);
        assert!(reads.get() <= 4 * MAX_TRIES);
    }

    #[test]
    fn an_update_between_any_two_accesses_is_found() {
        for before in 0..4 {
            let memory = memory([7, 30, 4]);
            let accesses = Cell::new(0);
            let update = |memory: &Memory| {
                if accesses.replace(accesses.get() + 1) == before {
                    for (word, value) in memory.iter().zip([8, 300, 40]) {
                        word.store(value, SeqCst);
                    }
                }
            };
            let words = raced(&memory, &update);
            // Before the first access it is no race.
            let first = words.try_read();
            assert_eq!(first, (before == 0).then_some(340));
            assert_eq!(words.read(), Some(340));
        }
    }

    #[test]
    fn a_hypervisor_that_always_writes_ends_the_read() {
        let memory = memory([7, 30, 4]);
        let now = Cell::new(0);
        let update = |memory: &Memory| {
            now.set(now.get() + 1);
            memory[0].store(now.get(), SeqCst);
        };
        assert_eq!(raced(&memory, &update).read(), None);
    }

    #[test]
    fn only_the_state_says_whether_a_vcpu_waits() {
        let padded = |state: u32| AtomicU64::new(u64::from(state) | 0xdead << 32);
        assert!(is_runnable(&padded(runstate::RUNNABLE)));
        for other in [runstate::RUNNING, runstate::BLOCKED, runstate::OFFLINE, 77] {
            assert!(!is_runnable(&padded(other)));
        }
    }
}
