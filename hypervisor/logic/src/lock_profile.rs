// SPDX-License-Identifier: GPL-2.0

//! How long a processor waited for a lock and held it (Xen's lock profile). One value for each processor, so that counting
//! takes no shared cache line.

use core::fmt;
use core::panic::Location;

/// Where a lock was taken, and for which hypercall, if for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The place in the source.
    pub place: &'static Location<'static>,
    /// The hypercall's number and subcommand.
    pub hypercall: Option<(u32, u32)>,
}

/// Times in ticks of the time-stamp counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockProfile {
    /// How often the lock was taken.
    pub taken: u64,
    /// Ticks spent waiting for it.
    pub waited: u64,
    /// Ticks it was held.
    pub held: u64,
    /// The longest wait.
    pub longest_wait: u64,
    /// The longest time it was held, and by whom.
    pub longest_hold: Option<(u64, LockHolder)>,
}

impl LockProfile {
    /// Nothing was counted yet.
    pub const NEW: Self = Self {
        taken: 0,
        waited: 0,
        held: 0,
        longest_wait: 0,
        longest_hold: None,
    };

    /// Counts that the lock was taken: asked for, got and released at these times.
    pub fn count(&mut self, asked: u64, got: u64, released: u64, holder: LockHolder) {
        // Counters of different processors may differ, and one may be set back by firmware.
        let waited = got.saturating_sub(asked);
        let held = released.saturating_sub(got);
        self.taken += 1;
        self.waited += waited;
        self.held += held;
        self.longest_wait = self.longest_wait.max(waited);
        if self.longest_hold.is_none_or(|(longest, _)| held > longest) {
            self.longest_hold = Some((held, holder));
        }
    }
}

/// A profile as a line of text, over a time in which so many ticks have passed.
pub struct ProfileLine<'a> {
    /// The profile.
    pub profile: &'a LockProfile,
    /// Ticks for which was counted.
    pub ticks: u64,
    /// Ticks of a second.
    pub hz: u64,
}

impl ProfileLine<'_> {
    fn microseconds(&self, ticks: u64) -> u128 {
        u128::from(ticks) * 1_000_000 / u128::from(self.hz.max(1))
    }

    /// A share of the time, in thousandths.
    fn share(&self, ticks: u64) -> u128 {
        u128::from(ticks) * 1000 / u128::from(self.ticks.max(1))
    }
}

impl fmt::Display for ProfileLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockProfile {
            taken,
            waited,
            held,
            longest_wait,
            longest_hold,
        } = *self.profile;
        let permille = |ticks| {
            let share = self.share(ticks);
            (share / 10, share % 10)
        };
        let ((wait, wait_tenth), (hold, hold_tenth)) = (permille(waited), permille(held));
        write!(
            f,
            "taken {taken} times, waited for {wait}.{wait_tenth} % of the time (at most {} us), held {hold}.{hold_tenth} %",
            self.microseconds(longest_wait)
        )?;
        let Some((ticks, holder)) = longest_hold else {
            return Ok(());
        };
        let LockHolder { place, hypercall } = holder;
        let (file, line) = (place.file(), place.line());
        write!(
            f,
            " (at most {} us, by {file}:{line}",
            self.microseconds(ticks)
        )?;
        if let Some((number, command)) = hypercall {
            write!(f, " for hypercall {number}, command {command}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> LockHolder {
        LockHolder {
            place: Location::caller(),
            hypercall: Some((32, 4)),
        }
    }

    #[test]
    fn the_longest_hold_is_kept_with_its_holder() {
        let mut profile = LockProfile::NEW;
        let (first, longest) = (
            LockHolder {
                hypercall: None,
                ..here()
            },
            here(),
        );
        profile.count(0, 10, 20, first);
        profile.count(100, 100, 400, longest);
        profile.count(500, 900, 910, first);
        assert_eq!((profile.taken, profile.waited, profile.held), (3, 410, 320));
        assert_eq!(profile.longest_wait, 400);
        assert_eq!(profile.longest_hold, Some((300, longest)));
        let line = ProfileLine {
            profile: &profile,
            ticks: 1000,
            hz: 1_000_000,
        };
        let line = line.to_string();
        let (start, end) = line.split_once(" (at most 300 us, by ").unwrap();
        assert_eq!(
            start,
            "taken 3 times, waited for 41.0 % of the time (at most 400 us), held 32.0 %"
        );
        assert!(end.ends_with(" for hypercall 32, command 4)"), "{end}");
    }

    #[test]
    fn a_counter_that_was_set_back_counts_nothing() {
        let mut profile = LockProfile::NEW;
        profile.count(100, 50, 20, here());
        assert_eq!((profile.taken, profile.waited, profile.held), (1, 0, 0));
        let line = ProfileLine {
            profile: &profile,
            ticks: 0,
            hz: 0,
        };
        assert!(
            line.to_string()
                .starts_with("taken 1 times, waited for 0.0 %")
        );
    }
}
