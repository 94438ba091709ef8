// SPDX-License-Identifier: GPL-2.0

//! The 2-level ABI.

use crate::world::{Hostile, Write};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use xen_event::two_level::guest::{self, ScanStart};
use xen_event::two_level::{self, hypervisor};
use xen_event::{HostDomain, HostMemory, Raised, SharedWord, Unmask};

/// Ports that share words, and ports at the ends of the bitmap.
const PORTS: [u32; 10] = [1, 2, 63, 64, 65, 127, 2000, 4032, 4094, 4095];

fn send(domain: &HostDomain<'_, impl Fn(&HostMemory)>, vcpu: u32, port: u32) -> Raised {
    hypervisor::set_pending(domain, Some(domain.vcpu(vcpu).selector()), port)
}

/// Scans a vCPU to which all ports are bound, and clears what it finds.
fn scan(domain: &HostDomain<'_, impl Fn(&HostMemory)>, start: &mut ScanStart) -> Vec<u32> {
    let selector = domain.vcpu(0).selector();
    let scan = start.scan(domain, &selector, |_| u64::MAX);
    scan.inspect(|port| two_level::clear_pending(domain, *port))
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(u32),
    Mask(u32),
    Unmask(u32, bool),
    Scan,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = proptest::sample::select(&PORTS[..]);
    let step = prop_oneof![
        4 => port.clone().prop_map(Step::Send),
        1 => port.clone().prop_map(Step::Mask),
        2 => (port, any::<bool>()).prop_map(|(port, pv)| Step::Unmask(port, pv)),
        2 => Just(Step::Scan),
    ];
    proptest::collection::vec(step, 1..100)
}

fn unmask(domain: &HostDomain<'_, impl Fn(&HostMemory)>, port: u32, pv: bool) {
    let selector = domain.vcpu(0).selector();
    if pv {
        assert_ne!(guest::unmask_pv(domain, &selector, port), Unmask::Hypercall);
    } else if guest::unmask_hvm(domain, port) == Unmask::Hypercall {
        let raised = hypervisor::unmask(domain, Some(selector), port);
        assert!(!raised.newly_pending);
    }
}

proptest! {
    #[test]
    fn every_event_is_delivered_once(steps in steps()) {
        let memory = HostMemory::new(0, 1);
        let domain = HostDomain::new(&memory, |_: &HostMemory| {});
        let (mut pending, mut masked) = (BTreeSet::new(), BTreeSet::new());
        let mut start = ScanStart::new();
        for step in steps {
            match step {
                Step::Send(port) => {
                    let raised = send(&domain, 0, port);
                    prop_assert_eq!(raised.newly_pending, pending.insert(port));
                    prop_assert!(!(raised.notify && masked.contains(&port)));
                    prop_assert_eq!(guest::is_active(&domain, port), !masked.contains(&port));
                }
                Step::Mask(port) => {
                    guest::mask(&domain, port);
                    masked.insert(port);
                    prop_assert!(guest::is_masked(&domain, port));
                }
                Step::Unmask(port, pv) => {
                    unmask(&domain, port, pv);
                    masked.remove(&port);
                    prop_assert!(!guest::is_masked(&domain, port));
                }
                Step::Scan => {
                    for port in scan(&domain, &mut start) {
                        prop_assert!(pending.remove(&port) && !masked.contains(&port));
                    }
                    prop_assert!(pending.is_subset(&masked), "a masked one is left only");
                }
            }
        }
        for port in PORTS {
            unmask(&domain, port, false);
        }
        let mut rest = scan(&domain, &mut start);
        rest.sort_unstable();
        prop_assert!(rest.into_iter().eq(pending));
    }

    #[test]
    fn a_hostile_third_writer_stops_neither_side(
        steps in steps(),
        writes in proptest::collection::vec(any::<Write>(), 1..60)
    ) {
        let memory = HostMemory::new(4, 1);
        let hostile = Hostile::new(writes);
        let domain = HostDomain::new(&memory, |memory: &HostMemory| hostile.write(memory));
        let mut start = ScanStart::new();
        for step in steps {
            let ((), operations) = hostile.count(|| match step {
                Step::Send(port) => drop(send(&domain, 0, port)),
                Step::Mask(port) => guest::mask(&domain, port),
                Step::Unmask(port, pv) => unmask(&domain, port, pv),
                Step::Scan => {
                    let ports = scan(&domain, &mut start);
                    assert!(ports.len() <= 65 * 64 && ports.iter().all(|port| *port < 4096));
                }
            });
            let limit = match step {
                Step::Scan => 1 + 65 * (2 + 64),
                _ => 6,
            };
            prop_assert!(operations <= limit, "{operations} operations");
        }
    }
}

