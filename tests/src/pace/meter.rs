// SPDX-License-Identifier: GPL-2.0

//! The arithmetic of a machine's clock: from what is seen of the emulator to how much of the machine's own time has passed.
//! It reads nothing itself.

use std::collections::BTreeMap;
use std::time::Duration;

/// How much a limit is lengthened at most, by the machine's slowness and by the time in which the emulator could not run.
pub const MAX_SLOWNESS: u32 = 16;

/// A longer gap between two samples is not the emulator's: this process itself was stopped, or the whole computer.
const MAX_GAP: Duration = Duration::from_secs(2);

/// How much the speed so far counts against a new sample of half a second.
const KEPT: f64 = 0.9;

/// What the scheduler says about a thread since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thread {
    /// How long it ran.
    pub ran: Duration,
    /// How long it was ready to run and did not.
    pub waited: Duration,
}

/// What is seen of the emulator at one time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When, after its start.
    pub at: Duration,
    /// Its threads, by number; none if it does not run.
    pub threads: BTreeMap<u32, Thread>,
    /// What another computer on the same hardware has taken from each of this one's processors, on average, so far.
    pub stolen: Duration,
    /// Whether it was stopped by a signal.
    pub stopped: bool,
}

/// What a machine's clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Time by everybody's clock.
    pub wall: Duration,
    /// That without the time in which the emulator was ready to run and was not let.
    pub let_run: Duration,
    /// The machine's own time: seconds of the reference machine.
    pub own: Duration,
    /// How long the emulator ran, all threads together.
    pub ran: Duration,
    /// How much longer the same work takes here than on the reference machine.
    pub slowness: f64,
}

/// Advances from sample to sample.
pub struct Meter {
    last: Sample,
    reading: Reading,
    /// Time that threads have waited according to the scheduler and that was not subtracted yet: it is reported late.
    owed: BTreeMap<u32, Duration>,
    /// Of the machine's start.
    slowness: f64,
    /// How it has changed since.
    change: f64,
    /// `PARAVANE_SLOW`, 1 if it is not set.
    set: f64,
    /// The machine's own time in a second by the clock, lately.
    rate: f64,
}

impl Meter {
    /// `slowness` is what is believed until the machine's start tells; `set` is what the user says.
    pub fn new(slowness: f64, set: f64) -> Self {
        let mut meter = Self {
            last: Sample::default(),
            reading: Reading::default(),
            owed: BTreeMap::new(),
            slowness: slowness.max(1.0),
            change: 1.0,
            set: set.max(1.0),
            rate: 1.0,
        };
        meter.rate = meter.counted(1.0);
        meter.reading.slowness = meter.slowness;
        meter
    }

    /// The machine's own seconds in `seconds` in which the emulator could run.
    fn counted(&self, seconds: f64) -> f64 {
        seconds / (self.slowness() * self.set)
    }

    fn slowness(&self) -> f64 {
        (self.slowness * self.change).max(1.0)
    }

    /// Advances to a later sample.
    pub fn take(&mut self, sample: Sample) {
        let wall = sample.at.saturating_sub(self.last.at);
        if wall.is_zero() {
            return;
        }
        let stolen = sample.stolen.saturating_sub(self.last.stolen);
        let (mut ran, mut lost) = (Duration::ZERO, stolen);
        for (number, thread) in &sample.threads {
            let before = self.last.threads.get(number).copied().unwrap_or_default();
            ran += thread.ran.saturating_sub(before.ran);
            let owed = self.owed.entry(*number).or_default();
            *owed += thread.waited.saturating_sub(before.waited);
            // They wait at the same time: the machine was held up for as long as the one that waited longest.
            lost = lost.max(*owed + stolen);
        }
        let lost = lost.min(wall);
        self.owed.retain(|number, owed| {
            *owed = owed.saturating_sub(lost);
            sample.threads.contains_key(number)
        });
        let let_run = match sample.stopped {
            true => Duration::ZERO,
            false => wall.min(MAX_GAP).saturating_sub(lost.min(MAX_GAP)),
        };
        let own = self.counted(let_run.as_secs_f64());
        let own = own.max(wall.min(MAX_GAP).as_secs_f64() / (f64::from(MAX_SLOWNESS) * self.set));
        self.reading = Reading {
            wall: sample.at,
            let_run: self.reading.let_run + let_run,
            own: self.reading.own + Duration::from_secs_f64(own),
            ran: self.reading.ran + ran,
            slowness: self.slowness(),
        };
        self.rate = self.rate * KEPT + own / wall.as_secs_f64() * (1.0 - KEPT);
        self.last = sample;
    }

