// SPDX-License-Identifier: GPL-2.0

//! Model check of the notification protocol: under every interleaving and every reordering that
//! the memory model of C11 allows, no side sleeps while there is work for it, and a message is
//! seen as it was written. The same check finds the mistake in rings whose memory leaves out a
//! barrier, which shows that it can.
//!
//! loom replaces the atomics of the ring's memory; the state machines are the real ones.

use loom::sync::atomic::{fence, AtomicU32, Ordering};
use loom::sync::Arc;
use xen_ring::{BackRing, FrontRing, RingMem};
use xen_shared::assert_finds;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What the memory of a broken ring leaves out.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// `fence` does nothing.
    NoFence,
    /// Producer indexes are published without ordering.
    NoRelease,
    /// Neither fences nor the publishing of producer indexes order anything.
    NoOrder,
    /// Producer indexes are read without ordering.
    NoAcquire,
}

/// Ring memory for two slots of four bytes.
#[derive(Clone)]
struct Model {
    words: Arc<[AtomicU32; WORDS]>,
    fault: Fault,
}

/// The header has four indexes that matter.
const HEADER: usize = 64 / 4;
const WORDS: usize = 4 + 2;

impl Model {
    fn new(fault: Fault) -> Self {
        let words = std::array::from_fn(|_| AtomicU32::new(0));
        Self {
            words: Arc::new(words),
            fault,
        }
    }

    /// Maps the offset of a word, leaving out the part of the header that is never used again, to
    /// keep the model small.
    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        match offset / 4 {
            index @ 0..4 => self.words.get(index),
            slot @ HEADER.. => self.words.get(slot - HEADER + 4),
            _ => None,
        }
    }

    fn load(&self, offset: usize, ordering: Ordering) -> u32 {
        self.word(offset).map_or(0, |word| word.load(ordering))
    }

    fn store(&self, offset: usize, value: u32, ordering: Ordering) {
        if let Some(word) = self.word(offset) {
            word.store(value, ordering);
        }
    }
}

impl RingMem for Model {
    fn size(&self) -> usize {
        64 + 2 * 4
    }
    fn read<T: FromBytes>(&self, offset: usize) -> T {
        let word = self.load(offset, Ordering::Relaxed);
        T::read_from_prefix(word.as_bytes())
            .expect("a slot is a word")
            .0
    }
    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        for (i, word) in value.as_bytes().chunks_exact(4).enumerate() {
            let word = u32::read_from_bytes(word).expect("four bytes");
            self.store(offset + i * 4, word, Ordering::Relaxed);
        }
    }
    fn load_relaxed(&self, offset: usize) -> u32 {
        self.load(offset, Ordering::Relaxed)
    }
    fn load_acquire(&self, offset: usize) -> u32 {
        self.load(
            offset,
            match self.fault {
                Fault::NoAcquire => Ordering::Relaxed,
                _ => Ordering::Acquire,
            },
        )
    }
    fn store_relaxed(&self, offset: usize, value: u32) {
        self.store(offset, value, Ordering::Relaxed);
    }
    fn store_release(&self, offset: usize, value: u32) {
        self.store(
            offset,
            value,
            match self.fault {
                Fault::NoRelease | Fault::NoOrder => Ordering::Relaxed,
                _ => Ordering::Release,
            },
        );
    }
    fn fence(&self) {
        if !matches!(self.fault, Fault::NoFence | Fault::NoOrder) {
            fence(Ordering::SeqCst);
        }
    }
}

/// An event channel's pending bit. What came before the hypercall that sends an event is visible
/// to whom the event interrupts; without an event the channel orders nothing.
#[derive(Clone)]
struct Channel(Arc<AtomicU32>);

impl Channel {
    fn new() -> Self {
        Self(Arc::new(AtomicU32::new(0)))
    }
    fn send(&self) {
        self.0.swap(1, Ordering::AcqRel);
    }
    /// Takes the pending event, if there is one: the interrupt.
    fn take(&self) -> bool {
        self.0.swap(0, Ordering::AcqRel) != 0
    }
}

type Front = FrontRing<u32, u32, Model>;
type Back = BackRing<u32, u32, Model>;

/// The front end publishes `count` requests one by one while the back end consumes some and goes
/// to sleep. Then either the back end has seen them all, or an event is pending for it.
fn requests_wake_the_back_end(fault: Fault, count: u32) {
    let mem = Model::new(fault);
    let events = Channel::new();
    let mut front = Front::new(mem.clone()).expect("room for the ring");
    let mut back = Back::attach(mem).expect("room for the ring");
    let to_back = events.clone();
    let peer = loom::thread::spawn(move || {
        for n in 0..count {
            front.push(&(100 + n)).expect("a free slot");
            if front.push_requests().needed() {
                to_back.send();
            }
        }
        front
    });
    let mut seen = 0;
    loop {
        for request in back.requests().expect("an honest peer") {
            assert_eq!(request, 100 + seen, "a request is not what was written");
            seen += 1;
        }
        if !back.final_check_for_requests().expect("an honest peer") && !events.take() {
            break;
        }
    }
    // The back end sleeps now. It may have missed requests only if an event will wake it.
    peer.join().expect("the front end");
    assert!(seen == count || events.take(), "a wake-up is lost");
}

