// SPDX-License-Identifier: GPL-2.0

//! `GNTTABOP_copy` between pages, granted or the caller's own.

use super::*;

/// Domain 1's grant 9, from an offset on.
fn granted(offset: u16) -> gnttab::CopyPtr {
    gnttab::CopyPtr {
        frame_or_gref: 9,
        domid: 1,
        offset,
        pad: 0,
    }
}

/// A frame of dom0's own, from an offset on.
fn own(offset: u16) -> gnttab::CopyPtr {
    gnttab::CopyPtr {
        frame_or_gref: 0x101,
        domid: 0x7ff0,
        offset,
        pad: 0,
    }
}

const OUT: u16 = gnttab::copy_flag::SOURCE_GREF;
const IN: u16 = gnttab::copy_flag::DEST_GREF;

fn copy(
    system: &mut System<FakePlatform>,
    source: gnttab::CopyPtr,
    dest: gnttab::CopyPtr,
    len: u16,
    flags: u16,
) -> i16 {
    let args = gnttab::Copy {
        source,
        dest,
        len,
        flags,
        ..Default::default()
    };
    grant_op(system, 0, gnttab::COPY, args).1.status
}

#[test]
fn every_byte_goes_where_it_is_said_and_no_other_changes() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let theirs: [u8; 4096] = core::array::from_fn(|i| (i % 251) as u8);
    caller(&mut system, 1)
        .copy_to_guest(0x4_4000, &theirs)
        .expect("memory");
    caller(&mut system, 0)
        .copy_to_guest(0x10_1000, &[0xeeu8; 4096])
        .expect("memory");
    assert_eq!(
        copy(&mut system, granted(100), own(7), 1500, OUT),
        status::OKAY
    );
    let ours: [u8; 4096] = caller(&mut system, 0)
        .copy_from_guest(0x10_1000)
        .expect("memory");
    assert_eq!(ours[..7], [0xee; 7]);
    assert_eq!(ours[7..1507], theirs[100..1600]);
    assert!(ours[1507..].iter().all(|byte| *byte == 0xee));
    // And back, to another place.
    assert_eq!(
        copy(&mut system, own(7), granted(3000), 600, IN),
        status::OKAY
    );
    let now: [u8; 4096] = caller(&mut system, 1)
        .copy_from_guest(0x4_4000)
        .expect("memory");
    assert_eq!(now[..3000], theirs[..3000]);
    assert_eq!(now[3000..3600], theirs[100..700]);
    assert_eq!(now[3600..], theirs[3600..]);
}

#[test]
fn a_copy_stays_in_its_frames() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    for (from, to, len, expected) in [
        (4000, 0, 96, status::OKAY),
        (4000, 0, 97, status::BAD_COPY_ARG),
        (0, 4000, 96, status::OKAY),
        (0, 4000, 97, status::BAD_COPY_ARG),
        (0, 0, 4096, status::OKAY),
        (0, 0, u16::MAX, status::BAD_COPY_ARG),
        (u16::MAX, 0, 1, status::BAD_COPY_ARG),
        (u16::MAX, u16::MAX, 0, status::OKAY),
    ] {
        let done = copy(&mut system, granted(from), own(to), len, OUT);
        assert_eq!(done, expected, "{len} from {from} to {to}");
    }
}

#[test]
fn frames_of_others_are_copied_by_their_grants_alone() {
    let mut system = two_domains();
    let entry = granting(&mut system, flag::PERMIT_ACCESS | flag::READONLY);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    let mine = system.lookup(0, Gfn(0x101)).expect("memory").mfn;
    caller(&mut system, 1)
        .copy_to_guest(0x4_4000, b"secret")
        .expect("memory");
    let named = gnttab::CopyPtr {
        frame_or_gref: 0x44,
        ..granted(0)
    };
    let nobodys = gnttab::CopyPtr {
        domid: 9,
        ..granted(0)
    };
    let nothing = gnttab::CopyPtr {
        frame_or_gref: 0x7777,
        ..own(0)
    };
    let empty = gnttab::CopyPtr {
        frame_or_gref: 10,
        ..granted(0)
    };
    let beyond = gnttab::CopyPtr {
        frame_or_gref: 512,
        ..granted(0)
    };
    for (source, dest, flags, expected) in [
        (named, own(0), 0, status::PERMISSION_DENIED),
        (own(0), named, 0, status::PERMISSION_DENIED),
        (nobodys, own(0), OUT, status::BAD_DOMAIN),
        (granted(0), nothing, OUT, status::BAD_PAGE),
        (nothing, own(0), 0, status::BAD_PAGE),
        (empty, own(0), OUT, status::GENERAL_ERROR),
        (beyond, own(0), OUT, status::BAD_GNTREF),
        // It is granted to be read.
        (own(0), granted(0), IN, status::GENERAL_ERROR),
    ] {
        assert_eq!(copy(&mut system, source, dest, 6, flags), expected);
        let words: [u16; 1] = caller(&mut system, 1)
            .copy_from_guest(entry)
            .expect("memory");
        let unused = flag::PERMIT_ACCESS | flag::READONLY;
        assert_eq!(words[0], unused, "nothing is in use any more");
        assert_eq!(system.frames.page_refs(frame), (0, 0));
        assert_eq!(system.frames.page_refs(mine), (0, 0));
    }
    let ours: [u8; 6] = caller(&mut system, 0)
        .copy_from_guest(0x10_1000)
        .expect("memory");
    assert_eq!(ours, [0; 6], "nothing was copied");
    let theirs: [u8; 6] = caller(&mut system, 1)
        .copy_from_guest(0x4_4000)
        .expect("memory");
    assert_eq!(&theirs, b"secret");
    assert_eq!(copy(&mut system, granted(0), own(0), 6, OUT), status::OKAY);
    assert_eq!(system.frames.page_refs(frame), (0, 0));
}

#[test]
fn of_a_part_that_is_granted_only_the_part_is_copied() {
    let mut system = two_domains();
    let version = gnttab::SetVersion { version: 2 };
    assert_eq!(grant_op(&mut system, 1, gnttab::SET_VERSION, version).0, 0);
    granting(&mut system, 0);
    let part = xen_abi::grant_table::EntryV2SubPage {
        flags: flag::PERMIT_ACCESS | flag::SUB_PAGE,
        domid: 0,
        page_off: 0x100,
        length: 0x80,
        frame: 0x44,
    };
    caller(&mut system, 1)
        .copy_to_guest(0x6_0000 + 9 * 16, &part)
        .expect("memory");
    caller(&mut system, 1)
        .copy_to_guest(0x4_4100, b"part")
        .expect("memory");
    for (offset, len, expected) in [
        (0x100, 0x80, status::OKAY),
        (0x100, 0x81, status::GENERAL_ERROR),
        (0xff, 1, status::GENERAL_ERROR),
        (0x17f, 1, status::OKAY),
        (0x180, 1, status::GENERAL_ERROR),
        (0x100, 4, status::OKAY),
    ] {
        let done = copy(&mut system, granted(offset), own(0), len, OUT);
        assert_eq!(done, expected, "{len:#x} from {offset:#x}");
    }
    let ours: [u8; 4] = caller(&mut system, 0)
        .copy_from_guest(0x10_1000)
        .expect("memory");
    assert_eq!(&ours, b"part");
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 6,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, wanted);
    assert_eq!(
        mapped.status,
        status::GENERAL_ERROR,
        "a mapping would show the whole frame"
    );
    assert_ne!(
        system.lookup(0, Gfn(0x130)).map(|entry| entry.mfn),
        system.lookup(1, Gfn(0x44)).map(|entry| entry.mfn)
    );
}
