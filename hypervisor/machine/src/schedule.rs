// SPDX-License-Identifier: GPL-2.0

//! Scheduling: the library's scheduler behind its lock, the vCPUs of all domains, and the loop that each processor runs.
//!
//! A blocked vCPU sleeps in the scheduler. A change of what it may wait for wakes it ([`Vcpu::kick`]), and it then
//! checks whether it still blocks. The processor that it ran on last runs its timers.
//!
//! The scheduler's lock is the last one in the lock order. Under the lock of the list of vCPUs only their local APICs and
//! the scheduler are locked.

use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use paravane::error::{Errno, Result};
use paravane::mem::FrameTable;
use paravane::mem::frames::DomId;
use paravane::sched::credit::TIMESLICE;
use paravane::sched::{CpuId, CpuSet, Credit, Scheduler};
use paravane::sorted_map::SortedMap;
use paravane::system::vcpu::VcpuId;
use paravane::trace::TraceEvent;
use spin::{Mutex, Once, RwLock};

use crate::arch::percpu::{self, PerCpu};
use crate::arch::{cpu, lapic, time, traps};
use crate::domain::{Domain, Vcpu};
use crate::trace;
use crate::vcpu::SvmVcpu;

static SCHEDULER: Once<Mutex<Credit>> = Once::new();

/// A vCPU of any domain.
struct Scheduled {
    vcpu: Arc<Vcpu>,
    /// Its processor state. The processor that runs it holds the lock.
    svm_vcpu: Arc<Mutex<SvmVcpu>>,
}

/// All vCPUs.
static VCPUS: RwLock<SortedMap<VcpuId, Scheduled>> = RwLock::new(SortedMap::new());

/// The first processor runs no vCPUs.
///
/// In QEMU's emulation (TCG, as of version 11), each processor that restores the state of its FPU also writes back flags
/// of the first processor, which may have changed since it read them (`cpu_clear_ignne`). Among them are the global
/// interrupt flag and whether addresses are translated by nested page tables. So a processor that enters and leaves
/// guests must not be the first: it stops taking interrupts, or its next access ends the machine by a triple fault.
static FIRST_IS_SPARED: AtomicBool = AtomicBool::new(false);

/// Makes the scheduler, once all processors are up.
pub fn init() {
    if cpu::is_emulated_by_qemu() && percpu::count() > 1 {
        log::info!("processor 0 runs no vCPUs: QEMU would mix up its state with that of guests");
        FIRST_IS_SPARED.store(true, Ordering::Relaxed);
    }
    SCHEDULER.call_once(|| Mutex::new(Credit::new(percpu::count())));
}

/// The processors that run vCPUs, by number.
pub fn usable() -> Range<usize> {
    usize::from(FIRST_IS_SPARED.load(Ordering::Relaxed))..percpu::count()
}

/// Those of some processors that run vCPUs; if none does, all that do.
fn usable_of(cpus: &CpuSet) -> CpuSet {
    if usable().start == 0 {
        return *cpus;
    }
    match usable().any(|cpu| cpus.contains(cpu)) {
        true => usable().filter(|cpu| cpus.contains(*cpu)).collect(),
        false => usable().collect(),
    }
}

/// Adds a vCPU, which sleeps until it is woken. The system is locked.
///
/// # Errors
///
/// [`Errno::ENOMEM`].
pub fn add_vcpu(frames: &mut FrameTable, domain: &Arc<Domain>, vcpu: &Arc<Vcpu>) -> Result<()> {
    let scheduler = SCHEDULER.get().ok_or(Errno::EINVAL)?;
    let svm_vcpu = SvmVcpu::new(frames, domain.clone(), vcpu.clone()).ok_or(Errno::ENOMEM)?;
    let svm_vcpu = Arc::try_new(Mutex::new(svm_vcpu)).map_err(|_| Errno::ENOMEM)?;
    let (id, cpu) = (vcpu.id, vcpu.run.cpu());
    let vcpu = vcpu.clone();
    let scheduled = Scheduled { vcpu, svm_vcpu };
    VCPUS.write().try_insert(id, scheduled)?;
    let mut scheduler = scheduler.lock();
    let added = scheduler.add(id, cpu);
    // It sleeps, so no processor has to know.
    scheduler.set_affinity(id, usable_of(&CpuSet::ALL));
    drop(scheduler);
    if added.is_err() {
        let removed = VCPUS.write().remove(&id);
        drop(removed);
    }
    added
}

/// Removes the vCPUs of a domain, which do not run and are not runnable. The system is locked.
pub fn remove_vcpus(domain: DomId) {
    let of_domain = |id: &VcpuId| id.domain == domain;
    loop {
        let first = VCPUS.read().keys().find(of_domain);
        let Some(id) = first else { return };
        if let Some(scheduler) = SCHEDULER.get() {
            scheduler.lock().remove(id);
        }
        let removed = VCPUS.write().remove(&id);
        // Its memory is freed outside of the lock.
        drop(removed);
    }
}

