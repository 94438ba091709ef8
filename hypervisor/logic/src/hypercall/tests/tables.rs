// SPDX-License-Identifier: GPL-2.0

//! Grant tables: their size, mappings of their frames, their two versions.

use super::*;
use crate::system::fake::destroy_domain;
use xen_abi::grant_table::{EntryV2, EntryV2Transitive};

fn set_version(system: &mut System<FakePlatform>, version: u32) -> i64 {
    let args = gnttab::SetVersion { version };
    grant_op(system, 1, gnttab::SET_VERSION, args).0
}

/// Lets domain 1 see a frame of its table.
fn map_table_frame(system: &mut System<FakePlatform>, idx: u64, gpfn: u64) -> i64 {
    let args = mem::AddToPhysmap {
        domid: 0x7ff0,
        space: mem::space::GRANT_TABLE.into(),
        idx,
        gpfn,
        ..Default::default()
    };
    memory_op(system, 1, mem::op::ADD_TO_PHYSMAP, args).0
}

/// Lets dom0 see a frame of domain 1's table.
fn acquire(system: &mut System<FakePlatform>, id: u32, frame: u64, gpfn: u64) -> i64 {
    let list = ARG[0] + 1024;
    caller(system, 0)
        .copy_to_guest(list, &gpfn)
        .expect("memory");
    let args = mem::AcquireResource {
        domid: 1,
        kind: mem::resource::GRANT_TABLE as u16,
        id,
        nr_frames: 1,
        frame,
        frame_list: list,
        ..Default::default()
    };
    memory_op(system, 0, mem::op::ACQUIRE_RESOURCE, args).0
}

fn map(system: &mut System<FakePlatform>, gref: u32, gfn: u64, flags: u32) -> gnttab::MapGrantRef {
    let wanted = gnttab::MapGrantRef {
        host_addr: gfn << 12,
        flags,
        gref,
        dom: 1,
        ..Default::default()
    };
    grant_op(system, 0, gnttab::MAP_GRANT_REF, wanted).1
}

/// Writes an entry of version 2 that grants to dom0; the table is mapped at gfn 0x60.
fn grant(system: &mut System<FakePlatform>, gref: u64, flags: u16, frame: u64) {
    let entry = EntryV2 {
        flags,
        domid: 0,
        pad: 0,
        frame,
    };
    caller(system, 1)
        .copy_to_guest_offset(0x6_0000, gref, &entry)
        .expect("memory");
}

#[test]
fn a_table_grows_to_what_the_domain_may_have() {
    let mut system = two_domains();
    let size = |system: &mut System<FakePlatform>| {
        let args = gnttab::QuerySize {
            dom: 0x7ff0,
            ..Default::default()
        };
        let (_, said) = grant_op(system, 1, gnttab::QUERY_SIZE, args);
        (said.status, said.nr_frames, said.max_nr_frames)
    };
    assert_eq!(size(&mut system), (status::OKAY, 1, 4));
    assert_eq!(map_table_frame(&mut system, 0, 0x60), 0);
    let list = ARG[1] + 1024;
    let setup = |system: &mut System<FakePlatform>, dom, nr_frames, frame_list| {
        let args = gnttab::SetupTable {
            dom,
            nr_frames,
            frame_list,
            ..Default::default()
        };
        let (result, said) = grant_op(system, 1, gnttab::SETUP_TABLE, args);
        assert_eq!(result, 0);
        said.status
    };
    assert_eq!(setup(&mut system, 0x7ff0, 3, list), status::OKAY);
    let gfns: [u64; 3] = caller(&mut system, 1)
        .copy_from_guest(list)
        .expect("memory");
    assert_eq!(gfns, [0x60, u64::MAX, u64::MAX]);
    assert_eq!(size(&mut system), (status::OKAY, 3, 4));
    assert_eq!(map(&mut system, 3 * 512 - 1, 0x130, 2).status, -1);
    assert_eq!(map(&mut system, 3 * 512, 0x130, 2).status, -3);
    let denied = setup(&mut system, 0, 1, list);
    assert_eq!(denied, status::PERMISSION_DENIED);
    assert_eq!(setup(&mut system, 9, 1, list), status::BAD_DOMAIN);
    assert_eq!(setup(&mut system, 1, 1, 0), status::BAD_VIRT_ADDR);
    assert_eq!(setup(&mut system, 1, 5, list), status::GENERAL_ERROR);
    assert_eq!(map_table_frame(&mut system, 4, 0x61), errno(Errno::EINVAL));
    assert_eq!(size(&mut system), (status::OKAY, 3, 4));
    assert_eq!(setup(&mut system, 1, 4, list), status::OKAY);
    assert_eq!(size(&mut system), (status::OKAY, 4, 4));
    let two = &[gnttab::QUERY_SIZE.into(), ARG[1], 2];
    let outcome = call(&mut system, 1, nr::GRANT_TABLE_OP, two);
    assert_eq!(outcome.value as i64, errno(Errno::EINVAL), "one at a time");
}

