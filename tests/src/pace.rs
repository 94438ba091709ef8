// SPDX-License-Identifier: GPL-2.0

//! How fast a machine gets on, and time limits that follow it.
//!
//! All limits of the tests are in seconds of the reference machine: see [`mod@reference`]. On another machine a second by the clock
//! counts less the slower that one is, as it is at the time. It counts
//!
//! - nothing, where the emulator had work to do and was not let: other jobs run, a quota is used up, the processor is
//!   stolen, the emulator is stopped. The scheduler tells ([`emulator`]);
//! - less, if the same work takes more of a processor's time than on the reference machine. What dom0's own start took tells, and
//!   from then on a [`yardstick`] whether that has changed;
//! - less by the factor `PARAVANE_SLOW`, if a user sets it, for what cannot be seen from here (a slow disk, say);
//! - in full while the emulator has nothing to do. So a guest that waits for ever is found as soon as one that spins.
//!
//! However slow a machine is, a second counts at least 1/[`MAX_SLOWNESS`] of one: every wait ends.

pub mod emulator;
mod limit;
mod meter;
pub mod reference;
mod yardstick;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use emulator::Emulator;
pub use limit::{Limit, Spent};
pub use meter::{MAX_SLOWNESS, Reading};
use meter::{Meter, Sample};

use crate::topology::Topology;

/// How often the emulator is looked at. What a thread waited for is only told when it runs again.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);

/// How often the yardstick is measured, in looks.
const MEASURED_EVERY: u32 = 4;

/// How often it is looked whether something has happened that is waited for.
const GLANCE: Duration = Duration::from_millis(100);

/// How slow the machine was that was started last, as bits of an `f64`: the next one is as slow until its own start tells.
static LAST_SLOWNESS: AtomicU64 = AtomicU64::new(0);

/// The clock of one machine. Cheap to clone. The default one has no emulator and goes with everybody's clock.
#[derive(Clone)]
pub struct Pace(Arc<Clock>);

struct Clock {
    started: Instant,
    /// The process that has, or will have, the emulator below it.
    launcher: Option<u32>,
    state: Mutex<State>,
}

struct State {
    emulator: Option<Emulator>,
    meter: Meter,
    yardstick: yardstick::Mean,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(None, Meter::new(1.0, 1.0))
    }
}

impl Pace {
    /// The clock of the emulator that a process has started, or will.
    pub fn of(launcher: u32) -> Result<Self> {
        let slowness = f64::from_bits(LAST_SLOWNESS.load(Ordering::Relaxed));
        let pace = Self::new(Some(launcher), Meter::new(slowness, set_by_user()?));
        let clock = Arc::downgrade(&pace.0);
        thread::Builder::new()
            .name("pace".into())
            .spawn(move || look(&clock))?;
        Ok(pace)
    }

    fn new(launcher: Option<u32>, meter: Meter) -> Self {
        Self(Arc::new(Clock {
            started: Instant::now(),
            launcher,
            state: Mutex::new(State {
                emulator: None,
                meter,
                yardstick: yardstick::Mean::default(),
            }),
        }))
    }

    /// The emulator, once it has been seen.
    pub fn emulator(&self) -> Option<Emulator> {
        self.0.lock().emulator
    }

    /// What the clock shows.
    pub fn now(&self) -> Reading {
        self.0.lock().meter.at(self.0.started.elapsed())
    }

    /// A limit that begins now.
    pub fn limit(&self, length: Duration) -> Limit {
        Limit::new(self.clone(), length)
    }

    /// How much of the machine's own time has passed since.
    pub fn since(&self, then: &Reading) -> Duration {
        self.now().own.saturating_sub(then.own)
    }

    /// Sleeps until so much of the machine's own time has passed: for what happens inside meanwhile.
    pub fn sleep(&self, time: Duration) {
        let limit = self.limit(time);
        while !limit.is_over() {
            thread::sleep(limit.left().min(GLANCE).max(Duration::from_millis(1)));
        }
    }

    /// Asks again and again until there is an answer.
    pub fn wait<T>(
        &self,
        what: &str,
        length: Duration,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let limit = self.limit(length);
        loop {
            // A last time after the end, for a wait that was not scheduled before.
            let over = limit.is_over();
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            ensure!(!over, "waited in vain for {what}, {}", limit.spent());
            thread::sleep(GLANCE);
        }
    }

