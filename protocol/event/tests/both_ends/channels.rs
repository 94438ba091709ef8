// SPDX-License-Identifier: GPL-2.0

//! Channels of a guest's kernel: masked for several reasons, moved between CPUs, with handlers that
//! take their time. No event is lost, and none is handled where or when it must not be.

use crate::world::{Fifo, PORTS, VCPUS};
use proptest::prelude::*;
use std::collections::BTreeSet;
use xen_event::fifo::guest::{self, Queues, Taken};
use xen_event::fifo::{hypervisor, EventArray};
use xen_event::mask::{Masks, Reason};
use xen_event::{HostDomain, HostMemory};

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(u32),
    Disable(u32),
    Enable(u32),
    /// A CPU looks for events, and begins to handle them.
    Upcall(u32),
    /// A handler has finished.
    Eoi(u32),
    Move(u32, u32),
    /// A CPU goes offline: its channels move, then its queues are emptied, and at last its IPI is
    /// unbound. When the CPU comes back the IPI is bound anew.
    Offline(u32),
}

/// The IPI to a CPU, a port that does not move.
fn ipi(vcpu: u32) -> u32 {
    PORTS - 1 - vcpu
}

fn is_ipi(port: u32) -> bool {
    (0..VCPUS).any(|vcpu| ipi(vcpu) == port)
}

/// More steps than there are ports are enough to empty the queues of a CPU.
const MAX_STEPS: u32 = 2 * PORTS;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = 1..PORTS;
    let step = prop_oneof![
        4 => port.clone().prop_map(Step::Send),
        1 => port.clone().prop_map(Step::Disable),
        2 => port.clone().prop_map(Step::Enable),
        2 => (0..VCPUS).prop_map(Step::Upcall),
        2 => port.clone().prop_map(Step::Eoi),
        2 => (port, 0..VCPUS).prop_map(|(port, vcpu)| Step::Move(port, vcpu)),
        1 => (0..VCPUS).prop_map(Step::Offline),
    ];
    proptest::collection::vec(step, 1..160)
}

/// The kernel, with the hypervisor behind it. Even ports are late-EOI channels, the others let the
/// next event come as soon as their handler runs.
struct Kernel<'m> {
    domain: HostDomain<'m, fn(&HostMemory)>,
    fifo: Fifo,
    masks: Vec<Masks>,
    active: BTreeSet<u32>,
    /// Sent and not handled since.
    waiting: BTreeSet<u32>,
}

impl<'m> Kernel<'m> {
    fn new(memory: &'m HostMemory) -> Self {
        let domain = HostDomain::new(memory, (|_| {}) as fn(&HostMemory));
        for port in 0..PORTS {
            guest::mask(&domain.event_word(port).expect("a word"));
        }
        let mut fifo = Fifo::new();
        for vcpu in 0..VCPUS {
            fifo.ports[ipi(vcpu) as usize].1 = vcpu;
        }
        Self {
            domain,
            fifo,
            masks: vec![Masks::new(); PORTS as usize],
            active: BTreeSet::new(),
            waiting: BTreeSet::new(),
        }
    }

    fn mask(&mut self, port: u32, reason: Reason) {
        if self.masks[port as usize].add(reason) {
            guest::mask(&self.domain.event_word(port).expect("a word"));
        }
    }

    fn unmask(&mut self, port: u32, reason: Reason) {
        if self.masks[port as usize].remove(reason) {
            self.fifo.unmask(&self.domain, port);
        }
    }

    fn move_to(&mut self, port: u32, vcpu: u32) {
        if is_ipi(port) {
            return;
        }
        self.mask(port, Reason::Moving);
        self.fifo.ports[port as usize].1 = vcpu;
        self.unmask(port, Reason::Moving);
    }

    /// Takes a port off a CPU's queues.
    fn take_one(&mut self, vcpu: u32) -> Taken {
        let queues: &mut Queues = &mut self.fifo.queues[vcpu as usize];
        let control = self.domain.vcpu(vcpu);
        let taken = queues.take(&self.domain, &control);
        taken.expect("an honest hypervisor")
    }

