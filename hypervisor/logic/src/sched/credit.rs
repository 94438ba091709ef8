// SPDX-License-Identifier: GPL-2.0

//! A credit scheduler: vCPUs are charged for the time that they run, and all get the same credit in every period. Those
//! with credit left run before those without, in turns; those that wake up with credit left preempt others. Idle CPUs
//! take vCPUs from the run queues of other CPUs.

use super::{CpuId, Next, Scheduler};
use crate::system::vcpu::VcpuId;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Timeslice in nanoseconds: 5 ms.
pub const TIMESLICE: u64 = 5_000_000;
/// Accounting period in nanoseconds: 30 ms.
pub const PERIOD: u64 = 30_000_000;
/// Limit of saved credit, and of debt, in nanoseconds.
const MAX_CREDIT: i64 = PERIOD as i64;

/// State of a vCPU.
#[derive(Clone, Copy, Debug)]
struct CreditVcpu {
    /// Nanoseconds that it may run before others.
    credit: i64,
    /// The CPU that it runs on, or whose run queue it is in.
    cpu: CpuId,
    /// It is runnable or running.
    awake: bool,
    /// While it runs: when it was last charged.
    running: Option<u64>,
    /// When its timeslice began. A scheduling decision in between does not end it.
    turn: u64,
    /// It was just woken, and preempts others with credit.
    boosted: bool,
}

/// State of a CPU.
#[derive(Debug, Default)]
struct Cpu {
    running: Option<VcpuId>,
    /// The run queue, most urgent first.
    runq: VecDeque<VcpuId>,
    yielded: bool,
}

/// The scheduler's state.
#[derive(Debug)]
pub struct Credit {
    cpus: Vec<Cpu>,
    vcpus: BTreeMap<VcpuId, CreditVcpu>,
    /// When credit was last given.
    accounted: u64,
}

/// Priority of a vCPU (`CSCHED_PRI_TS_*` in Xen); less is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Boost,
    Under,
    Over,
}

impl CreditVcpu {
    fn priority(&self) -> Priority {
        match (self.boosted, self.credit > 0) {
            (true, true) => Priority::Boost,
            (false, true) => Priority::Under,
            (_, false) => Priority::Over,
        }
    }
}

impl Credit {
    /// A scheduler of `cpus` CPUs, at least one.
    pub fn new(cpus: usize) -> Self {
        Self {
            cpus: (0..cpus.max(1)).map(|_| Cpu::default()).collect(),
            vcpus: BTreeMap::new(),
            accounted: 0,
        }
    }

    /// Charges a running vCPU for its time since it was last charged.
    fn charge(&mut self, vcpu: VcpuId, now: u64) {
        if let Some(entity) = self.vcpus.get_mut(&vcpu) {
            if let Some(since) = entity.running {
                let used = now.saturating_sub(since).min(MAX_CREDIT as u64 * 2) as i64;
                entity.credit = (entity.credit - used).max(-MAX_CREDIT);
                entity.running = Some(now.max(since));
                if used > 0 {
                    entity.boosted = false;
                }
            }
        }
    }

    /// Gives credit for the periods that have passed: the time of all CPUs, in equal parts to the runnable vCPUs.
    fn account(&mut self, now: u64) {
        let periods = now.saturating_sub(self.accounted) / PERIOD;
        if periods == 0 {
            return;
        }
        self.accounted += periods * PERIOD;
        let awake = self.vcpus.values().filter(|entity| entity.awake).count() as u64;
        if awake == 0 {
            return;
        }
        let each = (PERIOD * self.cpus.len() as u64 / awake).min(PERIOD) * periods.min(2);
        for entity in self.vcpus.values_mut() {
            entity.credit = (entity.credit + each as i64).min(MAX_CREDIT);
        }
    }

    fn priority(&self, vcpu: VcpuId) -> Priority {
        self.vcpus
            .get(&vcpu)
            .map_or(Priority::Over, CreditVcpu::priority)
    }

    /// Inserts a vCPU into a run queue, behind those of its priority.
    fn enqueue(&mut self, vcpu: VcpuId, cpu: CpuId) {
        let priority = self.priority(vcpu);
        let index = self.cpus[cpu]
            .runq
            .iter()
            .position(|other| self.priority(*other) > priority);
        let runq = &mut self.cpus[cpu].runq;
        let index = index.unwrap_or(runq.len());
        runq.insert(index, vcpu);
        if let Some(entity) = self.vcpus.get_mut(&vcpu) {
            entity.cpu = cpu;
        }
    }

    fn dequeue(&mut self, vcpu: VcpuId) {
        for cpu in &mut self.cpus {
            cpu.runq.retain(|other| *other != vcpu);
        }
    }

    /// Index of the most urgent vCPU in a run queue, the first among equals.
    fn most_urgent(&self, cpu: CpuId) -> Option<usize> {
        let runq = &self.cpus[cpu].runq;
        (0..runq.len()).min_by_key(|index| self.priority(runq[*index]))
    }

