// SPDX-License-Identifier: GPL-2.0

//! Model check of [`paravane::vcpu_run`]: in all interleavings of two processors no wake-up is lost, a vCPU that was stopped
//! stops, and a page is used by no guest after its TLB was flushed. The same checks find the mistakes in protocols that leave
//! something out, which shows that they can.
//!
//! loom replaces the atomics. It treats sequentially consistent accesses as weaker than they are, so there are fences around
//! them; the fault `NoOrder` leaves these out.

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Mutex};
use paravane::vcpu_run::{AtomicFlag, AtomicNumber, SleepQueue, VcpuRun};
use std::panic::catch_unwind;

/// What a wrong protocol leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// The order of accesses to different flags.
    NoOrder,
    /// The look at the condition after going to sleep.
    NoSecondLook,
    /// The IPI.
    NoIpi,
    /// The wait until the vCPU has flushed.
    NoWait,
}

/// Accesses that are sequentially consistent unless `ORDERED` is false.
struct Flag<const ORDERED: bool>(AtomicBool);
struct Number<const ORDERED: bool>(AtomicUsize);

fn order<const ORDERED: bool>() {
    if ORDERED {
        fence(Ordering::SeqCst);
    }
}

impl<const ORDERED: bool> AtomicFlag for Flag<ORDERED> {
    fn new(value: bool) -> Self {
        Self(AtomicBool::new(value))
    }

    fn load(&self) -> bool {
        order::<ORDERED>();
        let value = self.0.load(Ordering::Acquire);
        order::<ORDERED>();
        value
    }

    fn store(&self, value: bool) {
        order::<ORDERED>();
        self.0.store(value, Ordering::Release);
        order::<ORDERED>();
    }
}

impl<const ORDERED: bool> AtomicNumber for Number<ORDERED> {
    fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }

    fn load(&self) -> usize {
        order::<ORDERED>();
        self.0.load(Ordering::Acquire)
    }

    fn swap(&self, value: usize) -> usize {
        let old = self.0.swap(value, Ordering::AcqRel);
        order::<ORDERED>();
        old
    }
}

type Run<const ORDERED: bool> = VcpuRun<Flag<ORDERED>, Number<ORDERED>>;

/// IPIs that are pending, by processor.
struct Ipis([AtomicBool; 2]);

impl Ipis {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicBool::new(false)))
    }

    fn send(&self, cpu: usize) {
        self.0[cpu].store(true, Ordering::Release);
    }

    /// What VMRUN does: it is left when an IPI comes, or was pending before.
    fn arrived(&self, cpu: usize) -> bool {
        self.0[cpu].swap(false, Ordering::AcqRel)
    }
}

/// A run queue with one vCPU: whether it sleeps. Its lock orders.
struct Queue(Mutex<bool>);

impl SleepQueue for Queue {
    fn sleep(&self) {
        *self.0.lock().expect("nobody panicked") = true;
    }

    fn wake(&self) {
        *self.0.lock().expect("nobody panicked") = false;
    }
}

/// A vCPU blocks while another processor posts an event: it sleeps at the end only if it has seen the event before.
fn event_ends_blocking<const ORDERED: bool>(fault: Fault) {
    let shared = Arc::new((
        Run::<ORDERED>::new(0),
        Queue(Mutex::new(false)),
        Ipis::new(),
    ));
    shared.0.set_runnable(true);
    let others = Arc::clone(&shared);
    let poster = loom::thread::spawn(move || {
        let (run, queue, ipis) = &*others;
        run.post_event();
        run.kick(queue, |cpu| ipis.send(cpu));
    });
    let (run, queue, _) = &*shared;
    run.switch_to(0);
    // The hypercall that blocks; what came before it is seen by the guest itself.
    run.clear_event();
    let mut seen_by_guest = false;
    if run.has_event() {
        run.switch_from();
        seen_by_guest = true;
    } else {
        run.sleep(queue, || match fault {
            Fault::NoSecondLook => true,
            _ => !run.has_event(),
        });
    }
    poster.join().expect("it does not panic");
    let asleep = *queue.0.lock().expect("nobody panicked");
    let pending = run.has_event();
    assert!(!asleep || !pending, "it sleeps and an event is pending");
    assert!(!seen_by_guest || pending, "an event was made up");
}

