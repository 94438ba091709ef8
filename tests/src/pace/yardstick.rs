// SPDX-License-Identifier: GPL-2.0

//! How fast a processor is now, compared with before: a millisecond of work that is always the same. Other jobs do not
//! matter, since only the time on a processor counts; its frequency does, and what shares its execution units and caches.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Bytes of text that is looked through. They fit into any first-level cache.
const TEXT: usize = 16 << 10;

/// How often.
const ROUNDS: u32 = 60;

/// How much of the former mean a measurement leaves.
const KEPT: f64 = 0.7;

/// Processor time for a fixed piece of work. What does it is a part of the standard library that comes compiled, so that
/// it does not matter how we are.
pub fn measure() -> Duration {
    let text = "äöü and α…ω, ".repeat(TEXT / 19).into_bytes();
    let before = clock_gettime(ClockId::ThreadCPUTime);
    for _ in 0..ROUNDS {
        black_box(std::str::from_utf8(black_box(&text)).is_ok());
    }
    let after = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(after - before).unwrap_or_default()
}

/// The measurements so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean {
    now: Option<f64>,
    reference: Option<f64>,
}

impl Mean {
    /// Adds one; returns how many times as long such work takes as it did at the [reference](Self::is_reference).
    pub fn add(&mut self, length: Duration) -> f64 {
        let length = length.as_secs_f64();
        let now = self
            .now
            .map_or(length, |now| now * KEPT + length * (1.0 - KEPT));
        self.now = Some(now);
        self.compared(now)
    }

    /// The mean now, in seconds.
    pub fn now(&self) -> Option<f64> {
        self.now
    }

    /// Measurements are compared with a mean of another time, which may have been none. Returns how the present one compares.
    pub fn continues(&mut self, reference: f64) -> f64 {
        self.reference = Some(reference).filter(|seconds| *seconds > 0.0);
        match self.now {
            Some(now) => self.compared(now),
            None => self.add(measure()),
        }
    }

    fn compared(&self, now: f64) -> f64 {
        self.reference.map_or(1.0, |reference| now / reference)
    }

    /// Later measurements are compared with what the mean is now.
    pub fn is_reference(&mut self) {
        self.reference = self.now.filter(|seconds| *seconds > 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_some_time_and_not_much() {
        let length = measure();
        assert!(length > Duration::from_micros(20), "{length:?}");
        assert!(length < Duration::from_millis(200), "{length:?}");
    }

    #[test]
    fn changes_show_since_the_reference() {
        let mut mean = Mean::default();
        let millisecond = Duration::from_millis(1);
        assert_eq!(mean.add(millisecond * 3), 1.0, "nothing to compare with");
        (0..40).for_each(|_| {
            mean.add(millisecond);
        });
        mean.is_reference();
        let change = (0..40).map(|_| mean.add(millisecond * 2)).last().unwrap();
        assert!((change - 2.0).abs() < 0.01, "{change}");
        // A single outlier is no change.
        assert!(mean.add(millisecond * 3) < 2.5);
    }

    #[test]
    fn a_mean_of_another_time_is_compared_with() {
        let mut mean = Mean::default();
        assert!(mean.continues(1e-6) > 1.0, "it measures if nobody has");
        let mut mean = Mean::default();
        mean.add(Duration::from_millis(6));
        assert!((mean.continues(0.002) - 3.0).abs() < 0.01);
        assert_eq!(mean.continues(0.0), 1.0, "nothing was known then");
    }
}
