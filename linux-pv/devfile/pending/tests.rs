// SPDX-License-Identifier: GPL-2.0

//! Random pushes, reads and growing, by one thread and by several, compared with a model.

use super::*;
use std::{
    collections::VecDeque,
    sync::Arc,
    vec::Vec, //
};

use proptest::prelude::*;

type Slots = Arc<[AtomicU32]>;

struct Queue {
    producer: Producer<Slots>,
    consumer: Consumer<Slots>,
    indexes: Indexes,
    slots: usize,
}

fn slots(count: usize) -> Slots {
    (0..count).map(|_| AtomicU32::new(0xdead)).collect()
}

impl Queue {
    fn starting_at(index: u32, count: usize) -> Self {
        let shared = slots(count);
        Self {
            producer: Producer::new(shared.clone()),
            consumer: Consumer::new(shared),
            indexes: Indexes {
                produced: AtomicU32::new(index),
                consumed: AtomicU32::new(index),
                overflow: AtomicBool::new(false),
            },
            slots: count,
        }
    }

    fn push(&mut self, port: u32) -> Pushed {
        self.producer.push(&self.indexes, port)
    }

    fn read(&mut self, most: usize) -> Vec<u32> {
        let mut out = std::vec![0; most];
        let count = self.consumer.peek(&self.indexes, 0, &mut out);
        self.consumer.consume(&self.indexes, count as u32);
        out.truncate(count);
        out
    }

    fn grow(&mut self, count: usize) {
        grow(
            &mut self.producer,
            &mut self.consumer,
            &self.indexes,
            slots(count),
        );
        self.slots = count;
    }
}

#[test]
fn only_the_first_port_wakes_a_reader() {
    let mut queue = Queue::starting_at(0, 4);
    assert_eq!(queue.push(1), Pushed::First);
    assert_eq!(queue.push(2), Pushed::More);
    assert_eq!(queue.read(8), [1, 2]);
    assert_eq!(queue.push(3), Pushed::First);
}

#[test]
fn a_queue_without_slots_loses_everything() {
    let mut queue = Queue::starting_at(0, 0);
    assert_eq!(queue.push(1), Pushed::Lost);
    assert!(queue.indexes.has_overflowed() && queue.indexes.is_empty());
    assert_eq!(queue.read(8), []);
}

#[test]
fn what_was_peeked_at_stays_until_it_is_consumed() {
    let mut queue = Queue::starting_at(0, 4);
    for port in 1..=4 {
        queue.push(port);
    }
    let mut out = [0; 2];
    assert_eq!(queue.consumer.peek(&queue.indexes, 0, &mut out), 2);
    assert_eq!(queue.consumer.peek(&queue.indexes, 2, &mut out), 2);
    assert_eq!(out, [3, 4]);
    assert_eq!(queue.consumer.peek(&queue.indexes, 4, &mut out), 0);
    assert_eq!(queue.consumer.peek(&queue.indexes, 9, &mut out), 0);
    assert_eq!(queue.read(8), [1, 2, 3, 4]);
}

#[test]
fn a_loss_is_told_until_the_queue_is_reset() {
    let mut queue = Queue::starting_at(0, 1);
    queue.push(1);
    assert_eq!(queue.push(2), Pushed::Lost);
    assert_eq!(queue.read(8), [1]);
    assert!(queue.indexes.has_overflowed());
    queue.push(3);
    reset(&mut queue.producer, &mut queue.consumer, &queue.indexes);
    assert!(!queue.indexes.has_overflowed() && queue.indexes.is_empty());
    assert_eq!(queue.push(4), Pushed::First);
    assert_eq!(queue.read(8), [4]);
}

