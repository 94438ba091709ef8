// SPDX-License-Identifier: GPL-2.0

//! The steal clock of a vCPU: nanoseconds of steal time since the guest's start.
//!
//! Linux subtracts two readings without a sign, so a clock that goes back by a nanosecond makes
//! 2⁶⁴ of them. Two things would let it go back:
//!
//! - After a restore, the area counts from the new domain's start. [`StealClock::save`] keeps what
//!   the clock showed when the domain was saved, and [`StealClock::restore`] adds it from then on.
//!   Both store words that are there already, so neither can fail for want of memory.
//! - An area that cannot be read, or that counts less than it did (a restore of which the guest
//!   knows nothing). The clock stands still until the area has caught up.

use crate::area::StealWords;
use crate::SharedWord;

/// A clock, of handles on its words.
///
/// The area is the hypervisor's. The other words are the guest's own, zero at first; all CPUs may
/// read the clock at the same time.
#[derive(Clone, Copy, Debug)]
pub struct StealClock<'a, A, W> {
    /// The area that the hypervisor writes.
    pub area: StealWords<A>,
    /// What is added to the area's time: the clock at the last restore.
    pub base: &'a W,
    /// The latest reading of the clock, on any CPU.
    pub latest: &'a W,
}

impl<A, W> StealClock<'_, A, W>
where
    A: SharedWord<Value = u64>,
    W: SharedWord<Value = u64>,
{
    /// Nanoseconds of steal time. Never less than an earlier reading, on whichever CPU. Takes a
    /// bounded time, whatever the hypervisor does. Any context.
    #[inline]
    pub fn read(&self) -> u64 {
        let latest = self.latest.load();
        match self.area.read() {
            Some(time) => self.advance(latest, self.base.load().wrapping_add(time)),
            None => latest,
        }
    }

    /// Moves the latest reading up to `now`, and returns the later of the two.
    #[inline]
    fn advance(&self, mut latest: u64, now: u64) -> u64 {
        // Each turn but the last one finds a reading of another CPU, later than that of the turn
        // before, so there are as many as CPUs that read the clock now.
        while latest < now {
            match self.latest.compare_exchange(latest, now) {
                Ok(_) => return now,
                Err(other) => latest = other,
            }
        }
        latest
    }

    /// Keeps what the clock shows in `saved`, before the domain is saved.
    pub fn save(&self, saved: &W) {
        saved.store(self.read());
    }

    /// Goes on from what [`save`](Self::save) has kept, after the domain was restored: a new area
    /// counts from zero. Not called if the domain goes on with its area, after a checkpoint or a
    /// save that was given up.
    pub fn restore(&self, saved: &W) {
        self.base.store(saved.load());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use proptest::prelude::*;
    use std::vec::Vec;
    use xen_abi::vcpu::RUNSTATE_UPDATE_BIT;

    const UPDATE: u64 = 1 << RUNSTATE_UPDATE_BIT;

    /// A vCPU's memory, and the hypervisor that writes it.
    #[derive(Default)]
    struct Vcpu {
        entered: AtomicU64,
        runnable: AtomicU64,
        offline: AtomicU64,
        base: AtomicU64,
        latest: AtomicU64,
        saved: AtomicU64,
    }

    impl Vcpu {
        fn clock(&self) -> StealClock<'_, &AtomicU64, AtomicU64> {
            StealClock {
                area: StealWords {
                    state_entry_time: &self.entered,
                    runnable: &self.runnable,
                    offline: &self.offline,
                },
                base: &self.base,
                latest: &self.latest,
            }
        }

        fn read(&self) -> u64 {
            self.clock().read()
        }

        fn waits(&self, nanoseconds: u64) {
            self.entered.fetch_add(nanoseconds, SeqCst);
            self.runnable.fetch_add(nanoseconds, SeqCst);
        }

        /// A new domain, whose vCPU was offline for some time before it could run.
        fn new_area(&self, offline: u64) {
            self.entered.store(offline, SeqCst);
            self.runnable.store(0, SeqCst);
            self.offline.store(offline, SeqCst);
        }
    }

    #[test]
    fn the_clock_shows_the_areas_time() {
        let vcpu = Vcpu::default();
        assert_eq!(vcpu.read(), 0);
        vcpu.waits(30);
        assert_eq!(vcpu.read(), 30);
        vcpu.offline.store(12, SeqCst);
        assert_eq!(vcpu.read(), 42);
    }

    #[test]
    fn the_clock_goes_on_where_it_was_after_a_restore() {
        let vcpu = Vcpu::default();
        vcpu.waits(1000);
        vcpu.clock().save(&vcpu.saved);
        vcpu.new_area(7);
        // A CPU reads it before the base is set.
        assert_eq!(vcpu.read(), 1000);
        vcpu.clock().restore(&vcpu.saved);
        assert_eq!(vcpu.read(), 1007);
        vcpu.waits(3);
        // And once more, where both restores count.
        vcpu.clock().save(&vcpu.saved);
        vcpu.new_area(0);
        vcpu.clock().restore(&vcpu.saved);
        assert_eq!(vcpu.read(), 1010);
    }

    #[test]
    fn a_reading_before_the_base_is_set_is_not_counted_twice() {
        let vcpu = Vcpu::default();
        vcpu.waits(1);
        vcpu.clock().save(&vcpu.saved);
        vcpu.new_area(5000);
        assert_eq!(vcpu.read(), 5000);
        vcpu.clock().restore(&vcpu.saved);
        assert_eq!(vcpu.read(), 5001);
    }

    #[test]
    fn a_checkpoint_changes_nothing() {
        let vcpu = Vcpu::default();
        vcpu.waits(1000);
        vcpu.clock().save(&vcpu.saved);
        vcpu.waits(1);
        assert_eq!(vcpu.read(), 1001);
    }

    #[test]
    fn a_clock_whose_area_goes_back_stands_still_and_then_goes_on() {
        let vcpu = Vcpu::default();
        vcpu.waits(1000);
        assert_eq!(vcpu.read(), 1000);
        vcpu.new_area(0);
        vcpu.waits(999);
        assert_eq!(vcpu.read(), 1000);
        vcpu.waits(2);
        assert_eq!(vcpu.read(), 1001);
    }

    #[test]
    fn an_area_that_cannot_be_read_stops_the_clock_only() {
        let vcpu = Vcpu::default();
        vcpu.waits(1000);
        assert_eq!(vcpu.read(), 1000);
        vcpu.entered.fetch_or(UPDATE, SeqCst);
        vcpu.waits(500);
        assert_eq!(vcpu.read(), 1000);
        // A save in such a moment keeps what was known.
        vcpu.clock().save(&vcpu.saved);
        assert_eq!(vcpu.saved.load(SeqCst), 1000);
        vcpu.entered.fetch_and(!UPDATE, SeqCst);
        assert_eq!(vcpu.read(), 1500);
    }

    #[test]
    fn readings_on_many_cpus_never_go_back() {
        let vcpu = Vcpu::default();
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let readings: Vec<_> = (0..5000).map(|_| vcpu.read()).collect();
                        assert!(readings.is_sorted());
                    })
                })
                .collect();
            for _ in 0..5000 {
                vcpu.waits(3);
            }
            for reader in readers {
                reader.join().expect("a reader");
            }
        });
        assert_eq!(vcpu.read(), 15_000);
    }

    /// What may happen to a vCPU.
    #[derive(Clone, Debug)]
    enum Step {
        Waits(u32),
        Offline(u32),
        /// The hypervisor stops in an update, or goes on.
        Update(bool),
        Checkpoint,
        /// Saved, and restored as a domain that is this old; read in between or not.
        Restore(u32, bool),
        Read,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<u32>().prop_map(Step::Waits),
            any::<u32>().prop_map(Step::Offline),
            any::<bool>().prop_map(Step::Update),
            Just(Step::Checkpoint),
            (any::<u32>(), any::<bool>()).prop_map(|(age, read)| Step::Restore(age, read)),
            Just(Step::Read),
        ]
    }

    proptest! {
        /// The clock never goes back, and loses and invents nothing: whenever the area can be read,
        /// it shows what the vCPU has waited and was offline on all hosts, unless it has shown more
        /// while a restore was under way.
        #[test]
        fn the_clock_is_the_sum_over_all_hosts(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let vcpu = Vcpu::default();
            // What was stolen since the guest's start, and the most that was shown.
            let (mut stolen, mut shown) = (0_u64, 0);
            for step in steps {
                let mut is_readable = vcpu.entered.load(SeqCst) & UPDATE == 0;
                match step {
                    Step::Waits(time) => {
                        vcpu.waits(time.into());
                        stolen += u64::from(time);
                    }
                    Step::Offline(time) => {
                        vcpu.offline.fetch_add(time.into(), SeqCst);
                        stolen += u64::from(time);
                    }
                    Step::Update(true) => drop(vcpu.entered.fetch_or(UPDATE, SeqCst)),
                    Step::Update(false) => drop(vcpu.entered.fetch_and(!UPDATE, SeqCst)),
                    Step::Checkpoint => vcpu.clock().save(&vcpu.saved),
                    Step::Restore(age, read) => {
                        vcpu.clock().save(&vcpu.saved);
                        let saved = vcpu.saved.load(SeqCst);
                        prop_assert!(saved >= shown);
                        // What the hypervisor did not finish to write is lost with the host.
                        prop_assert!(saved == stolen.max(shown) || !is_readable);
                        stolen = saved + u64::from(age);
                        vcpu.new_area(age.into());
                        is_readable = true;
                        if read {
                            let reading = vcpu.read();
                            prop_assert!(reading >= shown);
                            shown = reading;
                        }
                        vcpu.clock().restore(&vcpu.saved);
                    }
                    Step::Read => {}
                }
                is_readable &= vcpu.entered.load(SeqCst) & UPDATE == 0;
                let reading = vcpu.read();
                prop_assert!(reading >= shown);
                if is_readable {
                    prop_assert_eq!(reading, stolen.max(shown));
                }
                shown = reading;
            }
        }
    }
}
