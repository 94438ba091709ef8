// SPDX-License-Identifier: GPL-2.0

//! Batches against a model that is a list: each call is made once, in order and with its arguments;
//! each callback is called once, in order and after the calls before it.

use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use xen_hypercall::batch::{
    callback, entry, entry_if_room, extend, flush, Batch, Buffer, Event, Full, NotExtended, Place,
    ARGUMENT_BYTES, MAX_CALLBACKS, MAX_CALLS,
};

/// What a callback does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    /// Adds a call with so many bytes.
    Call(u8),
    /// Adds so many callbacks that do nothing.
    Callbacks(u8),
    Flush,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Step {
    Entry { number: u64, bytes: usize },
    Extend { number: u64, bytes: usize },
    Callback(Then),
    Flush,
}

/// What is seen from outside: a call with its arguments, or a callback with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Call(u64, Vec<u8>),
    Callback(u32),
}

/// Makes steps, on the real thing or the model. Each step has bytes of its own as arguments.
trait Batches {
    /// Adds a call; false if it does not fit in any batch.
    fn entry(&self, number: u64, arguments: &[u8]) -> bool;
    /// Extends the latest call; false if it cannot be.
    fn extend(&self, number: u64, arguments: &[u8]) -> bool;
    fn callback(&self, number: u32, then: Then);
    fn flush(&self);

    /// What a callback does. Its own callbacks have numbers above its own.
    fn then(&self, number: u32, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Call(bytes) => {
                let arguments = vec![number as u8; bytes.into()];
                assert!(self.entry(u64::from(number), &arguments));
            }
            Then::Callbacks(count) => {
                for index in 0..u32::from(count) {
                    self.callback(number + 1 + index, Then::Nothing);
                }
            }
            Then::Flush => self.flush(),
        }
    }

    /// Makes all steps, and returns which calls were added or extended.
    fn make(&self, steps: &[Step]) -> Vec<bool> {
        let numbered = (0u32..).zip(steps);
        let added = numbered.map(|(index, step)| match *step {
            Step::Entry { number, bytes } => self.entry(number, &vec![index as u8; bytes]),
            Step::Extend { number, bytes } => self.extend(number, &vec![index as u8; bytes]),
            Step::Callback(then) => {
                self.callback(index * 1000, then);
                true
            }
            Step::Flush => {
                self.flush();
                true
            }
        });
        let added = added.collect();
        self.flush();
        added
    }
}

/// The real thing: memory as the kernel has it. A call knows where its arguments begin, and how
/// many there are; the hypervisor finds them so.
#[derive(Default)]
struct Real {
    batch: Batch,
    calls: RefCell<Vec<(u64, usize, usize)>>,
    arguments: RefCell<Vec<u8>>,
    callbacks: RefCell<Vec<Option<(u32, Then)>>>,
    seen: RefCell<Vec<Seen>>,
    full: RefCell<Vec<Full>>,
}

impl Real {
    fn new() -> Self {
        let real = Self::default();
        real.calls.borrow_mut().resize(MAX_CALLS, (u64::MAX, 0, 0));
        real.arguments.borrow_mut().resize(ARGUMENT_BYTES, 0xff);
        real.callbacks.borrow_mut().resize(MAX_CALLBACKS, None);
        real
    }

    /// Panics if the place is not within the memory.
    fn fill(&self, place: Place, arguments: &[u8]) {
        let end = place.argument() + arguments.len();
        self.arguments.borrow_mut()[place.argument()..end].copy_from_slice(arguments);
    }
}

impl Buffer for Real {
    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn number(&self, call: usize) -> u64 {
        self.calls.borrow()[call].0
    }

    fn issue(&self, calls: usize) {
        assert!(calls > 0);
        for (number, start, len) in &self.calls.borrow()[..calls] {
            let arguments = self.arguments.borrow()[*start..*start + *len].to_vec();
            self.seen.borrow_mut().push(Seen::Call(*number, arguments));
        }
    }

