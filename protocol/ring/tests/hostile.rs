// SPDX-License-Identifier: GPL-2.0

//! A front end against random hostile back ends, and the other way round: whatever the peer
//! writes and whenever, the ring does not panic, makes no progress on bad indexes, returns no
//! more messages than it asked for, completes no request twice, and stays corrupt once it is.
//!
//! The models below know what the ring may do; they are told of what the peer did to the indexes.

use proptest::prelude::*;
use xen_abi::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS};
use xen_ring::{BackRing, Corrupt, FrontRing, HeapMem, IdSlot, IdTable, PushError, RingMem};

type Front = FrontRing<[u64; 2], [u64; 2], HeapMem>;
type Back = BackRing<[u64; 2], [u64; 2], HeapMem>;

/// Eight slots.
const BYTES: usize = SLOTS + 8 * 16;

#[derive(Clone, Debug)]
enum Step {
    /// Our end pushes a message.
    Push,
    /// Our end publishes.
    Publish,
    /// Our end takes up to so many messages off.
    Take(usize),
    /// Our end wants to sleep.
    FinalCheck(u32),
    /// Our front end wants to sleep over some responses.
    FinalCheckForMany(u32),
    /// Our front end waits for what it has pushed.
    AwaitLast(u32),
    /// The peer moves its producer index by so much from where an honest one would have it.
    Produce(i32),
    /// The peer writes some index.
    Index(usize, u32),
    /// The peer writes a value into some slot that looks like one of the last ids.
    Slot(usize, u64),
    /// The peer writes bytes anywhere.
    Bytes(usize, Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Push),
        4 => Just(Step::Publish),
        4 => (0..10usize).prop_map(Step::Take),
        2 => (0..10u32).prop_map(Step::FinalCheck),
        2 => (1..10u32).prop_map(Step::FinalCheckForMany),
        1 => (1..10u32).prop_map(Step::AwaitLast),
        6 => (0..3i32).prop_map(Step::Produce),
        1 => (-4..12i32).prop_map(Step::Produce),
        1 => (0..4usize, any::<u32>()).prop_map(|(which, value)| Step::Index(which, value)),
        8 => (0..8usize, 0..64u64).prop_map(|(slot, id)| Step::Slot(slot, id)),
        1 => (0..BYTES, prop::collection::vec(any::<u8>(), 1..24))
            .prop_map(|(at, bytes)| Step::Bytes(at, bytes)),
    ]
}

fn start() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), (u32::MAX - 20)..=u32::MAX, any::<u32>()]
}

