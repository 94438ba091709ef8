// SPDX-License-Identifier: GPL-2.0

//! `memory_op`: the shared info page, foreign frames, devices, memory maps.

use super::*;
use crate::mem::p2m::P2mType;

#[test]
fn the_shared_info_is_mapped_at_one_gfn() {
    let mut system = two_domains();
    let shared = system.domain(1).expect("it is there").shared_info.0.mfn();
    let mut place = |gpfn: u64| {
        let args = mem::AddToPhysmap {
            domid: 0x7ff0,
            space: 0,
            gpfn,
            ..Default::default()
        };
        assert_eq!(
            memory_op(&mut system, 1, mem::op::ADD_TO_PHYSMAP, args).0,
            0
        );
        let at = |system: &mut System<FakePlatform>, gfn| {
            system.lookup(1, Gfn(gfn)).map(|entry| entry.mfn)
        };
        (at(&mut system, 0x50), at(&mut system, 0x900))
    };
    assert_eq!(place(0x50).0, Some(shared));
    assert_eq!(place(0x900), (None, Some(shared)));
    assert_eq!(
        system.frames.tot_pages(1),
        63,
        "what was in its place is freed"
    );
}

#[test]
fn what_dom0_gives_back_is_kept_for_it() {
    let mut system = two_domains();
    let free = system.frames.free_count();
    let list = ARG[0] + 512;
    caller(&mut system, 0)
        .copy_to_guest(list, &[0x120u64, 0x121])
        .expect("memory");
    let args = mem::Reservation {
        extent_start: list,
        nr_extents: 2,
        domid: 0x7ff0,
        ..Default::default()
    };
    assert_eq!(
        memory_op(&mut system, 0, mem::op::DECREASE_RESERVATION, args).0,
        2
    );
    assert_eq!(system.lookup(0, Gfn(0x120)), None);
    assert_eq!(system.frames.free_count(), free);
    let (pages, _) = memory_op(&mut system, 0, mem::op::CURRENT_RESERVATION, 0x7ff0u16);
    assert_eq!(pages, 62);
    assert_eq!(
        memory_op(&mut system, 0, mem::op::POPULATE_PHYSMAP, args).0,
        2
    );
    assert_eq!(
        system.lookup(0, Gfn(0x121)).map(|entry| entry.mfn),
        Some(Mfn(0x121))
    );
    // Elsewhere it gets nothing.
    caller(&mut system, 0)
        .copy_to_guest(list, &[0x300u64])
        .expect("memory");
    let one = mem::Reservation {
        nr_extents: 1,
        ..args
    };
    assert_eq!(
        memory_op(&mut system, 0, mem::op::POPULATE_PHYSMAP, one).0,
        0
    );
}

/// Asks for one extent at a place, or gives it back; says how many were done.
fn extent(system: &mut System<FakePlatform>, domain: u16, op: u32, gfn: u64, order: u32) -> i64 {
    let list = ARG[usize::from(domain != 0)] + 512;
    caller(system, domain)
        .copy_to_guest(list, &[gfn])
        .expect("memory");
    let args = mem::Reservation {
        extent_start: list,
        nr_extents: 1,
        extent_order: order,
        domid: 0x7ff0,
        ..Default::default()
    };
    memory_op(system, domain, op, args).0
}

/// All bytes of a frame, as its domain reads them.
fn contents(system: &mut System<FakePlatform>, domain: u16, gfn: u64) -> [u8; 4096] {
    caller(system, domain)
        .copy_from_guest(gfn << 12)
        .expect("memory")
}

#[test]
fn another_domain_gets_memory_that_is_clear() {
    // Little enough that the last domain gets all that is free.
    let mut system = machine(256);
    add_domain(&mut system, 1, 0x40, 16);
    add_domain(&mut system, 2, 0x40, 1);
    let mut secrets = Vec::new();
    for gfn in 0x44..0x48 {
        secrets.push(system.lookup(1, Gfn(gfn)).expect("memory").mfn);
        caller(&mut system, 1)
            .copy_to_guest(gfn << 12, &[0x77u8; 4096])
            .expect("memory");
        assert_eq!(
            extent(&mut system, 1, mem::op::DECREASE_RESERVATION, gfn, 0),
            1
        );
    }
    let read = |system: &System<FakePlatform>, mfn: Mfn| {
        let mut bytes = [0; 4096];
        system.platform.read(mfn.address(), &mut bytes);
        bytes
    };
    assert!(
        secrets
            .iter()
            .all(|mfn| read(&system, *mfn) == [0x77; 4096])
    );
    let mut gfn = 0x80;
    let mut got = Vec::new();
    for order in [3, 0] {
        while extent(&mut system, 2, mem::op::POPULATE_PHYSMAP, gfn, order) == 1 {
            for frame in gfn..gfn + (1 << order) {
                got.push(system.lookup(2, Gfn(frame)).expect("it was given").mfn);
                assert_eq!(contents(&mut system, 2, frame), [0; 4096], "{frame:#x}");
            }
            gfn += 1 << order;
        }
    }
    assert!(secrets.iter().any(|mfn| got.contains(mfn)));
    assert_eq!(system.frames.free_count(), 0);
}

