// SPDX-License-Identifier: GPL-2.0

//! Reservations and memory maps of a domain.

use super::*;
use crate::system::domain::E820Entry;

/// Makes a call of which only the result counts.
fn asked<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    args: T,
) -> i64 {
    memory_op(system, domain, op, args).0
}

/// A list of extents at these gfns, given or given back.
fn extents(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    list: &[u64],
    args: mem::Reservation,
) -> i64 {
    // Frames 0x101 and on, or 0x41 and on.
    let at = ARG[usize::from(domain != 0)] + 4096;
    for (index, gfn) in (0..).zip(list) {
        caller(system, domain)
            .copy_to_guest_offset(at, index, gfn)
            .expect("memory");
    }
    let args = mem::Reservation {
        extent_start: at,
        nr_extents: list.len() as u64,
        ..args
    };
    memory_op(system, domain, op, args).0
}

const SELF: mem::Reservation = mem::Reservation {
    extent_start: 0,
    nr_extents: 0,
    extent_order: 0,
    mem_flags: 0,
    domid: 0x7ff0,
    pad: [0; 3],
};

#[test]
fn sizes_are_returned_to_those_with_permission() {
    let mut system = two_domains();
    let end = system.frames.end() as i64;
    assert_eq!(asked(&mut system, 1, mem::op::MAXIMUM_RAM_PAGE, 0u64), end);
    for (op, own, of_dom0) in [
        (mem::op::CURRENT_RESERVATION, 64, 64),
        (mem::op::MAXIMUM_RESERVATION, 256, 256),
        (mem::op::MAXIMUM_GPFN, 0x7f, 0x13f),
    ] {
        assert_eq!(asked(&mut system, 1, op, 0x7ff0u16), own);
        assert_eq!(asked(&mut system, 0, op, 1u16), own);
        assert_eq!(asked(&mut system, 0, op, 0u16), of_dom0);
        assert_eq!(asked(&mut system, 1, op, 0u16), errno(Errno::EPERM));
        assert_eq!(asked(&mut system, 0, op, 9u16), errno(Errno::ESRCH));
    }
    for op in [
        mem::op::GET_SHARING_FREED_PAGES,
        mem::op::GET_SHARING_SHARED_PAGES,
    ] {
        assert_eq!(asked(&mut system, 1, op, 0u64), 0);
    }
    for (op, expected) in [
        (mem::op::GET_VNUMAINFO, Errno::EOPNOTSUPP),
        (mem::op::RESERVED_DEVICE_MEMORY_MAP, Errno::EOPNOTSUPP),
        (5, Errno::ENOSYS),
        // The continuation of a call that has none.
        (1 << 6 | mem::op::MAXIMUM_RAM_PAGE, Errno::EINVAL),
    ] {
        assert_eq!(asked(&mut system, 1, op, 0u64), errno(expected), "{op}");
    }
}

#[test]
fn long_lists_are_done_as_far_as_they_can() {
    let mut system = machine(2048);
    add_domain(&mut system, 0, 0x100, 64);
    add_domain(&mut system, 1, 0x40, 64);
    let gfns: Vec<u64> = (0x200..0x246).collect();
    let populate = mem::op::POPULATE_PHYSMAP;
    assert_eq!(extents(&mut system, 1, populate, &gfns, SELF), 70);
    for gfn in &gfns {
        assert!(system.lookup(1, Gfn(*gfn)).is_some());
    }
    assert_eq!(system.frames.tot_pages(1), 64 + 70);
    let decrease = mem::op::DECREASE_RESERVATION;
    let mut with_a_hole = gfns.clone();
    with_a_hole[67] = 0x9999;
    assert_eq!(extents(&mut system, 1, decrease, &with_a_hole, SELF), 67);
    assert_eq!(system.frames.tot_pages(1), 64 + 3);
    assert_eq!(system.lookup(1, Gfn(0x242)), None);
    assert!(system.lookup(1, Gfn(0x243)).is_some());
    // Extents of four frames: those before the end of the address space, and none beyond.
    let four = mem::Reservation {
        extent_order: 2,
        ..SELF
    };
    let last = (1 << 36) - 4;
    let ends = [0x300, last, last + 1];
    assert_eq!(extents(&mut system, 1, populate, &ends, four), 2);
    assert_eq!(extents(&mut system, 1, decrease, &ends[..2], four), 2);
    assert_eq!(extents(&mut system, 1, decrease, &[u64::MAX], four), 0);
    let increase = mem::op::INCREASE_RESERVATION;
    assert_eq!(extents(&mut system, 1, increase, &gfns, SELF), 0);
}

