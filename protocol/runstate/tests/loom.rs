// SPDX-License-Identifier: GPL-2.0

//! Model check of reading a runstate area while the hypervisor updates it: under every interleaving
//! and every reordering that the memory model of C11 allows, a reading is of one update, or none.
//! The same check finds the mistake in a hypervisor that sets the bit too late or orders nothing,
//! and in CPUs that read the clock without comparing, which shows that it can.

use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::sync::Arc;
use xen_abi::vcpu::RUNSTATE_UPDATE_BIT;
use xen_runstate::area::StealWords;
use xen_runstate::steal::StealClock;
use xen_runstate::SharedWord;
use xen_shared::assert_finds;

const UPDATE: u64 = 1 << RUNSTATE_UPDATE_BIT;

/// What is wrong in a broken model.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The hypervisor writes the times before it sets the bit.
    LateBit,
    /// The hypervisor's stores are not ordered.
    NoOrder,
    /// A CPU overwrites the latest reading without looking at it.
    NoCompare,
}

/// A word of the model.
#[derive(Clone, Copy)]
struct Word<'a>(&'a AtomicU64, Fault);

impl SharedWord for Word<'_> {
    type Value = u64;

    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
    fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
    fn compare_exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        if self.1 == Fault::NoCompare {
            self.0.store(new, Ordering::Release);
            return Ok(old);
        }
        self.0
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
    }
    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }
    fn fetch_clear(&self, bits: u64) -> u64 {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }
}

/// A vCPU's area, whose two times are 10 and 1 for each update.
struct Vcpu {
    entered: AtomicU64,
    runnable: AtomicU64,
    offline: AtomicU64,
    fault: Fault,
}

impl Vcpu {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            entered: AtomicU64::new(0),
            runnable: AtomicU64::new(0),
            offline: AtomicU64::new(0),
            fault,
        })
    }

    fn area(&self) -> StealWords<Word<'_>> {
        StealWords {
            state_entry_time: Word(&self.entered, self.fault),
            runnable: Word(&self.runnable, self.fault),
            offline: Word(&self.offline, self.fault),
        }
    }

    /// The hypervisor's half: `smp_wmb()` is a release fence.
    fn update(&self, count: u64) {
        let barrier = || {
            if self.fault != Fault::NoOrder {
                fence(Ordering::Release);
            }
        };
        let times = || {
            self.runnable.store(10 * count, Ordering::Relaxed);
            self.offline.store(count, Ordering::Relaxed);
        };
        if self.fault == Fault::LateBit {
            times();
        }
        self.entered.store(count | UPDATE, Ordering::Relaxed);
        barrier();
        times();
        barrier();
        self.entered.store(count, Ordering::Relaxed);
    }
}

/// The hypervisor updates the area twice while another CPU reads it.
fn read_against_update(fault: Fault) {
    let vcpu = Vcpu::new(fault);
    let hypervisor = loom::thread::spawn({
        let vcpu = vcpu.clone();
        move || (1..=2).for_each(|count| vcpu.update(count))
    });
    let reading = vcpu.area().try_read();
    assert!(
        reading.is_none_or(|time| time % 11 == 0),
        "times of two updates: {reading:?}"
    );
    hypervisor.join().expect("the hypervisor");
    assert_eq!(vcpu.area().read(), Some(22));
}

/// A CPU reads the clock, and has read this of the area.
fn reads(latest: &AtomicU64, fault: Fault, runnable: u64) -> u64 {
    let zero = AtomicU64::new(0);
    let [entered, runnable, offline] = [0, runnable, 0].map(std::sync::atomic::AtomicU64::new);
    let clock = StealClock {
        area: StealWords {
            state_entry_time: &entered,
            runnable: &runnable,
            offline: &offline,
        },
        base: &Word(&zero, fault),
        latest: &Word(latest, fault),
    };
    clock.read()
}

/// Three CPUs read the clock, and have read the area at other times. A reading that comes behind
/// them, from an area that counts less, is not less than any.
fn read_against_read(fault: Fault) {
    let latest = Arc::new(AtomicU64::new(0));
    let others = [2, 3].map(|time| {
        let latest = latest.clone();
        loom::thread::spawn(move || reads(&latest, fault, time))
    });
    let mut shown = reads(&latest, fault, 1);
    for other in others {
        shown = shown.max(other.join().expect("a CPU"));
    }
    assert!(reads(&latest, fault, 0) >= shown, "the clock goes back");
}

/// Asserts that the model finds the fault, and nothing else.
fn finds(what: &str, model: impl Fn() + Sync + Send + std::panic::UnwindSafe + 'static) {
    assert_finds(what, || loom::model(model));
}

#[test]
fn a_reading_is_of_one_update() {
    loom::model(|| read_against_update(Fault::None));
}

#[test]
fn a_bit_that_is_set_late_mixes_updates_and_the_model_finds_it() {
    finds("times of two updates", || {
        read_against_update(Fault::LateBit)
    });
}

#[test]
fn without_order_updates_are_mixed_and_the_model_finds_it() {
    finds("times of two updates", || {
        read_against_update(Fault::NoOrder)
    });
}

#[test]
fn readings_on_three_cpus_do_not_go_back() {
    loom::model(|| read_against_read(Fault::None));
}

#[test]
fn a_reading_that_does_not_compare_goes_back_and_the_model_finds_it() {
    finds("the clock goes back", || {
        read_against_read(Fault::NoCompare)
    });
}
