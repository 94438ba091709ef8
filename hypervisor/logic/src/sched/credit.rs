// SPDX-License-Identifier: GPL-2.0

//! A credit scheduler: vCPUs are charged for the time that they run, and get credit by their weights in every period.
//! Those with credit left run before those without, in turns; those that wake up with credit left preempt others, once
//! these have run for [`RATELIMIT`]. Idle CPUs take vCPUs from the run queues of other CPUs. vCPUs of a domain that has
//! used up its cap stay in the run queues, and do not run before the next period.

use super::allowance::Allowance;
use super::{CpuId, CpuSet, DEFAULT_WEIGHT, Next, Scheduler};
use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::sorted_map::SortedMap;
use crate::system::vcpu::VcpuId;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Timeslice in nanoseconds: 5 ms.
pub const TIMESLICE: u64 = 5_000_000;
/// For how long a vCPU runs, in nanoseconds, before another one preempts it: 1 ms (`sched_ratelimit_us` in Xen). It may
/// hold a lock that the woken one asks for first of all, such as that of the wait queue by which it woke it.
pub const RATELIMIT: u64 = 1_000_000;
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
    /// The CPUs that it may run on.
    affinity: CpuSet,
    /// Its share of processor time, relative to others'; not 0.
    weight: u16,
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
    /// It asks again by itself: when it asked last, others waited.
    asks: bool,
}