#[test]
fn reservations_that_ask_for_too_much_get_nothing() {
    let mut system = two_domains();
    let populate = mem::op::POPULATE_PHYSMAP;
    let other = mem::Reservation { domid: 0, ..SELF };
    let none = mem::Reservation { domid: 9, ..SELF };
    let huge = mem::Reservation {
        extent_order: 10,
        ..SELF
    };
    let low = mem::Reservation {
        mem_flags: 12,
        ..SELF
    };
    for args in [other, none, huge, low] {
        let done = extents(&mut system, 1, populate, &[0x200], args);
        assert_eq!(done, 0, "{args:?}");
        assert_eq!(system.lookup(1, Gfn(0x200)), None);
    }
    // For another domain dom0 may.
    let theirs = mem::Reservation { domid: 1, ..SELF };
    assert_eq!(extents(&mut system, 0, populate, &[0x200], theirs), 1);
    assert!(system.lookup(1, Gfn(0x200)).is_some());
    // Below an address of 21 bits: the lowest 512 frames.
    let below = mem::Reservation {
        mem_flags: 21,
        ..SELF
    };
    let gfns: Vec<u64> = (0x300..0x320).collect();
    assert_eq!(extents(&mut system, 1, populate, &gfns, below), 32);
    for gfn in gfns {
        let frame = system.lookup(1, Gfn(gfn)).expect("given").mfn;
        assert!(frame.0 < 512, "{frame:?}");
    }
    let tight = mem::Reservation {
        mem_flags: 13,
        ..SELF
    };
    let gfns: Vec<u64> = (0x400..0x402).collect();
    let done = extents(&mut system, 1, populate, &gfns, tight);
    assert!(done <= 1, "frame 0 is nobody's");
    // More extents than can be counted: none, though the first could be had.
    let list = ARG[1] + 512;
    caller(&mut system, 1)
        .copy_to_guest(list, &0x500u64)
        .expect("memory");
    for (nr_extents, done) in [(1 << 26, 0), (u64::MAX, 0), (1, 1)] {
        let args = mem::Reservation {
            extent_start: list,
            nr_extents,
            ..SELF
        };
        assert_eq!(asked(&mut system, 1, populate, args), done, "{nr_extents}");
        let entry = system.lookup(1, Gfn(0x500)).is_some();
        assert_eq!(entry, done == 1);
    }
    // An argument that is not there, and a list that is not.
    let nowhere = call(&mut system, 1, nr::MEMORY_OP, &[populate.into(), 1 << 40]);
    assert_eq!(nowhere.value, 0);
    let args = mem::Reservation {
        extent_start: 1 << 40,
        nr_extents: 1,
        ..SELF
    };
    assert_eq!(asked(&mut system, 1, populate, args), 0);
}

#[test]
fn memory_maps_are_copied_as_far_as_there_is_room() {
    let mut system = two_domains();
    let entry = |address, size, kind| E820Entry {
        address,
        size,
        kind,
    };
    let buffer = ARG[1] + 1024;
    let list = [entry(0, 0xa_0000, 1), entry(0x10_0000, 0x70_0000, 1)];
    let map = mem::MemoryMap {
        nr_entries: 2,
        pad: 0,
        buffer,
    };
    let of = |domid, map| mem::ForeignMemoryMap {
        domid,
        pad: [0; 3],
        map,
    };
    let (get, set) = (mem::op::MEMORY_MAP, mem::op::SET_MEMORY_MAP);
    caller(&mut system, 1)
        .copy_to_guest(buffer, &list)
        .expect("memory");
    assert_eq!(asked(&mut system, 1, set, of(0x7ff0, map)), 0);
    assert_eq!(asked(&mut system, 1, set, of(0, map)), errno(Errno::EPERM));
    let long = mem::MemoryMap {
        nr_entries: 1025,
        ..map
    };
    assert_eq!(
        asked(&mut system, 1, set, of(0x7ff0, long)),
        errno(Errno::EINVAL)
    );
    for (room, copied) in [(1, 1), (2, 2), (128, 2)] {
        let blank = [entry(7, 7, 7); 2];
        caller(&mut system, 1)
            .copy_to_guest(buffer, &blank)
            .expect("memory");
        let ask = mem::MemoryMap {
            nr_entries: room,
            ..map
        };
        let (result, said) = memory_op(&mut system, 1, get, ask);
        assert_eq!((result, said.nr_entries), (0, copied));
        let read: [E820Entry; 2] = caller(&mut system, 1)
            .copy_from_guest(buffer)
            .expect("memory");
        assert_eq!(read[0], list[0]);
        assert_eq!(read[1], if room > 1 { list[1] } else { blank[1] });
    }
    let empty = mem::MemoryMap {
        nr_entries: 0,
        ..map
    };
    assert_eq!(asked(&mut system, 1, set, of(1, empty)), 0);
    assert_eq!(asked(&mut system, 1, get, map), errno(Errno::ENOSYS));
}

#[test]
fn the_machines_map_is_dom0s_to_know() {
    let mut system = two_domains();
    let op = mem::op::MACHINE_MEMORY_MAP;
    let buffer = ARG[0] + 1024;
    let ask = |system: &mut System<FakePlatform>, domain, nr_entries, buffer| {
        let args = mem::MemoryMap {
            nr_entries,
            pad: 0,
            buffer,
        };
        let (result, said) = memory_op(system, domain, op, args);
        (result, said.nr_entries)
    };
    assert_eq!(ask(&mut system, 1, 2, ARG[1] + 1024).0, errno(Errno::EPERM));
    assert_eq!(ask(&mut system, 0, 0, 0), (0, 1), "how many there are");
    assert_eq!(ask(&mut system, 0, 1, buffer).0, errno(Errno::EINVAL));
    assert_eq!(ask(&mut system, 0, 2, buffer), (0, 1));
    let read: E820Entry = caller(&mut system, 0)
        .copy_from_guest(buffer)
        .expect("memory");
    assert_eq!(read, system.host.memory_map[0]);
}

