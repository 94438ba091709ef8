// SPDX-License-Identifier: GPL-2.0

//! Scheduling: which vCPU runs on which CPU.
//!
//! A scheduler only decides. The machine part reports what vCPUs do ([`Scheduler::wake`], [`Scheduler::sleep`]) and
//! asks what a CPU runs next ([`Scheduler::next`]). It interrupts the CPUs that the scheduler returns, so that they
//! ask.

mod allowance;
pub mod credit;

use crate::error::Result;
use crate::mem::frames::DomId;
use crate::system::vcpu::VcpuId;
pub use credit::Credit;

/// The weight of a vCPU whose domain has none of its own (`CSCHED_DEFAULT_WEIGHT`).
pub const DEFAULT_WEIGHT: u16 = 256;

/// Number of a physical CPU, from 0.
pub type CpuId = usize;

/// Most CPUs that a [`CpuSet`] distinguishes.
const MAX_CPUS: usize = 256;

/// The CPUs that a vCPU may run on (its hard affinity in Xen).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSet([u64; MAX_CPUS / 64]);

impl CpuSet {
    /// Any CPU.
    pub const ALL: Self = Self([u64::MAX; MAX_CPUS / 64]);

    /// Whether a CPU is in it. The 257th and later ones are in it if all are.
    pub fn contains(&self, cpu: CpuId) -> bool {
        match self.0.get(cpu / 64) {
            Some(word) => word >> (cpu % 64) & 1 != 0,
            None => *self == Self::ALL,
        }
    }
}

impl FromIterator<CpuId> for CpuSet {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        let mut words = [0; MAX_CPUS / 64];
        for cpu in cpus {
            if let Some(word) = words.get_mut(cpu / 64) {
                *word |= 1 << (cpu % 64);
            }
        }
        Self(words)
    }
}

/// A scheduling decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The vCPU to run; `None` to idle until an interrupt.
    pub vcpu: Option<VcpuId>,
    /// When the CPU asks again at the latest, in nanoseconds of system time: the timeslice is over, the domain has no more
    /// than that of its cap, or an idle CPU may have something to run then. `None` if no other vCPU is runnable.
    pub until: Option<u64>,
    /// Another CPU to interrupt: it got the vCPU that this one has run and may not run any more, or idles and may run the
    /// one that has to wait here.
    pub interrupt: Option<CpuId>,
}

/// A scheduling policy.
pub trait Scheduler {
    /// Adds a vCPU, asleep. `cpu` is where it runs first. No other function allocates memory.
    ///
    /// # Errors
    ///
    /// [`Errno::EEXIST`](crate::error::Errno::EEXIST) if there is one with this number,
    /// [`Errno::ENOMEM`](crate::error::Errno::ENOMEM).
    fn add(&mut self, vcpu: VcpuId, cpu: CpuId) -> Result<()>;

    /// Removes a vCPU. If a CPU still runs it, that CPU is idle from now on.
    fn remove(&mut self, vcpu: VcpuId);

    /// Sets a vCPU's share of processor time, relative to those of others that are runnable.
    fn set_weight(&mut self, vcpu: VcpuId, weight: u16);

    /// Sets how much processor time the vCPUs of a domain get together, in hundredths of a CPU; 0 for as much as there is. A
    /// domain that has no vCPU has no cap. Returns the CPUs to interrupt, which run some of them.
    fn set_cap(&mut self, domain: DomId, percent: u16) -> CpuSet;

    /// Sets the CPUs that a vCPU may run on; at least one of them exists. Returns a CPU to interrupt, so that it runs the
    /// vCPU or stops running it.
    fn set_affinity(&mut self, vcpu: VcpuId, cpus: CpuSet) -> Option<CpuId>;

    /// A vCPU has become runnable. Returns the CPU to interrupt, if the vCPU preempts what runs there, or that CPU would not
    /// ask by itself.
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