/// The processor state of a vCPU, if there is one.
fn find(id: VcpuId) -> Option<Arc<Mutex<SvmVcpu>>> {
    let vcpus = VCPUS.read();
    vcpus.get(&id).map(|scheduled| scheduled.svm_vcpu.clone())
}

/// Works on the processor state of a vCPU that no processor runs. The system is locked.
///
/// # Errors
///
/// [`Errno::EAGAIN`] if a processor has it still: it lets go of it soon, but may wait for the system's lock before.
/// [`Errno::ESRCH`] without the vCPU.
pub fn with_svm_vcpu<T>(id: VcpuId, work: impl FnOnce(&mut SvmVcpu) -> T) -> Result<T> {
    let svm_vcpu = find(id).ok_or(Errno::ESRCH)?;
    let mut svm_vcpu = svm_vcpu.try_lock().ok_or(Errno::EAGAIN)?;
    Ok(work(&mut svm_vcpu))
}

/// Wakes a vCPU, which then checks whether it still blocks.
pub fn wake(vcpu: &Vcpu) {
    let Some(scheduler) = SCHEDULER.get() else {
        return;
    };
    let mut scheduler = scheduler.lock();
    let now = time::now();
    if vcpu.asleep.swap(false, Ordering::SeqCst) {
        vcpu.woken_at.store(now, Ordering::SeqCst);
    }
    let cpu = scheduler.wake(vcpu.id, now);
    drop(scheduler);
    reschedule(cpu);
}

/// Has a processor ask the scheduler what to run, if there is one to ask.
fn reschedule(cpu: Option<CpuId>) {
    let Some(cpu) = cpu.and_then(percpu::get) else {
        return;
    };
    cpu.reschedule.store(true, Ordering::SeqCst);
    if cpu.index != percpu::this().index {
        lapic::kick(cpu.apic_id);
    }
}

/// Sets a vCPU's share of processor time.
pub fn set_weight(vcpu: VcpuId, weight: u16) {
    if let Some(scheduler) = SCHEDULER.get() {
        scheduler.lock().set_weight(vcpu, weight);
    }
}

/// Sets how much processor time the vCPUs of a domain get together, in hundredths of a processor; 0 for no limit.
pub fn set_cap(domain: DomId, percent: u16) {
    if let Some(scheduler) = SCHEDULER.get() {
        let cpus = scheduler.lock().set_cap(domain, percent);
        for cpu in usable().filter(|cpu| cpus.contains(*cpu)) {
            reschedule(Some(cpu));
        }
    }
}

/// Sets the processors that a vCPU may run on.
pub fn set_affinity(vcpu: VcpuId, cpus: CpuSet) {
    if let Some(scheduler) = SCHEDULER.get() {
        let cpu = scheduler.lock().set_affinity(vcpu, usable_of(&cpus));
        reschedule(cpu);
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

/// Wakes the sleeping vCPUs that ran on a processor last and whose timers are due. Returns the next deadline of the
/// others, and whether there are more vCPUs than processors.
fn run_sleepers_timers(cpu: &PerCpu, now: u64) -> (Option<u64>, bool) {
    let vcpus = VCPUS.read();
    let mut next = None;
    for vcpu in vcpus.values().map(|scheduled| &scheduled.vcpu) {
        let is_here = vcpu.run.cpu() == cpu.index;
        if !is_here || !vcpu.asleep.load(Ordering::SeqCst) {
            continue;
        }
        match vcpu.next_timer() {
            Some(at) if at <= now => wake(vcpu),
            at => next = next.into_iter().chain(at).min(),
        }
    }
    (next, vcpus.len() > usable().len())
}

/// Runs vCPUs on a processor for ever, once there is a scheduler.
pub fn run(cpu: &'static PerCpu) -> ! {
    let scheduler = loop {
        match SCHEDULER.get() {
            Some(scheduler) => break scheduler,
            None => traps::wait(),
        }
    };
    let mut timer = Timer { cpu, armed: None };
    loop {
        cpu.reschedule.store(false, Ordering::SeqCst);
        let now = time::now();
        let (deadline, overcommitted) = run_sleepers_timers(cpu, now);
        let next = scheduler.lock().next(cpu.index, now);
        reschedule(next.interrupt);
        match next.vcpu.map(find) {
            // It was removed meanwhile.
            Some(None) => {}
            Some(Some(svm_vcpu)) => {
                // The scheduler returns an end of the timeslice only if a vCPU is waiting. With more vCPUs than
                // processors one may come.
                let turn = next.until.or(overcommitted.then_some(now + TIMESLICE));
                let until = deadline.into_iter().chain(turn).min();
                if let Some(id) = next.vcpu {
                    trace::record(TraceEvent::VcpuBegin(id));
                }
                svm_vcpu.lock().run(cpu, &mut timer, until);
                trace::record(TraceEvent::VcpuEnd);
            }
            None => {
                timer.arm(deadline.into_iter().chain(next.until).min(), now);
                traps::wait();
                let idle = time::now().saturating_sub(now);
                cpu.idle.fetch_add(idle, Ordering::Relaxed);
            }
        }
    }
}
