// SPDX-License-Identifier: GPL-2.0

//! Entries that the granter changes while the hypervisor checks them, and limits of the use of a grant.

use super::*;
use crate::mem::FrameTable;
use crate::mem::frames::PageInfo;
use crate::mem::heap::HeapMemory;
use crate::mem::racing::RacingMemory;
use core::cell::Cell;
use xen_abi::grant_table::{flag, status};
use xen_grant::hypervisor::MAX_ATTEMPTS;

/// The grant that is looked at.
const REF: u32 = 9;
const USER: DomId = 3;

/// A table of a version, with a frame of entries and one of status words, and the addresses of an entry and its word.
fn table(memory: &HeapMemory, version: u32) -> (GrantTable, u64, u64) {
    let mut frames = FrameTable::new(vec![PageInfo::default(); 8]);
    frames.add_free(0..8);
    let mut table = GrantTable::new(1, 1);
    table.set_version(Version::new(version).expect("1 or 2"));
    for status in [false, true] {
        let frame = frames.alloc(0, None).expect("memory");
        memory.clear_frame(frame.mfn().address());
        table.frames_mut(status).push((frame, None));
    }
    table.reserve_active(1, None).expect("memory");
    let entry = table.entry(REF).expect("in the first frame");
    let word = table.status_word(REF).expect("in the first frame");
    (table, entry, word)
}

fn write(memory: &HeapMemory, entry: u64, flags: u16, user: DomId) {
    memory.store_u32(entry, u32::from(flags) | u32::from(user) << 16);
}

fn active(readers: u32, writers: u32) -> ActiveEntry {
    ActiveEntry {
        user: USER,
        mfn: Mfn(7),
        start: 0,
        length: 4096,
        sub_page: false,
        pins: Pins { readers, writers },
    }
}

const REFUSED: GnttabResult<Option<Granted>> = Err(GntStatus(status::GENERAL_ERROR));
const MARKS: u16 = flag::READING | flag::WRITING;

#[test]
fn a_grant_that_is_taken_back_while_it_is_marked_is_not_used() {
    let memory = HeapMemory::new(8);
    for readonly in [false, true] {
        // Version 1: status bits and entry are one word, so the exchange fails after the change.
        let (table, entry, _) = table(&memory, 1);
        write(&memory, entry, flag::PERMIT_ACCESS, USER);
        let revoked = Cell::new(false);
        let guest = RacingMemory {
            memory: &memory,
            before: |memory: &HeapMemory, _| {
                if !revoked.replace(true) {
                    write(memory, entry, 0, USER);
                }
            },
        };
        assert_eq!(table.set_status(&guest, REF, USER, readonly, true), REFUSED);
        assert_eq!(memory.load_u16(entry), 0, "no mark is left");
    }
    for (what, user) in [(0, USER), (flag::PERMIT_ACCESS, USER + 1)] {
        // Version 2: the mark is set first, and the entry looked at again then.
        let (table, entry, word) = table(&memory, 2);
        write(&memory, entry, flag::PERMIT_ACCESS, USER);
        let guest = RacingMemory {
            memory: &memory,
            before: |memory: &HeapMemory, _| write(memory, entry, what, user),
        };
        assert_eq!(table.set_status(&guest, REF, USER, true, true), REFUSED);
        assert_eq!(memory.load_u16(word), 0, "no mark is left");
    }
}

#[test]
fn a_grant_that_is_made_read_only_while_it_is_marked_is_not_written() {
    let memory = HeapMemory::new(8);
    for (version, in_use) in [(1, false), (1, true), (2, false), (2, true)] {
        let (mut table, entry, word) = table(&memory, version);
        write(&memory, entry, flag::PERMIT_ACCESS, USER);
        if in_use {
            let granted = table.set_status(&memory, REF, USER, true, true);
            assert!(matches!(granted, Ok(Some(_))));
            table.pin(REF, true, active(0, 0));
        }
        let changed = Cell::new(false);
        let guest = RacingMemory {
            memory: &memory,
            before: |memory: &HeapMemory, _| {
                if !changed.replace(true) {
                    let flags = memory.load_u16(entry) | flag::READONLY;
                    write(memory, entry, flags, USER);
                }
            },
        };
        assert_eq!(table.set_status(&guest, REF, USER, false, true), REFUSED);
        // The reader's mark stays, and only that.
        let marks = memory.load_u16(word) & MARKS;
        assert_eq!(marks, if in_use { flag::READING } else { 0 }, "{version}");
    }
}

