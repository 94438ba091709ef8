// SPDX-License-Identifier: GPL-2.0

//! Guest's and hypervisor's half on the same table: alone, with real threads, and with a hostile
//! third writer who changes any word between any two operations of either side.

use proptest::prelude::*;
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Mutex;
use xen_abi::grant_table::{flag, status};
use xen_grant::entry::STATUS_BITS;
use xen_grant::guest::{self, Access, GrantError, InUse};
use xen_grant::hypervisor::{self, GntStatus, Granted, InUseBy, Pins, Use};
use xen_grant::{HostMemory, HostTable, Version};

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];
/// References of the tables under test.
const ENTRIES: u32 = 6;
/// The domain that uses grants, and one that is granted nothing.
const USER: u16 = 3;
const STRANGER: u16 = 4;

const REFUSED: Result<Option<Granted>, GntStatus> = Err(GntStatus(status::GENERAL_ERROR));

/// What the hypervisor keeps of each reference: who uses what, and how often.
type Actives = Vec<Option<(u16, Granted, Pins)>>;

/// The hypervisor begins a use; returns the frame.
fn begin(
    table: &HostTable<'_, impl Fn(&HostMemory)>,
    actives: &mut Actives,
    reference: u32,
    wanted: Use,
) -> Result<u64, GntStatus> {
    let active = actives.get(reference as usize).copied().flatten();
    let in_use = active.map(|(user, granted, pins)| InUseBy {
        user,
        sub_page: granted.sub_page,
        pins,
    });
    let granted = hypervisor::set_status(table, reference, wanted, in_use)?;
    let new = granted.map(|granted| (wanted.user, granted, Pins::default()));
    let slot = &mut actives[reference as usize];
    let (_, granted, pins) = slot.get_or_insert(new.or(active).expect("one of them"));
    pins.pin(wanted.readonly);
    Ok(granted.frame)
}

/// The hypervisor ends a use.
fn end(
    table: &HostTable<'_, impl Fn(&HostMemory)>,
    actives: &mut Actives,
    reference: u32,
    readonly: bool,
) {
    let slot = &mut actives[reference as usize];
    let pins = slot.as_mut().map_or(Pins::default(), |(_, _, pins)| {
        pins.unpin(readonly);
        *pins
    });
    if pins.is_idle() {
        *slot = None;
    }
    hypervisor::reduce_status(table, reference, pins);
}

fn flags_of(memory: &HostMemory, reference: u32) -> u16 {
    memory.entries[reference as usize][0].load(SeqCst) as u16
}

fn status_of(memory: &HostMemory, reference: u32) -> u16 {
    let word = match memory.version {
        Version::V1 => flags_of(memory, reference),
        Version::V2 => memory.status[reference as usize].load(SeqCst) as u16,
    };
    word & STATUS_BITS
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Grant {
        to: u16,
        readonly: bool,
    },
    Revoke,
    Begin {
        user: u16,
        readonly: bool,
        map: bool,
    },
    End,
}

fn steps() -> impl Strategy<Value = Vec<(u32, Step)>> {
    let domain = || prop_oneof![9 => Just(USER), 1 => Just(STRANGER)];
    let step = prop_oneof![
        2 => (domain(), any::<bool>()).prop_map(|(to, readonly)| Step::Grant { to, readonly }),
        2 => Just(Step::Revoke),
        4 => (domain(), any::<bool>(), any::<bool>())
            .prop_map(|(user, readonly, map)| Step::Begin { user, readonly, map }),
        3 => Just(Step::End),
    ];
    proptest::collection::vec((0..ENTRIES, step), 1..150)
}

