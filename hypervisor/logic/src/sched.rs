// SPDX-License-Identifier: GPL-2.0

//! Scheduling: which vCPU runs on which CPU.
//!
//! A scheduler only decides. The machine part reports what vCPUs do ([`Scheduler::wake`], [`Scheduler::sleep`]) and
//! asks what a CPU runs next ([`Scheduler::next`]). It interrupts the CPUs that the scheduler returns, so that they
//! ask.

pub mod credit;

use crate::system::vcpu::VcpuId;
pub use credit::Credit;

/// Number of a physical CPU, from 0.
pub type CpuId = usize;

/// A scheduling decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The vCPU to run; `None` to idle until an interrupt.
    pub vcpu: Option<VcpuId>,
    /// When the timeslice ends, in nanoseconds of system time; `None` if no other vCPU is runnable.
    pub until: Option<u64>,
}

/// A scheduling policy.
pub trait Scheduler {
    /// Adds a vCPU, asleep. `cpu` is where it runs first.
    fn add(&mut self, vcpu: VcpuId, cpu: CpuId);

    /// Removes a vCPU that does not run.
    fn remove(&mut self, vcpu: VcpuId);

    /// A vCPU has become runnable. Returns the CPU to interrupt, if the vCPU preempts what runs there.
    fn wake(&mut self, vcpu: VcpuId, now: u64) -> Option<CpuId>;

    /// A vCPU is no longer runnable. Returns the CPU that it runs on, if that is not `here`.
    fn sleep(&mut self, vcpu: VcpuId, here: CpuId, now: u64) -> Option<CpuId>;

    /// The vCPU that runs on a CPU yields.
    fn yield_cpu(&mut self, cpu: CpuId);

    /// Decides what a CPU runs next. The vCPU that it has run until now goes back to the run queue, if it is runnable.
    fn next(&mut self, cpu: CpuId, now: u64) -> Next;

    /// The vCPU that runs on a CPU.
    fn running(&self, cpu: CpuId) -> Option<VcpuId>;
}
