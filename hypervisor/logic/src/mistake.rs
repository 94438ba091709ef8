// SPDX-License-Identifier: GPL-2.0

//! What guests do wrong, and how much of it is logged: a guest may repeat any of it as often as it likes, so every
//! domain has a limit for each kind (Xen's `printk_ratelimit_ms` and `printk_ratelimit_burst`).

use crate::options::LogLevel;

/// Messages of a kind that a domain may have in a row.
const BURST: u64 = 10;
/// After how many nanoseconds it may have one more: 5 s.
const INTERVAL: u64 = 5_000_000_000;

/// What a guest does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A hypercall that fails, once for each hypercall and subcommand.
    Hypercall,
    /// A hypercall's argument is at an address without memory.
    BadHandle,
    /// An entry of a list of grant operations fails: no such grant, or one that is unmapped twice.
    Grant,
    /// An interprocessor interrupt of a kind that is not emulated.
    Ipi,
    /// An access to emulated registers by an instruction that is not emulated.
    Instruction,
    /// An MSR that the domain may not read or write.
    Msr,
    /// A port that the domain does not have.
    Port,
}

impl Mistake {
    /// How many kinds there are.
    const KINDS: usize = Self::Port as usize + 1;

    /// The level at which it is logged. What Linux does while it looks for its machine is worth a word only to those
    /// who look for a fault.
    pub fn level(self) -> LogLevel {
        match self {
            Self::BadHandle | Self::Grant | Self::Ipi | Self::Instruction => LogLevel::Warning,
            Self::Hypercall | Self::Msr | Self::Port => LogLevel::Debug,
        }
    }
}

/// How much of a kind a domain may still have logged.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Nanoseconds that are saved; a message costs [`INTERVAL`].
    saved: u64,
    /// System time at which it was counted last.
    counted: u64,
    /// Messages that were left out since the last one.
    left_out: u32,
}

/// The limits of a domain.
#[derive(Debug)]
pub struct MistakeLimits([Limit; Mistake::KINDS]);

impl Default for MistakeLimits {
    fn default() -> Self {
        let full = Limit {
            saved: BURST * INTERVAL,
            counted: 0,
            left_out: 0,
        };
        Self([full; Mistake::KINDS])
    }
}

impl MistakeLimits {
    /// Whether a mistake may be logged at a system time in nanoseconds: how many of its kind were left out before it,
    /// or `None` if it is left out, too.
    pub fn admit(&mut self, mistake: Mistake, now: u64) -> Option<u32> {
        let limit = &mut self.0[mistake as usize];
        let passed = now.saturating_sub(limit.counted);
        limit.counted = limit.counted.max(now);
        limit.saved = limit.saved.saturating_add(passed).min(BURST * INTERVAL);
        match limit.saved.checked_sub(INTERVAL) {
            Some(rest) => {
                limit.saved = rest;
                Some(core::mem::take(&mut limit.left_out))
            }
            None => {
                limit.left_out = limit.left_out.saturating_add(1);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_does_the_same_for_ever_is_logged_ten_times_and_then_every_five_seconds() {
        let mut limits = MistakeLimits::default();
        let step = INTERVAL / 100;
        let mut logged = std::vec::Vec::new();
        for count in 0..1000 {
            if let Some(left_out) = limits.admit(Mistake::Grant, count * step) {
                logged.push((count, left_out));
            }
        }
        assert!(logged[..10].iter().all(|(_, left_out)| *left_out == 0));
        assert_eq!(logged[9].0, 9);
        // What ten seconds at the beginning have saved is used up within them.
        assert_eq!(logged.len(), 10 + 9);
        assert_eq!(logged[10], (100, 90));
        assert!(logged[11..].iter().all(|(_, left_out)| *left_out == 99));
    }

    #[test]
    fn a_kind_leaves_room_for_the_others_and_silence_is_saved_up_to_the_burst() {
        let mut limits = MistakeLimits::default();
        let admitted = |limits: &mut MistakeLimits, mistake, now| {
            (0..50)
                .filter(|_| limits.admit(mistake, now).is_some())
                .count() as u64
        };
        assert_eq!(admitted(&mut limits, Mistake::Port, 7), BURST);
        assert_eq!(admitted(&mut limits, Mistake::Msr, 7), BURST);
        assert_eq!(admitted(&mut limits, Mistake::Port, 7 + 3 * INTERVAL), 3);
        assert_eq!(admitted(&mut limits, Mistake::Port, u64::MAX), BURST);
        // A clock that goes back saves nothing.
        assert_eq!(admitted(&mut limits, Mistake::Port, 0), 0);
        assert_eq!(admitted(&mut limits, Mistake::Port, u64::MAX), 0);
    }
}
