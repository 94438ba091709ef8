// SPDX-License-Identifier: GPL-2.0

//! Grants that could not be revoked, because the other domain still uses their pages.
//!
//! The page stays with its reference until the revoke succeeds: it is not freed, and not used for
//! anything else (XSA-396). Each such grant has memory of its own, from the caller, so there may be
//! as many as there are references. What the caller has no memory for is *leaked*: page and
//! reference are lost, and counted.
//!
//! They form a queue that is gone through again and again, some at a time. A grant that is still in
//! use goes to the end, so that a peer who keeps many pages does not keep those of others from
//! being freed.

use core::fmt;
use core::ops::DerefMut;

/// A grant that waits for its peer, in a node `N`, which owns it: a box of some kind.
#[derive(Debug)]
pub struct Waiting<P, N> {
    /// The reference.
    pub reference: u32,
    /// The domain that uses the page.
    pub peer: u16,
    /// When it was deferred, in the caller's time.
    pub since: u64,
    /// The page, or whatever owns it.
    pub page: P,
    is_reported: bool,
    next: Option<N>,
}

impl<P, N> Waiting<P, N> {
    /// A grant whose revoke has failed at time `now`.
    pub const fn new(reference: u32, peer: u16, now: u64, page: P) -> Self {
        Self {
            reference,
            peer,
            since: now,
            page,
            is_reported: false,
            next: None,
        }
    }
}

/// How many grants were deferred, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeferredCounts {
    /// Waiting now.
    pub waiting: u32,
    /// Revoked after they had waited.
    pub revoked: u64,
    /// Lost, because there was no memory for them.
    pub leaked: u64,
}

impl fmt::Display for DeferredCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            waiting,
            revoked,
            leaked,
        } = self;
        write!(
            f,
            "{waiting} deferred, {revoked} revoked later, {leaked} leaked"
        )
    }
}

/// The deferred grants of a table.
///
/// A queue of two stacks: nodes are added to one and taken from the other, and if that is empty, the
/// first becomes it, turned over.
#[derive(Debug)]
pub struct Deferred<N> {
    added: Option<N>,
    taken_from: Option<N>,
    counts: DeferredCounts,
}

impl<N> Default for Deferred<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N> Deferred<N> {
    /// None.
    pub const fn new() -> Self {
        Self {
            added: None,
            taken_from: None,
            counts: DeferredCounts {
                waiting: 0,
                revoked: 0,
                leaked: 0,
            },
        }
    }

    /// How many grants wait, and what became of the others. One that is tried waits.
    pub fn counts(&self) -> DeferredCounts {
        self.counts
    }

    /// Counts a grant that there is no memory for. The caller forgets its page, and never frees it.
    pub fn leak(&mut self) {
        self.counts.leaked = self.counts.leaked.saturating_add(1);
    }

    /// A grant from [`take`](Self::take) has been revoked: what is in its node is the caller's.
    pub fn done(&mut self) {
        self.counts.waiting = self.counts.waiting.saturating_sub(1);
        self.counts.revoked = self.counts.revoked.saturating_add(1);
    }
}

impl<P, N: DerefMut<Target = Waiting<P, N>>> Deferred<N> {
    /// Adds a grant whose revoke has failed.
    pub fn defer(&mut self, node: N) {
        self.counts.waiting = self.counts.waiting.saturating_add(1);
        push(&mut self.added, node);
    }

    /// Takes the next one in the queue, to try its revoke, perhaps without the lock. It is followed
    /// by [`done`](Self::done) or [`again`](Self::again).
    #[must_use = "the page is still in use by the other domain"]
    pub fn take(&mut self) -> Option<N> {
        if self.taken_from.is_none() {
            while let Some(node) = pop(&mut self.added) {
                push(&mut self.taken_from, node);
            }
        }
        pop(&mut self.taken_from)
    }

    /// A grant from [`take`](Self::take) is still in use, and waits behind the others. Returns
    /// whether it waits longer than `patience` by now, which is said once for each.
    pub fn again(&mut self, mut node: N, now: u64, patience: u64) -> bool {
        let is_old = now.saturating_sub(node.since) > patience;
        let is_new = is_old && !node.is_reported;
        node.is_reported |= is_old;
        push(&mut self.added, node);
        is_new
    }

    /// Those that wait and are not tried at the moment, in no order.
    pub fn iter<'a>(&'a self) -> impl Iterator<Item = &'a Waiting<P, N>> + 'a
    where
        P: 'a,
    {
        stack(self.taken_from.as_deref()).chain(stack(self.added.as_deref()))
    }
}

fn push<P, N: DerefMut<Target = Waiting<P, N>>>(stack: &mut Option<N>, mut node: N) {
    node.next = stack.take();
    *stack = Some(node);
}

fn pop<P, N: DerefMut<Target = Waiting<P, N>>>(stack: &mut Option<N>) -> Option<N> {
    let mut node = stack.take()?;
    *stack = node.next.take();
    Some(node)
}

fn stack<'n, P: 'n, N: DerefMut<Target = Waiting<P, N>> + 'n>(
    first: Option<&'n Waiting<P, N>>,
) -> impl Iterator<Item = &'n Waiting<P, N>> + 'n {
    core::iter::successors(first, |waiting| waiting.next.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WaitingBox;
    use std::string::ToString;
    use std::vec::Vec;

    type Pages = Deferred<WaitingBox<&'static str>>;

    fn waiting(deferred: &Pages) -> Vec<u32> {
        let mut waiting: Vec<_> = deferred.iter().map(|grant| grant.reference).collect();
        waiting.sort_unstable();
        waiting
    }

    #[test]
    fn a_grant_waits_with_its_page_until_it_is_revoked() {
        let mut deferred = Pages::default();
        assert!(deferred.take().is_none());
        for (reference, page) in [(10, "a"), (11, "b"), (12, "c")] {
            deferred.defer(WaitingBox::new(Waiting::new(reference, 5, 100, page)));
        }
        // The first is still in use, and tried again after the others.
        let first = deferred.take().expect("three wait");
        assert_eq!((first.reference, first.peer, first.since), (10, 5, 100));
        assert_eq!(waiting(&deferred), [11, 12]);
        assert_eq!(deferred.counts().waiting, 3);
        assert!(!deferred.again(first, 160, 60));
        assert_eq!(waiting(&deferred), [10, 11, 12]);
        let second = deferred.take().expect("three wait");
        assert_eq!((second.reference, second.page), (11, "b"));
        deferred.done();
        assert_eq!(waiting(&deferred), [10, 12]);
        deferred.defer(WaitingBox::new(Waiting::new(13, 6, 200, "d")));
        deferred.leak();
        let text = "3 deferred, 1 revoked later, 1 leaked";
        assert_eq!(deferred.counts().to_string(), text);
        let order = [12, 10, 13].map(|reference| {
            let node = deferred.take().expect("three wait");
            deferred.done();
            node.reference == reference
        });
        assert_eq!(order, [true; 3]);
        assert!(deferred.take().is_none());
        assert_eq!(deferred.counts().waiting, 0);
    }

    #[test]
    fn one_that_waits_long_is_said_once() {
        let mut deferred = Pages::new();
        deferred.defer(WaitingBox::new(Waiting::new(7, 1, 1000, "page")));
        let mut said = Vec::new();
        for now in [1000, 1060, 1061, 1062, 5000, 0] {
            let grant = deferred.take().expect("it waits");
            said.push(deferred.again(grant, now, 60));
        }
        assert_eq!(said, [false, false, true, false, false, false]);
    }
}