    /// By how much whatever counts seconds itself, inside the machine, has to be lengthened, as things are now.
    pub fn factor(&self) -> u32 {
        self.0.lock().meter.factor()
    }

    /// What is known about the machine's speed, for [`Self::goes_on`].
    pub fn speed(&self) -> String {
        let state = self.0.lock();
        let yardstick = state.yardstick.now().unwrap_or_default();
        format!("{} {}", state.meter.at(Duration::ZERO).slowness, yardstick)
    }

    /// The machine goes on from a snapshot, of which [`Self::speed`] said this: how fast it is now, the yardstick tells.
    pub(crate) fn goes_on(&self, speed: &str) {
        let mut words = speed.split_whitespace().map(str::parse);
        if let (Some(Ok(slowness)), Some(Ok(yardstick))) = (words.next(), words.next()) {
            let mut state = self.0.lock();
            let change = state.yardstick.continues(yardstick);
            state.meter.goes_on(slowness, change);
        }
    }

    /// What has passed since the emulator's start.
    pub(crate) fn waited(&self) -> Spent {
        Spent::between(Reading::default(), self.now())
    }

    /// Dom0 has just started, in a machine like this: what that took tells how fast the emulator is.
    /// Returns what has passed since the emulator's start.
    pub(crate) fn dom0_is_up(&self, topology: &Topology) -> Spent {
        self.0.look();
        let start = Reading::default();
        let mut state = self.0.lock();
        state.yardstick.is_reference();
        if let Some(expected) = reference::start_of_dom0(topology) {
            let slowness = state.meter.started_within(expected);
            LAST_SLOWNESS.store(slowness.to_bits(), Ordering::Relaxed);
        }
        let now = state.meter.at(self.0.started.elapsed());
        Spent::between(start, now)
    }
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let Some(launcher) = self.launcher else {
            return;
        };
        let mut state = self.lock();
        if state.emulator.is_none() {
            state.emulator = Emulator::below(launcher);
        }
        let sample = Sample {
            at: self.started.elapsed(),
            stolen: emulator::stolen(),
            ..match &state.emulator {
                Some(emulator) => emulator.sample(),
                None => Sample::default(),
            }
        };
        state.meter.take(sample);
    }
}

/// Samples the emulator until its clock is dropped.
fn look(clock: &Weak<Clock>) {
    for count in 0.. {
        thread::sleep(LOOKED_AT_EVERY);
        let Some(clock) = clock.upgrade() else {
            return;
        };
        clock.look();
        if count % MEASURED_EVERY == 0 {
            let length = yardstick::measure();
            let mut state = clock.lock();
            let change = state.yardstick.add(length);
            state.meter.changed_by(change);
        }
    }
}

/// What the user says about this machine.
fn set_by_user() -> Result<f64> {
    let Ok(text) = std::env::var("PARAVANE_SLOW") else {
        return Ok(1.0);
    };
    let factor: f64 = text.parse().ok().filter(|factor| *factor >= 1.0).with_context(|| {
        format!("PARAVANE_SLOW is {text:?}, but has to be a number from 1 on, by which time limits are multiplied")
    })?;
    Ok(factor)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, kill_process};

    use super::*;

    #[test]
    fn without_an_emulator_it_is_everybodys_clock() {
        let pace = Pace::default();
        let before = pace.now();
        pace.sleep(Duration::from_millis(30));
        let after = pace.now();
        assert!(after.own - before.own >= Duration::from_millis(30));
        assert_eq!(after.own, after.wall);
        assert_eq!(pace.factor(), 1);
    }

    #[test]
    fn what_never_comes_is_waited_for_as_long_as_was_said() {
        let pace = Pace::default();
        let limit = Duration::from_millis(200);
        let error = pace
            .wait("rain", limit, || Ok(None::<()>))
            .unwrap_err()
            .to_string();
        assert!(error.contains("waited in vain for rain"), "{error}");
        let mut asked = 0;
        let third = || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        };
        assert_eq!(pace.wait("the third", limit * 5, third).unwrap(), 3);
    }

    #[test]
    fn a_process_that_is_stopped_is_seen_to_be() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let emulator = Emulator::of(child.id());
        let pid = rustix::process::Pid::from_child(&child);
        let seen: Vec<_> = [Signal::CONT, Signal::STOP, Signal::CONT]
            .into_iter()
            .map(|signal| {
                kill_process(pid, signal).unwrap();
                thread::sleep(Duration::from_millis(100));
                emulator.sample().stopped
            })
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, [false, true, false]);
    }
}
