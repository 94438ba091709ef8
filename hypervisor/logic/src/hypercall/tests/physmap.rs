// SPDX-License-Identifier: GPL-2.0

//! The p2m: frames that are moved, mapped elsewhere, and unmapped.

use super::*;
use crate::mem::p2m::P2mType;

fn at(system: &mut System<FakePlatform>, domain: u16, gfn: u64) -> Option<Mfn> {
    system.lookup(domain, Gfn(gfn)).map(|entry| entry.mfn)
}

fn add(system: &mut System<FakePlatform>, domain: u16, args: mem::AddToPhysmap) -> i64 {
    memory_op(system, domain, mem::op::ADD_TO_PHYSMAP, args).0
}

/// A frame of one's own to another place.
fn moved(idx: u64, gpfn: u64) -> mem::AddToPhysmap {
    mem::AddToPhysmap {
        domid: 0x7ff0,
        space: mem::space::GMFN.into(),
        idx,
        gpfn,
        ..Default::default()
    }
}

/// So many frames of one's own to another place.
fn range(idx: u64, gpfn: u64, size: u16) -> mem::AddToPhysmap {
    mem::AddToPhysmap {
        size,
        space: mem::space::GMFN_RANGE.into(),
        ..moved(idx, gpfn)
    }
}

#[test]
fn a_frame_that_is_moved_is_mapped_at_one_gfn() {
    let mut system = two_domains();
    let frame = at(&mut system, 1, 0x50);
    let free = system.frames.free_count();
    system.platform.calls.clear();
    assert_eq!(add(&mut system, 1, moved(0x50, 0x51)), 0);
    assert_eq!(at(&mut system, 1, 0x50), None);
    assert_eq!(at(&mut system, 1, 0x51), frame);
    assert_eq!(
        system.frames.free_count(),
        free + 1,
        "what was there is freed"
    );
    assert!(
        system.platform.calls.contains(&PlatformCall::FlushTlb(1)),
        "no processor goes on seeing it"
    );
    assert_eq!(add(&mut system, 1, moved(0x51, 0x51)), 0);
    assert_eq!(at(&mut system, 1, 0x51), frame);
    // Nothing, and what is not its own.
    assert_eq!(add(&mut system, 1, moved(0x50, 0x52)), errno(Errno::EACCES));
    let shared = mem::AddToPhysmap {
        space: mem::space::SHARED_INFO.into(),
        ..moved(0, 0x53)
    };
    assert_eq!(add(&mut system, 1, shared), 0);
    assert_eq!(add(&mut system, 1, moved(0x53, 0x54)), errno(Errno::EINVAL));
    system
        .map_foreign(0, Gfn(0x200), 1, Gfn(0x44))
        .expect("memory");
    let foreign = add(&mut system, 0, moved(0x200, 0x201));
    assert_eq!(foreign, errno(Errno::EACCES));
}

#[test]
fn a_range_is_moved_over_itself_in_either_direction() {
    for (from, to) in [(0x48u64, 0x4a), (0x48, 0x46), (0x48, 0x60), (0x48, 0x48)] {
        let mut system = two_domains();
        let frames: Vec<_> = (0..6).map(|i| at(&mut system, 1, from + i)).collect();
        assert_eq!(add(&mut system, 1, range(from, to, 6)), 0);
        let now: Vec<_> = (0..6).map(|i| at(&mut system, 1, to + i)).collect();
        assert_eq!(now, frames, "{from:#x} to {to:#x}");
        for gfn in (from..from + 6).filter(|gfn| !(to..to + 6).contains(gfn)) {
            assert_eq!(at(&mut system, 1, gfn), None, "{gfn:#x}");
        }
    }
    // Longer than is done at once, up and down.
    for (from, to) in [(0x110u64, 0x118), (0x118, 0x110)] {
        let mut system = machine(1024);
        add_domain(&mut system, 0, 0x100, 0x90);
        assert_eq!(add(&mut system, 0, range(from, to, 0x70)), 0);
        for i in 0..0x70 {
            let frame = at(&mut system, 0, to + i);
            assert_eq!(frame, Some(Mfn(from + i)), "{:#x}", to + i);
        }
    }
}