    fn call_back(&self, callback: usize) {
        // Each place is used once before it is filled again.
        let taken = self.callbacks.borrow_mut()[callback].take();
        let (number, then) = taken.unwrap();
        self.seen.borrow_mut().push(Seen::Callback(number));
        self.then(number, then);
    }

    fn trace(&self, event: Event) {
        if let Event::Full(full) = event {
            self.full.borrow_mut().push(full);
        }
    }
}

impl Batches for Real {
    fn entry(&self, number: u64, arguments: &[u8]) -> bool {
        let place = entry_if_room(self, arguments.len())
            .or_else(|| entry(self, arguments.len(), || flush(self)));
        let Some(place) = place else {
            return false;
        };
        assert_eq!(place.argument() % 8, 0);
        self.fill(place, arguments);
        self.calls.borrow_mut()[place.call()] = (number, place.argument(), arguments.len());
        true
    }

    fn extend(&self, number: u64, arguments: &[u8]) -> bool {
        let Some(place) = extend(self, number, arguments.len()) else {
            return false;
        };
        self.fill(place, arguments);
        let call = &mut self.calls.borrow_mut()[place.call()];
        assert_eq!(place.argument(), call.1 + call.2, "not behind the others");
        call.2 += arguments.len();
        true
    }

    fn callback(&self, number: u32, then: Then) {
        let index = callback(self, || flush(self)).unwrap();
        let before = self.callbacks.borrow_mut()[index].replace((number, then));
        assert_eq!(before, None, "a callback was lost");
    }

    fn flush(&self) {
        flush(self);
    }
}

/// The model.
#[derive(Default)]
struct Model {
    calls: RefCell<Vec<(u64, Vec<u8>)>>,
    bytes: Cell<usize>,
    callbacks: RefCell<VecDeque<(u32, Then)>>,
    /// Callbacks since there were none.
    slots: Cell<usize>,
    seen: RefCell<Vec<Seen>>,
}

impl Batches for Model {
    fn entry(&self, number: u64, arguments: &[u8]) -> bool {
        let fits = |bytes: usize| bytes.next_multiple_of(8) + arguments.len() <= ARGUMENT_BYTES;
        if self.calls.borrow().len() == MAX_CALLS || !fits(self.bytes.get()) {
            self.flush();
        }
        if !fits(self.bytes.get()) {
            return false;
        }
        self.bytes
            .set(self.bytes.get().next_multiple_of(8) + arguments.len());
        self.calls.borrow_mut().push((number, arguments.to_vec()));
        true
    }

    fn extend(&self, number: u64, arguments: &[u8]) -> bool {
        let bytes = self.bytes.get() + arguments.len();
        let mut calls = self.calls.borrow_mut();
        match calls.last_mut() {
            Some((latest, before)) if *latest == number && bytes <= ARGUMENT_BYTES => {
                self.bytes.set(bytes);
                before.extend(arguments);
                true
            }
            _ => false,
        }
    }

    fn callback(&self, number: u32, then: Then) {
        if self.slots.get() == MAX_CALLBACKS {
            self.flush();
        }
        self.slots.set(self.slots.get() + 1);
        self.callbacks.borrow_mut().push_back((number, then));
    }

