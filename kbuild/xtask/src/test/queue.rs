// SPDX-License-Identifier: GPL-2.0

//! Which scenario runs next where several machines run side by side.
//!
//! Scenarios that share a machine stay together while there are other groups to begin. When there are none, a worker that has
//! nothing to do joins the group that has most left, with a second machine of that kind.

use std::collections::VecDeque;

/// The scenarios that no worker has taken yet, by group.
#[derive(Debug)]
pub struct Queue {
    groups: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    left: VecDeque<usize>,
    begun: bool,
    /// Whether its scenarios share a machine, which another worker would have to start.
    shared: bool,
}

impl Queue {
    /// Groups of so many scenarios, and whether those of a group share a machine.
    pub fn new(groups: impl IntoIterator<Item = (usize, bool)>) -> Self {
        let waiting = |(count, shared)| Waiting {
            left: (0..count).collect(),
            begun: false,
            shared,
        };
        Self {
            groups: groups.into_iter().map(waiting).collect(),
        }
    }

    /// The group and the place in it of the next scenario for a worker whose last one was of the group `last`.
    pub fn next(&mut self, last: Option<usize>) -> Option<(usize, usize)> {
        let has_more = |group: &usize| !self.groups[*group].left.is_empty();
        let group = last
            .filter(has_more)
            .or_else(|| self.unbegun())
            .or_else(|| self.to_join())?;
        let waiting = &mut self.groups[group];
        waiting.begun = true;
        waiting.left.pop_front().map(|place| (group, place))
    }

    fn unbegun(&self) -> Option<usize> {
        self.groups
            .iter()
            .position(|group| !group.begun && !group.left.is_empty())
    }

    /// The group with most left. The last one of a shared machine is left to the worker that has the machine.
    fn to_join(&self) -> Option<usize> {
        let groups = self.groups.iter().enumerate();
        let joinable = |group: &Waiting| group.left.len() > usize::from(group.shared);
        groups
            .filter(|(_, group)| joinable(group))
            .max_by_key(|(_, group)| group.left.len())
            .map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_worker_takes_all_in_their_order() {
        let mut queue = Queue::new([(2, true), (0, true), (1, false)]);
        let mut last = None;
        let mut taken = vec![];
        while let Some(next) = queue.next(last) {
            last = Some(next.0);
            taken.push(next);
        }
        assert_eq!(taken, [(0, 0), (0, 1), (2, 0)]);
    }

    #[test]
    fn a_worker_begins_another_group_before_it_joins_one() {
        let mut queue = Queue::new([(4, true), (1, true)]);
        assert_eq!(queue.next(None), Some((0, 0)));
        assert_eq!(queue.next(None), Some((1, 0)));
        assert_eq!(queue.next(Some(1)), Some((0, 1)), "it joins");
        assert_eq!(queue.next(Some(0)), Some((0, 2)));
        assert_eq!(
            queue.next(Some(1)),
            None,
            "the last one is not worth a machine"
        );
        assert_eq!(queue.next(Some(0)), Some((0, 3)));
        let mut alone = Queue::new([(2, false)]);
        assert_eq!(alone.next(None), Some((0, 0)));
        assert_eq!(
            alone.next(None),
            Some((0, 1)),
            "it has a machine of its own anyway"
        );
    }

    #[test]
    fn each_scenario_is_taken_once_in_whatever_order_workers_come() {
        let groups = [(3, true), (2, false), (0, true), (2, true)];
        for turns in 0..1_u32 << 10 {
            let mut queue = Queue::new(groups);
            let mut last = [None; 2];
            let mut taken = BTreeSet::new();
            let first = (0..10).map(|turn| turns as usize >> turn & 1);
            // At the end each goes on until there is nothing more for it.
            for worker in first.chain([0; 8]).chain([1; 8]) {
                if let Some(next) = queue.next(last[worker]) {
                    last[worker] = Some(next.0);
                    assert!(taken.insert(next), "{next:?} is taken twice ({turns:#b})");
                }
            }
            assert_eq!(taken.len(), 7, "{turns:#b}: {taken:?}");
        }
    }
}