#[test]
fn arguments_that_name_no_place_are_refused() {
    let mut system = two_domains();
    let space = |space: u16| mem::AddToPhysmap {
        space: space.into(),
        ..moved(0x50, 0x51)
    };
    let wide = mem::AddToPhysmap {
        space: 0x1_0000,
        ..moved(0x50, 0x51)
    };
    let of = |domid| mem::AddToPhysmap {
        domid,
        ..moved(0x50, 0x51)
    };
    let second = mem::AddToPhysmap {
        idx: 1,
        ..space(mem::space::SHARED_INFO)
    };
    for (args, expected) in [
        (space(mem::space::GMFN_FOREIGN), Errno::ENOSYS),
        (space(mem::space::DEV_MMIO), Errno::EOPNOTSUPP),
        (space(6), Errno::EINVAL),
        (wide, Errno::ENOSYS),
        (second, Errno::EINVAL),
        (of(0), Errno::EPERM),
        (of(9), Errno::ESRCH),
        (moved(0x50, u64::MAX), Errno::EINVAL),
        (moved(0x50, 1 << 36), Errno::EINVAL),
        (range(0x50, u64::MAX - 1, 2), Errno::EOVERFLOW),
        (range(u64::MAX - 1, 0x50, 2), Errno::EOVERFLOW),
    ] {
        let before = at(&mut system, 1, 0x50);
        assert_eq!(add(&mut system, 1, args), errno(expected), "{args:?}");
        assert_eq!(at(&mut system, 1, 0x50), before);
    }
    assert_eq!(add(&mut system, 0, of(1)), 0, "dom0 may");
}

#[test]
fn unmapping_a_foreign_frame_does_not_harm_its_owner() {
    let mut system = two_domains();
    let theirs = at(&mut system, 1, 0x44).expect("memory");
    system
        .map_foreign(0, Gfn(0x200), 1, Gfn(0x44))
        .expect("memory");
    // Something else in its place ends the use.
    system
        .map_foreign(0, Gfn(0x200), 1, Gfn(0x45))
        .expect("memory");
    assert_eq!(system.frames.page_refs(theirs), (0, 0));
    assert_eq!(remove(&mut system, 0, 0x200), 0);
    assert_eq!(system.frames.owner(theirs), Owner::Domain(1));
    assert_eq!(remove(&mut system, 0, 0x200), errno(Errno::ENOENT));
    // A frame that its domain releases stays as long as dom0 maps it.
    system
        .map_foreign(0, Gfn(0x200), 1, Gfn(0x44))
        .expect("memory");
    assert_eq!(remove(&mut system, 1, 0x44), 0);
    assert_eq!(system.frames.owner(theirs), Owner::Released(1));
    let again = system.map_foreign(0, Gfn(0x201), 1, Gfn(0x44));
    assert_eq!(again, Err(Errno::EINVAL));
    assert_eq!(remove(&mut system, 0, 0x200), 0);
    assert_eq!(system.frames.owner(theirs), Owner::Free);
    // Only the other domain's own memory can be mapped.
    let shared = mem::AddToPhysmap {
        space: mem::space::SHARED_INFO.into(),
        ..moved(0, 0x53)
    };
    assert_eq!(add(&mut system, 1, shared), 0);
    for gfn in [0x53, 0x44, 0x9999] {
        let mapped = system.map_foreign(0, Gfn(0x200), 1, Gfn(gfn));
        assert_eq!(mapped, Err(Errno::EINVAL), "{gfn:#x}");
        assert_eq!(at(&mut system, 0, 0x200), None);
    }
}