proptest! {
    #[test]
    fn a_page_is_used_by_its_domain_from_the_grant_to_the_revoke(
        steps in steps(),
        version in proptest::sample::select(&VERSIONS[..])
    ) {
        let memory = HostMemory::new(version, ENTRIES as usize);
        let table = HostTable::new(&memory, |_: &HostMemory| {});
        let mut actives: Actives = vec![None; ENTRIES as usize];
        // The guest's view: what it has granted, and what it could not take back in version 2.
        let mut granted = [None; ENTRIES as usize];
        let mut uses: Vec<Vec<bool>> = vec![Vec::new(); ENTRIES as usize];
        let mut frame = 0x1000;
        for (reference, step) in steps {
            let at = reference as usize;
            match step {
                Step::Grant { to, readonly } if granted[at].is_none() && uses[at].is_empty() => {
                    frame += 1;
                    let access = if readonly { Access::ReadOnly } else { Access::ReadWrite };
                    prop_assert_eq!(guest::grant(&table, reference, to, frame, access), Ok(()));
                    granted[at] = Some((to, frame, access, true));
                }
                Step::Grant { .. } => {}
                Step::Revoke => {
                    let revoked = guest::revoke(&table, reference);
                    prop_assert_eq!(revoked.is_ok(), uses[at].is_empty());
                    match (&mut granted[at], revoked) {
                        (slot, Ok(())) => *slot = None,
                        (Some((.., valid)), Err(InUse)) => *valid = version == Version::V1,
                        (None, Err(InUse)) => prop_assert!(false, "in use and never granted"),
                    }
                }
                Step::Begin { user, readonly, map } => {
                    let wanted = Use { user, readonly, map };
                    let used = begin(&table, &mut actives, reference, wanted);
                    let Some((to, frame, access, valid)) = granted[at] else {
                        prop_assert_eq!(used, Err(GntStatus(status::GENERAL_ERROR)));
                        continue;
                    };
                    let writes = uses[at].iter().any(|readonly| !readonly);
                    // One in use stays usable; its first write needs the entry.
                    let allowed = to == user
                        && (valid || !uses[at].is_empty())
                        && (readonly || writes || access == Access::ReadWrite);
                    // In version 2 a revoke that failed has cleared the flags, READONLY too; that
                    // a grant was read-only is then not seen, as in Xen.
                    let cleared = version == Version::V2 && !valid && to == user;
                    if !cleared {
                        prop_assert_eq!(used.is_ok(), allowed);
                    }
                    if let Ok(seen) = used {
                        prop_assert_eq!(seen, frame);
                        uses[at].push(readonly);
                    }
                }
                Step::End => {
                    if let Some(readonly) = uses[at].pop() {
                        end(&table, &mut actives, reference, readonly);
                    }
                }
            }
            let expected = match &uses[at][..] {
                [] => 0,
                uses if uses.iter().all(|readonly| *readonly) => flag::READING,
                _ => STATUS_BITS,
            };
            prop_assert_eq!(status_of(&memory, reference), expected);
        }
    }

    #[test]
    fn a_hostile_third_writer_stops_neither_side(
        steps in steps(),
        version in proptest::sample::select(&VERSIONS[..]),
        writes in proptest::collection::vec((0u32..ENTRIES * 3, any::<u64>()), 1..50)
    ) {
        let memory = HostMemory::new(version, ENTRIES as usize);
        let operations = Cell::new(0);
        let table = HostTable::new(&memory, |memory: &HostMemory| {
            let number = operations.replace(operations.get() + 1);
            let (place, value) = writes[number % writes.len()];
            let at = (place % ENTRIES) as usize;
            // Flags that allow something, more often than not.
            let value = if value & 1 == 0 { value & !0xffff_0000 | 3 << 16 } else { value };
            match place / ENTRIES {
                0 => memory.entries[at][0].store(value, SeqCst),
                1 => memory.entries[at][1].store(value, SeqCst),
                _ => memory.status[at].store(value & 0x1f, SeqCst),
            }
        });
        let mut actives: Actives = vec![None; ENTRIES as usize];
        for (reference, step) in steps {
            let before = operations.get();
            match step {
                Step::Grant { to, readonly } => {
                    let access = if readonly { Access::ReadOnly } else { Access::ReadWrite };
                    let done = guest::grant(&table, reference, to, 0x5000, access);
                    prop_assert_eq!(done, Ok(()));
                }
                Step::Revoke => drop(guest::revoke(&table, reference)),
                Step::Begin { user, readonly, map } => {
                    let wanted = Use { user, readonly, map };
                    let known = actives[reference as usize];
                    let used = begin(&table, &mut actives, reference, wanted);
                    if let (Some((user, granted, _)), Ok(frame)) = (known, used) {
                        prop_assert_eq!((wanted.user, granted.frame), (user, frame));
                        prop_assert!(!(map && granted.sub_page));
                    }
                }
                Step::End => end(&table, &mut actives, reference, true),
            }
            let done = operations.get() - before;
            prop_assert!(done <= 12, "{done} operations");
        }
    }
}