    /// Takes all ports off a CPU's queues.
    fn take(&mut self, vcpu: u32) -> Vec<u32> {
        let mut events = Vec::new();
        loop {
            match self.take_one(vcpu) {
                Taken::Event(port) => events.push(port),
                Taken::Quiet(_) => {}
                Taken::Empty => return events,
            }
        }
    }

    fn upcall(&mut self, vcpu: u32) -> Result<(), TestCaseError> {
        for port in self.take(vcpu) {
            prop_assert!(!self.masks[port as usize].is_masked(), "{port} is masked");
            if !self.active.insert(port) {
                continue;
            }
            let is_late = port % 2 == 0;
            if is_late {
                self.mask(port, Reason::EoiPending);
            } else {
                self.active.remove(&port);
            }
            guest::clear_pending(&self.domain.event_word(port).expect("a word"));
            // The handler.
            prop_assert!(self.waiting.remove(&port), "nothing was sent to {port}");
        }
        Ok(())
    }

    fn eoi(&mut self, port: u32) {
        if self.active.remove(&port) {
            self.unmask(port, Reason::EoiPending);
        }
    }

    fn offline(&mut self, vcpu: u32) -> Result<(), TestCaseError> {
        let other = (vcpu + 1) % VCPUS;
        for port in 1..PORTS {
            if self.fifo.ports[port as usize].1 == vcpu {
                self.move_to(port, other);
            }
        }
        let mut steps = 0;
        loop {
            match self.take_one(vcpu) {
                // The hypervisor would put it on this queue again, and again.
                Taken::Event(port) if self.fifo.ports[port as usize].1 == vcpu => {}
                Taken::Event(port) => {
                    self.mask(port, Reason::Moving);
                    self.unmask(port, Reason::Moving);
                }
                Taken::Quiet(_) => {}
                Taken::Empty => break,
            }
            steps += 1;
            prop_assert!(
                steps < MAX_STEPS,
                "the queues of CPU {vcpu} do not get empty"
            );
        }
        self.bind_anew(ipi(vcpu));
        Ok(())
    }

    /// Closes a port, with what is pending on it, and binds it to another channel.
    fn bind_anew(&mut self, port: u32) {
        let word = self.domain.event_word(port).expect("a word");
        hypervisor::clear_pending(&self.domain, port);
        guest::mask(&word);
        let (queue, _) = &mut self.fifo.ports[port as usize];
        *queue = queue.reset();
        self.masks[port as usize] = Masks::new();
        self.active.remove(&port);
        self.waiting.remove(&port);
    }
}

proptest! {
    #[test]
    fn no_event_is_lost_by_masks_moves_and_processors_that_go(steps in steps()) {
        let memory = HostMemory::new(PORTS, VCPUS as usize);
        let mut kernel = Kernel::new(&memory);
        for step in steps {
            match step {
                Step::Send(port) => {
                    let _ = kernel.fifo.send(&kernel.domain, port);
                    kernel.waiting.insert(port);
                }
                Step::Disable(port) => kernel.mask(port, Reason::Disabled),
                Step::Enable(port) => kernel.unmask(port, Reason::Disabled),
                Step::Upcall(vcpu) => kernel.upcall(vcpu)?,
                Step::Eoi(port) => kernel.eoi(port),
                Step::Move(port, vcpu) => kernel.move_to(port, vcpu),
                Step::Offline(vcpu) => kernel.offline(vcpu)?,
            }
        }
        for port in 1..PORTS {
            kernel.unmask(port, Reason::Disabled);
            kernel.eoi(port);
        }
        for vcpu in 0..VCPUS {
            kernel.upcall(vcpu)?;
        }
        prop_assert!(kernel.waiting.is_empty(), "lost: {:?}", kernel.waiting);
    }
}
