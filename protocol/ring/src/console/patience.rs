// SPDX-License-Identifier: GPL-2.0

//! For how long a kernel waits for a console daemon that does not read its output.
//!
//! The most interesting output is that of a kernel that is about to die, so a kernel that prints
//! waits while the ring is full. But the daemon is another domain's program, and may have stopped,
//! so the wait has a bound: [`Patience`] is a time that waiting uses up, and that bytes which find
//! room give back. However slowly the daemon reads, a kernel waits no longer for `n` bytes than
//! the whole patience and [`PER_BYTE`] for each.

/// The patience with an ordinary daemon, in nanoseconds: long enough for a machine under load, and
/// shorter than the time after which the kernel reports a CPU that is stuck.
pub const PATIENCE: u64 = 10_000_000_000;

/// The patience of a kernel that panics, in nanoseconds: what it says is worth more than its time,
/// but it may still have to dump its memory or to reboot.
pub const LAST_PATIENCE: u64 = 60_000_000_000;

/// What a byte that found room gives back, in nanoseconds.
pub const PER_BYTE: u64 = 1_000_000;

/// The patience from which on a daemon that had stopped counts as one that reads, in nanoseconds.
const READS_AGAIN: u64 = 1_000_000_000;

/// The most that one step of waiting uses up, in nanoseconds: a domain that was paused or saved
/// meanwhile finds a clock that has jumped.
const MAX_STEP: u64 = 100_000_000;

/// What a step uses up if the clock stands still, as it does early at boot, in nanoseconds.
const MIN_STEP: u64 = 1_000;

/// How much longer a daemon is waited for.
#[derive(Debug)]
pub struct Patience {
    /// In nanoseconds.
    left: u64,
    /// When the last step of a wait was, which no byte has ended yet.
    since: Option<u64>,
    /// The daemon has stopped reading, and has not read enough since.
    is_stopped: bool,
    is_last: bool,
}

/// What to do about a ring that is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Let others run, and try again.
    Longer,
    /// Leave the output out.
    Over,
    /// As [`Over`](Self::Over), for the first time since the daemon has stopped: to be logged.
    HasStopped,
}

impl Patience {
    /// With a daemon of which nothing is known.
    pub const fn new() -> Self {
        Self {
            left: PATIENCE,
            since: None,
            is_stopped: false,
            is_last: false,
        }
    }

    /// Notes that bytes found room. True if the daemon had stopped and now reads again: to be
    /// logged.
    #[inline]
    pub fn found_room(&mut self, bytes: usize) -> bool {
        if bytes == 0 {
            return false;
        }
        self.since = None;
        let most = match self.is_last {
            true => LAST_PATIENCE,
            false => PATIENCE,
        };
        let credit = (bytes as u64).saturating_mul(PER_BYTE);
        self.left = self.left.saturating_add(credit).min(most);
        let reads_again = self.is_stopped && self.left >= READS_AGAIN;
        if reads_again {
            self.is_stopped = false;
        }
        reads_again
    }

    /// The ring is full at time `now`, in nanoseconds of a clock that is monotonic while there is a
    /// wait.
    #[inline]
    pub fn wait(&mut self, now: u64) -> Wait {
        if self.is_stopped {
            return Wait::Over;
        }
        let step = match self.since.replace(now) {
            Some(then) => now.saturating_sub(then).clamp(MIN_STEP, MAX_STEP),
            None => return Wait::Longer,
        };
        self.left = self.left.saturating_sub(step);
        if self.left > 0 {
            return Wait::Longer;
        }
        self.since = None;
        self.is_stopped = true;
        Wait::HasStopped
    }

    /// Whether a full ring is waited for.
    #[inline]
    pub fn is_left(&self) -> bool {
        !self.is_stopped
    }

    /// The kernel panics: once, the patience is [`LAST_PATIENCE`], also with a daemon that has
    /// stopped.
    #[inline]
    pub fn panic(&mut self) {
        if !self.is_last {
            self.left = LAST_PATIENCE;
            self.since = None;
            self.is_stopped = false;
            self.is_last = true;
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits in steps of `step` until it is over; returns for how long.
    fn wait(patience: &mut Patience, now: &mut u64, step: u64) -> (u64, Wait) {
        let start = *now;
        loop {
            match patience.wait(*now) {
                Wait::Longer => *now += step,
                end => return (*now - start, end),
            }
        }
    }

    #[test]
    fn a_daemon_that_stops_is_waited_for_once() {
        let (mut patience, mut now) = (Patience::new(), 5);
        let step = 20_000;
        let (time, end) = wait(&mut patience, &mut now, step);
        assert_eq!(end, Wait::HasStopped);
        assert!((PATIENCE..PATIENCE + 2 * step).contains(&time), "{time}");
        for _ in 0..3 {
            assert_eq!(wait(&mut patience, &mut now, step), (0, Wait::Over));
            assert!(!patience.is_left());
        }
    }

    #[test]
    fn a_daemon_that_reads_again_is_waited_for_again() {
        let (mut patience, mut now) = (Patience::new(), 0);
        wait(&mut patience, &mut now, 20_000);
        assert!(!patience.found_room(999) && !patience.is_left());
        assert!(patience.found_room(1), "which is said once");
        assert!(!patience.found_room(1) && patience.is_left());
        let (time, end) = wait(&mut patience, &mut now, 20_000);
        assert_eq!(end, Wait::HasStopped);
        assert!((1_000_000_000..1_100_000_000).contains(&time), "{time}");
    }

    #[test]
    fn however_slowly_a_daemon_reads_the_time_for_a_byte_is_bounded() {
        let (mut patience, mut now) = (Patience::new(), 0);
        let (mut bytes, mut waited) = (0, 0);
        // Room for a byte each three seconds.
        for _ in 0..1000 {
            let until = now + 3_000_000_000;
            while now < until && patience.wait(now) == Wait::Longer {
                now += 1_000_000;
                waited += 1_000_000;
            }
            now = until;
            patience.found_room(1);
            bytes += 1;
        }
        assert!(waited <= PATIENCE + bytes * PER_BYTE, "{waited}");
        assert!(waited >= PATIENCE);
    }

    #[test]
    fn a_daemon_that_keeps_up_is_waited_for_at_any_time() {
        let (mut patience, mut now) = (Patience::new(), 0);
        for _ in 0..10_000 {
            for _ in 0..20 {
                assert_eq!(patience.wait(now), Wait::Longer);
                now += 50_000;
            }
            assert!(!patience.found_room(2048));
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_ends_no_wait_too_early_or_never() {
        let (mut patience, mut now) = (Patience::new(), 0);
        for _ in 0..90 {
            assert_eq!(patience.wait(now), Wait::Longer);
            now += PATIENCE;
        }
        let mut steps = 0;
        while patience.wait(now) == Wait::Longer {
            steps += 1;
        }
        assert!((1_000_000..2_000_000).contains(&steps), "{steps}");
        // Backwards, too.
        let mut patience = Patience::new();
        assert_eq!(patience.wait(now), Wait::Longer);
        assert_eq!(patience.wait(0), Wait::Longer);
    }

    #[test]
    fn a_kernel_that_panics_waits_longer_once() {
        let (mut patience, mut now) = (Patience::new(), 0);
        wait(&mut patience, &mut now, 1_000_000);
        patience.panic();
        let (time, end) = wait(&mut patience, &mut now, 1_000_000);
        assert_eq!(end, Wait::HasStopped);
        assert!(time >= LAST_PATIENCE, "{time}");
        patience.panic();
        assert_eq!(wait(&mut patience, &mut now, 1_000_000), (0, Wait::Over));
    }
}