/// The same towards the front end, with responses to `count` requests, and a front end that wants
/// an event only for every `batch` of them.
fn responses_wake_the_front_end(fault: Fault, count: u32, batch: u32) {
    let mem = Model::new(fault);
    let events = Channel::new();
    let mut front = Front::new(mem.clone()).expect("room for the ring");
    let mut back = Back::attach(mem).expect("room for the ring");
    for n in 0..count {
        front.push(&n).expect("a free slot");
    }
    let _ = front.push_requests();
    assert_eq!(
        back.requests().expect("an honest peer").count(),
        count as usize
    );
    let to_front = events.clone();
    let peer = loom::thread::spawn(move || {
        for n in 0..count {
            back.push(&(200 + n)).expect("a request to answer");
            if back.push_responses().needed() {
                to_front.send();
            }
        }
    });
    let mut seen = 0;
    loop {
        for response in front.responses().expect("an honest peer") {
            assert_eq!(response, 200 + seen, "a response is not what was written");
            seen += 1;
        }
        if !front.final_check_for_batch(batch).expect("an honest peer") && !events.take() {
            break;
        }
    }
    peer.join().expect("the back end");
    assert!(seen == count || events.take(), "a wake-up is lost");
}

/// The front end waits for nothing at first. While the back end answers that request the front end
/// pushes another, which it waits for: there is an event for that one.
fn an_awaited_response_wakes_the_front_end(fault: Fault) {
    let mem = Model::new(fault);
    let events = Channel::new();
    let mut front = Front::new(mem.clone()).expect("room for the ring");
    let mut back = Back::attach(mem).expect("room for the ring");
    assert_eq!(front.final_check_for_many(3), Ok(false));
    front.push(&100).expect("a free slot");
    let _ = front.push_requests();
    let to_front = events.clone();
    let answer = move |back: &mut Back| {
        for _ in 0..back.requests().expect("an honest peer").count() {
            back.push(&200).expect("a request to answer");
            if back.push_responses().needed() {
                to_front.send();
            }
        }
    };
    let peer = loom::thread::spawn({
        let answer = answer.clone();
        move || {
            answer(&mut back);
            answer(&mut back);
            back
        }
    });
    front.push(&101).expect("a free slot");
    front.await_last(1);
    let _ = front.push_requests();
    answer(&mut peer.join().expect("the back end"));
    assert_eq!(front.responses().expect("an honest peer").count(), 2);
    assert!(events.take(), "a wake-up is lost");
}

/// Checks every execution with up to three preemptions, in which such mistakes show; with more
/// the models of two messages take a quarter of a minute.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn no_wake_up_of_the_back_end_is_lost() {
    loom::model(|| requests_wake_the_back_end(Fault::None, 1));
    check(|| requests_wake_the_back_end(Fault::None, 2));
}

#[test]
fn no_wake_up_of_the_front_end_is_lost() {
    loom::model(|| responses_wake_the_front_end(Fault::None, 1, 1));
    check(|| responses_wake_the_front_end(Fault::None, 2, 1));
    check(|| responses_wake_the_front_end(Fault::None, 2, 2));
    check(|| an_awaited_response_wakes_the_front_end(Fault::None));
}

/// Asserts that the model finds the fault, and nothing else.
fn finds(what: &str, model: impl Fn() + Sync + Send + std::panic::UnwindSafe + 'static) {
    assert_finds(what, || check(model));
}

/// The first message of all always makes an event, hence two.
#[test]
fn without_the_fence_a_wake_up_is_lost_and_the_model_finds_it() {
    finds("a wake-up is lost", || {
        requests_wake_the_back_end(Fault::NoFence, 2)
    });
    finds("a wake-up is lost", || {
        responses_wake_the_front_end(Fault::NoFence, 2, 1)
    });
}

#[test]
fn without_order_an_awaited_response_is_missed_and_the_model_finds_it() {
    finds("a wake-up is lost", || {
        an_awaited_response_wakes_the_front_end(Fault::NoOrder)
    });
}

#[test]
fn without_release_or_acquire_a_stale_slot_is_read_and_the_model_finds_it() {
    for fault in [Fault::NoRelease, Fault::NoAcquire] {
        finds("a request is not what was written", move || {
            requests_wake_the_back_end(fault, 1)
        });
        finds("a response is not what was written", move || {
            responses_wake_the_front_end(fault, 1, 1)
        });
    }
}