#[test]
fn a_version_is_returned_to_those_with_permission() {
    let mut system = two_domains();
    let version = |system: &mut System<FakePlatform>, domain, dom| {
        let args = gnttab::GetVersion {
            dom,
            ..Default::default()
        };
        let (result, said) = grant_op(system, domain, gnttab::GET_VERSION, args);
        (result, said.version)
    };
    assert_eq!(version(&mut system, 1, 0x7ff0), (0, 1));
    assert_eq!(set_version(&mut system, 2), 0);
    assert_eq!(version(&mut system, 1, 1), (0, 2));
    assert_eq!(version(&mut system, 0, 1), (0, 2));
    assert_eq!(version(&mut system, 0, 0), (0, 1));
    assert_eq!(version(&mut system, 1, 0), (errno(Errno::EPERM), 0));
    assert_eq!(version(&mut system, 0, 9), (errno(Errno::ESRCH), 0));
}

#[test]
fn in_version_2_uses_are_marked_in_the_status_words() {
    let mut system = two_domains();
    let status = mem::GRANT_TABLE_STATUS;
    assert_eq!(
        map_table_frame(&mut system, status, 0x61),
        errno(Errno::EINVAL)
    );
    assert_eq!(set_version(&mut system, 2), 0);
    assert_eq!(map_table_frame(&mut system, 0, 0x60), 0);
    assert_eq!(map_table_frame(&mut system, status, 0x61), 0);
    assert_eq!(
        map_table_frame(&mut system, status | 1, 0x62),
        errno(Errno::EINVAL)
    );
    grant(&mut system, 9, flag::PERMIT_ACCESS, 0x44);
    grant(&mut system, 10, flag::PERMIT_ACCESS | flag::READONLY, 0x45);
    let words = |system: &mut System<FakePlatform>| {
        let words: [u16; 2] = caller(system, 1)
            .copy_from_guest(0x6_1000 + 18)
            .expect("memory");
        words
    };
    let first = map(&mut system, 9, 0x130, 2);
    assert_eq!(first.status, status::OKAY);
    assert_eq!(words(&mut system), [flag::READING | flag::WRITING, 0]);
    // The second may only be read: no mark of a try to write stays.
    assert_eq!(map(&mut system, 10, 0x131, 2).status, -1);
    assert_eq!(words(&mut system), [flag::READING | flag::WRITING, 0]);
    let second = map(&mut system, 10, 0x131, 6);
    assert_eq!(second.status, status::OKAY);
    assert_eq!(
        words(&mut system),
        [flag::READING | flag::WRITING, flag::READING]
    );
    let flags: u16 = caller(&mut system, 1)
        .copy_from_guest(0x6_0000 + 144)
        .expect("memory");
    assert_eq!(flags, flag::PERMIT_ACCESS, "the entry is the guest's");
    for (gfn, handle) in [(0x130, first.handle), (0x131, second.handle)] {
        let args = gnttab::UnmapGrantRef {
            host_addr: gfn << 12,
            handle,
            ..Default::default()
        };
        let (_, done) = grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, args);
        assert_eq!(done.status, status::OKAY);
    }
    assert_eq!(words(&mut system), [0, 0]);
    // Half as many entries as in version 1.
    assert_eq!(map(&mut system, 255, 0x130, 2).status, -1);
    assert_eq!(map(&mut system, 256, 0x130, 2).status, -3);
}

