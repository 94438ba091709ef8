// SPDX-License-Identifier: GPL-2.0

//! Mappings of grants: the domain that a grant is for, status bits, page references, handles.

use super::grants::flags_of;
use super::*;
use proptest::prelude::*;

/// Maps domain 1's grant 9 at a frame.
fn map(
    system: &mut System<FakePlatform>,
    domain: u16,
    gfn: u64,
    flags: u32,
) -> gnttab::MapGrantRef {
    let wanted = gnttab::MapGrantRef {
        host_addr: gfn << 12,
        flags,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    grant_op(system, domain, gnttab::MAP_GRANT_REF, wanted).1
}

fn unmap(system: &mut System<FakePlatform>, gfn: u64, handle: u32) -> i16 {
    let args = gnttab::UnmapGrantRef {
        host_addr: gfn << 12,
        handle,
        ..Default::default()
    };
    grant_op(system, 0, gnttab::UNMAP_GRANT_REF, args).1.status
}

const READ_WRITE: u32 = gnttab::map_flag::HOST_MAP;
const READ_ONLY: u32 = gnttab::map_flag::HOST_MAP | gnttab::map_flag::READONLY;

#[test]
fn a_grant_is_for_the_domain_it_names() {
    let mut system = two_domains();
    add_domain(&mut system, 2, 0x40, 16);
    // It names dom0.
    granting(&mut system, flag::PERMIT_ACCESS);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    for used in [0, 1] {
        for flags in [READ_WRITE, READ_ONLY] {
            let refused = map(&mut system, 2, 0x90, flags);
            assert_eq!(refused.status, status::GENERAL_ERROR);
            assert_eq!(system.lookup(2, Gfn(0x90)), None);
            assert_eq!(system.frames.page_refs(frame), (used, used));
        }
        // Also while dom0 uses it.
        let mapped = map(&mut system, 0, 0x130 + u64::from(used), READ_WRITE);
        assert_eq!(mapped.status, status::OKAY);
    }
}

#[test]
fn what_is_mapped_to_be_read_is_not_written() {
    let granted = [flag::PERMIT_ACCESS | flag::READONLY, flag::PERMIT_ACCESS];
    for flags in granted {
        let mut system = two_domains();
        granting(&mut system, flags);
        caller(&mut system, 1)
            .copy_to_guest(0x4_4010, b"for you")
            .expect("memory");
        let mapped = map(&mut system, 0, 0x130, READ_ONLY);
        assert_eq!(mapped.status, status::OKAY);
        let entry: [u8; 7] = caller(&mut system, 0)
            .copy_from_guest(0x13_0010)
            .expect("memory");
        assert_eq!(&entry, b"for you");
        let written = caller(&mut system, 0).copy_to_guest(0x13_0010, b"from me");
        assert_eq!(written, Err(Errno::EFAULT));
        let still: [u8; 7] = caller(&mut system, 1)
            .copy_from_guest(0x4_4010)
            .expect("memory");
        assert_eq!(&still, b"for you");
        assert_eq!(unmap(&mut system, 0x130, mapped.handle), status::OKAY);
        let gone: Result<[u8; 7]> = caller(&mut system, 0).copy_from_guest(0x13_0010);
        assert_eq!(gone, Err(Errno::EFAULT), "it is unmapped");
    }
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    assert_eq!(map(&mut system, 0, 0x130, READ_WRITE).status, status::OKAY);
    assert_eq!(
        caller(&mut system, 0).copy_to_guest(0x13_0010, b"from me"),
        Ok(()),
        "a mapping for writing"
    );
    let entry: [u8; 7] = caller(&mut system, 1)
        .copy_from_guest(0x4_4010)
        .expect("memory");
    assert_eq!(&entry, b"from me");
}

#[test]
fn status_bits_stay_as_long_as_the_grant_is_in_use() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    let marks = |system: &mut System<FakePlatform>| {
        let uses = system.frames.page_refs(frame);
        (flags_of(system, at) & !flag::PERMIT_ACCESS, uses)
    };
    let (reading, writing) = (flag::READING, flag::WRITING);
    let first = map(&mut system, 0, 0x130, READ_ONLY);
    assert_eq!(marks(&mut system), (reading, (1, 0)));
    let second = map(&mut system, 0, 0x131, READ_WRITE);
    assert_eq!(marks(&mut system), (reading | writing, (2, 1)));
    let third = map(&mut system, 0, 0x132, READ_ONLY);
    assert_eq!(marks(&mut system), (reading | writing, (3, 1)));
    assert_eq!(unmap(&mut system, 0x131, second.handle), status::OKAY);
    assert_eq!(marks(&mut system), (reading, (2, 0)));
    assert_eq!(unmap(&mut system, 0x130, first.handle), status::OKAY);
    assert_eq!(marks(&mut system), (reading, (1, 0)));
    assert_eq!(unmap(&mut system, 0x132, third.handle), status::OKAY);
    assert_eq!(marks(&mut system), (0, (0, 0)));
}

