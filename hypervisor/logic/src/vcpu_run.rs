// SPDX-License-Identifier: GPL-2.0

//! The protocol between the processor that runs a vCPU and others that wake it, stop it or flush its TLB. Nobody takes a
//! lock for it: each side first says what it does, and then looks at what the other one said.
//!
//! - The processor marks the vCPU as [running](VcpuRun::switch_to), later as [in the guest](VcpuRun::enter_guest), and looks
//!   at the requests after that.
//! - Others make a request, and then [kick](VcpuRun::kick) the processor if the vCPU runs: an IPI makes it leave the guest,
//!   and stays pending until it has entered it.
//!
//! So either the processor sees the request, or the other one sees that the vCPU runs. The tests have `tests/loom.rs` try
//! all interleavings. All accesses are sequentially consistent: the argument is about the order of accesses to different
//! places.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A flag that several processors access, sequentially consistent.
pub trait AtomicFlag {
    /// A flag with a value.
    fn new(value: bool) -> Self;
    /// Reads it.
    fn load(&self) -> bool;
    /// Writes it.
    fn store(&self, value: bool);
}

/// A number that several processors access, sequentially consistent.
pub trait AtomicNumber {
    /// A number with a value.
    fn new(value: usize) -> Self;
    /// Reads it.
    fn load(&self) -> usize;
    /// Writes it, and returns the old value.
    fn swap(&self, value: usize) -> usize;
}

impl AtomicFlag for AtomicBool {
    fn new(value: bool) -> Self {
        Self::new(value)
    }

    fn load(&self) -> bool {
        self.load(Ordering::SeqCst)
    }

    fn store(&self, value: bool) {
        self.store(value, Ordering::SeqCst);
    }
}

impl AtomicNumber for AtomicUsize {
    fn new(value: usize) -> Self {
        Self::new(value)
    }

    fn load(&self) -> usize {
        self.load(Ordering::SeqCst)
    }

    fn swap(&self, value: usize) -> usize {
        self.swap(value, Ordering::SeqCst)
    }
}

/// What processors know of a vCPU: whether it runs and where, and what others want of it.
pub struct VcpuRun<F = AtomicBool, N = AtomicUsize> {
    /// The processor that runs it or ran it last.
    cpu: N,
    /// A processor runs it, or checks whether it may run.
    running: F,
    /// It runs guest code or is about to.
    in_guest: F,
    /// Nothing but an event that it waits for keeps it from running.
    runnable: F,
    /// Something has happened that ends blocking in a hypercall.
    event_pending: F,
    /// Its TLB has to be flushed before it enters the guest.
    flush_tlb: F,
}

/// What a processor does at the entry of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestEntry {
    /// It flushes the vCPU's TLB first.
    pub flush_tlb: bool,
    /// It enters the guest. Otherwise the vCPU was stopped meanwhile.
    pub runs: bool,
}

/// A run queue: where a vCPU sleeps.
pub trait SleepQueue {
    /// The vCPU sleeps from now on. Wake-ups before this are lost.
    fn sleep(&self);
    /// It sleeps no longer, if it did.
    fn wake(&self);
}

impl<F: AtomicFlag, N: AtomicNumber> VcpuRun<F, N> {
    /// Of a vCPU that does not run and may not, and runs on `cpu` first.
    pub fn new(cpu: usize) -> Self {
        Self {
            cpu: N::new(cpu),
            running: F::new(false),
            in_guest: F::new(false),
            runnable: F::new(false),
            event_pending: F::new(false),
            flush_tlb: F::new(false),
        }
    }

    /// The processor `cpu` runs the vCPU from now on. Returns the one that ran it last.
    pub fn switch_to(&self, cpu: usize) -> usize {
        let before = self.cpu.swap(cpu);
        self.running.store(true);
        before
    }

    /// No processor runs the vCPU any more: another one may.
    pub fn switch_from(&self) {
        self.running.store(false);
    }

    /// The processor is about to enter the guest. Until [`VcpuRun::leave_guest`] others may wait for it, so it takes no lock
    /// in between.
    pub fn enter_guest(&self) -> GuestEntry {
        self.in_guest.store(true);
        let flush_tlb = self.flush_tlb.load();
        if flush_tlb {
            // A request that comes now is answered by the flush that follows.
            self.flush_tlb.store(false);
        }
        GuestEntry {
            flush_tlb,
            runs: self.runnable.load(),
        }
    }

    /// The processor has left the guest.
    pub fn leave_guest(&self) {
        self.in_guest.store(false);
    }

    /// The vCPU has to sleep, by `blocks`: it is switched from and sleeps in the queue. As a wake-up in between is lost, it is
    /// woken if it does not block any more.
    pub fn sleep(&self, queue: &impl SleepQueue, blocks: impl FnOnce() -> bool) {
        self.switch_from();
        queue.sleep();
        if !blocks() {
            queue.wake();
        }
    }

    /// Makes the vCPU check what was requested, wherever it runs or sleeps. `send_ipi` interrupts a processor, unless it is
    /// the calling one.
    pub fn kick(&self, queue: &impl SleepQueue, send_ipi: impl FnOnce(usize)) {
        self.kick_out_of_guest(send_ipi);
        // Also if it is running: it may be about to sleep.
        queue.wake();
    }

    /// If a processor runs the vCPU, makes it leave the guest soon.
    pub fn kick_out_of_guest(&self, send_ipi: impl FnOnce(usize)) {
        if let Some(cpu) = self.runs_on() {
            send_ipi(cpu);
        }
    }

    /// The processor that runs it or ran it last.
    pub fn cpu(&self) -> usize {
        self.cpu.load()
    }

    /// The processor that runs it, if one does. If another one runs it by the time of the answer, that one has seen what was
    /// requested before.
    pub fn runs_on(&self) -> Option<usize> {
        self.running.load().then(|| self.cpu.load())
    }

    /// Whether a processor runs it, or has a part of its state.
    pub fn is_running(&self) -> bool {
        self.running.load()
    }

    /// Requests that it runs, or that it does not. To be followed by [`VcpuRun::kick`].
    pub fn set_runnable(&self, runnable: bool) {
        self.runnable.store(runnable);
    }

    /// Whether it may run.
    pub fn is_runnable(&self) -> bool {
        self.runnable.load()
    }

    /// Notes that something has happened that ends blocking in a hypercall. To be followed by [`VcpuRun::kick`].
    pub fn post_event(&self) {
        self.event_pending.store(true);
    }

    /// Forgets what has happened: only what happens from here on ends the blocking that may begin now.
    pub fn clear_event(&self) {
        self.event_pending.store(false);
    }

    /// Whether something has happened that ends blocking.
    pub fn has_event(&self) -> bool {
        self.event_pending.load()
    }

    /// Requests a flush of its TLB. To be followed by [`VcpuRun::kick_out_of_guest`] and a wait for [`VcpuRun::is_flushed`].
    pub fn request_flush(&self) {
        self.flush_tlb.store(true);
    }

    /// Whether it uses no translation from before the request any more: it is outside of the guest and flushes at the entry, or
    /// has flushed.
    pub fn is_flushed(&self) -> bool {
        !self.in_guest.load() || !self.flush_tlb.load()
    }
}