#[test]
fn status_frames_are_mapped_nowhere_once_they_are_freed() {
    // XSA-379.
    let mut system = two_domains();
    let status = mem::GRANT_TABLE_STATUS;
    let free = system.frames.free_count();
    assert_eq!(set_version(&mut system, 2), 0);
    assert_eq!(map_table_frame(&mut system, status, 0x200), 0);
    assert!(system.lookup(1, Gfn(0x200)).is_some());
    assert_eq!(acquire(&mut system, 1, 0, 0x130), 0);
    assert_eq!(set_version(&mut system, 1), errno(Errno::EBUSY));
    assert_eq!(system.domain(1).expect("alive").grants.version(), 2);
    assert!(system.lookup(1, Gfn(0x200)).is_some());
    assert_eq!(remove(&mut system, 0, 0x130), 0);
    assert_eq!(set_version(&mut system, 1), 0);
    assert_eq!(system.lookup(1, Gfn(0x200)), None);
    let tables = free - system.frames.free_count();
    assert_eq!(set_version(&mut system, 2), 0);
    assert_eq!(set_version(&mut system, 1), 0);
    assert_eq!(free - system.frames.free_count(), tables, "they are freed");
    // What the domain sees in their place meanwhile stays.
    assert_eq!(set_version(&mut system, 2), 0);
    assert_eq!(map_table_frame(&mut system, status, 0x200), 0);
    system.move_page(1, Gfn(0x44), Gfn(0x200)).expect("its own");
    let mine = system.lookup(1, Gfn(0x200)).map(|entry| entry.mfn);
    assert_eq!(set_version(&mut system, 1), 0);
    assert_eq!(system.lookup(1, Gfn(0x200)).map(|entry| entry.mfn), mine);
}

#[test]
fn a_change_of_version_that_fails_changes_nothing() {
    let mut system = two_domains();
    // Enough entries for two frames of status words.
    let domain = system.domain_mut(1).expect("alive");
    domain.grants = crate::grant::GrantTable::new(9, 1);
    assert_eq!(set_version(&mut system, 2), 0);
    system.grow_grant_table(1, 9).expect("memory");
    let frames = |system: &System<FakePlatform>| {
        let domain = system.domain(1).expect("alive");
        domain.grants.frames(true).len()
    };
    assert_eq!(frames(&system), 2);
    assert_eq!(acquire(&mut system, 1, 0, 0x130), 0);
    assert_eq!(set_version(&mut system, 1), errno(Errno::EBUSY));
    assert_eq!(frames(&system), 2, "none of them is gone");
    assert_eq!(remove(&mut system, 0, 0x130), 0);
    assert_eq!(set_version(&mut system, 1), 0);
    assert_eq!(frames(&system), 0);
}