#[test]
fn devices_and_shared_pages_have_calls_of_their_own() {
    let mut system = two_domains();
    let device = system.frames.end() + 0x1000;
    assert_eq!(
        system.map_mmio(0, Gfn(device), Mfn(device), 1),
        Ok(()),
        "a device"
    );
    assert_eq!(remove(&mut system, 0, device), errno(Errno::EPERM));
    let kind = system.lookup(0, Gfn(device)).map(|entry| entry.p2mt);
    assert_eq!(kind, Some(P2mType::MmioDirect));
    for (count, expected) in [
        (0, Errno::EINVAL),
        (u64::MAX, Errno::EINVAL),
        (1 << 36, Errno::EINVAL),
    ] {
        let mapped = system.map_mmio(0, Gfn(device), Mfn(device), count);
        assert_eq!(mapped, Err(expected));
    }
    // The shared info is unmapped, and then mapped elsewhere.
    let shared = |gpfn| mem::AddToPhysmap {
        space: mem::space::SHARED_INFO.into(),
        ..moved(0, gpfn)
    };
    let info = system.domain(1).expect("alive").shared_info.0.mfn();
    assert_eq!(add(&mut system, 1, shared(0x200)), 0);
    assert_eq!(remove(&mut system, 1, 0x200), 0);
    assert_eq!(system.domain(1).expect("alive").shared_info.1, None);
    assert_eq!(system.frames.owner(info), Owner::Hypervisor);
    // What the guest has put there meanwhile stays.
    assert_eq!(add(&mut system, 1, shared(0x200)), 0);
    let frame = at(&mut system, 1, 0x50);
    assert_eq!(add(&mut system, 1, moved(0x50, 0x200)), 0);
    assert_eq!(add(&mut system, 1, shared(0x201)), 0);
    assert_eq!(at(&mut system, 1, 0x200), frame);
    assert_eq!(at(&mut system, 1, 0x201), Some(info));
    // A frame of the grant table likewise.
    let table = |gpfn| mem::AddToPhysmap {
        space: mem::space::GRANT_TABLE.into(),
        ..moved(0, gpfn)
    };
    assert_eq!(add(&mut system, 1, table(0x202)), 0);
    let place = |system: &System<FakePlatform>| {
        let domain = system.domain(1).expect("alive");
        domain.grants.frames(false)[0].1
    };
    assert_eq!(place(&system), Some(Gfn(0x202)));
    assert_eq!(remove(&mut system, 1, 0x202), 0);
    assert_eq!(place(&system), None);
}

#[test]
fn a_long_batch_is_done_to_its_end() {
    let mut system = machine(2048);
    add_domain(&mut system, 0, 0x100, 64);
    add_domain(&mut system, 1, 0x40, 100);
    let lists = 0x10_1000;
    for index in 0..70u64 {
        for (list, value) in [(0, 0x44 + index), (1, 0x200 + index)] {
            caller(&mut system, 0)
                .copy_to_guest(lists + list * 1024 + index * 8, &value)
                .expect("memory");
        }
    }
    let args = mem::AddToPhysmapBatch {
        domid: 0x7ff0,
        space: mem::space::GMFN_FOREIGN,
        size: 70,
        foreign_domid: 1,
        idxs: lists,
        gpfns: lists + 1024,
        errs: lists + 2048,
    };
    let batch = |system: &mut System<FakePlatform>, args| {
        memory_op(system, 0, mem::op::ADD_TO_PHYSMAP_BATCH, args).0
    };
    assert_eq!(batch(&mut system, args), 0);
    for index in 0..70 {
        let theirs = at(&mut system, 1, 0x44 + index);
        assert!(theirs.is_some());
        assert_eq!(at(&mut system, 0, 0x200 + index), theirs, "{index}");
    }
    for (args, expected) in [
        (
            mem::AddToPhysmapBatch {
                space: mem::space::GMFN_RANGE,
                ..args
            },
            Errno::EOPNOTSUPP,
        ),
        (mem::AddToPhysmapBatch { domid: 9, ..args }, Errno::ESRCH),
    ] {
        assert_eq!(batch(&mut system, args), errno(expected));
    }
    // One's own frames, and nobody's: each has its error.
    for foreign_domid in [0x7ff0, 9] {
        let args = mem::AddToPhysmapBatch {
            foreign_domid,
            size: 1,
            ..args
        };
        assert_eq!(batch(&mut system, args), 0);
        let error: i32 = caller(&mut system, 0)
            .copy_from_guest(lists + 2048)
            .expect("memory");
        let expected = if foreign_domid == 9 { -3 } else { -22 };
        assert_eq!(error, expected);
    }
    // The guest chooses where a continuation starts, but not beyond the end of its list.
    let command = |start: u64| u64::from(mem::op::ADD_TO_PHYSMAP_BATCH) | start << 6;
    for (start, expected) in [(69, 0), (70, -84), (71, -84), (0x1_0000, -33)] {
        caller(&mut system, 0)
            .copy_to_guest(ARG[0], &args)
            .expect("memory");
        let outcome = call(&mut system, 0, nr::MEMORY_OP, &[command(start), ARG[0]]);
        assert_eq!(outcome.value as i64, expected, "{start}");
    }
}

