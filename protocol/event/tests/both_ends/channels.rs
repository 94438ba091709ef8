// SPDX-License-Identifier: GPL-2.0

//! Channels of a guest's kernel: masked for several reasons, moved between CPUs, with handlers that
//! take their time. No event is lost, and none is handled where or when it must not be.

use crate::world::{Fifo, PORTS, VCPUS};
use proptest::prelude::*;
use std::collections::BTreeSet;
use xen_event::fifo::guest::{self, Queues, Taken};
use xen_event::fifo::EventArray;
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
    /// A CPU goes offline: its channels move, then its queues are emptied.
    Offline(u32),
}

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
        Self {
            domain,
            fifo: Fifo::new(),
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
        self.mask(port, Reason::Moving);
        self.fifo.ports[port as usize].1 = vcpu;
        self.unmask(port, Reason::Moving);
    }

    /// Takes all ports off a CPU's queues.
    fn take(&mut self, vcpu: u32) -> Vec<u32> {
        let mut events = Vec::new();
        loop {
            let queues: &mut Queues = &mut self.fifo.queues[vcpu as usize];
            let control = self.domain.vcpu(vcpu);
            match queues
                .take(&self.domain, &control)
                .expect("an honest hypervisor")
            {
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

    fn offline(&mut self, vcpu: u32) {
        let other = (vcpu + 1) % VCPUS;
        for port in 1..PORTS {
            if self.fifo.ports[port as usize].1 == vcpu {
                self.move_to(port, other);
            }
        }
        for port in self.take(vcpu) {
            self.mask(port, Reason::Moving);
            self.unmask(port, Reason::Moving);
        }
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
                Step::Offline(vcpu) => kernel.offline(vcpu),
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