#[test]
fn what_is_in_use_stays_what_it_was() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    let first = map(&mut system, 0, 0x130, READ_ONLY);
    // The guest names another frame, and takes the grant back.
    let changed = EntryV1 {
        flags: flag::READONLY | flag::READING,
        domid: 0,
        frame: 0x45,
    };
    caller(&mut system, 1)
        .copy_to_guest(at, &changed)
        .expect("memory");
    let second = map(&mut system, 0, 0x131, READ_ONLY);
    assert_eq!(second.status, status::OKAY);
    assert_eq!(second.dev_bus_addr, frame.address());
    assert_eq!(
        system.lookup(0, Gfn(0x131)).map(|entry| entry.mfn),
        Some(frame)
    );
    let third = map(&mut system, 0, 0x132, READ_WRITE);
    assert_eq!(third.status, status::GENERAL_ERROR, "it is read only now");
    assert_eq!(flags_of(&mut system, at), flag::READONLY | flag::READING);
    for (gfn, handle) in [(0x130, first.handle), (0x131, second.handle)] {
        assert_eq!(unmap(&mut system, gfn, handle), status::OKAY);
    }
    let late = map(&mut system, 0, 0x130, READ_ONLY);
    assert_eq!(late.status, status::GENERAL_ERROR, "it was taken back");
}

#[test]
fn an_unmap_without_an_address_changes_nothing() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    let mapped = map(&mut system, 0, 0x130, READ_WRITE);
    assert_eq!(unmap(&mut system, 0, mapped.handle), status::OKAY);
    assert_eq!(system.frames.page_refs(frame), (1, 1));
    // What is mapped there is the domain's own memory.
    assert_eq!(
        unmap(&mut system, 0x131, mapped.handle),
        status::GENERAL_ERROR
    );
    assert_eq!(unmap(&mut system, 0, mapped.handle + 1), status::BAD_HANDLE);
    // A mapping by its grant is taken away by its handle alone.
    let remove = mem::RemoveFromPhysmap {
        domid: 0x7ff0,
        pad: [0; 3],
        gpfn: 0x130,
    };
    let (result, _) = memory_op(&mut system, 0, mem::op::REMOVE_FROM_PHYSMAP, remove);
    assert_eq!(result, errno(Errno::EPERM));
    assert_eq!(
        system.lookup(0, Gfn(0x130)).map(|entry| entry.mfn),
        Some(frame)
    );
    assert_eq!(
        map(&mut system, 0, 0x130, READ_WRITE).status,
        status::GENERAL_ERROR,
        "one in the place of another"
    );
    assert_eq!(system.frames.page_refs(frame), (1, 1));
}

#[test]
fn a_grant_is_unmapped_at_its_own_gfn_only() {
    let mut system = two_domains();
    let first_entry = granting(&mut system, flag::PERMIT_ACCESS);
    let second = EntryV1 {
        flags: flag::PERMIT_ACCESS,
        domid: 0,
        frame: 0x45,
    };
    caller(&mut system, 1)
        .copy_to_guest(first_entry + 8, &second)
        .expect("memory");
    let first = map(&mut system, 0, 0x130, READ_WRITE);
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_1000,
        flags: READ_WRITE,
        gref: 10,
        dom: 1,
        ..Default::default()
    };
    let (_, second) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, wanted);
    assert_eq!((first.status, second.status), (status::OKAY, status::OKAY));
    // Each handle with the other's place.
    for (gfn, handle) in [(0x131, first.handle), (0x130, second.handle)] {
        assert_eq!(unmap(&mut system, gfn, handle), status::GENERAL_ERROR);
    }
    for gfn in [0x44u64, 0x45] {
        let frame = system.lookup(1, Gfn(gfn)).expect("memory").mfn;
        assert_eq!(system.frames.page_refs(frame), (1, 1));
    }
    for (gfn, handle) in [(0x130, first.handle), (0x131, second.handle)] {
        assert_eq!(unmap(&mut system, gfn, handle), status::OKAY);
    }
}