#[test]
fn a_guest_that_changes_its_entry_all_the_time_is_given_up() {
    let memory = HeapMemory::new(8);
    let (table, entry, _) = table(&memory, 1);
    let tries = Cell::new(0u32);
    let most = Cell::new(u32::MAX);
    let guest = RacingMemory {
        memory: &memory,
        before: |memory: &HeapMemory, _| {
            tries.set(tries.get() + 1);
            if tries.get() <= most.get() {
                // A bit that means nothing here, to and fro.
                let word = memory.load_u32(entry) ^ u32::from(flag::PWT);
                memory.store_u32(entry, word);
            }
        },
    };
    write(&memory, entry, flag::PERMIT_ACCESS, USER);
    assert_eq!(table.set_status(&guest, REF, USER, false, true), REFUSED);
    assert_eq!(
        (tries.get(), memory.load_u16(entry) & MARKS),
        (MAX_ATTEMPTS, 0)
    );
    // One that stops in time gets its grant used.
    tries.set(0);
    most.set(MAX_ATTEMPTS - 1);
    let granted = table.set_status(&guest, REF, USER, false, true);
    assert!(matches!(granted, Ok(Some(_))));
    assert_eq!(memory.load_u16(entry) & MARKS, MARKS);
}

#[test]
fn only_whole_and_plain_grants_to_the_user_are_used() {
    let memory = HeapMemory::new(8);
    for version in [1, 2] {
        let (table, entry, word) = table(&memory, version);
        let (permit, part) = (flag::PERMIT_ACCESS, flag::SUB_PAGE);
        for (flags, user, readonly, map, allowed) in [
            (permit, USER, true, true, true),
            (permit, USER, false, false, true),
            (permit, USER + 1, true, true, false),
            (permit | flag::READONLY, USER, true, true, true),
            (permit | flag::READONLY, USER, false, true, false),
            (flag::INVALID, USER, true, true, false),
            (flag::ACCEPT_TRANSFER, USER, true, true, false),
            (flag::TRANSITIVE, USER, true, true, false),
            (permit | part, USER, true, true, false),
            (permit | part, USER, true, false, true),
        ] {
            memory.write(word, &[0, 0]);
            write(&memory, entry, flags, user);
            let granted = table.set_status(&memory, REF, USER, readonly, map);
            assert_eq!(matches!(granted, Ok(Some(_))), allowed, "{flags:#x} {user}");
            let marks = memory.load_u16(word) & MARKS;
            let expected = match (allowed, readonly) {
                (false, _) => 0,
                (true, true) => flag::READING,
                (true, false) => MARKS,
            };
            assert_eq!(marks, expected, "{flags:#x} {user}");
        }
    }
    let (table, ..) = table(&memory, 2);
    let beyond = table.set_status(&memory, 256, USER, true, true);
    assert_eq!(beyond, Err(GntStatus(status::BAD_GNTREF)));
}

#[test]
fn what_is_in_use_is_used_again_by_its_user_alone() {
    let memory = HeapMemory::new(8);
    let (mut table, entry, _) = table(&memory, 1);
    write(&memory, entry, flag::PERMIT_ACCESS, USER);
    table.pin(REF, true, active(0, 0));
    let other = table.set_status(&memory, REF, USER + 1, true, true);
    assert_eq!(other, REFUSED);
    assert_eq!(table.set_status(&memory, REF, USER, true, true), Ok(None));
    // The first use for writing is marked; the next one need not be.
    let first = table.set_status(&memory, REF, USER, false, true);
    assert!(matches!(first, Ok(Some(_))));
    table.pin(REF, false, active(0, 0));
    assert_eq!(table.set_status(&memory, REF, USER, false, true), Ok(None));
    // A part of a page that is being copied is not mapped.
    let most = u32::from(u16::MAX);
    for (readers, writers, sub_page, map, allowed) in [
        (1, 0, true, true, false),
        (1, 0, true, false, true),
        (most - 1, 0, false, true, true),
        (most, 0, false, true, false),
        (0, most - 1, false, true, true),
        (0, most, false, true, false),
    ] {
        let used = ActiveEntry {
            sub_page,
            ..active(readers, writers)
        };
        table.active[REF as usize] = Some(used);
        let granted = table.set_status(&memory, REF, USER, true, map);
        let expected = if allowed { Ok(None) } else { REFUSED };
        assert_eq!(granted, expected, "{readers} {writers} {sub_page}");
    }
}

#[test]
fn a_use_that_nobody_has_is_not_ended() {
    let memory = HeapMemory::new(8);
    let (mut table, entry, _) = table(&memory, 1);
    write(&memory, entry, flag::PERMIT_ACCESS | MARKS, USER);
    table.pin(REF, false, active(0, 0));
    // A reader's that is not there: the writer stays.
    table.unpin(&memory, REF, true);
    assert_eq!(memory.load_u16(entry) & MARKS, MARKS);
    assert_eq!(
        table.active(REF).map(|a| (a.pins.readers, a.pins.writers)),
        Some((0, 1))
    );
    table.unpin(&memory, REF, false);
    assert_eq!(memory.load_u16(entry), flag::PERMIT_ACCESS);
    assert_eq!(table.active(REF), None);
    assert!(!table.is_used_beyond(0));
    table.pin(REF, true, active(0, 0));
    assert!(table.is_used_beyond(REF) && !table.is_used_beyond(REF + 1));
}
