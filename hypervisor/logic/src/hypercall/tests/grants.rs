// SPDX-License-Identifier: GPL-2.0

//! Grants: maps, copies, versions.

use super::*;
use crate::system::gfn_access::NestedAccess;

pub(super) fn flags_of(system: &mut System<FakePlatform>, at: u64) -> u16 {
    caller(system, 1)
        .copy_from_guest::<EntryV1>(at)
        .expect("memory")
        .flags
}

#[test]
fn a_grant_is_mapped_and_unmapped() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS);
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, wanted);
    assert_eq!(mapped.status, status::OKAY);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    assert_eq!(
        system.lookup(0, Gfn(0x130)).map(|entry| entry.mfn),
        Some(frame)
    );
    assert_eq!(
        flags_of(&mut system, at),
        flag::PERMIT_ACCESS | flag::READING | flag::WRITING
    );
    assert_eq!(system.frames.page_refs(frame), (1, 1));
    // A vCPU that has accessed it just before makes the access again; code of another domain is not executed.
    let allows = |system: &mut System<FakePlatform>| {
        let accesses = [
            NestedAccess::Read,
            NestedAccess::Write,
            NestedAccess::Execute,
        ];
        accesses.map(|access| system.nested_page_fault(0, Gfn(0x130), access))
    };
    assert_eq!(allows(&mut system), [true, true, false]);
    let (_, again) = grant_op(
        &mut system,
        1,
        gnttab::SWAP_GRANT_REF,
        gnttab::SwapGrantRef {
            ref_a: 9,
            ref_b: 10,
            ..Default::default()
        },
    );
    assert_eq!(again.status, status::EAGAIN);
    let unmap = gnttab::UnmapGrantRef {
        host_addr: 0x13_1000,
        handle: mapped.handle,
        ..Default::default()
    };
    let (_, done) = grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, unmap);
    assert_eq!(done.status, status::GENERAL_ERROR, "it is not there");
    let unmap = gnttab::UnmapGrantRef {
        host_addr: 0x13_0000,
        ..unmap
    };
    let (_, done) = grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, unmap);
    assert_eq!(done.status, status::OKAY);
    assert_eq!(allows(&mut system), [false; 3]);
    assert_eq!(flags_of(&mut system, at), flag::PERMIT_ACCESS);
    assert_eq!(system.frames.page_refs(frame), (0, 0));
    let (_, twice) = grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, unmap);
    assert_eq!(twice.status, status::BAD_HANDLE);
}

#[test]
fn what_is_not_granted_is_not_mapped() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS | flag::READONLY);
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let mut map = |args: gnttab::MapGrantRef| {
        grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, args)
            .1
            .status
    };
    assert_eq!(map(wanted), status::GENERAL_ERROR, "read only");
    assert_eq!(
        map(gnttab::MapGrantRef { gref: 10, ..wanted }),
        status::GENERAL_ERROR
    );
    assert_eq!(
        map(gnttab::MapGrantRef {
            gref: 512,
            ..wanted
        }),
        status::BAD_GNTREF
    );
    assert_eq!(
        map(gnttab::MapGrantRef { dom: 2, ..wanted }),
        status::BAD_DOMAIN
    );
    assert_eq!(
        map(gnttab::MapGrantRef { flags: 0, ..wanted }),
        status::BAD_GNTREF
    );
    assert_eq!(
        map(gnttab::MapGrantRef { flags: 3, ..wanted }),
        status::GENERAL_ERROR
    );
    assert_eq!(
        map(gnttab::MapGrantRef { flags: 6, ..wanted }),
        status::OKAY
    );
    assert_eq!(
        flags_of(&mut system, at),
        flag::PERMIT_ACCESS | flag::READONLY | flag::READING
    );
}

#[test]
fn a_copys_frame_is_no_grant_of_the_same_number() {
    // XSA-500: the second copy names a frame by the number that named a grant in the first.
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let theirs = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    system.platform.write(theirs.address(), b"secret");
    let source = gnttab::CopyPtr {
        frame_or_gref: 9,
        domid: 1,
        offset: 0,
        pad: 0,
    };
    let dest = gnttab::CopyPtr {
        frame_or_gref: 0x101,
        domid: 0x7ff0,
        offset: 8,
        pad: 0,
    };
    let first = gnttab::Copy {
        source,
        dest,
        len: 6,
        flags: gnttab::copy_flag::SOURCE_GREF,
        ..Default::default()
    };
    let second = gnttab::Copy {
        flags: 0,
        source: gnttab::CopyPtr {
            domid: 0x7ff0,
            ..source
        },
        ..first
    };
    caller(&mut system, 0)
        .copy_to_guest(ARG[0], &[first, second])
        .expect("memory");
    assert_eq!(
        call(&mut system, 0, nr::GRANT_TABLE_OP, &[5, ARG[0], 2]).value,
        0
    );
    let done: [gnttab::Copy; 2] = caller(&mut system, 0)
        .copy_from_guest(ARG[0])
        .expect("memory");
    assert_eq!(
        (done[0].status, done[1].status),
        (status::OKAY, status::BAD_PAGE)
    );
    let copied: [u8; 6] = caller(&mut system, 0)
        .copy_from_guest(0x10_1008)
        .expect("memory");
    assert_eq!(&copied, b"secret");
    assert_eq!(system.frames.page_refs(theirs), (0, 0));
}

#[test]
fn versions_change_while_nothing_is_used() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let reserved = EntryV1 {
        flags: flag::PERMIT_ACCESS,
        domid: 0,
        frame: 0x45,
    };
    caller(&mut system, 1)
        .copy_to_guest(0x6_0000 + 8, &reserved)
        .expect("memory");
    let version = gnttab::SetVersion { version: 2 };
    assert_eq!(
        grant_op(&mut system, 1, gnttab::SET_VERSION, version),
        (0, version)
    );
    // The reserved grant is still one, in the new layout.
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 1,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, wanted);
    assert_eq!(mapped.status, status::OKAY);
    let gone = gnttab::MapGrantRef {
        gref: 9,
        host_addr: 0x13_1000,
        ..wanted
    };
    assert_eq!(
        grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, gone)
            .1
            .status,
        status::GENERAL_ERROR
    );
    let back = gnttab::SetVersion { version: 1 };
    assert_eq!(grant_op(&mut system, 1, gnttab::SET_VERSION, back).0, 0);
    let entry: EntryV1 = caller(&mut system, 1)
        .copy_from_guest(0x6_0000 + 8)
        .expect("memory");
    assert_eq!(
        entry.flags,
        flag::PERMIT_ACCESS | flag::READING | flag::WRITING
    );
    let none = gnttab::SetVersion { version: 3 };
    let (result, said) = grant_op(&mut system, 1, gnttab::SET_VERSION, none);
    assert_eq!((result, said.version), (errno(Errno::EINVAL), 1));
}