#[test]
fn a_directly_mapped_domain_keeps_what_it_moves_and_gives_back() {
    let mut system = two_domains();
    let free = system.frames.free_count();
    assert_eq!(add(&mut system, 0, moved(0x120, 0x180)), 0);
    assert_eq!(remove(&mut system, 0, 0x180), 0);
    // A device may still reach it by the address that it had.
    assert_eq!(system.frames.owner(Mfn(0x120)), Owner::Domain(0));
    assert_eq!(system.frames.free_count(), free);
    let pages = |system: &System<FakePlatform>| {
        let domain = system.domain(0).expect("alive");
        system.current_reservation(domain)
    };
    assert_eq!(pages(&system), 63);
    assert_eq!(system.populate_physmap(0, Gfn(0x120), 0, None), Ok(()));
    assert_eq!(at(&mut system, 0, 0x120), Some(Mfn(0x120)));
    assert_eq!(pages(&system), 64);
    // What it has already is not given twice.
    assert_eq!(system.populate_physmap(0, Gfn(0x120), 0, None), Ok(()));
    assert_eq!(pages(&system), 64);
}

#[test]
fn the_vcpus_of_a_new_domain_are_down_from_now_on() {
    let mut system = machine(64);
    system.platform.time = 7_000_000;
    system
        .create_domain(crate::system::fake::config(1))
        .expect("memory for a domain");
    assert_eq!(system.domain(1).expect("it was made").vcpus.len(), 0);
    assert_eq!(system.create_vcpus(1), Ok(()));
    let vcpus = &system.domain(1).expect("it was made").vcpus;
    assert_eq!(vcpus.len(), 2);
    for vcpu in vcpus {
        assert!(vcpu.down && !vcpu.initialised);
        let info = vcpu.runstate.info();
        assert_eq!(info.state, vc::runstate::OFFLINE);
        assert_eq!((info.state_entry_time, info.time), (7_000_000, [0; 4]));
    }
}

#[test]
fn a_domain_that_cannot_be_made_leaves_nothing() {
    let mut system = machine(64);
    add_domain(&mut system, 1, 0x40, 4);
    let again = system.create_domain(crate::system::fake::config(1));
    assert_eq!(again, Err(Errno::EEXIST));
    // One frame is enough for its shared info and not for its tables.
    while system.frames.free_count() > 1 {
        let frame = system.frames.alloc(0, None).expect("free");
        system.frames.assign_pages(frame, 1);
    }
    let made = system.create_domain(crate::system::fake::config(2));
    assert_eq!(made, Err(Errno::ENOMEM));
    assert_eq!(system.frames.free_count(), 1);
    assert!(system.domain(2).is_err());
}
