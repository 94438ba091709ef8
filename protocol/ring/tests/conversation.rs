// SPDX-License-Identifier: GPL-2.0

//! Honest ends on one ring: what one puts on, the other takes off, in order, across the wrap of
//! the indexes, on rings of several sizes, and between threads.

use std::cell::RefCell;
use xen_abi::io::blkif::{op, Request, Response};
use xen_abi::io::ring::{REQ_EVENT, REQ_PROD, RSP_PROD};
use xen_ring::blkif::operation::{Operation, Outcome};
use xen_ring::blkif::{decode, request, segment, BlkBackRing, BlkFrontRing};
use xen_ring::{
    BackRing, Corrupt, FrontRing, HeapMem, IdSlot, IdTable, Notify, PushError, RingMem,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

type Front = FrontRing<[u32; 4], [u32; 2], HeapMem>;
type Back = BackRing<[u32; 4], [u32; 2], HeapMem>;

fn ring(bytes: usize, index: u32) -> (Front, Back) {
    let mem = HeapMem::new(bytes);
    let front = Front::new_at(mem.clone(), index).expect("room for a ring");
    let back = Back::attach_at(mem, index).expect("room for a ring");
    (front, back)
}

#[test]
fn messages_arrive_in_order_whatever_the_indexes_are() {
    for start in [0, 1, u32::MAX - 9, u32::MAX, 1 << 31] {
        for slots in [1, 2, 8] {
            let (mut front, mut back) = ring(64 + 16 * slots, start);
            assert_eq!(front.slots() as usize, slots);
            let (mut sent, mut answered) = (0, 0);
            for round in 0..20 {
                for _ in 0..=round % slots {
                    front.push(&[sent, 1, 2, 3]).expect("a free slot");
                    sent += 1;
                }
                assert_eq!(back.requests().expect("honest").count(), 0, "not published");
                assert!(front.push_requests().needed());
                for (request, expected) in back.requests().expect("honest").zip(answered..) {
                    assert_eq!(request, [expected, 1, 2, 3]);
                }
                assert_eq!(back.unanswered(), sent - answered);
                for n in answered..sent {
                    back.push(&[n, 7]).expect("a request to answer");
                }
                assert!(back.push_responses().needed());
                assert_eq!(front.outstanding(), sent - answered);
                for response in front.responses().expect("honest") {
                    assert_eq!(response, [answered, 7]);
                    answered += 1;
                }
                assert_eq!(answered, sent);
                assert_eq!(front.free() as usize, slots);
                assert_eq!(front.final_check_for_responses(), Ok(false));
                assert_eq!(back.final_check_for_requests(), Ok(false));
            }
        }
    }
}

#[test]
fn a_full_ring_is_flow_control_and_not_an_error() {
    let (mut front, mut back) = ring(64 + 2 * 16, 0);
    assert_eq!(front.push(&[1; 4]), Ok(()));
    assert_eq!(front.push(&[2; 4]), Ok(()));
    assert_eq!(front.push(&[3; 4]), Err(PushError::Full));
    assert_eq!(
        back.push(&[0; 2]),
        Err(PushError::Full),
        "nothing to answer"
    );
    assert_eq!(front.push_requests(), Notify::Yes);
    assert_eq!(back.requests().expect("honest").next(), Some([1; 4]));
    assert_eq!(back.push(&[1; 2]), Ok(()));
    assert_eq!(back.push_responses(), Notify::Yes);
    assert_eq!(
        front.push(&[3; 4]),
        Err(PushError::Full),
        "not taken off yet"
    );
    assert_eq!(front.responses().expect("honest").next(), Some([1; 2]));
    assert_eq!(front.push(&[3; 4]), Ok(()));
    assert_eq!(front.corrupt(), None);
}

#[test]
fn a_peer_that_is_awake_is_not_notified() {
    let (mut front, mut back) = ring(4096, 0);
    front.push(&[1; 4]).expect("a free slot");
    assert_eq!(front.push_requests(), Notify::Yes);
    assert_eq!(front.push_requests(), Notify::No, "nothing new");
    // The back end has not gone back to sleep: no second event.
    front.push(&[2; 4]).expect("a free slot");
    assert_eq!(front.push_requests(), Notify::No);
    assert_eq!(back.final_check_for_requests(), Ok(true), "two to take");
    assert_eq!(back.requests().expect("honest").count(), 2);
    assert_eq!(back.final_check_for_requests(), Ok(false));
    front.push(&[3; 4]).expect("a free slot");
    assert_eq!(front.push_requests(), Notify::Yes);
}

#[test]
fn no_event_is_asked_for_while_there_are_requests() {
    let (mut front, mut back) = ring(4096, 0);
    front.push(&[1; 4]).expect("a free slot");
    front.push(&[2; 4]).expect("a free slot");
    assert!(front.push_requests().needed());
    assert_eq!(back.requests().expect("honest").next(), Some([1; 4]));
    let asked = front.mem().load_relaxed(REQ_EVENT);
    assert_eq!(back.final_check_for_requests(), Ok(true));
    assert_eq!(front.mem().load_relaxed(REQ_EVENT), asked);
}

/// Memory in which the peer does something once, when the side that uses it has asked for an event
/// and is about to look once more.
struct Meanwhile {
    mem: HeapMem,
    then: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Meanwhile {
    fn new(mem: &HeapMem) -> Self {
        Self {
            mem: mem.clone(),
            then: RefCell::new(None),
        }
    }

    fn set(&self, then: impl FnOnce() + 'static) {
        self.then.replace(Some(Box::new(then)));
    }
}

impl RingMem for Meanwhile {
    fn size(&self) -> usize {
        self.mem.size()
    }
    fn read<T: FromBytes>(&self, offset: usize) -> T {
        self.mem.read(offset)
    }
    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.mem.write(offset, value)
    }
    fn load_relaxed(&self, offset: usize) -> u32 {
        self.mem.load_relaxed(offset)
    }
    fn load_acquire(&self, offset: usize) -> u32 {
        self.mem.load_acquire(offset)
    }
    fn store_relaxed(&self, offset: usize, value: u32) {
        self.mem.store_relaxed(offset, value)
    }
    fn store_release(&self, offset: usize, value: u32) {
        self.mem.store_release(offset, value)
    }
    fn fence(&self) {
        self.mem.fence();
        if let Some(then) = self.then.take() {
            then();
        }
    }
}

#[test]
fn a_request_that_comes_while_the_back_end_falls_asleep_is_seen() {
    let mem = HeapMem::pages(0);
    let mut front = Front::new(mem.clone()).expect("room for a ring");
    let mut back =
        BackRing::<[u32; 4], [u32; 2], _>::attach(Meanwhile::new(&mem)).expect("room for a ring");
    back.mem().set(move || {
        front.push(&[1; 4]).expect("a free slot");
        let _ = front.push_requests();
    });
    assert_eq!(back.final_check_for_requests(), Ok(true));
    assert_eq!(back.requests().expect("honest").count(), 1);
    assert_eq!(back.final_check_for_requests(), Ok(false));
}

#[test]
fn a_response_that_comes_while_the_front_end_falls_asleep_is_seen() {
    for (batch, seen) in [(1, true), (2, false)] {
        let mem = HeapMem::pages(0);
        let mut front =
            FrontRing::<[u32; 4], [u32; 2], _>::new(Meanwhile::new(&mem)).expect("room for a ring");
        let mut back = Back::attach(mem).expect("room for a ring");
        front.push(&[1; 4]).expect("a free slot");
        front.push(&[2; 4]).expect("a free slot");
        assert!(front.push_requests().needed());
        assert_eq!(back.requests().expect("honest").count(), 2);
        front.mem().set(move || {
            back.push(&[1; 2]).expect("a request to answer");
            let _ = back.push_responses();
        });
        assert_eq!(front.final_check_for_batch(batch), Ok(seen));
        assert_eq!(front.responses().expect("honest").count(), 1);
    }
}

#[test]
fn an_iterator_knows_how_many_messages_are_left() {
    let (mut front, mut back) = ring(4096, u32::MAX - 1);
    for n in 0..3 {
        front.push(&[n; 4]).expect("a free slot");
    }
    assert!(front.push_requests().needed());
    let mut requests = back.requests().expect("honest");
    for left in (0..=3).rev() {
        assert_eq!(requests.size_hint(), (left, Some(left)));
        assert_eq!(requests.next().is_some(), left > 0);
    }
    for n in 0..3 {
        back.push(&[n; 2]).expect("a request to answer");
    }
    assert!(back.push_responses().needed());
    let mut responses = front.responses().expect("honest");
    for left in (0..=3).rev() {
        assert_eq!(responses.size_hint(), (left, Some(left)));
        assert_eq!(responses.next().is_some(), left > 0);
    }
}

#[test]
fn a_front_end_can_wait_for_a_batch() {
    let (mut front, mut back) = ring(4096, u32::MAX - 1);
    for n in 0..4 {
        front.push(&[n; 4]).expect("a free slot");
    }
    assert!(front.push_requests().needed());
    assert_eq!(back.requests().expect("honest").count(), 4);
    // More than what is outstanding would never come.
    assert_eq!(front.final_check_for_batch(9), Ok(false));
    for n in 0..4 {
        back.push(&[n; 2]).expect("a request to answer");
        assert_eq!(back.push_responses().needed(), n == 3);
    }
    assert_eq!(front.responses().expect("honest").count(), 4);
}

#[test]
fn responses_that_nobody_waits_for_come_without_event_until_one_is_awaited() {
    let (mut front, mut back) = ring(4096, u32::MAX - 1);
    assert_eq!(front.final_check_for_many(4), Ok(false));
    let exchange = |front: &mut Front, back: &mut Back, awaited| {
        front.push(&[0; 4]).expect("a free slot");
        if awaited {
            front.await_last(1);
        }
        let _ = front.push_requests();
        assert_eq!(back.requests().expect("honest").count(), 1);
        back.push(&[0; 2]).expect("a request to answer");
        back.push_responses().needed()
    };
    for n in 1..=4 {
        assert_eq!(exchange(&mut front, &mut back, false), n == 4);
    }
    assert_eq!(front.final_check_for_many(4), Ok(true), "four are there");
    assert_eq!(front.final_check_for_many(5), Ok(false));
    assert_eq!(front.responses().expect("honest").count(), 4);
    assert_eq!(front.final_check_for_many(4), Ok(false));
    assert!(!exchange(&mut front, &mut back, false));
    assert!(exchange(&mut front, &mut back, true), "this one is awaited");
    assert_eq!(front.responses().expect("honest").count(), 2);
    // An event that comes sooner anyway is not put off.
    assert_eq!(front.final_check_for_many(1), Ok(false));
    front.push(&[0; 4]).expect("a free slot");
    front.push(&[1; 4]).expect("a free slot");
    front.await_last(2);
    let _ = front.push_requests();
    assert_eq!(back.requests().expect("honest").count(), 2);
    back.push(&[0; 2]).expect("a request to answer");
    assert!(back.push_responses().needed());
}

#[test]
fn an_unsolicited_response_is_corruption_and_stays() {
    let (mut front, _back) = ring(4096, 0);
    front.push(&[1; 4]).expect("a free slot");
    // Pushed but not published, so nobody can have answered it.
    front.mem().store_relaxed(RSP_PROD, 1);
    let corrupt = Corrupt::ResponseIndex {
        claimed: 1,
        consumed: 0,
        published: 0,
    };
    assert_eq!(front.responses().err(), Some(corrupt));
    front.mem().store_relaxed(RSP_PROD, 0);
    assert_eq!(front.responses().err(), Some(corrupt));
    assert_eq!(front.final_check_for_responses(), Err(corrupt));
    assert_eq!(front.push(&[1; 4]), Err(PushError::Corrupt(corrupt)));
    assert_eq!(front.corrupt(), Some(corrupt));
    // What the driver finds later does not hide what came first.
    assert_eq!(front.poison(Corrupt::UnknownId(5)), corrupt);
}

#[test]
fn what_is_published_is_not_read_back() {
    let (mut front, mut back) = ring(4096, 0);
    front.push(&[1; 4]).expect("a free slot");
    assert!(front.push_requests().needed());
    // The peer changes our own index, so as to look as if the next request had been published
    // already, and asks for an event at it.
    front.mem().store_relaxed(REQ_PROD, 2);
    front.mem().store_relaxed(REQ_EVENT, 2);
    front.push(&[2; 4]).expect("a free slot");
    assert!(front.push_requests().needed());
    let requests: Vec<_> = back.requests().expect("honest").collect();
    assert_eq!(requests, [[1; 4], [2; 4]]);
}

#[test]
fn memory_too_small_for_a_ring_is_refused() {
    assert!(Front::new(HeapMem::new(64 + 12)).is_err());
    assert!(Back::attach(HeapMem::new(0)).is_err());
}

/// Two threads, a small ring, and events that each side sleeps for: nothing is lost or reordered.
#[test]
fn block_requests_cross_between_threads() {
    const COUNT: u64 = 20_000;
    // A lost wake-up is a failure, and not a test without an end.
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
    let mem = HeapMem::pages(0);
    let mut front = BlkFrontRing::new(mem.clone()).expect("room for a ring");
    let mut back = BlkBackRing::attach(mem).expect("room for a ring");
    let (to_back, back_events) = std::sync::mpsc::channel();
    let (to_front, front_events) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let mut served = 0;
        while served < COUNT {
            let arrived: Vec<Request> = back.requests().expect("honest").collect();
            for request in arrived {
                let decoded = decode::decode(&request, 0).expect("well-formed");
                assert_eq!(decoded.sector, served * 8);
                let answer = decode::answer(&decoded, Outcome::Done);
                back.push(&answer).expect("a request to answer");
                served += 1;
            }
            if back.push_responses().needed() {
                let _ = to_front.send(());
            }
            if served < COUNT && !back.final_check_for_requests().expect("honest") {
                back_events.recv_timeout(LIMIT).expect("a wake-up is lost");
            }
        }
    });
    let slots: Vec<IdSlot<u64>> = (0..front.slots()).map(|_| IdSlot::new()).collect();
    let mut ids = IdTable::<u64, _>::new(slots);
    let (mut sent, mut done) = (0, 0);
    let data = segment::segment(3, 0, 4096).expect("a page");
    while done < COUNT {
        while sent < COUNT && front.free() > 0 {
            let id = ids.insert(sent).expect("as many ids as slots");
            let write = request::direct(Operation::Write, id, 0, sent * 8, &[data]);
            front.push(&write.expect("it fits")).expect("a free slot");
            sent += 1;
        }
        if front.push_requests().needed() {
            let _ = to_back.send(());
        }
        for response in front.responses().expect("honest") {
            let response: Response = response;
            let number = ids.complete(response.id).expect("an id of ours");
            assert_eq!(number, done, "this back end answers in order");
            assert_eq!(response.operation, op::WRITE);
            let outcome = Outcome::of(&response, Operation::Write);
            assert_eq!(outcome, Ok(Outcome::Done));
            done += 1;
        }
        let idle = sent == COUNT || front.free() == 0;
        if done < COUNT && idle && !front.final_check_for_responses().expect("honest") {
            front_events.recv_timeout(LIMIT).expect("a wake-up is lost");
        }
    }
    server.join().expect("the back end");
    assert_eq!(ids.taken(), 0);
}