#[test]
fn what_is_shared_with_a_domain_is_clear_from_its_first_moment() {
    let mut system = two_domains();
    let made = system.create_domain(crate::system::fake::config(2));
    assert_eq!(made.and_then(|()| system.create_vcpus(2)), Ok(()));
    let shared = system.domain(2).expect("it is there").shared_info.0.mfn();
    let mut info = [0u8; 4096];
    system.platform.read(shared.address(), &mut info);
    // All but its wall clock is zero: none of its vCPUs is up, and has a clock.
    let clock = offset_of!(vc::SharedInfo, wc_version);
    assert!(info[..clock].iter().all(|byte| *byte == 0));
    for (space_of_index, gfn) in [0, 3].into_iter().zip(0x60..) {
        let args = mem::AddToPhysmap {
            domid: 0x7ff0,
            space: mem::space::GRANT_TABLE.into(),
            idx: space_of_index,
            gpfn: gfn,
            ..Default::default()
        };
        let result = memory_op(&mut system, 1, mem::op::ADD_TO_PHYSMAP, args).0;
        assert_eq!(result, 0);
        assert_eq!(contents(&mut system, 1, gfn), [0; 4096]);
    }
}

#[test]
fn a_domain_gets_no_more_than_it_may_have() {
    let mut system = two_domains();
    let populate = mem::op::POPULATE_PHYSMAP;
    assert_eq!(extent(&mut system, 1, populate, 0x80, 2), 1);
    assert_eq!(system.frames.tot_pages(1), 68);
    let decrease = mem::op::DECREASE_RESERVATION;
    assert_eq!(extent(&mut system, 1, decrease, 0x80, 2), 1);
    assert_eq!(system.frames.tot_pages(1), 64);
    assert_eq!(extent(&mut system, 1, populate, 0x80, 9), 0);
    let most = system.domain(1).expect("it is there").config.max_pages;
    assert_eq!(extent(&mut system, 1, populate, 0x80, 7), 1);
    assert_eq!(extent(&mut system, 1, populate, 0x100, 6), 1);
    assert_eq!(system.frames.tot_pages(1), most, "the last frame too");
    assert_eq!(extent(&mut system, 1, populate, 0x140, 0), 0);
    let args = mem::Reservation {
        extent_start: ARG[1] + 512,
        nr_extents: u64::MAX,
        domid: 0x7ff0,
        ..Default::default()
    };
    assert_eq!(memory_op(&mut system, 1, populate, args).0, 0);
}

#[test]
fn only_dom0_sees_others_frames() {
    let mut system = two_domains();
    let lists = ARG[0] + 1024;
    caller(&mut system, 0)
        .copy_to_guest(lists, &[0x44u64, 0x999, 0x45])
        .expect("memory");
    caller(&mut system, 0)
        .copy_to_guest(lists + 24, &[0x120u64, 0x121, 0x122])
        .expect("memory");
    let args = mem::AddToPhysmapBatch {
        domid: 0x7ff0,
        space: mem::space::GMFN_FOREIGN,
        size: 3,
        foreign_domid: 1,
        idxs: lists,
        gpfns: lists + 24,
        errs: lists + 48,
    };
    assert_eq!(
        memory_op(&mut system, 0, mem::op::ADD_TO_PHYSMAP_BATCH, args).0,
        0
    );
    let errors: [i32; 3] = caller(&mut system, 0)
        .copy_from_guest(lists + 48)
        .expect("memory");
    assert_eq!(errors, [0, -22, 0]);
    let theirs = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    assert_eq!(
        system.lookup(0, Gfn(0x120)).map(|entry| entry.mfn),
        Some(theirs)
    );
    assert_eq!(system.frames.page_refs(theirs), (1, 1));
    let remove = mem::RemoveFromPhysmap {
        domid: 0x7ff0,
        pad: [0; 3],
        gpfn: 0x120,
    };
    assert_eq!(
        memory_op(&mut system, 0, mem::op::REMOVE_FROM_PHYSMAP, remove).0,
        0
    );
    assert_eq!(system.frames.page_refs(theirs), (0, 0));
    let lists = ARG[1] + 1024;
    let args = mem::AddToPhysmapBatch {
        foreign_domid: 0,
        idxs: lists,
        gpfns: lists,
        errs: lists + 48,
        ..args
    };
    assert_eq!(
        memory_op(&mut system, 1, mem::op::ADD_TO_PHYSMAP_BATCH, args).0,
        0
    );
    let errors: [i32; 3] = caller(&mut system, 1)
        .copy_from_guest(lists + 48)
        .expect("memory");
    assert_eq!(errors, [-1; 3]);
}

#[test]
fn devices_are_mapped_and_taken_away_memory_is_not() {
    let mut system = two_domains();
    let device = system.frames.end() + 0x1000;
    system.frames.deny_iomem(device + 0x300..device + 0x301);
    let map = |system: &mut System<FakePlatform>, from: u64, count: u64| {
        system.map_mmio(0, Gfn(from), Mfn(from), count)
    };
    assert_eq!(map(&mut system, device, 0x200), Ok(()));
    assert_eq!(
        map(&mut system, device + 0x2ff, 2),
        Err(Errno::EPERM),
        "a part of it is the hypervisor's"
    );
    assert_eq!(map(&mut system, 0x120, 1), Err(Errno::EPERM), "memory");
    let kind =
        |system: &mut System<FakePlatform>, gfn| system.lookup(0, Gfn(gfn)).map(|entry| entry.p2mt);
    assert_eq!(kind(&mut system, device + 7), Some(P2mType::MmioDirect));
    assert_eq!(system.unmap_mmio(0, Gfn(device + 7)), Ok(()));
    assert_eq!(kind(&mut system, device + 7), None);
    assert_eq!(kind(&mut system, device + 8), Some(P2mType::MmioDirect));
    // What is no device stays as it is.
    for gfn in [0x120, device + 7] {
        let before = kind(&mut system, gfn);
        assert_eq!(system.unmap_mmio(0, Gfn(gfn)), Ok(()));
        assert_eq!(kind(&mut system, gfn), before);
    }
}
