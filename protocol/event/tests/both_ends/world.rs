// SPDX-License-Identifier: GPL-2.0

//! A domain with both sides of its event channels, and the third writer.

use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;
use xen_event::fifo::guest::{self, Queues};
use xen_event::fifo::hypervisor::{self, PortQueue, Tails};
use xen_event::fifo::{EventArray, Priority};
use xen_event::{Corrupt, HostDomain, HostMemory, Raised, Unmask};

/// Ports and vCPUs of the domains under test.
pub const PORTS: u32 = 12;
pub const VCPUS: u32 = 2;

/// The private state of both sides in the FIFO ABI.
pub struct Fifo {
    pub tails: Vec<Tails>,
    /// What the hypervisor keeps for each port, and the vCPU that the port notifies.
    pub ports: Vec<(PortQueue, u32)>,
    pub queues: Vec<Queues>,
}

impl Fifo {
    pub fn new() -> Self {
        Self {
            tails: vec![Tails::default(); VCPUS as usize],
            ports: vec![(PortQueue::new(), 0); PORTS as usize],
            queues: vec![Queues::new(); VCPUS as usize],
        }
    }

    /// The hypervisor sets a port pending.
    pub fn send(&mut self, domain: &HostDomain<'_, impl Fn(&HostMemory)>, port: u32) -> Raised {
        let (queue, vcpu) = &mut self.ports[port as usize];
        hypervisor::set_pending(domain, &mut self.tails, port, queue, *vcpu)
    }

    /// The guest unmasks a port, by a hypercall if it has to.
    pub fn unmask(&mut self, domain: &HostDomain<'_, impl Fn(&HostMemory)>, port: u32) {
        let word = domain.event_word(port).expect("a word");
        match guest::unmask(&word) {
            Unmask::Done => {}
            Unmask::Hypercall => {
                let (queue, vcpu) = &mut self.ports[port as usize];
                let raised = hypervisor::unmask(domain, &mut self.tails, port, queue, *vcpu);
                assert!(!raised.newly_pending, "it was pending before");
            }
            Unmask::Upcall => panic!("the FIFO ABI leaves that to the hypervisor"),
        }
    }

    /// A vCPU takes all its events. The handler clears the pending bit first, as a kernel does.
    pub fn drain(
        &mut self,
        domain: &HostDomain<'_, impl Fn(&HostMemory)>,
        vcpu: u32,
        budget: u32,
    ) -> (Vec<Result<u32, Corrupt>>, bool) {
        let control = domain.vcpu(vcpu);
        let mut events = Vec::new();
        let more = self.queues[vcpu as usize].drain(domain, &control, budget, |event| {
            if let Ok(port) = event {
                guest::clear_pending(&domain.event_word(port).expect("a port with a word"));
            }
            events.push(event);
        });
        (events, more)
    }

    pub fn set_priority(&mut self, port: u32, priority: u32) {
        self.ports[port as usize].0.priority = Priority::new(priority % 16).expect("a queue");
    }
}

/// What the third writer does before an operation: nothing, or a value into a word.
pub type Write = (u8, u16, u64);

/// A third writer who goes through a list of writes again and again, one for each operation of a
/// side, and counts the operations.
pub struct Hostile {
    writes: Vec<Write>,
    pub operations: Cell<usize>,
}

impl Hostile {
    pub fn new(writes: Vec<Write>) -> Self {
        Self {
            writes,
            operations: Cell::new(0),
        }
    }

    pub fn write(&self, memory: &HostMemory) {
        let number = self.operations.replace(self.operations.get() + 1);
        let Some((place, index, value)) = self.writes.get(number % self.writes.len().max(1)) else {
            return;
        };
        let index = usize::from(*index);
        let vcpu = &memory.vcpus[index % memory.vcpus.len()];
        // Bits that mean something, and links to ports that exist, more often than others.
        let word = match value % 4 {
            0 => (*value >> 8) as u32,
            n => ((*value >> 8) as u32 & 0xf000_0000) | (*value >> 40) as u32 % (PORTS * n as u32),
        };
        match place % 8 {
            0 | 1 => memory.words[index % memory.words.len()].store(word, SeqCst),
            2 => vcpu.ready.store(word, SeqCst),
            3 => vcpu.heads[index / 7 % 16].store(word, SeqCst),
            4 => vcpu.selector.store(*value, SeqCst),
            5 => memory.pending[index % 64].store(*value, SeqCst),
            6 => memory.mask[index % 64].store(*value, SeqCst),
            _ => {}
        }
    }

    /// How many operations `work` does.
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let before = self.operations.get();
        let result = work();
        (result, self.operations.get() - before)
    }
}