    fn flush(&self) {
        for (number, arguments) in self.calls.take() {
            self.seen.borrow_mut().push(Seen::Call(number, arguments));
        }
        self.bytes.set(0);
        loop {
            let next = self.callbacks.borrow_mut().pop_front();
            let Some((number, then)) = next else {
                break;
            };
            self.seen.borrow_mut().push(Seen::Callback(number));
            self.then(number, then);
        }
        self.slots.set(0);
    }
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        4 => Just(Then::Nothing),
        1 => (0u8..40).prop_map(Then::Call),
        1 => (0u8..40).prop_map(Then::Callbacks),
        1 => Just(Then::Flush),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Few numbers, so that calls are often extended; sizes are the kernel's, and odd ones.
    let bytes = prop_oneof![
        4 => prop_oneof![Just(0usize), Just(16), Just(24), Just(32)],
        1 => 0usize..=ARGUMENT_BYTES + 2,
    ];
    let number = 1u64..3;
    prop_oneof![
        4 => (number.clone(), bytes.clone()).prop_map(|(number, bytes)| Step::Entry { number, bytes }),
        8 => (number, bytes).prop_map(|(number, bytes)| Step::Extend { number, bytes }),
        4 => then().prop_map(Step::Callback),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn calls_and_callbacks_are_those_of_a_list(steps in prop::collection::vec(step(), 0..160)) {
        let (real, model) = (Real::new(), Model::default());
        prop_assert_eq!(real.make(&steps), model.make(&steps));
        prop_assert_eq!(real.seen.take(), model.seen.take());
    }
}

#[test]
fn a_full_batch_is_flushed_and_says_why() {
    let real = Real::new();
    for number in 0..=MAX_CALLS as u64 {
        assert!(real.entry(number, &[]));
    }
    assert_eq!(real.seen.borrow().len(), MAX_CALLS);
    assert!(real.entry(7, &[1; ARGUMENT_BYTES]));
    assert!(real.entry(8, &[2]));
    for number in 0..=MAX_CALLBACKS as u32 {
        real.callback(number, Then::Nothing);
    }
    let full = real.full.take();
    assert_eq!(full, [Full::Calls, Full::Arguments, Full::Callbacks]);
}

#[test]
fn arguments_may_fill_a_batch_and_no_more() {
    let real = Real::new();
    assert!(!real.entry(1, &[0; ARGUMENT_BYTES + 1]));
    assert!(real.entry(1, &[1; ARGUMENT_BYTES]));
    assert!(!real.extend(1, &[2]));
    // No bytes are always room enough.
    assert!(real.extend(1, &[]) && real.entry(2, &[]));
    real.flush();
    let calls = [
        Seen::Call(1, vec![1; ARGUMENT_BYTES]),
        Seen::Call(2, vec![]),
    ];
    assert_eq!(real.seen.take(), calls);
}

#[test]
fn only_the_latest_call_is_extended() {
    let real = Real::new();
    assert_eq!(extend(&real, 1, 8), None);
    assert!(real.entry(1, &[1; 8]) && real.entry(2, &[2; 8]));
    assert!(!real.extend(1, &[3; 8]));
    assert!(real.extend(2, &[4; 8]));
    real.flush();
    // What was made is not extended, although its number still lies there.
    assert!(!real.extend(2, &[5; 8]));
}

/// Tells what a buffer's extension was traced as.
struct Traced(Real, Cell<Option<Result<(), NotExtended>>>);

impl Buffer for Traced {
    fn batch(&self) -> &Batch {
        self.0.batch()
    }
    fn number(&self, call: usize) -> u64 {
        self.0.number(call)
    }
    fn issue(&self, calls: usize) {
        self.0.issue(calls);
    }
    fn call_back(&self, callback: usize) {
        self.0.call_back(callback);
    }
    fn trace(&self, event: Event) {
        if let Event::Extend { result, .. } = event {
            self.1.set(Some(result));
        }
    }
}

#[test]
fn an_extension_is_traced_with_its_result() {
    let traced = Traced(Real::new(), Cell::new(None));
    let result = |number, bytes| {
        let _ = extend(&traced, number, bytes);
        traced.1.take()
    };
    assert_eq!(result(1, 8), Some(Err(NotExtended::OtherCall)));
    assert!(traced.0.entry(1, &[1; 8]));
    assert_eq!(result(1, 8), Some(Ok(())));
    assert_eq!(result(1, ARGUMENT_BYTES), Some(Err(NotExtended::NoRoom)));
}

#[test]
fn an_empty_batch_makes_no_call() {
    let real = Real::new();
    real.flush();
    real.callback(1, Then::Flush);
    real.flush();
    assert_eq!(real.seen.take(), [Seen::Callback(1)]);
}