#[test]
fn a_granted_page_is_neither_granted_nor_copied_as_ones_own() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS);
    // Domain 1 grants its frame 0x44 to itself and maps it at 0x70, and grants what it sees there to dom0.
    let to_itself = EntryV1 {
        flags: flag::PERMIT_ACCESS,
        domid: 1,
        frame: 0x44,
    };
    let onward = EntryV1 {
        domid: 0,
        frame: 0x70,
        ..to_itself
    };
    caller(&mut system, 1)
        .copy_to_guest(at, &[to_itself, onward])
        .expect("memory");
    let own = map(&mut system, 1, 0x70, READ_ONLY);
    assert_eq!(own.status, status::OKAY);
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: READ_ONLY,
        gref: 10,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, wanted);
    assert_eq!(mapped.status, status::BAD_PAGE);
    let side = |frame_or_gref| gnttab::CopyPtr {
        frame_or_gref,
        domid: 0x7ff0,
        offset: 0,
        pad: 0,
    };
    let copy = gnttab::Copy {
        source: side(0x70),
        dest: side(0x46),
        len: 8,
        ..Default::default()
    };
    let (_, copied) = grant_op(&mut system, 1, gnttab::COPY, copy);
    assert_eq!(copied.status, status::BAD_PAGE);
    let plain = gnttab::Copy {
        source: side(0x44),
        ..copy
    };
    let (_, copied) = grant_op(&mut system, 1, gnttab::COPY, plain);
    assert_eq!(copied.status, status::OKAY);
}

#[test]
fn a_domain_has_as_many_mappings_as_it_may_and_lists_are_done_to_their_end() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    // A page for mappings is enough for 256; the list lies in frames 0x101 to 0x103.
    let list = 0x10_1000;
    for index in 0..257 {
        let wanted = gnttab::MapGrantRef {
            host_addr: (0x200 + index) << 12,
            flags: READ_ONLY,
            gref: 9,
            dom: 1,
            ..Default::default()
        };
        caller(&mut system, 0)
            .copy_to_guest_offset(list, index, &wanted)
            .expect("memory");
    }
    let outcome = call(
        &mut system,
        0,
        nr::GRANT_TABLE_OP,
        &[gnttab::MAP_GRANT_REF.into(), list, 257],
    );
    assert_eq!(outcome.value, 0);
    let mut handles = Vec::new();
    for index in 0..257 {
        let mapped: gnttab::MapGrantRef = caller(&mut system, 0)
            .copy_from_guest_offset(list, index)
            .expect("memory");
        if index < 256 {
            assert_eq!(mapped.status, status::OKAY, "{index}");
            handles.push(mapped.handle);
        } else {
            assert_eq!(mapped.status, status::NO_SPACE);
        }
    }
    handles.sort_unstable();
    assert!(handles.iter().copied().eq(0..256));
    assert_eq!(system.frames.page_refs(frame), (256, 0));
    assert_eq!(unmap(&mut system, 0x205, 5), status::OKAY);
    let again = map(&mut system, 0, 0x205, READ_ONLY);
    assert_eq!((again.status, again.handle), (status::OKAY, 5));
    let negative = &[gnttab::MAP_GRANT_REF.into(), list, 1 << 31];
    let outcome = call(&mut system, 0, nr::GRANT_TABLE_OP, negative);
    assert_eq!(outcome.value as i64, errno(Errno::EINVAL));
}