#[test]
fn there_is_a_slot_for_each_port_up_to_the_limit() {
    assert_eq!(slots_for(0, 0), None);
    assert_eq!(slots_for(1, 0), Some(64));
    assert_eq!(slots_for(64, 64), None);
    assert_eq!(slots_for(65, 64), Some(128));
    assert_eq!(slots_for(MAX_SLOTS, 64), Some(MAX_SLOTS));
    assert_eq!(slots_for(MAX_SLOTS + 1, MAX_SLOTS), None);
    assert_eq!(slots_for(usize::MAX, 0), None);
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Read(usize),
    Grow,
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<u32>().prop_map(Step::Push),
        3 => (0usize..10).prop_map(Step::Read),
        1 => Just(Step::Grow),
        1 => Just(Step::Reset),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Ports come out in the order in which they went in, none twice, wherever the indexes wrap and
    /// whenever the queue grows.
    #[test]
    fn the_queue_is_a_queue(start in any::<u32>(), steps in steps()) {
        let mut queue = Queue::starting_at(start, 4);
        let mut model = VecDeque::new();
        let mut lost = false;
        for step in steps {
            match step {
                Step::Push(port) => {
                    let expected = match model.len() {
                        len if len == queue.slots => Pushed::Lost,
                        0 => Pushed::First,
                        _ => Pushed::More,
                    };
                    prop_assert_eq!(queue.push(port), expected);
                    if expected == Pushed::Lost {
                        lost = true;
                    } else {
                        model.push_back(port);
                    }
                }
                Step::Read(most) => {
                    let expected: Vec<u32> = model.drain(..most.min(model.len())).collect();
                    prop_assert_eq!(queue.read(most), expected);
                }
                Step::Grow if queue.slots < 64 => queue.grow(queue.slots * 2),
                Step::Grow => (),
                Step::Reset => {
                    reset(&mut queue.producer, &mut queue.consumer, &queue.indexes);
                    model.clear();
                    lost = false;
                }
            }
            prop_assert_eq!(queue.indexes.len() as usize, model.len());
            prop_assert_eq!(queue.indexes.has_overflowed(), lost);
        }
    }
}

#[test]
fn a_reader_and_an_interrupt_do_not_disturb_each_other() {
    const PORTS: u32 = 50_000;
    let shared = slots(8);
    let indexes = Indexes::new();
    let (mut producer, mut consumer) = (Producer::new(shared.clone()), Consumer::new(shared));
    let mut wrong = None;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for port in 0..PORTS {
                while producer.push(&indexes, port) == Pushed::Lost {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < PORTS {
            let mut out = [0; 5];
            let count = consumer.peek(&indexes, 0, &mut out);
            for port in &out[..count] {
                if *port != next {
                    wrong = wrong.or(Some((*port, next)));
                }
                next += 1;
            }
            consumer.consume(&indexes, count as u32);
            std::thread::yield_now();
        }
    });
    // Not before: the other thread would wait for ever for a reader that has failed.
    assert_eq!(wrong, None);
}

/// Slots by way of which something happens in the midst of a push: after the look at the indexes,
/// before they change.
struct Meanwhile<F>(Slots, F);

impl<F: Fn()> AsRef<[AtomicU32]> for Meanwhile<F> {
    fn as_ref(&self) -> &[AtomicU32] {
        (self.1)();
        &self.0
    }
}

/// The reader takes out the only port, finds no other and waits, all while the next one is put in:
/// it has to be woken for that one.
#[test]
fn a_reader_that_empties_the_queue_during_a_push_is_woken() {
    let shared = slots(4);
    let indexes = Indexes::new();
    Producer::new(shared.clone()).push(&indexes, 1);
    let consumer = std::cell::RefCell::new(Consumer::new(shared.clone()));
    let read_all = || {
        let mut consumer = consumer.borrow_mut();
        assert_eq!(consumer.peek(&indexes, 0, &mut [0; 4]), 1);
        consumer.consume(&indexes, 1);
        assert!(indexes.is_empty());
    };
    let mut producer = Producer::new(Meanwhile(shared, read_all));
    assert_eq!(producer.push(&indexes, 2), Pushed::First);
    assert_eq!(indexes.len(), 1);
}
