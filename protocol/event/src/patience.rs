// SPDX-License-Identifier: GPL-2.0

//! For how long a guest's CPU handles events at a stretch before the EOIs of late-EOI channels are
//! put off, so that it comes out of the loop although other domains send faster than it handles
//! (XSA-332).

/// How many events are handled between two looks at the clock.
const EVENTS_BETWEEN_LOOKS: u32 = 256;

/// The patience of one upcall. The clock is looked at after 256 events, and only from then on does
/// the time count: an upcall with few events costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    count: u32,
    /// When patience ends, once the clock was looked at.
    end: Option<u64>,
    is_over: bool,
}

impl Patience {
    /// Of an upcall that begins.
    pub const fn new() -> Self {
        Self {
            count: 0,
            end: None,
            is_over: false,
        }
    }

    /// Counts an event. Returns whether its EOI is to be put off: patience is over, and stays so.
    /// `lasts` is in the unit of `now`.
    #[inline]
    pub fn is_over_with(&mut self, lasts: u64, now: impl FnOnce() -> u64) -> bool {
        if self.is_over {
            return true;
        }
        self.count = self.count.wrapping_add(1);
        if self.count % EVENTS_BETWEEN_LOOKS == 0 {
            self.look(lasts, now());
        }
        self.is_over
    }

    #[cold]
    fn look(&mut self, lasts: u64, now: u64) {
        match self.end {
            None => self.end = Some(now.saturating_add(lasts)),
            Some(end) => self.is_over = now > end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_the_256th_event_on() {
        let mut patience = Patience::new();
        // The clock is an event each, and 300 the time that is left from event 256 on.
        let over = (1..2000).find(|now| patience.is_over_with(300, || *now));
        assert_eq!(over, Some(768), "256, then 512 is in time, then 768 is not");
        assert!(patience.is_over_with(300, || unreachable!("it stays over")));
    }

    #[test]
    fn few_events_do_not_look_at_the_clock() {
        let mut patience = Patience::default();
        for _ in 0..255 {
            assert!(!patience.is_over_with(0, || unreachable!()));
        }
        // A clock that stands still is never over.
        for _ in 0..10_000 {
            assert!(!patience.is_over_with(0, || u64::MAX));
        }
    }
}