#[test]
fn xsa_396_a_page_that_is_mapped_at_the_last_moment_is_not_revoked() {
    for version in VERSIONS {
        let memory = HostMemory::new(version, 1);
        let honest = HostTable::new(&memory, |_: &HostMemory| {});
        guest::grant(&honest, 0, USER, 7, Access::ReadWrite).expect("granted");
        // The hypervisor maps it just before the operation that revokes: the second of version 1,
        // the first of version 2.
        let (number, mapped) = (Cell::new(0), Cell::new(false));
        let table = HostTable::new(&memory, |memory: &HostMemory| {
            number.set(number.get() + 1);
            if number.get() == 3 - version.number() {
                let honest = HostTable::new(memory, |_: &HostMemory| {});
                let mut actives: Actives = vec![None];
                let wanted = Use {
                    user: USER,
                    readonly: false,
                    map: true,
                };
                mapped.set(begin(&honest, &mut actives, 0, wanted) == Ok(7));
            }
        });
        assert_eq!(guest::revoke(&table, 0), Err(InUse));
        assert!(mapped.get());
        assert_eq!(status_of(&memory, 0), STATUS_BITS);
        // When the mapping has ended it succeeds.
        hypervisor::reduce_status(&honest, 0, Pins::default());
        assert_eq!(guest::revoke(&honest, 0), Ok(()));
        assert_eq!((flags_of(&memory, 0), status_of(&memory, 0)), (0, 0));
    }
}

#[test]
fn an_entry_that_keeps_changing_is_taken_for_one_in_use() {
    let memory = HostMemory::new(Version::V1, 1);
    let writes = Cell::new(0);
    let table = HostTable::new(&memory, |memory: &HostMemory| {
        writes.set(writes.get() + 1);
        // A bit that means nothing, to and fro.
        memory.entries[0][0].fetch_xor(flag::PWT.into(), SeqCst);
    });
    assert_eq!(guest::revoke(&table, 0), Err(InUse));
    assert_eq!(writes.get(), 1 + guest::MAX_ATTEMPTS);
    let wanted = Use {
        user: USER,
        readonly: true,
        map: true,
    };
    memory.entries[0][0].store(1 | u64::from(USER) << 16, SeqCst);
    writes.set(0);
    assert_eq!(hypervisor::set_status(&table, 0, wanted, None), REFUSED);
    assert_eq!(writes.get(), 1 + hypervisor::MAX_ATTEMPTS);
    assert_eq!(status_of(&memory, 0), 0);
}

