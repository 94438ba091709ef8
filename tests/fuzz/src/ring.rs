// SPDX-License-Identifier: GPL-2.0

//! Both ends of a ring on memory that the input writes to between any two of their steps.

use crate::bytes::Bytes;
use xen_abi::io::ring::{REQ_PROD, RSP_PROD, SLOTS};
use xen_ring::{BackRing, Corrupt, FrontRing, HeapMem, IdSlot, IdTable, PushError, RingMem};

type Message = [u64; 2];

/// A back end writes what it likes, a front end goes on using its ring. It must not take off more
/// than it has published, complete a request twice, lose one, or recover from corruption.
pub fn front_ring(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mem = memory(&mut input);
    let start = input.u32();
    let Ok(mut ring) = FrontRing::<Message, Message, _>::new_at(mem.clone(), start) else {
        assert!(mem.size() < SLOTS + 16, "a ring fits and was refused");
        return;
    };
    let slots: Vec<IdSlot<usize>> = (0..ring.slots()).map(|_| IdSlot::new()).collect();
    let mut ids = IdTable::<usize, _>::new(slots);
    let (mut pushed, mut published, mut taken) = (0, 0, 0);
    let mut completed: Vec<bool> = Vec::new();
    let mut corrupt: Option<Corrupt> = None;
    while !input.is_empty() {
        let result = match input.below(8) {
            0 => match ids.insert(completed.len()) {
                Err(_) => Ok(()),
                Ok(id) => match ring.push(&[id, 0]) {
                    Ok(()) => {
                        completed.push(false);
                        pushed += 1;
                        Ok(())
                    }
                    Err(error) => {
                        assert!(ids.complete(id).is_ok());
                        flow_control(error)
                    }
                },
            },
            1 => {
                let _ = ring.push_requests();
                if corrupt.is_none() {
                    published = pushed;
                }
                Ok(())
            }
            2 => match input.byte() {
                0 => {
                    ring.await_last(input.byte().into());
                    Ok(())
                }
                n @ 1..128 => ring.final_check_for_batch(n.into()).map(|_| ()),
                n => ring.final_check_for_many((n - 128).into()).map(|_| ()),
            },
            3 => take(&mut ring, &mut ids, &mut completed, &mut taken),
            _ => {
                peer(&mem, &mut input, RSP_PROD);
                continue;
            }
        };
        assert!(
            taken <= published && published <= pushed,
            "more taken than asked for"
        );
        assert!(pushed - taken <= ring.slots(), "a slot was used twice");
        stays_corrupt(&mut corrupt, result, ring.corrupt());
    }
    let done = completed.iter().filter(|done| **done).count();
    let mut left = 0;
    ids.drain(|number| {
        assert!(!completed[number]);
        left += 1;
    });
    assert_eq!(done + left, completed.len(), "a request is lost");
}

fn take(
    ring: &mut FrontRing<Message, Message, HeapMem>,
    ids: &mut IdTable<usize, Vec<IdSlot<usize>>>,
    completed: &mut [bool],
    taken: &mut u32,
) -> Result<(), Corrupt> {
    let responses: Vec<Message> = ring.responses()?.collect();
    *taken += responses.len() as u32;
    for [id, _] in responses {
        match ids.complete(id) {
            Ok(number) => {
                assert!(!completed[number], "a request is completed twice");
                completed[number] = true;
            }
            Err(bad) => return Err(ring.poison(bad)),
        }
    }
    Ok(())
}

/// A front end writes what it likes, a back end goes on serving it. It must not answer more than
/// it has taken off, take off more than there are slots, or recover from corruption.
pub fn back_ring(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mem = memory(&mut input);
    let start = input.u32();
    let Ok(mut ring) = BackRing::<Message, Message, _>::attach_at(mem.clone(), start) else {
        assert!(mem.size() < SLOTS + 16, "a ring fits and was refused");
        return;
    };
    // A front end that starts honestly.
    mem.store_relaxed(REQ_PROD, start);
    let (mut taken, mut answered, mut published) = (0u32, 0u32, 0u32);
    let mut corrupt: Option<Corrupt> = None;
    while !input.is_empty() {
        let result = match input.below(8) {
            0 => match ring.push(&[1u64, 2]) {
                Ok(()) => {
                    answered += 1;
                    Ok(())
                }
                Err(error) => flow_control(error),
            },
            1 => {
                let _ = ring.push_responses();
                if corrupt.is_none() {
                    published = answered;
                }
                Ok(())
            }
            2 => ring.final_check_for_requests().map(|_| ()),
            3 => match ring.requests() {
                Ok(requests) => {
                    taken += requests.count() as u32;
                    Ok(())
                }
                Err(corrupt) => Err(corrupt),
            },
            _ => {
                peer(&mem, &mut input, REQ_PROD);
                continue;
            }
        };
        assert!(
            published <= answered && answered <= taken,
            "an answer without a request"
        );
        assert!(
            taken - published <= ring.slots(),
            "more requests than slots"
        );
        stays_corrupt(&mut corrupt, result, ring.corrupt());
    }
}

/// Memory of no room at all to a page, most often with room for a few slots.
fn memory(input: &mut Bytes<'_>) -> HeapMem {
    HeapMem::new(match input.below(4) {
        0 => input.below(256) * 4,
        1 => 4096,
        _ => SLOTS + 16 * 4,
    })
}

/// The peer moves its index a little, or writes bytes anywhere.
fn peer(mem: &HeapMem, input: &mut Bytes<'_>, index: usize) {
    match input.below(4) {
        0 => {
            let at = usize::from(input.u16()) % mem.size().max(1);
            let len = input.below(32);
            mem.scribble(at, input.take(len));
        }
        1 => {
            let slot = input.below(4);
            mem.scribble(SLOTS + slot * 16, &u64::from(input.byte()).to_ne_bytes());
        }
        _ => {
            let step = u32::from(input.byte() % 5);
            mem.store_relaxed(index, mem.load_relaxed(index).wrapping_add(step));
        }
    }
}

fn flow_control(error: PushError) -> Result<(), Corrupt> {
    match error {
        PushError::Full => Ok(()),
        PushError::Corrupt(corrupt) => Err(corrupt),
    }
}

fn stays_corrupt(first: &mut Option<Corrupt>, result: Result<(), Corrupt>, now: Option<Corrupt>) {
    if let Err(corrupt) = result {
        assert_eq!(*first.get_or_insert(corrupt), corrupt);
    }
    assert_eq!(*first, now, "the ring does not say that it is corrupt");
}