/// A step of a domain that grants and one that maps.
#[derive(Clone, Debug)]
enum Step {
    /// Domain 1 writes an entry: reference, flags, frame.
    Grant(u32, u16, u32),
    /// Dom0 maps: reference, place, flags.
    Map(u32, u64, u32),
    /// Dom0 unmaps: handle, place.
    Unmap(u32, u64),
    /// Dom0 copies out of a grant, or out of a frame of its own.
    Copy(u64, bool),
    /// Domain 1 gives a frame back.
    Give(u64),
    /// Domain 1 wants another version.
    Version(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![Just(1u16), Just(5), any::<u16>()];
    prop_oneof![
        (8u32..14, flags, 0x44u32..0x48).prop_map(|(r, f, g)| Step::Grant(r, f, g)),
        (6u32..16, 0u64..4, prop_oneof![Just(2u32), Just(6), 0u32..8])
            .prop_map(|(r, p, f)| Step::Map(r, p, f)),
        (0u32..4, 0u64..4).prop_map(|(h, p)| Step::Unmap(h, p)),
        (6u64..16, any::<bool>()).prop_map(|(w, g)| Step::Copy(w, g)),
        (0x44u64..0x48).prop_map(Step::Give),
        (0u32..4).prop_map(Step::Version),
    ]
}

proptest! {
    #[test]
    fn uses_of_a_frame_are_as_many_as_its_mappings(steps in proptest::collection::vec(step(), 1..80)) {
        let mut system = two_domains();
        granting(&mut system, 0);
        let free = system.frames.free_count();
        let mut given = 0;
        for step in steps {
            match step {
                Step::Grant(reference, flags, frame) => {
                    let version = system.domain(1).expect("alive").grants.version();
                    let at = 0x6_0000 + u64::from(reference) * if version == 1 { 8 } else { 16 };
                    let entry = EntryV1 { flags, domid: 0, frame };
                    if version == 1 {
                        caller(&mut system, 1).copy_to_guest(at, &entry).expect("memory");
                    } else {
                        let words = [u64::from(flags), u64::from(frame)];
                        caller(&mut system, 1).copy_to_guest(at, &words).expect("memory");
                    }
                }
                Step::Map(gref, place, flags) => {
                    let args = gnttab::MapGrantRef { host_addr: (0x130 + place) << 12, flags, gref, dom: 1, ..Default::default() };
                    grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, args);
                }
                Step::Unmap(handle, place) => {
                    let args = gnttab::UnmapGrantRef { host_addr: (0x130 + place) << 12, handle, ..Default::default() };
                    grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, args);
                }
                Step::Copy(frame_or_gref, granted) => {
                    let source = gnttab::CopyPtr { frame_or_gref, domid: if granted { 1 } else { 0x7ff0 }, offset: 0, pad: 0 };
                    let dest = gnttab::CopyPtr { frame_or_gref: 0x101, domid: 0x7ff0, offset: 0, pad: 0 };
                    let flags = u16::from(granted);
                    let args = gnttab::Copy { source, dest, len: 64, flags, ..Default::default() };
                    grant_op(&mut system, 0, gnttab::COPY, args);
                }
                Step::Give(gfn) => given += u64::from(system.remove_from_physmap(1, Gfn(gfn)).is_ok()),
                Step::Version(version) => {
                    grant_op(&mut system, 1, gnttab::SET_VERSION, gnttab::SetVersion { version });
                }
            }
            let dom0 = system.domain(0).expect("alive");
            let mapped: Vec<(Mfn, bool)> = (0..8)
                .filter_map(|handle| dom0.grants.maptrack.get(handle))
                .map(|mapping| (mapping.page.mfn(), mapping.readonly))
                .collect();
            for frame in 1..1024 {
                let uses = mapped.iter().filter(|(mfn, _)| mfn.0 == frame);
                let writes = uses.clone().filter(|(_, readonly)| !readonly).count() as u32;
                prop_assert_eq!(system.frames.page_refs(Mfn(frame)), (uses.count() as u32, writes));
            }
        }
        // When dom0 lets go of everything, nothing is left of it.
        for handle in 0..8 {
            for place in 0..4 {
                let args = gnttab::UnmapGrantRef { host_addr: (0x130 + place) << 12, handle, ..Default::default() };
                grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, args);
            }
        }
        prop_assert_eq!(system.domain(0).expect("alive").grants.maptrack.count(), 0);
        for reference in 0..20 {
            prop_assert!(system.domain(1).expect("alive").grants.active(reference).is_none());
        }
        let status = system.domain(1).expect("alive").grants.frames(true).len() as u64;
        prop_assert_eq!(system.frames.free_count() + status, free + given);
    }
}