#[test]
fn an_entry_is_written_whole_and_for_its_version() {
    for version in VERSIONS {
        let memory = HostMemory::new(version, 2);
        // Before each operation the type is not there yet.
        let table = HostTable::new(&memory, |memory: &HostMemory| {
            assert_eq!(flags_of(memory, 1), 0);
        });
        guest::grant(&table, 1, USER, 0x1234_5678, Access::ReadOnly).expect("granted");
        let first = u64::from(flag::PERMIT_ACCESS | flag::READONLY) | u64::from(USER) << 16;
        let words = [0, 1].map(|word: usize| memory.entries[1][word].load(SeqCst));
        match version {
            Version::V1 => assert_eq!(words, [first | 0x1234_5678 << 32, 0]),
            Version::V2 => assert_eq!(words, [first, 0x1234_5678]),
        }
        let table = HostTable::new(&memory, |_: &HostMemory| {});
        let beyond = guest::grant(&table, 2, USER, 1, Access::ReadWrite);
        assert_eq!(beyond, Err(GrantError::NoEntry));
        assert_eq!(guest::revoke(&table, 2), Err(InUse));
        let wanted = Use {
            user: USER,
            readonly: true,
            map: true,
        };
        let beyond = hypervisor::set_status(&table, 2, wanted, None);
        assert_eq!(beyond, Err(GntStatus(status::BAD_GNTREF)));
        hypervisor::reduce_status(&table, 2, Pins::default());
        let big = guest::grant(&table, 0, USER, 1 << 32, Access::ReadWrite);
        match version {
            Version::V1 => assert_eq!(big, Err(GrantError::FrameTooBig)),
            Version::V2 => assert_eq!(big, Ok(())),
        }
        assert_eq!(flags_of(&memory, 0) != 0, version == Version::V2);
    }
    let text = "the frame number needs grant table version 2";
    assert_eq!(GrantError::FrameTooBig.to_string(), text);
    assert_eq!(
        GrantError::NoEntry.to_string(),
        "the grant table has no such reference"
    );
    assert_eq!(InUse.to_string(), "the grant is still in use");
}

#[test]
fn a_part_of_a_page_can_be_copied_and_not_mapped() {
    let memory = HostMemory::new(Version::V2, 1);
    let table = HostTable::new(&memory, |_: &HostMemory| {});
    let flags = flag::PERMIT_ACCESS | flag::SUB_PAGE;
    let header = u64::from(flags) | u64::from(USER) << 16;
    memory.entries[0][0].store(header | 0x100 << 32 | 0x20 << 48, SeqCst);
    memory.entries[0][1].store(99, SeqCst);
    let wanted = |map| Use {
        user: USER,
        readonly: true,
        map,
    };
    assert_eq!(
        hypervisor::set_status(&table, 0, wanted(true), None),
        REFUSED
    );
    let granted = Granted {
        frame: 99,
        start: 0x100,
        length: 0x20,
        sub_page: true,
    };
    let used = hypervisor::set_status(&table, 0, wanted(false), None);
    assert_eq!(used, Ok(Some(granted)));
}

#[test]
fn real_threads_never_use_a_page_that_was_revoked() {
    const ROUNDS: u64 = 20_000;
    for version in VERSIONS {
        let memory = HostMemory::new(version, 1);
        // The frame that is granted; 0 if none is.
        let owned = AtomicU64::new(0);
        let done = AtomicU64::new(0);
        let actives = Mutex::new(vec![None]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let table = HostTable::new(&memory, |_: &HostMemory| {});
                let wanted = Use {
                    user: USER,
                    readonly: false,
                    map: true,
                };
                while done.load(SeqCst) == 0 {
                    let mut actives = actives.lock().expect("no panic");
                    if let Ok(frame) = begin(&table, &mut actives, 0, wanted) {
                        // As long as it is used, the guest cannot have taken it back.
                        assert_eq!(owned.load(SeqCst), frame);
                        std::hint::spin_loop();
                        assert_eq!(owned.load(SeqCst), frame);
                        end(&table, &mut actives, 0, false);
                    }
                }
            });
            let table = HostTable::new(&memory, |_: &HostMemory| {});
            for round in 1..=ROUNDS {
                owned.store(round, SeqCst);
                guest::grant(&table, 0, USER, round, Access::ReadWrite).expect("granted");
                while guest::revoke(&table, 0).is_err() {
                    std::hint::spin_loop();
                }
                owned.store(0, SeqCst);
            }
            done.store(1, SeqCst);
        });
        assert_eq!(flags_of(&memory, 0), 0);
    }
}
