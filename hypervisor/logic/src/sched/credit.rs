//! A scheduler with credits: vCPUs pay for the time they run and are all paid the same in every period. Those that
//! have credit left run before those that have not, in turns; those that wake up with credit run at once. CPUs without
//! work take it from others.

use super::{CpuId, Next, Scheduler};
use crate::system::vcpu::VcpuId;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// How long a vCPU runs while others wait, in nanoseconds: 5 ms.
pub const SLICE: u64 = 5_000_000;
/// How often credit is paid: every 30 ms.
pub const PERIOD: u64 = 30_000_000;
/// Most credit that is saved, and most debt that is kept, in nanoseconds.
const MOST: i64 = PERIOD as i64;

/// A vCPU.
#[derive(Clone, Copy, Debug)]
struct Entity {
    /// Nanoseconds it may run before others.
    credit: i64,
    /// Where it runs or waits.
    cpu: CpuId,
    /// It can run.
    awake: bool,
    /// It runs, since when it was last charged.
    running: Option<u64>,
    /// When its turn began. It goes on if its CPU asks in between.
    turn: u64,
    /// It has just been woken and runs before its like.
    boosted: bool,
}

/// A CPU.
#[derive(Debug, Default)]
struct Cpu {
    running: Option<VcpuId>,
    /// Those that wait, in the order of their turns.
    waiting: VecDeque<VcpuId>,
    yields: bool,
}

/// The scheduler.
#[derive(Debug)]
pub struct Credit {
    cpus: Vec<Cpu>,
    entities: BTreeMap<VcpuId, Entity>,
    paid: u64,
}

/// How urgent a vCPU is; less is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Boosted,
    Under,
    Over,
}

impl Entity {
    fn rank(&self) -> Rank {
        match (self.boosted, self.credit > 0) {
            (true, true) => Rank::Boosted,
            (false, true) => Rank::Under,
            (_, false) => Rank::Over,
        }
    }
}

impl Credit {
    /// A scheduler of so many CPUs, at least one.
    pub fn new(cpus: usize) -> Self {
        Self {
            cpus: (0..cpus.max(1)).map(|_| Cpu::default()).collect(),
            entities: BTreeMap::new(),
            paid: 0,
        }
    }

    /// Takes what a running vCPU has used since it was last charged.
    fn charge(&mut self, vcpu: VcpuId, now: u64) {
        if let Some(entity) = self.entities.get_mut(&vcpu) {
            if let Some(since) = entity.running {
                let used = now.saturating_sub(since).min(MOST as u64 * 2) as i64;
                entity.credit = (entity.credit - used).max(-MOST);
                entity.running = Some(now.max(since));
                if used > 0 {
                    entity.boosted = false;
                }
            }
        }
    }

    /// Pays credit for the periods that have passed: what all CPUs can give, in equal parts to those that can run.
    fn pay(&mut self, now: u64) {
        let periods = now.saturating_sub(self.paid) / PERIOD;
        if periods == 0 {
            return;
        }
        self.paid += periods * PERIOD;
        let awake = self.entities.values().filter(|entity| entity.awake).count() as u64;
        if awake == 0 {
            return;
        }
        let each = (PERIOD * self.cpus.len() as u64 / awake).min(PERIOD) * periods.min(2);
        for entity in self.entities.values_mut() {
            entity.credit = (entity.credit + each as i64).min(MOST);
        }
    }

    fn rank(&self, vcpu: VcpuId) -> Rank {
        self.entities.get(&vcpu).map_or(Rank::Over, Entity::rank)
    }

    /// Puts a vCPU behind those of its rank that wait for a CPU.
    fn enqueue(&mut self, vcpu: VcpuId, cpu: CpuId) {
        let rank = self.rank(vcpu);
        let place = self.cpus[cpu]
            .waiting
            .iter()
            .position(|other| self.rank(*other) > rank);
        let waiting = &mut self.cpus[cpu].waiting;
        let place = place.unwrap_or(waiting.len());
        waiting.insert(place, vcpu);
        if let Some(entity) = self.entities.get_mut(&vcpu) {
            entity.cpu = cpu;
        }
    }

    fn dequeue(&mut self, vcpu: VcpuId) {
        for cpu in &mut self.cpus {
            cpu.waiting.retain(|other| *other != vcpu);
        }
    }

    /// The place in a queue of the most urgent vCPU, the first among equals.
    fn most_urgent(&self, cpu: CpuId) -> Option<usize> {
        let waiting = &self.cpus[cpu].waiting;
        (0..waiting.len()).min_by_key(|place| self.rank(waiting[*place]))
    }