#[test]
fn an_exchange_says_what_is_wrong_with_it_first() {
    let mut system = two_domains();
    let frames = |nr_extents, extent_order| mem::Reservation {
        nr_extents,
        extent_order,
        ..SELF
    };
    let exchange = |input, output| mem::Exchange {
        input,
        output,
        nr_exchanged: 0,
    };
    let of = |domid, args: mem::Reservation| mem::Reservation { domid, ..args };
    let ask = |system: &mut System<FakePlatform>, domain, args| {
        memory_op(system, domain, mem::op::EXCHANGE, args).0
    };
    let (small, large) = (frames(512, 0), frames(1, 9));
    for (args, expected) in [
        (exchange(small, large), Errno::EOPNOTSUPP),
        (exchange(large, small), Errno::EOPNOTSUPP),
        (exchange(small, frames(1, 8)), Errno::EINVAL),
        (exchange(small, of(1, large)), Errno::EINVAL),
        (
            exchange(frames(1 << 60, 9), frames(1 << 60, 9)),
            Errno::EINVAL,
        ),
        (exchange(frames(1, 64), frames(1, 64)), Errno::EINVAL),
        (exchange(frames(0, 64), frames(0, 0)), Errno::EINVAL),
        (exchange(frames(0, 0), frames(0, 64)), Errno::EINVAL),
        (exchange(frames(2, 9), frames(1, 10)), Errno::EPERM),
        (exchange(frames(1, 10), frames(2, 9)), Errno::EPERM),
        (exchange(of(0, small), of(0, large)), Errno::EPERM),
        (
            mem::Exchange {
                nr_exchanged: 513,
                ..exchange(small, large)
            },
            Errno::EINVAL,
        ),
        (
            mem::Exchange {
                nr_exchanged: 512,
                ..exchange(small, large)
            },
            Errno::EOPNOTSUPP,
        ),
    ] {
        assert_eq!(ask(&mut system, 1, args), errno(expected), "{args:?}");
    }
    let for_dom0 = exchange(frames(2, 17), frames(1, 18));
    assert_eq!(ask(&mut system, 0, for_dom0), errno(Errno::EOPNOTSUPP));
}

#[test]
fn claimed_memory_is_kept_for_its_domain() {
    let mut system = two_domains();
    let claim = |system: &mut System<FakePlatform>, domain, args| {
        asked(system, domain, mem::op::CLAIM_PAGES, args)
    };
    let free = system.frames.free_count();
    for id in [0, 1] {
        system.domain_mut(id).expect("there").config.max_pages = 4096;
    }
    let args = mem::Reservation {
        nr_extents: free + 64,
        domid: 1,
        ..SELF
    };
    let more = mem::Reservation {
        nr_extents: free + 65,
        ..args
    };
    let einval = errno(Errno::EINVAL);
    assert_eq!(claim(&mut system, 0, more), errno(Errno::ENOMEM));
    assert_eq!(claim(&mut system, 1, args), errno(Errno::EPERM));
    let own = mem::Reservation {
        nr_extents: 64,
        ..args
    };
    assert_eq!(claim(&mut system, 0, own), einval, "it has as many");
    let limited = mem::Reservation {
        nr_extents: 4097,
        ..args
    };
    assert_eq!(claim(&mut system, 0, limited), einval);
    assert_eq!(claim(&mut system, 0, args), 0);
    assert_eq!(claim(&mut system, 0, args), einval, "there is one");
    assert_eq!(system.frames.outstanding_claims(), free);
    // Neither the hypervisor nor another domain gets any of it.
    assert_eq!(system.frames.alloc(0, None), None);
    assert_eq!(system.frames.alloc_for(0, 0, None), None);
    system
        .populate_physmap(1, Gfn(0x60), 3, None)
        .expect("it is kept for it");
    // Its own tables are not a part of the claim, so they are the first that do not fit.
    assert_eq!(system.frames.claim_of(1), free - 8);
    let none = mem::Reservation {
        nr_extents: 0,
        ..args
    };
    assert_eq!(claim(&mut system, 0, none), 0);
    let page = system.frames.alloc(0, None).expect("nobody claims it");
    system.frames.free(page);
    assert_eq!(claim(&mut system, 0, args), 0, "anew");
    crate::system::fake::destroy_domain(&mut system, 1).expect("there");
    assert_eq!(system.frames.outstanding_claims(), 0);
    for args in [
        mem::Reservation { domid: 9, ..args },
        mem::Reservation {
            extent_start: 1,
            ..args
        },
        mem::Reservation {
            extent_order: 1,
            ..args
        },
        mem::Reservation {
            mem_flags: 1,
            ..args
        },
    ] {
        assert_eq!(claim(&mut system, 0, args), einval);
    }
}