    /// Takes the most urgent vCPU from the longest run queue of another CPU, if it is more urgent than `than`.
    fn steal(&mut self, cpu: CpuId, than: Option<Priority>) -> Option<VcpuId> {
        let others = (0..self.cpus.len()).filter(|other| *other != cpu);
        let from = others.filter(|other| !self.cpus[*other].runq.is_empty());
        let from = from.max_by_key(|other| self.cpus[*other].runq.len())?;
        let index = self.most_urgent(from)?;
        let priority = self.priority(self.cpus[from].runq[index]);
        if than.is_some_and(|than| priority >= than) {
            return None;
        }
        self.cpus[from].runq.remove(index)
    }
}

impl Scheduler for Credit {
    fn add(&mut self, vcpu: VcpuId, cpu: CpuId) {
        let entity = CreditVcpu {
            credit: MAX_CREDIT / 2,
            cpu: cpu % self.cpus.len(),
            awake: false,
            running: None,
            turn: 0,
            boosted: false,
        };
        self.vcpus.entry(vcpu).or_insert(entity);
    }

    fn remove(&mut self, vcpu: VcpuId) {
        self.dequeue(vcpu);
        self.vcpus.remove(&vcpu);
    }

    fn wake(&mut self, vcpu: VcpuId, now: u64) -> Option<CpuId> {
        self.account(now);
        let entity = self.vcpus.get_mut(&vcpu)?;
        if core::mem::replace(&mut entity.awake, true) {
            return None;
        }
        if entity.running.is_some() {
            // It was put to sleep and has not left its CPU yet: it just continues.
            return None;
        }
        entity.boosted = entity.credit > 0;
        let (home, priority) = (entity.cpu, entity.priority());
        let idle =
            |cpu: &CpuId| self.cpus[*cpu].running.is_none() && self.cpus[*cpu].runq.is_empty();
        let free = Some(home)
            .filter(idle)
            .or_else(|| (0..self.cpus.len()).find(idle));
        let cpu = free.unwrap_or(home);
        self.enqueue(vcpu, cpu);
        let preempts = match self.cpus[cpu].running {
            None => true,
            Some(other) => priority < self.priority(other),
        };
        preempts.then_some(cpu)
    }

    fn sleep(&mut self, vcpu: VcpuId, here: CpuId, now: u64) -> Option<CpuId> {
        self.charge(vcpu, now);
        let entity = self.vcpus.get_mut(&vcpu)?;
        entity.awake = false;
        let running = entity.running.is_some();
        let cpu = entity.cpu;
        self.dequeue(vcpu);
        (running && cpu != here).then_some(cpu)
    }

    fn yield_cpu(&mut self, cpu: CpuId) {
        self.cpus[cpu].yielded = true;
    }

    fn next(&mut self, cpu: CpuId, now: u64) -> Next {
        self.account(now);
        let yielded = core::mem::take(&mut self.cpus[cpu].yielded);
        let mut keeps = None;
        if let Some(before) = self.cpus[cpu].running.take() {
            let since = self.vcpus.get(&before).map(|entity| entity.turn);
            self.charge(before, now);
            if let Some(entity) = self.vcpus.get_mut(&before) {
                entity.running = None;
                if yielded {
                    entity.boosted = false;
                }
                if entity.awake {
                    // Until its timeslice is over, it is preempted by more urgent vCPUs only.
                    let early = since.is_some_and(|since| now.saturating_sub(since) < TIMESLICE)
                        && !yielded;
                    self.enqueue(before, cpu);
                    keeps = early.then_some(before);
                }
            }
        }
        let local = self
            .most_urgent(cpu)
            .map(|index| (index, self.priority(self.cpus[cpu].runq[index])));
        let chosen = match (keeps, local) {
            (Some(before), Some((_, priority))) if priority >= self.priority(before) => {
                self.dequeue(before);
                Some(before)
            }
            // A vCPU without credit here comes after one with credit in another run queue.
            (_, Some((index, priority))) if priority < Priority::Over => {
                self.cpus[cpu].runq.remove(index)
            }
            (_, Some((index, priority))) => match self.steal(cpu, Some(priority)) {
                Some(stolen) => Some(stolen),
                None => self.cpus[cpu].runq.remove(index),
            },
            (_, None) => self.steal(cpu, None),
        };
        let Some(vcpu) = chosen else {
            return Next {
                vcpu: None,
                until: None,
            };
        };
        let mut end = now + TIMESLICE;
        if let Some(entity) = self.vcpus.get_mut(&vcpu) {
            entity.running = Some(now);
            entity.cpu = cpu;
            if keeps == chosen {
                end = entity.turn + TIMESLICE;
            } else {
                entity.turn = now;
            }
        }
        self.cpus[cpu].running = Some(vcpu);
        let contended = self.cpus.iter().any(|cpu| !cpu.runq.is_empty());
        Next {
            vcpu: Some(vcpu),
            until: contended.then_some(end),
        }
    }

    fn running(&self, cpu: CpuId) -> Option<VcpuId> {
        self.cpus.get(cpu)?.running
    }
}

#[cfg(test)]
mod tests;
