// SPDX-License-Identifier: GPL-2.0

//! How much of a long hypercall is done at a time, while the system is locked.

use super::*;
use xen_abi::xen::MulticallEntry;

/// Makes a hypercall; returns the arguments of each continuation.
fn continuations(
    system: &mut System<FakePlatform>,
    number: u32,
    args: &[u64],
) -> (u64, Vec<[u64; 5]>) {
    let mut call = hypercall(number, args);
    let mut parts = Vec::new();
    loop {
        let outcome = dispatch(&mut caller(system, 1), call);
        match outcome.continuation {
            Some(args) => {
                parts.push(args);
                call.args = args;
            }
            None => return (outcome.value, parts),
        }
    }
}

/// Writes a multicall's list at [`ARG`] of domain 1, makes it, and returns before which of its calls it was preempted.
fn preempted_before(system: &mut System<FakePlatform>, calls: &[(u32, [u64; 3])]) -> Vec<u64> {
    for (index, (op, args)) in (0u64..).zip(calls) {
        let entry = MulticallEntry {
            op: (*op).into(),
            result: 7,
            args: [args[0], args[1], args[2], 0, 0, 0],
        };
        caller(system, 1)
            .copy_to_guest_offset(ARG[1], index, &entry)
            .expect("memory");
    }
    let count = calls.len() as u64;
    let (value, parts) = continuations(system, nr::MULTICALL, &[ARG[1], count]);
    assert_eq!(value, 0);
    for index in 0..count {
        let entry: MulticallEntry = caller(system, 1)
            .copy_from_guest_offset(ARG[1], index)
            .expect("memory");
        assert_ne!(entry.result, 7, "call {index} was made");
    }
    parts.into_iter().map(|args| count - args[1]).collect()
}

#[test]
fn calls_of_a_multicall_are_preempted_by_what_they_do_together() {
    let mut system = two_domains();
    let list = ARG[1] + 0x4000;
    let version = (nr::XEN_VERSION, [0; 3]);
    // None of these handles exists, which costs as much as if it did.
    let unmap = |count| {
        let args = [gnttab::UNMAP_GRANT_REF.into(), list, count];
        (nr::GRANT_TABLE_OP, args)
    };
    let parts = preempted_before(&mut system, &[version; 150]);
    assert_eq!(parts, [64, 128]);
    assert_eq!(preempted_before(&mut system, &[unmap(64); 3]), [1, 2]);
    let mixed = [unmap(31), unmap(30), version, unmap(1)];
    assert_eq!(preempted_before(&mut system, &mixed), [3]);
    // One that is preempted itself goes on where it was.
    let parts = preempted_before(&mut system, &[version, unmap(100), version]);
    assert_eq!(parts, [1]);
}

#[test]
fn an_extent_is_as_many_items_as_it_has_pages() {
    let mut system = two_domains();
    let list = ARG[1] + 0x4000;
    let args = ARG[1] + 0x5000;
    // What is given back need not be there.
    caller(&mut system, 1)
        .copy_to_guest(list, &0x10_0000u64)
        .expect("memory");
    let give_back = |system: &mut System<FakePlatform>, extent_order| {
        let reservation = mem::Reservation {
            extent_start: list,
            nr_extents: 1,
            extent_order,
            domid: 0x7ff0,
            ..Default::default()
        };
        caller(system, 1)
            .copy_to_guest(args, &reservation)
            .expect("memory");
        let call = [mem::op::DECREASE_RESERVATION.into(), args, 0];
        preempted_before(system, &[(nr::MEMORY_OP, call); 4])
    };
    assert_eq!(give_back(&mut system, 0), []);
    assert_eq!(give_back(&mut system, 5), [2]);
    assert_eq!(give_back(&mut system, 9), [1, 2, 3]);
}

#[test]
fn a_reset_closes_some_ports_at_a_time() {
    let mut system = two_domains();
    let (_, far) = connected(&mut system);
    let wanted = ec::AllocUnbound {
        dom: 0x7ff0,
        remote_dom: 0,
        port: 0,
    };
    for _ in 0..600 {
        assert_eq!(event(&mut system, 1, ec::op::ALLOC_UNBOUND, wanted).0, 0);
    }
    let bound = |system: &System<FakePlatform>| {
        let domain = system.domain(1).expect("alive");
        domain.events.ports().bound()
    };
    let before = bound(&system);
    caller(&mut system, 1)
        .copy_to_guest(ARG[1], &ec::Reset { dom: 0x7ff0 })
        .expect("memory");
    let reset = [ec::op::RESET.into(), ARG[1]];
    let first = dispatch(
        &mut caller(&mut system, 1),
        hypercall(nr::EVENT_CHANNEL_OP, &reset),
    );
    assert!(first.continuation.is_some());
    assert_eq!(bound(&system), before - 256);
    let (value, parts) = continuations(&mut system, nr::EVENT_CHANNEL_OP, &reset);
    assert_eq!((value, parts.len()), (0, 1));
    assert_eq!(bound(&system), 0);
    assert_eq!(send(&mut system, 1, far), errno(Errno::EINVAL));
}
