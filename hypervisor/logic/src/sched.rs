//! Which vCPU runs on which CPU: the interface that the machine part uses, and one scheduler behind it.
//!
//! A scheduler decides, and nothing else: it is told what vCPUs become ([`Scheduler::wake`], [`Scheduler::sleep`]) and
//! asked what a CPU runs next. CPUs that it names in answers are to be interrupted so that they ask.

pub mod credit;

use crate::system::vcpu::VcpuId;
pub use credit::Credit;

/// A CPU of the machine, counted from 0.
pub type CpuId = usize;

/// What a CPU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The vCPU that runs; `None` to wait for an interrupt.
    pub vcpu: Option<VcpuId>,
    /// When to ask again at the latest, in nanoseconds of system time; `None` if nobody waits for the CPU.
    pub until: Option<u64>,
}

/// A scheduler.
pub trait Scheduler {
    /// A vCPU comes into being, asleep. `cpu` is where it is to run first.
    fn add(&mut self, vcpu: VcpuId, cpu: CpuId);

    /// A vCPU that does not run is gone.
    fn remove(&mut self, vcpu: VcpuId);

    /// A vCPU can run. Returns the CPU that is to be interrupted, if it shall run before that CPU asks by itself.
    fn wake(&mut self, vcpu: VcpuId, now: u64) -> Option<CpuId>;

    /// A vCPU cannot run any more. Returns the CPU on which it runs right now, if it is another than `here`.
    fn sleep(&mut self, vcpu: VcpuId, here: CpuId, now: u64) -> Option<CpuId>;

    /// The vCPU that runs on a CPU lets others run first.
    fn yields(&mut self, cpu: CpuId);

    /// What a CPU runs next. What it has run until now waits again, if it can run.
    fn next(&mut self, cpu: CpuId, now: u64) -> Next;

    /// What runs on a CPU.
    fn running(&self, cpu: CpuId) -> Option<VcpuId>;
}