#[test]
fn a_version_stays_while_grants_are_used_or_cannot_be_said_in_the_other() {
    let mut system = two_domains();
    assert_eq!(set_version(&mut system, 2), 0);
    assert_eq!(map_table_frame(&mut system, 0, 0x60), 0);
    grant(&mut system, 8, flag::PERMIT_ACCESS, 0x44);
    let mapped = map(&mut system, 8, 0x130, 6);
    assert_eq!(mapped.status, status::OKAY);
    assert_eq!(set_version(&mut system, 1), errno(Errno::EBUSY));
    let args = gnttab::UnmapGrantRef {
        host_addr: 0x13_0000,
        handle: mapped.handle,
        ..Default::default()
    };
    grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, args);
    // Reserved entries whose frame or kind version 1 has no room for.
    grant(&mut system, 7, flag::PERMIT_ACCESS, 1 << 32);
    assert_eq!(set_version(&mut system, 1), errno(Errno::ERANGE));
    let transitive = EntryV2Transitive {
        flags: flag::TRANSITIVE,
        ..Default::default()
    };
    caller(&mut system, 1)
        .copy_to_guest_offset(0x6_0000, 7, &transitive)
        .expect("memory");
    assert_eq!(set_version(&mut system, 1), errno(Errno::ERANGE));
    // Of no kind at all: it is dropped.
    grant(&mut system, 7, 0, 1 << 32);
    grant(
        &mut system,
        3,
        flag::PERMIT_ACCESS | flag::READONLY,
        0xffff_ffff,
    );
    assert_eq!(set_version(&mut system, 1), 0);
    let entry = |system: &mut System<FakePlatform>, gref| {
        let entry: EntryV1 = caller(system, 1)
            .copy_from_guest_offset(0x6_0000, gref)
            .expect("memory");
        (entry.flags, entry.frame)
    };
    assert_eq!(entry(&mut system, 7), (0, 0));
    assert_eq!(entry(&mut system, 3), (5, 0xffff_ffff));
    assert_eq!(entry(&mut system, 8), (0, 0), "not reserved");
}

#[test]
fn entries_are_swapped_whole() {
    for version in [1, 2] {
        let mut system = two_domains();
        set_version(&mut system, version);
        assert_eq!(map_table_frame(&mut system, 0, 0x60), 0);
        let size = 8 * u64::from(version);
        let entries = [[0x11u8; 16], [0x22; 16], [0x33; 16]];
        for (index, entry) in (0..).zip(&entries) {
            let at = 0x6_0000 + (9 + index) * size;
            caller(&mut system, 1)
                .raw_copy_to_guest(at, &entry[..size as usize])
                .expect("memory");
        }
        let swap = |system: &mut System<FakePlatform>, ref_a, ref_b| {
            let args = gnttab::SwapGrantRef {
                ref_a,
                ref_b,
                ..Default::default()
            };
            grant_op(system, 1, gnttab::SWAP_GRANT_REF, args).1.status
        };
        assert_eq!(swap(&mut system, 9, 11), status::OKAY);
        assert_eq!(swap(&mut system, 10, 10), status::OKAY);
        for (index, byte) in [(8, 0), (9, 0x33), (10, 0x22), (11, 0x11), (12, 0)] {
            let mut entry = [0xff; 16];
            let entry = &mut entry[..size as usize];
            caller(&mut system, 1)
                .raw_copy_from_guest(0x6_0000 + index * size, entry)
                .expect("memory");
            assert!(entry.iter().all(|found| *found == byte), "{index}");
        }
        let count = 512 / version;
        assert_eq!(swap(&mut system, count - 1, 9), status::OKAY);
        assert_eq!(swap(&mut system, count, 9), status::BAD_GNTREF);
        assert_eq!(swap(&mut system, 9, count), status::BAD_GNTREF);
    }
}

