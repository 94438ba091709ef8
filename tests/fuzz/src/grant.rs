// SPDX-License-Identifier: GPL-2.0

//! A guest with its references, a hypervisor with its active entries, and a grant table that the
//! input writes to between any two of their operations.

use crate::bytes::Bytes;
use std::cell::RefCell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use xen_grant::deferred::{Deferred, Waiting};
use xen_grant::guest::{self, Access};
use xen_grant::hypervisor::{self, InUseBy, Pins, Use};
use xen_grant::references::{claim, PrivateList, RefState, References, FIRST};
use xen_grant::{HostMemory, HostTable, Version, WaitingBox};

/// References of the table.
const ENTRIES: u32 = 20;
/// Deferred grants that there is memory for.
const SLOTS: usize = 3;
const USER: u16 = 3;

/// The third writer, who takes what he writes from a part of the input.
fn write(memory: &HostMemory, input: &mut Bytes<'_>) {
    let place = input.byte();
    if place & 3 != 0 || input.is_empty() {
        return;
    }
    let at = input.below(ENTRIES as usize);
    match place >> 2 & 3 {
        0 => {
            let header = u64::from(input.u16() & 0x1ff) | u64::from(USER) << 16;
            memory.entries[at][0].store(header | u64::from(input.u32()) << 32, SeqCst);
        }
        1 => memory.entries[at][0].store(input.u64(), SeqCst),
        2 => memory.entries[at][1].store(input.u64(), SeqCst),
        _ => memory.status[at].store(u64::from(input.byte() & 0x1f), SeqCst),
    }
}

/// No reference may be in two places, none may get lost, no use may go beyond what its first check
/// found, and neither side may panic or go on for ever.
pub fn grants(input: &[u8]) {
    let (steps, writes) = input.split_at(input.len() / 2);
    let (mut input, writes) = (Bytes::new(steps), RefCell::new(Bytes::new(writes)));
    let version = match input.byte() & 1 {
        0 => Version::V1,
        _ => Version::V2,
    };
    let memory = HostMemory::new(version, ENTRIES as usize);
    let table = HostTable::new(&memory, |memory: &HostMemory| {
        write(memory, &mut writes.borrow_mut());
    });
    let slots: Vec<AtomicU32> = (0..ENTRIES).map(|_| AtomicU32::new(0)).collect();
    let mut refs = References::new(slots);
    refs.grow(ENTRIES).expect("there is room");
    let mut list = PrivateList::empty();
    let (mut owned, mut leaked): (Vec<u32>, u32) = (Vec::new(), 0);
    let mut deferred: Deferred<WaitingBox<u32>> = Deferred::new();
    let mut actives: Vec<Option<(InUseBy, u64)>> = vec![None; ENTRIES as usize + 1];
    while !input.is_empty() {
        let what = input.byte();
        // The last one is beyond the table.
        let reference = input.below(ENTRIES as usize + 1) as u32;
        let at = reference as usize;
        match what % 12 {
            0 | 1 => owned.extend(refs.alloc()),
            2 => owned.extend(claim(refs.slots(), &mut list).expect("a list of its own")),
            3 => {
                if let Ok(new) = refs.alloc_list(input.byte() as u32 % 6) {
                    let old = std::mem::replace(&mut list, new);
                    refs.free_list(old).expect("a list of its own");
                }
            }
            4 => {
                let count = u32::from(input.byte() % 6);
                if let Ok(first) = refs.alloc_consecutive(count) {
                    owned.extend(first..first + count);
                }
            }
            5 => {
                // A mistake of a driver is found, if it is one.
                let is_owned = owned.iter().position(|owned| *owned == reference);
                match refs.free(reference) {
                    Ok(()) => drop(owned.swap_remove(is_owned.expect("freed and never owned"))),
                    Err(bad) => assert!(is_owned.is_none() && bad.state != RefState::InUse),
                }
            }
            6 => {
                let access = match what & 0x80 {
                    0 => Access::ReadWrite,
                    _ => Access::ReadOnly,
                };
                let done = guest::grant(&table, reference, USER, input.u32().into(), access);
                assert_eq!(done.is_ok(), reference < ENTRIES);
            }
            7 => {
                // A driver gives up a page: now, or when its peer lets go of it.
                if let Some(reference) = owned.pop() {
                    if guest::revoke(&table, reference).is_ok() {
                        refs.free(reference).expect("owned");
                    } else {
                        refs.defer(reference).expect("owned");
                        let now = u64::from(input.byte());
                        if deferred.counts().waiting as usize == SLOTS {
                            deferred.leak();
                            leaked += 1;
                        } else {
                            let grant = Waiting::new(reference, USER, now, reference);
                            deferred.defer(WaitingBox::new(grant));
                        }
                    }
                }
            }
            8 => {
                if let Some(grant) = deferred.take() {
                    if guest::revoke(&table, grant.reference).is_ok() {
                        refs.free_deferred(grant.reference).expect("deferred");
                        deferred.done();
                        assert_eq!(grant.page, grant.reference, "another one's page");
                    } else {
                        let now = input.byte().into();
                        deferred.again(grant, now, 60);
                    }
                }
            }
            9 | 10 => {
                let wanted = Use {
                    user: if what & 0x80 == 0 { USER } else { USER + 1 },
                    readonly: what & 0x40 != 0,
                    map: what & 0x20 != 0,
                };
                let known = actives[at];
                let in_use = known.map(|(active, _)| active);
                match (
                    hypervisor::set_status(&table, reference, wanted, in_use),
                    known,
                ) {
                    (Err(status), _) => assert!(status.0 < 0),
                    (Ok(_), Some((active, _))) => {
                        assert!(active.user == wanted.user && !(wanted.map && active.sub_page));
                    }
                    (Ok(granted), None) => {
                        let granted = granted.expect("the first use reads the entry");
                        assert!(!(wanted.map && granted.sub_page) && reference < ENTRIES);
                        let active = InUseBy {
                            user: wanted.user,
                            sub_page: granted.sub_page,
                            pins: Pins::default(),
                        };
                        actives[at] = Some((active, granted.frame));
                    }
                }
                match &mut actives[at] {
                    Some((active, _)) if known.is_none() => active.pins.pin(wanted.readonly),
                    _ => {}
                }
            }
            _ => {
                let pins = actives[at].as_mut().map_or(Pins::default(), |(active, _)| {
                    active.pins.unpin(what & 0x40 != 0);
                    active.pins
                });
                if pins.is_idle() {
                    actives[at] = None;
                }
                hypervisor::reduce_status(&table, reference, pins);
            }
        }
        let counts = deferred.counts();
        assert_eq!(counts.leaked, leaked.into());
        assert!(counts.waiting as usize <= SLOTS);
        let count = |state| (FIRST..ENTRIES).filter(|r| refs.state(*r) == state).count();
        assert_eq!(count(RefState::InUse), owned.len());
        assert_eq!(count(RefState::Deferred) as u32, counts.waiting + leaked);
        assert_eq!(count(RefState::Free) as u32, refs.free_count());
        assert_eq!(count(RefState::Unknown), 0);
    }
}