/// Does to the memory what the peer's steps say. `ours` and `theirs` are the offsets of the two
/// producer indexes, `theirs` being the peer's.
fn act(mem: &HeapMem, step: &Step, theirs: usize) {
    match step {
        Step::Produce(by) => {
            let index = mem.load_relaxed(theirs);
            mem.store_relaxed(theirs, index.wrapping_add_signed(*by));
        }
        Step::Index(which, value) => {
            let offsets = [REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT];
            mem.store_relaxed(offsets[*which], *value);
        }
        Step::Slot(slot, id) => mem.write(SLOTS + slot * 16, id),
        Step::Bytes(at, bytes) => mem.scribble(*at, bytes),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_front_end_survives_any_back_end(
        start in start(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mem = HeapMem::new(BYTES);
        let mut ring = Front::new_at(mem.clone(), start).expect("room for a ring");
        let slots: Vec<IdSlot<u64>> = (0..ring.slots()).map(|_| IdSlot::new()).collect();
        let mut ids = IdTable::<u64, _>::new(slots);
        // Requests pushed and published, responses taken; each request's number and whether it
        // was completed.
        let (mut pushed, mut published, mut taken) = (0u32, 0u32, 0u32);
        let mut completed = Vec::new();
        let mut corrupt: Option<Corrupt> = None;
        for step in &steps {
            let prod = mem.load_relaxed(RSP_PROD);
            let arrived = prod.wrapping_sub(start.wrapping_add(taken));
            let honest = arrived <= published - taken;
            let result = match step {
                Step::Push => match ids.insert(completed.len() as u64) {
                    Ok(id) => {
                        let result = ring.push(&[id, 0]);
                        match result {
                            Ok(()) => {
                                prop_assert!(pushed - taken < 8, "no slot was free");
                                completed.push(false);
                                pushed += 1;
                            }
                            Err(_) => prop_assert!(ids.complete(id).is_ok()),
                        }
                        match result {
                            Err(PushError::Full) => {
                                prop_assert_eq!(pushed - taken, 8);
                                Ok(())
                            }
                            Err(PushError::Corrupt(corrupt)) => Err(corrupt),
                            Ok(()) => Ok(()),
                        }
                    }
                    Err(_) => Ok(()),
                },
                Step::Publish => {
                    let notify = ring.push_requests();
                    if corrupt.is_none() {
                        published = pushed;
                    } else {
                        prop_assert!(!notify.needed());
                    }
                    Ok(())
                }
                Step::Take(most) => ring.responses().map(|responses| responses.take(*most).collect())
                    .and_then(|responses: Vec<[u64; 2]>| {
                        assert!(honest, "progress on a bad index");
                        assert_eq!(responses.len(), (*most).min(arrived as usize));
                        taken += responses.len() as u32;
                        for [id, _] in responses {
                            match ids.complete(id) {
                                Ok(number) => {
                                    let done = &mut completed[number as usize];
                                    assert!(!*done, "a request is completed twice");
                                    *done = true;
                                }
                                Err(bad) => return Err(ring.poison(bad)),
                            }
                        }
                        Ok(())
                    }),
                Step::FinalCheck(batch) => ring.final_check_for_batch(*batch).map(|more| {
                    assert!(honest, "progress on a bad index");
                    assert_eq!(more, arrived > 0);
                }),
                Step::FinalCheckForMany(batch) => ring.final_check_for_many(*batch).map(|more| {
                    assert!(honest, "progress on a bad index");
                    assert_eq!(more, arrived >= *batch);
                }),
                Step::AwaitLast(count) => {
                    ring.await_last(*count);
                    continue;
                }
                peer => {
                    act(&mem, peer, RSP_PROD);
                    continue;
                }
            };
            match (corrupt, result) {
                (None, Err(now)) => corrupt = Some(now),
                (None, Ok(())) => {}
                (Some(first), Err(now)) => prop_assert_eq!(first, now),
                (Some(_), Ok(())) => prop_assert!(
                    matches!(step, Step::Publish | Step::Push),
                    "the ring forgot that it is corrupt"
                ),
            }
            prop_assert_eq!(ring.corrupt(), corrupt);
            if corrupt.is_none() {
                prop_assert_eq!(ring.outstanding(), published - taken);
                prop_assert_eq!(ring.free(), 8 - (pushed - taken));
            }
        }
        // Every request is accounted for: completed, or still in the table to be failed.
        let mut left = 0;
        ids.drain(|number| {
            assert!(!completed[number as usize]);
            left += 1;
        });
        prop_assert_eq!(left + completed.iter().filter(|done| **done).count(), completed.len());
    }

    #[test]
    fn a_back_end_survives_any_front_end(
        start in start(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mem = HeapMem::new(BYTES);
        let _ = Front::new_at(mem.clone(), start).expect("room for a ring");
        let mut ring = Back::attach_at(mem.clone(), start).expect("room for a ring");
        let (mut taken, mut answered, mut published) = (0u32, 0u32, 0u32);
        let mut corrupt: Option<Corrupt> = None;
        for step in &steps {
            let prod = mem.load_relaxed(REQ_PROD);
            let arrived = prod.wrapping_sub(start.wrapping_add(taken));
            let honest = arrived <= 8 - (taken - published);
            let result = match step {
                Step::Push => match ring.push(&[0u64, 1]) {
                    Ok(()) => {
                        prop_assert!(answered < taken, "there is no request to answer");
                        answered += 1;
                        Ok(())
                    }
                    Err(PushError::Full) => {
                        prop_assert_eq!(answered, taken);
                        Ok(())
                    }
                    Err(PushError::Corrupt(corrupt)) => Err(corrupt),
                },
                Step::Publish => {
                    let notify = ring.push_responses();
                    if corrupt.is_none() {
                        published = answered;
                    } else {
                        prop_assert!(!notify.needed());
                    }
                    Ok(())
                }
                Step::Take(most) => ring.requests().map(|requests| {
                    assert!(honest, "progress on a bad index");
                    let count = requests.take(*most).count();
                    assert_eq!(count, (*most).min(arrived as usize));
                    taken += count as u32;
                }),
                Step::FinalCheck(_) => ring.final_check_for_requests().map(|more| {
                    assert!(honest, "progress on a bad index");
                    assert_eq!(more, arrived > 0);
                }),
                peer => {
                    act(&mem, peer, REQ_PROD);
                    continue;
                }
            };
            match (corrupt, result) {
                (None, Err(now)) => corrupt = Some(now),
                (None, Ok(())) => {}
                (Some(first), Err(now)) => prop_assert_eq!(first, now),
                (Some(_), Ok(())) => prop_assert!(matches!(step, Step::Publish)),
            }
            prop_assert_eq!(ring.corrupt(), corrupt);
            prop_assert_eq!(ring.unanswered(), taken - answered);
        }
    }
}
