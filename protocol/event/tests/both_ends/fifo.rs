// SPDX-License-Identifier: GPL-2.0

//! The FIFO ABI.

use crate::world::{Fifo, Hostile, Write, PORTS, VCPUS};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Mutex;
use xen_event::fifo::guest::{self, Queues, MAX_STEPS};
use xen_event::fifo::hypervisor::{self, PortQueue, Tails};
use xen_event::fifo::{EventArray, Priority, LINKED, MASKED, NEW_WORD, PENDING};
use xen_event::{upcall, Corrupt, HostDomain, HostMemory, SharedWord, Unmask};

/// Most operations of the hypervisor on shared words to set one port pending, whatever happens
/// meanwhile: the port's bits and the tail's word, five attempts, BUSY set and cleared, HEAD, READY.
const MAX_SEND: usize = 14;

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(u32),
    Mask(u32),
    Unmask(u32),
    Drain(u32),
    SetPriority(u32, u32),
    BindVcpu(u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = 1..PORTS;
    let step = prop_oneof![
        4 => port.clone().prop_map(Step::Send),
        1 => port.clone().prop_map(Step::Mask),
        2 => port.clone().prop_map(Step::Unmask),
        2 => (0..VCPUS).prop_map(Step::Drain),
        1 => (port.clone(), 0u32..16).prop_map(|(port, priority)| Step::SetPriority(port, priority)),
        1 => (port, 0..VCPUS).prop_map(|(port, vcpu)| Step::BindVcpu(port, vcpu)),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn every_event_is_delivered_once_and_by_priority(steps in steps()) {
        let memory = HostMemory::new(PORTS, VCPUS as usize);
        let domain = HostDomain::new(&memory, |_: &HostMemory| {});
        let mut fifo = Fifo::new();
        let (mut pending, mut masked) = (BTreeSet::new(), BTreeSet::new());
        let drain = |fifo: &mut Fifo, vcpu| {
            let (events, more) = fifo.drain(&domain, vcpu, MAX_STEPS);
            assert!(!more, "an honest hypervisor's queues end");
            let events: Result<Vec<u32>, Corrupt> = events.into_iter().collect();
            events.expect("an honest hypervisor's queues are in order")
        };
        for step in steps {
            match step {
                Step::Send(port) => {
                    let raised = fifo.send(&domain, port);
                    prop_assert_eq!(raised.newly_pending, pending.insert(port));
                    prop_assert!(!(raised.notify && masked.contains(&port)));
                }
                Step::Mask(port) => {
                    guest::mask(&domain.event_word(port).expect("a word"));
                    masked.insert(port);
                }
                Step::Unmask(port) => {
                    fifo.unmask(&domain, port);
                    masked.remove(&port);
                }
                Step::Drain(vcpu) => {
                    let got = drain(&mut fifo, vcpu);
                    for port in &got {
                        prop_assert!(pending.remove(port) && !masked.contains(port));
                    }
                }
                Step::SetPriority(port, priority) => fifo.set_priority(port, priority),
                Step::BindVcpu(port, vcpu) => fifo.ports[port as usize].1 = vcpu,
            }
        }
        for port in 1..PORTS {
            fifo.unmask(&domain, port);
        }
        let mut rest: Vec<u32> = (0..VCPUS).flat_map(|vcpu| drain(&mut fifo, vcpu)).collect();
        rest.sort_unstable();
        prop_assert!(rest.into_iter().eq(pending), "all that was sent has come");
        for word in &memory.words {
            prop_assert_eq!(word.load(SeqCst), 0, "nothing is left on a queue");
        }
    }

    #[test]
    fn events_come_by_priority_and_within_one_in_the_order_they_were_sent(
        sent in proptest::collection::vec((1..PORTS, 0u32..16), 1..30)
    ) {
        let memory = HostMemory::new(PORTS, 1);
        let domain = HostDomain::new(&memory, |_: &HostMemory| {});
        let mut fifo = Fifo::new();
        let mut expected: Vec<(u32, u32)> = Vec::new();
        for (port, priority) in sent {
            if !expected.iter().any(|(_, other)| *other == port) {
                fifo.set_priority(port, priority);
                expected.push((priority, port));
            }
            let _ = fifo.send(&domain, port);
        }
        // Stable: the order within a priority stays.
        expected.sort_by_key(|(priority, _)| *priority);
        let (events, more) = fifo.drain(&domain, 0, MAX_STEPS);
        prop_assert!(!more);
        prop_assert!(events.into_iter().eq(expected.into_iter().map(|(_, port)| Ok(port))));
    }

    #[test]
    fn a_hostile_third_writer_stops_neither_side(
        steps in steps(),
        writes in proptest::collection::vec(any::<Write>(), 1..60)
    ) {
        let memory = HostMemory::new(PORTS, VCPUS as usize);
        let hostile = Hostile::new(writes);
        let domain = HostDomain::new(&memory, |memory: &HostMemory| hostile.write(memory));
        let mut fifo = Fifo::new();
        for step in steps {
            match step {
                Step::Send(port) => {
                    let (_, operations) = hostile.count(|| fifo.send(&domain, port));
                    prop_assert!(operations <= MAX_SEND, "{operations} operations");
                }
                Step::Mask(port) => guest::mask(&domain.event_word(port).expect("a word")),
                Step::Unmask(port) => {
                    let ((), operations) = hostile.count(|| fifo.unmask(&domain, port));
                    prop_assert!(operations < 160, "{operations} operations");
                }
                Step::Drain(vcpu) => {
                    let (events, _) = fifo.drain(&domain, vcpu, 40);
                    prop_assert!(events.len() <= 40);
                    for event in events.into_iter() {
                        match event {
                            Ok(port) => prop_assert!((1..PORTS).contains(&port)),
                            Err(Corrupt::Port { port, .. }) => prop_assert!(port >= PORTS),
                            Err(Corrupt::NoHead { queue }) => prop_assert!(queue < 16),
                        }
                    }
                }
                Step::SetPriority(port, priority) => fifo.set_priority(port, priority),
                Step::BindVcpu(port, vcpu) => fifo.ports[port as usize].1 = vcpu,
            }
        }
    }
}

/// A guest with a queue that begins at a port, and no hypervisor.
fn queue_of(memory: &HostMemory, head: u32) -> Queues {
    memory.vcpus[0].heads[7].store(head, SeqCst);
    memory.vcpus[0].ready.store(1 << 7, SeqCst);
    Queues::new()
}

#[test]
fn a_circle_of_links_is_gone_through_once() {
    let memory = HostMemory::new(PORTS, 1);
    for (port, next) in [(3, 4), (4, 5), (5, 3)] {
        memory.words[port].store(LINKED | PENDING | next, SeqCst);
    }
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    let mut events = Vec::new();
    let mut queues = queue_of(&memory, 3);
    let more = queues.drain(&domain, &domain.vcpu(0), 100, |event| events.push(event));
    // Nobody clears the pending bits here, so the port at which the circle closes comes twice.
    assert_eq!(events, [Ok(3), Ok(4), Ok(5), Ok(3)]);
    assert!(!more);
    // One that links to itself.
    memory.words[2].store(LINKED | PENDING | 2, SeqCst);
    let mut queues = queue_of(&memory, 2);
    events.clear();
    assert!(!queues.drain(&domain, &domain.vcpu(0), 100, |event| events.push(event)));
    assert_eq!(events, [Ok(2), Ok(2)]);
}

#[test]
fn a_circle_that_is_closed_again_and_again_uses_up_the_budget_only() {
    let memory = HostMemory::new(PORTS, 1);
    let domain = HostDomain::new(&memory, |memory: &HostMemory| {
        memory.words[3].store(LINKED | PENDING | 3, SeqCst);
    });
    let mut queues = queue_of(&memory, 3);
    let mut count = 0;
    assert!(queues.drain(&domain, &domain.vcpu(0), 100, |_| count += 1));
    assert_eq!(count, 100);
}

#[test]
fn a_port_without_a_word_ends_its_queue_and_no_other() {
    let memory = HostMemory::new(PORTS, 1);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    let mut queues = queue_of(&memory, 3);
    memory.words[3].store(LINKED | PENDING | 0x1ffff, SeqCst);
    memory.words[4].store(LINKED | PENDING, SeqCst);
    let vcpu = &memory.vcpus[0];
    vcpu.heads[9].store(4, SeqCst);
    // Queue 2 has no head; bits beyond the queues mean nothing.
    vcpu.ready
        .fetch_or(1 << 2 | 1 << 9 | 1 << 16 | 1 << 31, SeqCst);
    let mut events = Vec::new();
    let more = queues.drain(&domain, &domain.vcpu(0), 100, |event| events.push(event));
    let corrupt = Corrupt::Port {
        queue: 7,
        port: 0x1ffff,
    };
    let no_head = Corrupt::NoHead { queue: 2 };
    assert_eq!(events, [Err(no_head), Ok(3), Err(corrupt), Ok(4)]);
    assert!(!more);
    // The queue is served again when it is marked again.
    let mut queues_again = queues;
    vcpu.heads[7].store(5, SeqCst);
    vcpu.ready.store(1 << 7, SeqCst);
    memory.words[5].store(LINKED | PENDING, SeqCst);
    events.clear();
    assert!(!queues_again.drain(&domain, &domain.vcpu(0), 100, |event| events.push(event)));
    assert_eq!(events, [Ok(5)]);
}

#[test]
fn a_word_that_stays_busy_is_unmasked_by_the_hypervisor() {
    let memory = HostMemory::new(PORTS, 1);
    let busy = xen_event::fifo::BUSY;
    memory.words[1].store(MASKED | LINKED | busy, SeqCst);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    let word = domain.event_word(1).expect("a word");
    assert_eq!(guest::unmask(&word), Unmask::Hypercall);
    assert_eq!(word.load(), MASKED | LINKED | busy, "nothing was changed");
    word.fetch_clear(busy);
    assert_eq!(guest::unmask(&word), Unmask::Done);
    assert_eq!(word.load(), LINKED);
    // One that is pending, however often it is tried; one that is not masked.
    word.store(MASKED | PENDING);
    assert_eq!(guest::unmask(&word), Unmask::Hypercall);
    word.store(PENDING);
    assert_eq!(guest::unmask(&word), Unmask::Done);
    assert!(guest::is_pending(&word) && !guest::is_masked(&word));
    guest::clear_pending(&word);
    guest::mask(&word);
    assert!(!guest::is_pending(&word) && guest::is_masked(&word));
    guest::set_pending(&word);
    assert_eq!(word.load(), PENDING | NEW_WORD);
}

#[test]
fn a_port_that_is_pending_before_it_has_a_word_is_remembered() {
    let memory = HostMemory::new(PORTS, 1);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    let (mut tails, mut queue) = ([Tails::default()], PortQueue::new());
    let raised = hypervisor::set_pending(&domain, &mut tails, PORTS, &mut queue, 0);
    assert!(queue.pending && !raised.newly_pending && !raised.notify);
    assert!(!hypervisor::is_pending(&domain, PORTS) && !hypervisor::is_linked(&domain, PORTS));
    let raised = hypervisor::set_pending(&domain, &mut tails, 1, &mut queue, 0);
    assert!(!queue.pending && raised.newly_pending && raised.notify);
    assert!(hypervisor::is_pending(&domain, 1) && hypervisor::is_linked(&domain, 1));
    hypervisor::clear_pending(&domain, 1);
    assert!(!hypervisor::is_pending(&domain, 1) && hypervisor::is_linked(&domain, 1));
    // A port that is closed keeps its queue, and nothing else.
    queue.priority = Priority::MAX;
    queue.pending = true;
    let reset = queue.reset();
    assert!(!reset.pending && reset.priority == Priority::DEFAULT);
    assert_ne!(reset, PortQueue::new(), "it may be a tail");
}

#[test]
fn real_threads_lose_no_event() {
    const EVENTS: u32 = 60_000;
    let memory = HostMemory::new(PORTS, 1);
    let hypervisor = Mutex::new(Fifo::new());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let domain = HostDomain::new(&memory, |_: &HostMemory| {});
            for number in 0..EVENTS {
                let mut fifo = hypervisor.lock().expect("no panic");
                if number % 37 == 0 {
                    fifo.set_priority(1 + number % 5, number);
                }
                if fifo.send(&domain, 1 + number % (PORTS - 1)).notify {
                    upcall::set_pending(&domain.vcpu(0).upcall());
                }
            }
            done.store(true, SeqCst);
        });
        let domain = HostDomain::new(&memory, |_: &HostMemory| {});
        let (mut queues, mut number) = (Queues::new(), 0u32);
        loop {
            let last = done.load(SeqCst);
            let flag = domain.vcpu(0).upcall();
            while upcall::is_pending(&flag) {
                upcall::clear_pending(&flag);
                let more = queues.drain(&domain, &domain.vcpu(0), u32::MAX, |event| {
                    let port = event.expect("an honest hypervisor");
                    let word = domain.event_word(port).expect("a word");
                    guest::clear_pending(&word);
                    number += 1;
                    // Masked for a while, as an interrupt is while it is handled elsewhere.
                    if number % 3 == 0 {
                        guest::mask(&word);
                        if guest::unmask(&word) == Unmask::Hypercall {
                            let mut fifo = hypervisor.lock().expect("no panic");
                            let Fifo { tails, ports, .. } = &mut *fifo;
                            let queue = &mut ports[port as usize].0;
                            if hypervisor::unmask(&domain, tails, port, queue, 0).notify {
                                upcall::set_pending(&flag);
                            }
                        }
                    }
                });
                assert!(!more);
            }
            if last {
                break;
            }
        }
    });
    for (port, word) in memory.words.iter().enumerate() {
        assert_eq!(word.load(SeqCst), 0, "port {port} is left");
    }
    assert_eq!(memory.vcpus[0].ready.load(SeqCst), 0);
}