    /// Takes a vCPU that waits elsewhere, the most urgent one of the longest queue, if it is more urgent than `than`.
    fn steal(&mut self, cpu: CpuId, than: Option<Rank>) -> Option<VcpuId> {
        let others = (0..self.cpus.len()).filter(|other| *other != cpu);
        let from = others.filter(|other| !self.cpus[*other].waiting.is_empty());
        let from = from.max_by_key(|other| self.cpus[*other].waiting.len())?;
        let place = self.most_urgent(from)?;
        let rank = self.rank(self.cpus[from].waiting[place]);
        if than.is_some_and(|than| rank >= than) {
            return None;
        }
        self.cpus[from].waiting.remove(place)
    }
}

impl Scheduler for Credit {
    fn add(&mut self, vcpu: VcpuId, cpu: CpuId) {
        let entity = Entity {
            credit: MOST / 2,
            cpu: cpu % self.cpus.len(),
            awake: false,
            running: None,
            turn: 0,
            boosted: false,
        };
        self.entities.entry(vcpu).or_insert(entity);
    }

    fn remove(&mut self, vcpu: VcpuId) {
        self.dequeue(vcpu);
        self.entities.remove(&vcpu);
    }

    fn wake(&mut self, vcpu: VcpuId, now: u64) -> Option<CpuId> {
        self.pay(now);
        let entity = self.entities.get_mut(&vcpu)?;
        if core::mem::replace(&mut entity.awake, true) {
            return None;
        }
        if entity.running.is_some() {
            // It has been told to stop and has not yet: it simply goes on.
            return None;
        }
        entity.boosted = entity.credit > 0;
        let (home, rank) = (entity.cpu, entity.rank());
        let idle =
            |cpu: &CpuId| self.cpus[*cpu].running.is_none() && self.cpus[*cpu].waiting.is_empty();
        let free = Some(home)
            .filter(idle)
            .or_else(|| (0..self.cpus.len()).find(idle));
        let cpu = free.unwrap_or(home);
        self.enqueue(vcpu, cpu);
        let displaces = match self.cpus[cpu].running {
            None => true,
            Some(other) => rank < self.rank(other),
        };
        displaces.then_some(cpu)
    }

    fn sleep(&mut self, vcpu: VcpuId, here: CpuId, now: u64) -> Option<CpuId> {
        self.charge(vcpu, now);
        let entity = self.entities.get_mut(&vcpu)?;
        entity.awake = false;
        let running = entity.running.is_some();
        let cpu = entity.cpu;
        self.dequeue(vcpu);
        (running && cpu != here).then_some(cpu)
    }

    fn yields(&mut self, cpu: CpuId) {
        self.cpus[cpu].yields = true;
    }

    fn next(&mut self, cpu: CpuId, now: u64) -> Next {
        self.pay(now);
        let yields = core::mem::take(&mut self.cpus[cpu].yields);
        let mut keeps = None;
        if let Some(before) = self.cpus[cpu].running.take() {
            let since = self.entities.get(&before).map(|entity| entity.turn);
            self.charge(before, now);
            if let Some(entity) = self.entities.get_mut(&before) {
                entity.running = None;
                if yields {
                    entity.boosted = false;
                }
                if entity.awake {
                    // Its slice is not over as long as it has not run for one; it gives way to the more urgent only.
                    let early =
                        since.is_some_and(|since| now.saturating_sub(since) < SLICE) && !yields;
                    self.enqueue(before, cpu);
                    keeps = early.then_some(before);
                }
            }
        }
        let local = self
            .most_urgent(cpu)
            .map(|place| (place, self.rank(self.cpus[cpu].waiting[place])));
        let chosen = match (keeps, local) {
            (Some(before), Some((_, rank))) if rank >= self.rank(before) => {
                self.dequeue(before);
                Some(before)
            }
            // Those without credit here give way to those with credit elsewhere.
            (_, Some((place, rank))) if rank < Rank::Over => self.cpus[cpu].waiting.remove(place),
            (_, Some((place, rank))) => match self.steal(cpu, Some(rank)) {
                Some(stolen) => Some(stolen),
                None => self.cpus[cpu].waiting.remove(place),
            },
            (_, None) => self.steal(cpu, None),
        };
        let Some(vcpu) = chosen else {
            return Next {
                vcpu: None,
                until: None,
            };
        };
        let mut end = now + SLICE;
        if let Some(entity) = self.entities.get_mut(&vcpu) {
            entity.running = Some(now);
            entity.cpu = cpu;
            if keeps == chosen {
                end = entity.turn + SLICE;
            } else {
                entity.turn = now;
            }
        }
        self.cpus[cpu].running = Some(vcpu);
        let waited_for = self.cpus.iter().any(|cpu| !cpu.waiting.is_empty());
        Next {
            vcpu: Some(vcpu),
            until: waited_for.then_some(end),
        }
    }

    fn running(&self, cpu: CpuId) -> Option<VcpuId> {
        self.cpus.get(cpu)?.running
    }
}

#[cfg(test)]
mod tests;
