// SPDX-License-Identifier: GPL-2.0

//! Scheduling: the library's scheduler behind its lock, and the loop that each processor runs.
//!
//! A blocked vCPU sleeps in the scheduler. A change of what it may wait for wakes it ([`Vcpu::kick`]), and it then
//! checks whether it still blocks. The processor that it ran on last runs its timers.
//!
//! The scheduler's lock is the last one in the lock order.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use paravane::sched::credit::TIMESLICE;
use paravane::sched::{Credit, Scheduler};
use spin::{Mutex, Once};

use crate::arch::percpu::{self, PerCpu};
use crate::arch::{lapic, time, traps};
use crate::dom0::Dom0;
use crate::domain::{self, Vcpu};
use crate::vcpu::SvmVcpu;

static SCHEDULER: Once<Mutex<Credit>> = Once::new();
/// The processor state of dom0's vCPUs, by number. A processor locks the one that it runs.
static VCPUS: Once<Vec<Mutex<SvmVcpu>>> = Once::new();

/// Adds dom0's vCPUs to the scheduler; vCPU 0 starts at the kernel's entry. `None` without memory.
pub fn start(dom0: &Dom0, next_rip: bool) -> Option<()> {
    let cpus = percpu::all().len();
    let mut scheduler = Credit::new(cpus);
    let mut vcpus = Vec::new();
    for (index, vcpu) in dom0.domain.vcpus.iter().enumerate() {
        let mut svm_vcpu = SvmVcpu::new(dom0.domain, vcpu, next_rip)?;
        if index == 0 {
            svm_vcpu.start_pvh(dom0.entry, dom0.start_info);
        }
        vcpus.push(Mutex::new(svm_vcpu));
        scheduler.add(vcpu.id, index % cpus);
        scheduler.wake(vcpu.id, time::now());
    }
    SCHEDULER.call_once(|| Mutex::new(scheduler));
    VCPUS.call_once(|| vcpus);
    Some(())
}

/// Wakes a vCPU, which then checks whether it still blocks.
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
        lapic::kick(cpu.apic_id);
    }
}

/// Puts the vCPU that the calling processor runs to sleep. A wake-up before that is lost, so the caller checks again
/// afterwards whether the vCPU blocks.
pub fn sleep(vcpu: &Vcpu) {
    if let Some(scheduler) = SCHEDULER.get() {
        let mut scheduler = scheduler.lock();
        vcpu.asleep.store(true, Ordering::SeqCst);
        scheduler.sleep(vcpu.id, percpu::this().index, time::now());
    }
}

/// The vCPU that the calling processor runs yields.
pub fn yield_cpu() {
    if let Some(scheduler) = SCHEDULER.get() {
        scheduler.lock().yield_cpu(percpu::this().index);
    }
}

/// The timer of a processor, armed for the earliest deadline.
pub struct Timer {
    cpu: &'static PerCpu,
    /// When it fires, in nanoseconds of system time.
    armed: Option<u64>,
}

impl Timer {
    /// Arms the timer for a system time, or stops it.
    pub fn arm(&mut self, at: Option<u64>, now: u64) {
        // Writing the APIC's register is expensive, so it is written on a change only.
        let fired = self.cpu.timer_fired.swap(false, Ordering::Relaxed);
        if fired || at != self.armed {
            lapic::set_timer(at.map(|at| at.saturating_sub(now)));
            self.armed = at;
        }
    }
}

/// The sleeping vCPUs that ran on a processor last.
fn sleepers(cpu: &PerCpu) -> impl Iterator<Item = &'static Vcpu> + use<'_> {
    let here = |vcpu: &&Vcpu| {
        vcpu.asleep.load(Ordering::SeqCst) && vcpu.cpu.load(Ordering::SeqCst) == cpu.index
    };
    domain::dom0().vcpus.iter().filter(here)
}

/// Runs vCPUs on a processor for ever, once dom0 exists.
pub fn run(cpu: &'static PerCpu) -> ! {
    let (scheduler, vcpus) = loop {
        match (SCHEDULER.get(), VCPUS.get()) {
            (Some(scheduler), Some(vcpus)) => break (scheduler, vcpus),
            _ => traps::wait(),
        }
    };
    let mut timer = Timer { cpu, armed: None };
    // The scheduler returns an end of the timeslice only if a vCPU is waiting. With more vCPUs than processors one may
    // come.
    let overcommitted = vcpus.len() > percpu::all().len();
    loop {
        cpu.reschedule.store(false, Ordering::SeqCst);
        let now = time::now();
        let due = |vcpu: &&Vcpu| vcpu.next_timer().is_some_and(|at| at <= now);
        sleepers(cpu).filter(due).for_each(wake);
        let next = scheduler.lock().next(cpu.index, now);
        let turn = next.until.or(overcommitted.then_some(now + TIMESLICE));
        let timers = sleepers(cpu).filter_map(Vcpu::next_timer);
        match next.vcpu.and_then(|id| vcpus.get(id.vcpu as usize)) {
            Some(svm_vcpu) => {
                let until = timers.chain(turn).min();
                svm_vcpu.lock().run(cpu, &mut timer, until);
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
