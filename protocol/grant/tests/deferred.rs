// SPDX-License-Identifier: GPL-2.0

//! Deferred grants against a queue: each is tried in its turn, none is lost or freed early, and
//! each is said to be late once.

use proptest::prelude::*;
use std::collections::VecDeque;
use xen_grant::deferred::{Deferred, DeferredCounts, Waiting};
use xen_grant::WaitingBox;

#[derive(Clone, Copy, Debug)]
enum Step {
    Defer,
    Leak,
    Take,
    Done,
    Again,
    Later(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Defer),
        1 => Just(Step::Leak),
        4 => Just(Step::Take),
        2 => Just(Step::Done),
        3 => Just(Step::Again),
        1 => any::<u8>().prop_map(Step::Later),
    ];
    proptest::collection::vec(step, 1..300)
}

/// A grant in the model: its reference, since when it waits, and whether it was said to be late.
type Row = (u32, u64, bool);

const PATIENCE: u64 = 60;

proptest! {
    #[test]
    fn each_is_tried_in_its_turn(steps in steps()) {
        let mut deferred = Deferred::new();
        let (mut queue, mut tried) = (VecDeque::<Row>::new(), Vec::new());
        let (mut now, mut next) = (0u64, 8);
        let mut counts = DeferredCounts::default();
        for step in steps {
            match step {
                Step::Defer => {
                    // The page is known by its reference.
                    deferred.defer(WaitingBox::new(Waiting::new(next, 7, now, next)));
                    queue.push_back((next, now, false));
                    counts.waiting += 1;
                    next += 1;
                }
                Step::Leak => {
                    deferred.leak();
                    counts.leaked += 1;
                }
                Step::Take => match (deferred.take(), queue.pop_front()) {
                    (None, None) => {}
                    (Some(node), Some(row)) => {
                        prop_assert_eq!((node.reference, node.since), (row.0, row.1));
                        prop_assert_eq!((node.page, node.peer), (row.0, 7));
                        tried.push((node, row));
                    }
                    (node, row) => prop_assert!(false, "{node:?} is not {row:?}"),
                },
                Step::Done => {
                    if tried.pop().is_some() {
                        deferred.done();
                        counts.waiting -= 1;
                        counts.revoked += 1;
                    }
                }
                Step::Again => {
                    if let Some((node, (reference, since, is_said))) = tried.pop() {
                        let is_late = now - since > PATIENCE;
                        let says = deferred.again(node, now, PATIENCE);
                        prop_assert_eq!(says, is_late && !is_said);
                        queue.push_back((reference, since, is_said || is_late));
                    }
                }
                Step::Later(seconds) => now += u64::from(seconds),
            }
            prop_assert_eq!(deferred.counts(), counts);
            let mut listed: Vec<_> = deferred.iter().map(|grant| grant.reference).collect();
            let mut expected: Vec<_> = queue.iter().map(|row| row.0).collect();
            listed.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(listed, expected);
        }
    }
}