#[test]
fn only_dom0_sees_others_tables() {
    let mut system = two_domains();
    assert_eq!(map_table_frame(&mut system, 0, 0x60), 0);
    caller(&mut system, 1)
        .copy_to_guest(0x6_0000, b"an entry")
        .expect("memory");
    let ask = |system: &mut System<FakePlatform>, domain: u16, args: mem::AcquireResource| {
        memory_op(system, domain, mem::op::ACQUIRE_RESOURCE, args)
    };
    let list = ARG[0] + 1024;
    caller(&mut system, 0)
        .copy_to_guest(list, &[0x200u64, 0x201])
        .expect("memory");
    let good = mem::AcquireResource {
        domid: 1,
        kind: mem::resource::GRANT_TABLE as u16,
        nr_frames: 2,
        frame_list: list,
        ..Default::default()
    };
    let count = mem::AcquireResource {
        nr_frames: 0,
        frame_list: 0,
        ..good
    };
    let (result, said) = ask(&mut system, 0, count);
    assert_eq!((result, said.nr_frames), (0, 4));
    let (result, said) = ask(&mut system, 0, mem::AcquireResource { id: 1, ..count });
    assert_eq!((result, said.nr_frames), (0, 1), "of status words");
    for (domain, args, expected) in [
        (1, mem::AcquireResource { domid: 0, ..good }, Errno::EPERM),
        (1, good, Errno::EPERM),
        (0, mem::AcquireResource { domid: 0, ..good }, Errno::EPERM),
        (0, mem::AcquireResource { domid: 9, ..good }, Errno::ESRCH),
        (0, mem::AcquireResource { flags: 1, ..good }, Errno::EINVAL),
        (
            0,
            mem::AcquireResource { kind: 0, ..good },
            Errno::EOPNOTSUPP,
        ),
        (0, mem::AcquireResource { id: 2, ..good }, Errno::EINVAL),
        (0, mem::AcquireResource { id: 1, ..good }, Errno::EINVAL),
        (0, mem::AcquireResource { frame: 4, ..good }, Errno::EINVAL),
        (
            0,
            mem::AcquireResource {
                frame: u64::MAX,
                ..good
            },
            Errno::EINVAL,
        ),
        (
            0,
            mem::AcquireResource {
                nr_frames: 1,
                ..count
            },
            Errno::EINVAL,
        ),
    ] {
        assert_eq!(
            ask(&mut system, domain, args).0,
            errno(expected),
            "{args:?}"
        );
    }
    assert_eq!(ask(&mut system, 0, good).0, 0);
    let entry: [u8; 8] = caller(&mut system, 0)
        .copy_from_guest(0x20_0000)
        .expect("memory");
    assert_eq!(&entry, b"an entry");
    let second: [u8; 8] = caller(&mut system, 0)
        .copy_from_guest(0x20_1000)
        .expect("memory");
    assert_eq!(second, [0; 8]);
    // It counts as mapped until the last mapping is gone.
    assert_eq!(acquire(&mut system, 0, 0, 0x202), 0);
    assert_eq!(destroy_domain(&mut system, 1), Ok(()));
    for gfn in [0x200, 0x201, 0x202] {
        assert!(system.domain(1).is_ok(), "a zombie");
        assert_eq!(remove(&mut system, 0, gfn), 0);
    }
    assert!(system.domain(1).is_err());
}

#[test]
fn long_lists_of_table_frames_are_mapped_to_their_end() {
    let mut system = two_domains();
    let domain = system.domain_mut(1).expect("alive");
    domain.grants = crate::grant::GrantTable::new(70, 1);
    let list = ARG[0] + 1024;
    for index in 0..70 {
        caller(&mut system, 0)
            .copy_to_guest_offset(list, index, &(0x200 + index))
            .expect("memory");
    }
    let args = mem::AcquireResource {
        domid: 1,
        kind: mem::resource::GRANT_TABLE as u16,
        nr_frames: 70,
        frame_list: list,
        ..Default::default()
    };
    let (result, _) = memory_op(&mut system, 0, mem::op::ACQUIRE_RESOURCE, args);
    assert_eq!(result, 0);
    for index in 0..70u64 {
        let frames = system.domain(1).expect("alive").grants.frames(false);
        let expected = frames[index as usize].0.mfn();
        let entry = system.lookup(0, Gfn(0x200 + index)).map(|entry| entry.mfn);
        assert_eq!(entry, Some(expected), "{index}");
    }
}