#[test]
fn a_scan_begins_behind_the_port_that_was_served_last() {
    let memory = HostMemory::new(0, 1);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    let mut start = ScanStart::new();
    for port in [64, 70, 130] {
        let _ = send(&domain, 0, port);
    }
    // It stops in the middle, with the selector set again for what is left.
    let selector = domain.vcpu(0).selector();
    let words = selector.load();
    let first = start.scan(&domain, &selector, |_| u64::MAX).next();
    assert_eq!(first, Some(64));
    two_level::clear_pending(&domain, 64);
    selector.fetch_or(words);
    for port in [1, 65, 64] {
        let _ = send(&domain, 0, port);
    }
    // From 65 on, around to 1, and at the end what is before 65 in its word.
    assert_eq!(scan(&domain, &mut start), [65, 70, 130, 1, 64]);
    assert_eq!(scan(&domain, &mut start), []);
    // A busy port comes after one that waits, wherever that is.
    let _ = send(&domain, 0, 64);
    let _ = send(&domain, 0, 66);
    assert_eq!(scan(&domain, &mut start), [66, 64]);
    // Behind the last port it begins at the first.
    let _ = send(&domain, 0, 4095);
    assert_eq!(scan(&domain, &mut start), [4095]);
    assert_eq!(start, ScanStart::new());
}

#[test]
fn ports_of_another_vcpu_and_masked_ones_are_not_found() {
    let memory = HostMemory::new(0, 1);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    guest::mask(&domain, 7);
    for port in [5, 6, 7, 64] {
        let _ = send(&domain, 0, port);
    }
    let selector = domain.vcpu(0).selector();
    let mut start = ScanStart::new();
    let bound = |word: u32| if word == 0 { 1 << 5 | 1 << 7 } else { 0 };
    let scan = start.scan(&domain, &selector, bound);
    let found = scan.inspect(|port| two_level::clear_pending(&domain, *port));
    assert!(found.eq([5]));
    assert!(two_level::is_pending(&domain, 64), "it stays");
}

#[test]
fn what_this_abi_does_not_have_is_left_alone() {
    let memory = HostMemory::new(0, 1);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    let selector = || Some(domain.vcpu(0).selector());
    for port in [4096, u32::MAX] {
        assert_eq!(
            hypervisor::set_pending(&domain, selector(), port),
            Raised::default()
        );
        assert_eq!(
            hypervisor::unmask(&domain, selector(), port),
            Raised::default()
        );
        guest::mask(&domain, port);
        guest::set_pending(&domain, port);
        two_level::clear_pending(&domain, port);
        assert_eq!(guest::unmask_hvm(&domain, port), Unmask::Done);
        assert!(!two_level::is_pending(&domain, port) && !guest::is_masked(&domain, port));
        assert!(!guest::is_active(&domain, port));
    }
    let words = memory.pending.iter().chain(&memory.mask);
    assert!(words.map(|word| word.load(SeqCst)).all(|word| word == 0));
    // A vCPU without `vcpu_info` is not notified; the port is pending.
    let nobody = None::<xen_event::HostWord<'_, std::sync::atomic::AtomicU64, fn(&HostMemory)>>;
    let raised = hypervisor::set_pending(&domain, nobody, 9);
    assert!(raised.newly_pending && !raised.notify);
}

#[test]
fn a_pending_port_is_masked_again_for_the_hypercall_that_unmasks_it() {
    let memory = HostMemory::new(0, 1);
    let domain = HostDomain::new(&memory, |_: &HostMemory| {});
    guest::mask(&domain, 9);
    guest::set_pending(&domain, 9);
    assert_eq!(guest::unmask_hvm(&domain, 9), Unmask::Hypercall);
    assert!(guest::is_masked(&domain, 9));
    let selector = domain.vcpu(0).selector();
    let raised = hypervisor::unmask(&domain, Some(domain.vcpu(0).selector()), 9);
    assert!(raised.notify && selector.load() == 1);
    // A PV guest selects the word itself, once.
    guest::mask(&domain, 9);
    selector.store(0);
    assert_eq!(guest::unmask_pv(&domain, &selector, 9), Unmask::Upcall);
    assert_eq!(guest::unmask_pv(&domain, &selector, 9), Unmask::Done);
    two_level::clear_pending(&domain, 9);
    selector.store(0);
    assert_eq!(guest::unmask_pv(&domain, &selector, 9), Unmask::Done);
    assert_eq!(selector.load(), 0);
}

#[test]
fn a_selector_of_32_bits_has_a_bit_for_32_ports() {
    let memory = HostMemory::new(0, 1);
    let domain = HostDomain::new(&memory, |_| {});
    let selector = AtomicU32::new(0);
    for port in [0, 31, 32, 1000, 1023] {
        let raised = hypervisor::set_pending(&domain, Some(&selector), port);
        let word = 1 << (port / 32);
        assert_eq!(selector.load(SeqCst) & word, word, "port {port}");
        assert!(raised.newly_pending);
        guest::mask(&domain, port);
        selector.store(0, SeqCst);
        assert!(hypervisor::unmask(&domain, Some(&selector), port).notify);
        assert_eq!(selector.load(SeqCst), word, "port {port}");
    }
    // The words of a guest of 32 bits end here.
    let raised = hypervisor::set_pending(&domain, Some(&selector), 1024);
    assert!(raised.newly_pending && !raised.notify);
}
