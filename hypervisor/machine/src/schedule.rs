// SPDX-License-Identifier: GPL-2.0

//! Which vCPU runs on which processor: the library's scheduler behind a lock, and what each processor does for ever.
//!
//! A vCPU that waits sleeps in the scheduler. Whoever changes something that it may wait for wakes it
//! ([`Vcpu::kick`]); it then looks by itself whether that was it. Its timers are then the business of the processor that it
//! ran on last.
//!
//! The scheduler's lock is the last one: who holds it takes no other.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use paravane::sched::credit::SLICE;
use paravane::sched::{Credit, Scheduler};
use spin::{Mutex, Once};

use crate::arch::percpu::{self, PerCpu};
use crate::arch::{lapic, time, traps};
use crate::dom0::Built;
use crate::domain::{self, Vcpu};
use crate::vcpu::Runner;

static SCHEDULER: Once<Mutex<Credit>> = Once::new();
/// The vCPUs of dom0 in the hands of the processors that run them.
static RUNNERS: Once<Vec<Mutex<Runner>>> = Once::new();

/// Readies all vCPUs; the first starts at dom0's entry. `None` without memory.
pub fn start(built: &Built, next_rip: bool) -> Option<()> {
    let cpus = percpu::all().len();
    let mut scheduler = Credit::new(cpus);
    let mut runners = Vec::new();
    for (index, vcpu) in built.domain.vcpus.iter().enumerate() {
        let mut runner = Runner::new(built.domain, vcpu, next_rip)?;
        if index == 0 {
            runner.start_pvh(built.entry, built.start_info);
        }
        runners.push(Mutex::new(runner));
        scheduler.add(vcpu.id, index % cpus);
        scheduler.wake(vcpu.id, time::now());
    }
    SCHEDULER.call_once(|| Mutex::new(scheduler));
    RUNNERS.call_once(|| runners);
    Some(())
}

/// Has a vCPU look at what it waits for, if it sleeps.
pub fn wake(vcpu: &Vcpu) {
    let Some(scheduler) = SCHEDULER.get() else {
        return;
    };
    let mut scheduler = scheduler.lock();
    vcpu.asleep.store(false, Ordering::SeqCst);
    let cpu = scheduler.wake(vcpu.id, time::now());
    drop(scheduler);
    let Some(cpu) = cpu.and_then(percpu::get) else {
        return;
    };
    cpu.reschedule.store(true, Ordering::SeqCst);
    if cpu.index != percpu::this().index {
        lapic::kick(cpu);
    }
}

/// The vCPU that the calling processor runs cannot go on. What came before the scheduler knew has not woken it: it has
/// to be looked at once again afterwards.
pub fn sleep(vcpu: &Vcpu) {
    if let Some(scheduler) = SCHEDULER.get() {
        let mut scheduler = scheduler.lock();
        vcpu.asleep.store(true, Ordering::SeqCst);
        scheduler.sleep(vcpu.id, percpu::this().index, time::now());
    }
}

/// The vCPU that the calling processor runs lets others run first.
pub fn yields() {
    if let Some(scheduler) = SCHEDULER.get() {
        scheduler.lock().yields(percpu::this().index);
    }
}

/// The timer of a processor: armed for the earliest of what is due.
pub struct Timer {
    cpu: &'static PerCpu,
    /// What it is set to, in nanoseconds of system time.
    armed: Option<u64>,
}

impl Timer {
    /// Has it interrupt at a time, or not at all.
    pub fn arm(&mut self, at: Option<u64>, now: u64) {
        // Writing the timer costs much more than comparing.
        let fired = self.cpu.timer_fired.swap(false, Ordering::Relaxed);
        if fired || at != self.armed {
            lapic::set_timer(at.map(|at| at.saturating_sub(now)));
            self.armed = at;
        }
    }
}

/// The vCPUs that sleep and ran on this processor last.
fn sleepers(cpu: &PerCpu) -> impl Iterator<Item = &'static Vcpu> + use<'_> {
    let here = |vcpu: &&Vcpu| {
        vcpu.asleep.load(Ordering::SeqCst) && vcpu.cpu.load(Ordering::SeqCst) == cpu.index
    };
    domain::dom0().vcpus.iter().filter(here)
}

/// What a processor does from the time dom0 is there.
pub fn run(cpu: &'static PerCpu) -> ! {
    let (scheduler, runners) = loop {
        match (SCHEDULER.get(), RUNNERS.get()) {
            (Some(scheduler), Some(runners)) => break (scheduler, runners),
            _ => traps::wait(),
        }
    };
    let mut timer = Timer { cpu, armed: None };
    // The scheduler names a time only if it knows of somebody who waits; somebody may come.
    let crowded = runners.len() > percpu::all().len();
    loop {
        cpu.reschedule.store(false, Ordering::SeqCst);
        let now = time::now();
        let due = |vcpu: &&Vcpu| vcpu.next_timer().is_some_and(|at| at <= now);
        sleepers(cpu).filter(due).for_each(wake);
        let next = scheduler.lock().next(cpu.index, now);
        let turn = next.until.or(crowded.then_some(now + SLICE));
        let timers = sleepers(cpu).filter_map(Vcpu::next_timer);
        match next.vcpu.and_then(|id| runners.get(id.vcpu as usize)) {
            Some(runner) => {
                let until = timers.chain(turn).min();
                runner.lock().run(cpu, &mut timer, until);
            }
            None => {
                timer.arm(timers.min(), now);
                traps::wait();
                let idle = time::now().saturating_sub(now);
                cpu.idle.fetch_add(idle, Ordering::Relaxed);
            }
        }
    }
}
