// SPDX-License-Identifier: GPL-2.0

//! Both halves of the event channel ABIs on words that the input writes to between any two of their
//! operations.

use crate::bytes::Bytes;
use std::cell::RefCell;
use std::sync::atomic::Ordering::SeqCst;
use xen_event::fifo::guest::{self, Queues};
use xen_event::fifo::hypervisor::{self, PortQueue, Tails};
use xen_event::fifo::{EventArray, Priority};
use xen_event::two_level::{self, guest::ScanStart};
use xen_event::{Corrupt, HostDomain, HostMemory, Unmask};

/// Ports with an event word.
const PORTS: u32 = 24;
const VCPUS: u32 = 2;

/// The third writer of a target, who takes what he writes from a part of the input.
fn write(memory: &HostMemory, input: &mut Bytes<'_>) {
    let place = input.byte();
    if place & 3 != 0 || input.is_empty() {
        return;
    }
    let index = usize::from(input.byte());
    let vcpu = &memory.vcpus[index % VCPUS as usize];
    match place >> 2 & 7 {
        0 | 1 => {
            // Flags and a link to a port, which may not exist.
            let word = u32::from(input.byte()) << 24 | u32::from(input.byte() % 32);
            memory.words[index % PORTS as usize].store(word, SeqCst);
        }
        2 => vcpu.ready.store(input.u32(), SeqCst),
        3 => vcpu.heads[index % 16].store(input.byte().into(), SeqCst),
        4 => memory.pending[index % 64].store(input.u64(), SeqCst),
        5 => memory.mask[index % 64].store(input.u64(), SeqCst),
        6 => vcpu.selector.store(input.u64(), SeqCst),
        _ => vcpu.upcall.store(input.byte(), SeqCst),
    }
}

/// Neither side may panic, go on for ever, return a port that does not exist, or notify for a port
/// that nothing was sent to.
pub fn event_channels(input: &[u8]) {
    let (steps, writes) = input.split_at(input.len() / 2);
    let (mut input, writes) = (Bytes::new(steps), RefCell::new(Bytes::new(writes)));
    let memory = HostMemory::new(PORTS, VCPUS as usize);
    let domain = HostDomain::new(&memory, |memory: &HostMemory| {
        write(memory, &mut writes.borrow_mut());
    });
    let mut tails = vec![Tails::default(); VCPUS as usize];
    let mut ports = vec![PortQueue::new(); PORTS as usize + 1];
    let mut queues = vec![Queues::new(); VCPUS as usize];
    let mut start = ScanStart::new();
    while !input.is_empty() {
        let what = input.byte();
        // The last port of the FIFO ABI has no word.
        let port = input.below(PORTS as usize + 1) as u32;
        let vcpu = u32::from(what >> 7);
        let queue = &mut ports[port as usize];
        match what % 12 {
            0..3 => {
                let set = hypervisor::set_pending(&domain, &mut tails, port, queue, vcpu);
                assert!(
                    !set.notify || port < PORTS,
                    "a port without a word was put on a queue"
                );
            }
            3 => {
                let priority = Priority::new(input.byte().into());
                queue.priority = priority.unwrap_or_default();
            }
            4 => match domain.event_word(port) {
                None => assert_eq!(port, PORTS),
                Some(word) => guest::mask(&word),
            },
            5 | 6 => {
                let word = domain.event_word(port);
                let unmask = word.map_or(Unmask::Hypercall, |word| guest::unmask(&word));
                if unmask == Unmask::Hypercall {
                    let set = hypervisor::unmask(&domain, &mut tails, port, queue, vcpu);
                    assert!(!set.newly_pending);
                }
            }
            7 | 8 => {
                let budget = u32::from(input.byte());
                let (mut count, control) = (0, domain.vcpu(vcpu));
                let _ = queues[vcpu as usize].drain(&domain, &control, budget, |event| {
                    count += 1;
                    match event {
                        Ok(port) => assert!((1..PORTS).contains(&port)),
                        Err(Corrupt::Port { port, .. }) => assert!(port >= PORTS),
                        Err(Corrupt::NoHead { queue }) => assert!(queue < 16),
                    }
                });
                assert!(count <= budget);
            }
            9 => {
                let port = u32::from(input.u16()) % 4100;
                let selector = Some(domain.vcpu(vcpu).selector());
                let set = two_level::hypervisor::set_pending(&domain, selector, port);
                assert!(!set.notify || set.newly_pending);
            }
            10 => {
                let port = u32::from(input.u16()) % 4100;
                let selector = domain.vcpu(vcpu).selector();
                if two_level::guest::unmask_hvm(&domain, port) == Unmask::Hypercall {
                    let set = two_level::hypervisor::unmask(&domain, Some(selector), port);
                    assert!(!set.newly_pending);
                }
            }
            _ => {
                let selector = domain.vcpu(vcpu).selector();
                let bound = u64::from(input.u32()) << 32 | 0xffff;
                let scan = start.scan(&domain, &selector, |_| bound);
                let found = scan
                    .inspect(|port| assert!(bound >> (port % 64) & 1 == 1 && *port < 4096))
                    .count();
                assert!(found <= 65 * 64);
            }
        }
    }
}