    /// What the clock shows at a time that may be after the last look. The next look may put that right, if only a little.
    pub fn at(&self, wall: Duration) -> Reading {
        let more = wall.saturating_sub(self.last.at).min(MAX_GAP);
        let rate = match self.last.threads.is_empty() {
            true => self.counted(1.0),
            false => self.rate.max(1.0 / (f64::from(MAX_SLOWNESS) * self.set)),
        };
        Reading {
            wall,
            let_run: self.reading.let_run + more,
            own: self.reading.own + more.mul_f64(rate),
            ..self.reading
        }
    }

    /// By how much what counts seconds of the clock has to be lengthened now: a whole number, rounded up where it matters.
    pub fn factor(&self) -> u32 {
        let factor = (1.0 / self.rate.max(f64::MIN_POSITIVE) - 0.2).ceil();
        (factor as u32).clamp(1, MAX_SLOWNESS * self.set.ceil() as u32)
    }

    /// The machine has started, for which the emulator needs `expected` of a processor on the reference machine. Returns how
    /// much slower this one is.
    pub fn started_within(&mut self, expected: Duration) -> f64 {
        let slowness = self.reading.ran.as_secs_f64() / expected.as_secs_f64();
        if slowness.is_finite() && slowness > 0.0 {
            self.slowness = slowness.clamp(1.0, f64::from(MAX_SLOWNESS));
            self.change = 1.0;
            self.reading.slowness = self.slowness;
        }
        self.slowness
    }

    /// The machine was started elsewhere or at another time; this is what was known then, and how things have changed since.
    pub fn goes_on(&mut self, slowness: f64, change: f64) {
        self.slowness = slowness.clamp(1.0, f64::from(MAX_SLOWNESS));
        self.change = change;
        self.reading.slowness = self.slowness();
    }