/// The scheduler's state.
#[derive(Debug)]
pub struct Credit {
    cpus: Vec<Cpu>,
    vcpus: SortedMap<VcpuId, CreditVcpu>,
    /// The caps of the domains that have vCPUs.
    allowances: SortedMap<DomId, Allowance>,
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
            vcpus: SortedMap::new(),
            allowances: SortedMap::new(),
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
                if let Some(allowance) = self.allowances.get_mut(&vcpu.domain) {
                    allowance.charge(now.saturating_sub(since));
                }
            }
        }
    }

    /// Gives credit for the periods that have passed: the time of all CPUs, to the runnable vCPUs by their weights.
    fn account(&mut self, now: u64) {
        let periods = now.saturating_sub(self.accounted) / PERIOD;
        if periods == 0 {
            return;
        }
        self.accounted += periods * PERIOD;
        // What vCPUs with a cap have run belongs to the periods that are over.
        for cpu in 0..self.cpus.len() {
            if let Some(vcpu) = self.cpus[cpu].running {
                self.charge(vcpu, now);
            }
        }
        for allowance in self.allowances.values_mut() {
            allowance.renew(periods);
        }
        let awake = self.vcpus.values().filter(|entity| entity.awake);
        let weights: u64 = awake.map(|entity| u64::from(entity.weight)).sum();
        if weights == 0 {
            return;
        }
        let time = PERIOD * self.cpus.len() as u64;
        for entity in self.vcpus.values_mut() {
            let share = (time * u64::from(entity.weight) / weights).min(PERIOD) * periods.min(2);
            entity.credit = (entity.credit + share as i64).min(MAX_CREDIT);
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

    /// Whether a vCPU waits for the next period, since its domain has used up its cap.
    fn is_parked(&self, vcpu: VcpuId) -> bool {
        let allowance = self.allowances.get(&vcpu.domain);
        allowance.is_some_and(Allowance::is_used_up)
    }

    /// Forgets the cap of a domain without vCPUs.
    fn forget_unused_allowance(&mut self, domain: DomId) {
        if self.vcpus.keys().all(|vcpu| vcpu.domain != domain) {
            self.allowances.remove(&domain);
        }
    }

    /// Index of the most urgent vCPU in a run queue that may run on a CPU now, the first among equals.
    fn most_urgent(&self, queue: CpuId, on: CpuId) -> Option<usize> {
        let runq = &self.cpus[queue].runq;
        let allowed =
            |index: &usize| self.may_run_on(runq[*index], on) && !self.is_parked(runq[*index]);
        let allowed = (0..runq.len()).filter(allowed);
        allowed.min_by_key(|index| self.priority(runq[*index]))
    }

    fn may_run_on(&self, vcpu: VcpuId, cpu: CpuId) -> bool {
        let entity = self.vcpus.get(&vcpu);
        entity.is_some_and(|entity| entity.affinity.contains(cpu))
    }

    /// Where a vCPU is enqueued: on a CPU, or if it may not run there, on one that idles or the first that it may run
    /// on.
    fn allowed_cpu(&self, vcpu: VcpuId, cpu: CpuId) -> CpuId {
        if self.may_run_on(vcpu, cpu) {
            return cpu;
        }
        let mut allowed = (0..self.cpus.len()).filter(|cpu| self.may_run_on(vcpu, *cpu));
        let idle = self.idle_cpu_for(vcpu);
        idle.or_else(|| allowed.next()).unwrap_or(cpu)
    }

    /// Whether a CPU runs nothing, and has nothing to run before the next period.
    fn is_idle(&self, cpu: CpuId) -> bool {
        self.cpus[cpu].running.is_none() && self.most_urgent(cpu, cpu).is_none()
    }

    /// An idle CPU that a vCPU may run on.
    fn idle_cpu_for(&self, vcpu: VcpuId) -> Option<CpuId> {
        (0..self.cpus.len()).find(|cpu| self.may_run_on(vcpu, *cpu) && self.is_idle(*cpu))
    }

    /// An idle CPU that may run a vCPU which waits for another CPU.
    fn idle_cpu_for_waiting(&self) -> Option<CpuId> {
        let mut idle = (0..self.cpus.len()).filter(|cpu| self.is_idle(*cpu));
        let has_one = |queue, cpu| self.most_urgent(queue, cpu).is_some();
        idle.find(|cpu| (0..self.cpus.len()).any(|queue| has_one(queue, *cpu)))
    }

    /// Whether a CPU for which a vCPU was enqueued has to ask now: the vCPU preempts what it runs, or it would not ask at
    /// the end of a timeslice or when the vCPU may run.
    fn has_to_ask(&self, vcpu: VcpuId, cpu: CpuId) -> bool {
        match self.cpus[cpu].running {
            None => true,
            _ if !self.cpus[cpu].asks => true,
            _ if self.is_parked(vcpu) => false,
            Some(other) => self.priority(vcpu) < self.priority(other),
        }
    }

    /// Takes the most urgent vCPU from the longest run queue of another CPU that has one for this CPU, if it is more
    /// urgent than `than`.
    fn steal(&mut self, cpu: CpuId, than: Option<Priority>) -> Option<VcpuId> {
        let others = (0..self.cpus.len()).filter(|other| *other != cpu);
        let found = others.filter_map(|other| Some((other, self.most_urgent(other, cpu)?)));
        let (from, index) = found.max_by_key(|(other, _)| self.cpus[*other].runq.len())?;
        let priority = self.priority(self.cpus[from].runq[index]);
        if than.is_some_and(|than| priority >= than) {
            return None;
        }
        self.cpus[from].runq.remove(index)
    }
}

impl Scheduler for Credit {
    fn add(&mut self, vcpu: VcpuId, cpu: CpuId) -> Result<()> {
        let entity = CreditVcpu {
            credit: MAX_CREDIT / 2,
            cpu: cpu % self.cpus.len(),
            affinity: CpuSet::ALL,
            weight: DEFAULT_WEIGHT,
            awake: false,
            running: None,
            turn: 0,
            boosted: false,
        };
        // Each run queue has room for all vCPUs.
        let count = self.vcpus.len() + 1;
        for cpu in &mut self.cpus {
            let missing = count.saturating_sub(cpu.runq.len());
            cpu.runq.try_reserve(missing).map_err(|_| Errno::ENOMEM)?;
        }
        if self.allowances.get(&vcpu.domain).is_none() {
            self.allowances
                .try_insert(vcpu.domain, Allowance::default())?;
        }
        let added = self.vcpus.try_insert(vcpu, entity);
        self.forget_unused_allowance(vcpu.domain);
        added
    }

    fn remove(&mut self, vcpu: VcpuId) {
        self.dequeue(vcpu);
        self.vcpus.remove(&vcpu);
        self.forget_unused_allowance(vcpu.domain);
        for cpu in &mut self.cpus {
            cpu.running = cpu.running.filter(|running| *running != vcpu);
        }
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
        let home = entity.cpu;
        let home = self.allowed_cpu(vcpu, home);
        let cpu = match self.is_idle(home) {
            true => home,
            false => self.idle_cpu_for(vcpu).unwrap_or(home),
        };
        self.enqueue(vcpu, cpu);
        self.has_to_ask(vcpu, cpu).then_some(cpu)
    }

    fn set_weight(&mut self, vcpu: VcpuId, weight: u16) {
        if let Some(entity) = self.vcpus.get_mut(&vcpu) {
            entity.weight = weight.max(1);
        }
    }

    fn set_cap(&mut self, domain: DomId, percent: u16) -> CpuSet {
        if let Some(allowance) = self.allowances.get_mut(&domain) {
            allowance.set_cap(percent);
        }
        let runs = |cpu: &Cpu| cpu.running.is_some_and(|vcpu| vcpu.domain == domain);
        let cpus = self.cpus.iter().enumerate();
        cpus.filter(|(_, cpu)| runs(cpu))
            .map(|(number, _)| number)
            .collect()
    }

    fn set_affinity(&mut self, vcpu: VcpuId, cpus: CpuSet) -> Option<CpuId> {
        let entity = self.vcpus.get_mut(&vcpu)?;
        entity.affinity = cpus;
        let (cpu, is_running) = (entity.cpu, entity.running.is_some());
        if !entity.awake {
            return None;
        }
        let stays = self.may_run_on(vcpu, cpu);
        if is_running {
            // It is moved when its CPU asks what to run next.
            return (!stays).then_some(cpu);
        }
        if stays {
            // It waits. A CPU that idles may be one that it may run on only now.
            return self.idle_cpu_for(vcpu);
        }
        self.dequeue(vcpu);
        let cpu = self.allowed_cpu(vcpu, cpu);
        self.enqueue(vcpu, cpu);
        self.has_to_ask(vcpu, cpu).then_some(cpu)
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
        let mut limited = false;
        let mut interrupt = None;
        if let Some(before) = self.cpus[cpu].running.take() {
            let since = self.vcpus.get(&before).map(|entity| entity.turn);
            self.charge(before, now);
            if let Some(entity) = self.vcpus.get_mut(&before) {
                entity.running = None;
                if yielded {
                    entity.boosted = false;
                }
                if entity.awake {
                    // Until its timeslice is over, it is preempted by more urgent vCPUs only, and at first by none.
                    let ran = since.map(|since| now.saturating_sub(since));
                    let stays = !yielded && !self.is_parked(before);
                    let within = |limit| stays && ran.is_some_and(|ran| ran < limit);
                    let to = self.allowed_cpu(before, cpu);
                    self.enqueue(before, to);
                    if to == cpu {
                        keeps = within(TIMESLICE).then_some(before);
                        limited = within(RATELIMIT);
                    } else {
                        interrupt = self.has_to_ask(before, to).then_some(to);
                    }
                }
            }
        }
        let local = self
            .most_urgent(cpu, cpu)
            .map(|index| (index, self.priority(self.cpus[cpu].runq[index])));
        let chosen = match (keeps, local) {
            (Some(before), Some((_, priority))) if limited || priority >= self.priority(before) => {
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
            // Those that wait for the next period may run here then.
            let mut waiting = self.cpus.iter().flat_map(|cpu| &cpu.runq);
            let is_awaited = waiting.any(|vcpu| self.may_run_on(*vcpu, cpu));
            return Next {
                vcpu: None,
                until: is_awaited.then_some(self.accounted + PERIOD),
                interrupt,
            };
        };
        // Whether another one would run if it were not for the limit.
        let is_late = limited
            && self.most_urgent(cpu, cpu).is_some_and(|index| {
                self.priority(self.cpus[cpu].runq[index]) < self.priority(vcpu)
            });
        let mut end = now + TIMESLICE;
        if let Some(entity) = self.vcpus.get_mut(&vcpu) {
            entity.running = Some(now);
            entity.cpu = cpu;
            if keeps == chosen {
                let limit = if is_late { RATELIMIT } else { TIMESLICE };
                end = entity.turn + limit;
            } else {
                entity.turn = now;
            }
        }
        self.cpus[cpu].running = Some(vcpu);
        // A CPU that idles does not ask by itself whether it may run one that has to wait here.
        let interrupt = interrupt.or_else(|| self.idle_cpu_for_waiting());
        let contended = self.cpus.iter().any(|cpu| !cpu.runq.is_empty());
        let left = self.allowances.get(&vcpu.domain).and_then(Allowance::left);
        let capped = left.map(|left| (now + left).min(self.accounted + PERIOD));
        let until = contended.then_some(end).into_iter().chain(capped).min();
        self.cpus[cpu].asks = until.is_some();
        Next {
            vcpu: Some(vcpu),
            until,
            interrupt,
        }
    }

    fn running(&self, cpu: CpuId) -> Option<VcpuId> {
        self.cpus.get(cpu)?.running
    }
}

#[cfg(test)]
mod cap_tests;
#[cfg(test)]
mod placement_tests;
#[cfg(test)]
mod tests;