/// A vCPU runs, on one processor and then on the other, while it is stopped: it leaves the guest for good.
fn stopped_vcpu_stops<const ORDERED: bool>(fault: Fault) {
    let shared = Arc::new((Run::<ORDERED>::new(0), Ipis::new()));
    shared.0.set_runnable(true);
    let others = Arc::clone(&shared);
    let stopper = loom::thread::spawn(move || {
        let (run, ipis) = &*others;
        run.set_runnable(false);
        run.kick_out_of_guest(|cpu| {
            if fault != Fault::NoIpi {
                ipis.send(cpu);
            }
        });
    });
    let (run, ipis) = &*shared;
    // The timeslice on the first processor ends before anything happens.
    run.switch_to(0);
    run.enter_guest();
    run.leave_guest();
    run.switch_from();
    run.switch_to(1);
    let entered = run.enter_guest().runs;
    stopper.join().expect("it does not panic");
    // Guest code, which only an IPI to its processor ends.
    assert!(
        !entered || ipis.arrived(1),
        "the vCPU runs on though it was stopped"
    );
}

/// A page is unmapped, the TLB flushed and the page freed, while a vCPU accesses it: never after it was freed.
fn freed_page_is_not_used<const ORDERED: bool>(fault: Fault) {
    struct Page {
        mapped: Flag<true>,
        freed: Flag<true>,
    }
    let page = Page {
        mapped: Flag::new(true),
        freed: Flag::new(false),
    };
    let shared = Arc::new((Run::<ORDERED>::new(0), Ipis::new(), page));
    shared.0.set_runnable(true);
    let others = Arc::clone(&shared);
    let freer = loom::thread::spawn(move || {
        let (run, ipis, page) = &*others;
        page.mapped.store(false);
        run.request_flush();
        run.kick_out_of_guest(|cpu| {
            if fault != Fault::NoIpi {
                ipis.send(cpu);
            }
        });
        while fault != Fault::NoWait && !run.is_flushed() {
            loom::thread::yield_now();
        }
        page.freed.store(true);
    });
    let (run, ipis, page) = &*shared;
    run.switch_to(0);
    // It has used the page before, so the translation is in the TLB.
    let mut translation = true;
    for _ in 0..2 {
        let entry = run.enter_guest();
        if entry.flush_tlb {
            translation = false;
        }
        if !translation {
            translation = page.mapped.load();
        }
        if translation {
            assert!(!page.freed.load(), "the guest uses a page that was freed");
        }
        ipis.arrived(0);
        run.leave_guest();
    }
    run.switch_from();
    freer.join().expect("it does not panic");
}

/// Checks all interleavings with up to so many preemptions.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// Whether the check finds a mistake.
fn finds(model: impl Fn() + Send + Sync + std::panic::UnwindSafe + 'static) -> bool {
    catch_unwind(|| check(model)).is_err()
}

#[test]
fn no_event_is_slept_through() {
    check(|| event_ends_blocking::<true>(Fault::None));
    assert!(finds(|| event_ends_blocking::<true>(Fault::NoSecondLook)));
}

#[test]
fn a_stopped_vcpu_leaves_the_guest() {
    check(|| stopped_vcpu_stops::<true>(Fault::None));
    assert!(finds(|| stopped_vcpu_stops::<true>(Fault::NoIpi)));
    assert!(finds(|| stopped_vcpu_stops::<false>(Fault::NoOrder)));
}

#[test]
fn a_freed_page_is_in_no_tlb() {
    check(|| freed_page_is_not_used::<true>(Fault::None));
    assert!(finds(|| freed_page_is_not_used::<true>(Fault::NoWait)));
    assert!(finds(|| freed_page_is_not_used::<false>(Fault::NoOrder)));
}