    /// Work takes so many times as long as at the machine's start.
    pub fn changed_by(&mut self, change: f64) {
        self.change = change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    /// An emulator on a computer of which the test says what it does.
    struct Played {
        meter: Meter,
        sample: Sample,
    }

    impl Played {
        fn new(set: f64) -> Self {
            let mut sample = Sample::default();
            sample.threads.insert(1, Thread::default());
            sample.threads.insert(2, Thread::default());
            Self {
                meter: Meter::new(1.0, set),
                sample,
            }
        }

        /// So many looks, between which each thread runs and waits for so many thousandths of the time.
        fn pass(&mut self, looks: u32, threads: [[u32; 2]; 2]) -> Reading {
            for _ in 0..looks {
                self.sample.at += TICK;
                for (thread, [ran, waited]) in self.sample.threads.values_mut().zip(threads) {
                    thread.ran += TICK * ran / 1000;
                    thread.waited += TICK * waited / 1000;
                }
                self.meter.take(self.sample.clone());
            }
            self.meter.at(self.sample.at)
        }
    }

    fn near(found: Duration, seconds: f64) {
        let found = found.as_secs_f64();
        assert!(
            (found - seconds).abs() < 0.02 * seconds.max(1.0),
            "{found}, not {seconds}"
        );
    }

    #[test]
    fn an_emulator_that_runs_or_has_nothing_to_do_loses_no_time() {
        let mut played = Played::new(1.0);
        near(played.pass(20, [[1000, 0], [1000, 0]]).own, 10.0);
        near(played.pass(20, [[0, 0], [3, 0]]).own, 20.0);
        near(played.meter.at(Duration::from_secs(21)).own, 21.0);
        assert_eq!(played.meter.factor(), 1);
    }

    #[test]
    fn time_in_which_it_is_not_let_run_does_not_count() {
        let mut played = Played::new(1.0);
        // A third of both processors.
        let reading = played.pass(60, [[333, 667], [333, 667]]);
        near(reading.own, 10.0);
        near(reading.wall, 30.0);
        assert_eq!(played.meter.factor(), 3);
        // One thread idles, the other one is held up: so is the machine.
        near(played.pass(20, [[0, 0], [500, 500]]).own, 15.0);
        // Most of the time no processor has anything to do.
        near(played.pass(20, [[50, 100], [0, 0]]).own, 24.0);
    }

    #[test]
    fn what_a_thread_waited_for_may_be_told_late() {
        let mut played = Played::new(1.0);
        played.pass(4, [[0, 0], [0, 0]]);
        // It waited for all four looks, and the scheduler says so when it runs.
        let thread = played.sample.threads.get_mut(&1).unwrap();
        thread.waited += TICK * 4;
        let least = 2.0 / f64::from(MAX_SLOWNESS);
        near(played.pass(4, [[0, 0], [0, 0]]).own, 2.0 + least);
        near(played.pass(4, [[1000, 0], [0, 0]]).own, 4.0 + least);
    }

    #[test]
    fn work_that_takes_longer_than_on_the_reference_machine_gets_longer() {
        let mut played = Played::new(1.0);
        played.pass(60, [[1000, 0], [500, 0]]);
        // 45 s of processors where the reference machine needs 15.
        let slowness = played.meter.started_within(Duration::from_secs(15));
        assert!((slowness - 3.0).abs() < 0.01);
        let before = played.meter.at(played.sample.at).own;
        near(played.pass(60, [[1000, 0], [0, 0]]).own - before, 10.0);
        assert_eq!(played.meter.factor(), 3);
        // Then it gets as slow again, and later as fast as it can be.
        played.meter.changed_by(2.0);
        let before = played.meter.at(played.sample.at).own;
        near(played.pass(60, [[1000, 0], [0, 0]]).own - before, 5.0);
        played.meter.changed_by(0.1);
        let before = played.meter.at(played.sample.at).own;
        near(played.pass(20, [[1000, 0], [0, 0]]).own - before, 10.0);
    }

    #[test]
    fn a_faster_machine_shortens_nothing() {
        let mut played = Played::new(1.0);
        played.pass(10, [[1000, 0], [0, 0]]);
        let slowness = played.meter.started_within(Duration::from_secs(50));
        assert!((slowness - 1.0).abs() < 0.001);
    }

    #[test]
    fn a_machine_that_was_kept_is_as_slow_as_it_was_but_for_what_has_changed() {
        let mut played = Played::new(1.0);
        played.meter.goes_on(2.0, 1.5);
        let reading = played.pass(60, [[1000, 0], [0, 0]]);
        near(reading.own, 10.0);
        assert!((reading.slowness - 3.0).abs() < 0.01);
    }

    #[test]
    fn the_users_factor_comes_on_top() {
        let mut played = Played::new(2.5);
        near(played.pass(20, [[333, 667], [0, 0]]).own, 10.0 / 3.0 / 2.5);
        let idle = Meter::new(1.0, 2.5).at(Duration::from_secs(1));
        near(idle.own, 0.4);
    }

    #[test]
    fn everything_ends() {
        let mut played = Played::new(1.0);
        near(played.pass(320, [[0, 1000], [0, 1000]]).own, 10.0);
        played.sample.stopped = true;
        near(played.pass(320, [[0, 0], [0, 0]]).own, 20.0);
        assert_eq!(played.meter.factor(), MAX_SLOWNESS);
    }

    #[test]
    fn while_all_of_this_is_stopped_no_time_passes() {
        let mut played = Played::new(1.0);
        played.pass(2, [[1000, 0], [0, 0]]);
        played.sample.at += Duration::from_secs(3600);
        near(played.meter.at(played.sample.at).own, 3.0);
        near(played.pass(1, [[1000, 0], [0, 0]]).own, 3.0);
    }

    #[test]
    fn a_stolen_processor_does_not_count() {
        let mut played = Played::new(1.0);
        for _ in 0..20 {
            played.sample.stolen += TICK / 2;
            played.pass(1, [[500, 0], [0, 0]]);
        }
        near(played.meter.at(played.sample.at).own, 5.0);
    }
}
