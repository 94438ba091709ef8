// SPDX-License-Identifier: GPL-2.0

//! When the next datagram is due.

use std::time::{Duration, Instant};

/// Datagrams that are sent at once, at most, after the sender was held up. No queue on the way is that short; a sender that
/// made up for a whole second would fill them all, and have datagrams dropped that nobody is to blame for.
const BURST: u32 = 8;

/// So many datagrams a second, and never many at once.
pub struct Schedule {
    interval: Duration,
    due: Instant,
}

impl Schedule {
    /// The first one is due at `start`; `rate` is not 0.
    pub fn new(start: Instant, rate: u32) -> Self {
        let interval = Duration::from_secs(1) / rate;
        let due = start;
        Self { interval, due }
    }

    /// How long to wait for the next one at this time.
    pub fn next(&mut self, now: Instant) -> Duration {
        let earliest = now.checked_sub(self.interval * (BURST - 1));
        let due = self.due.max(earliest.unwrap_or(self.due));
        self.due = due + self.interval;
        due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_was_held_up_does_not_make_up_for_it_all_at_once() {
        let ms = Duration::from_millis;
        let start = Instant::now() + ms(1000);
        let mut schedule = Schedule::new(start, 100);
        let waits: Vec<_> = (0..3).map(|_| schedule.next(start)).collect();
        assert_eq!(waits, [ms(0), ms(10), ms(20)]);
        let late = start + ms(5000);
        let at_once = (0..20).take_while(|_| schedule.next(late).is_zero());
        assert_eq!(at_once.count(), BURST as usize);
        assert_eq!(schedule.next(late), ms(20));
    }
}
