// SPDX-License-Identifier: GPL-2.0

//! Grants that could not be revoked, because the other domain still uses their pages.
//!
//! The page stays with its reference until the revoke succeeds: it is not freed, and not used for
//! anything else (XSA-396). How many there are is bounded by the places that the caller provides.
//! What has no place is *leaked*: page and reference are lost, and counted.
//!
//! The places form a queue that is gone through again and again, some at a time. A grant that is
//! still in use goes to the end, so that a peer who keeps many pages does not keep those of others
//! from being freed.

use core::fmt;

/// A grant that waits for its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferredGrant<P> {
    /// The reference.
    pub reference: u32,
    /// The domain that uses the page.
    pub peer: u16,
    /// When it was deferred, in the caller's time.
    pub since: u64,
    /// The page, or whatever owns it.
    pub page: P,
    reported: bool,
}

/// A place for one deferred grant.
#[derive(Debug)]
pub struct DeferredSlot<P>(Option<DeferredGrant<P>>);

impl<P> DeferredSlot<P> {
    /// An empty place.
    pub const fn new() -> Self {
        Self(None)
    }
}

impl<P> Default for DeferredSlot<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many grants were deferred, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeferredCounts {
    /// Waiting now.
    pub waiting: u32,
    /// Revoked after they had waited.
    pub revoked: u64,
    /// Lost, because there was no place.
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

/// The deferred grants of a table. `S` has their places: an array, a slice, a vector.
#[derive(Debug)]
pub struct Deferred<P, S> {
    slots: S,
    /// The place of the one that is tried next.
    first: usize,
    /// Followed by so many that wait.
    waiting: usize,
    /// Taken to be tried. Their places are kept for them.
    tried: usize,
    revoked: u64,
    leaked: u64,
    page: core::marker::PhantomData<P>,
}

impl<P, S: AsRef<[DeferredSlot<P>]> + AsMut<[DeferredSlot<P>]>> Deferred<P, S> {
    /// With empty places.
    pub fn new(slots: S) -> Self {
        Self {
            slots,
            first: 0,
            waiting: 0,
            tried: 0,
            revoked: 0,
            leaked: 0,
            page: core::marker::PhantomData,
        }
    }

    /// How many grants wait, and what became of the others.
    pub fn counts(&self) -> DeferredCounts {
        DeferredCounts {
            waiting: u32::try_from(self.taken()).unwrap_or(u32::MAX),
            revoked: self.revoked,
            leaked: self.leaked,
        }
    }

    /// How many slots are taken.
    fn taken(&self) -> usize {
        self.waiting.saturating_add(self.tried)
    }

    /// Whether the next one would be leaked.
    pub fn is_full(&self) -> bool {
        self.taken() >= self.slots.as_ref().len()
    }

    /// The place of the grant that is `number`-th in the queue.
    fn place(&self, number: usize) -> Option<usize> {
        self.first
            .wrapping_add(number)
            .checked_rem(self.slots.as_ref().len())
    }

    /// Takes a grant whose revoke has failed at time `now`.
    ///
    /// # Errors
    ///
    /// Returns the page if there is no place. It is counted as leaked; the caller forgets it, and
    /// never frees it.
    pub fn defer(&mut self, reference: u32, peer: u16, now: u64, page: P) -> Result<(), P> {
        let grant = DeferredGrant {
            reference,
            peer,
            since: now,
            page,
            reported: false,
        };
        if self.is_full() {
            self.leaked = self.leaked.saturating_add(1);
            return Err(grant.page);
        }
        self.push(grant).map_err(|grant| grant.page)
    }

    fn push(&mut self, grant: DeferredGrant<P>) -> Result<(), DeferredGrant<P>> {
        let place = self.place(self.waiting);
        match place.and_then(|place| self.slots.as_mut().get_mut(place)) {
            Some(DeferredSlot(slot @ None)) => {
                *slot = Some(grant);
                self.waiting = self.waiting.wrapping_add(1);
                Ok(())
            }
            _ => Err(grant),
        }
    }

    /// Takes the next one in the queue, to try its revoke, perhaps without the lock. It is passed to
    /// [`done`](Self::done) or [`again`](Self::again); until then its place is kept.
    #[must_use = "the page is still in use by the other domain"]
    pub fn take(&mut self) -> Option<DeferredGrant<P>> {
        if self.waiting == 0 {
            return None;
        }
        let place = self.place(0)?;
        let grant = self.slots.as_mut().get_mut(place)?.0.take()?;
        self.first = self.place(1)?;
        self.waiting = self.waiting.wrapping_sub(1);
        self.tried = self.tried.saturating_add(1);
        Some(grant)
    }

    /// A grant from [`take`](Self::take) has been revoked: the page is the caller's.
    pub fn done(&mut self, grant: DeferredGrant<P>) -> P {
        self.tried = self.tried.saturating_sub(1);
        self.revoked = self.revoked.saturating_add(1);
        grant.page
    }

    /// A grant from [`take`](Self::take) is still in use, and waits behind the others. Returns
    /// whether it waits longer than `patience` by now, which is said once for each.
    ///
    /// # Errors
    ///
    /// Returns the page of a grant that is not from here, so that it has no place.
    pub fn again(
        &mut self,
        mut grant: DeferredGrant<P>,
        now: u64,
        patience: u64,
    ) -> Result<bool, P> {
        let is_old = now.saturating_sub(grant.since) > patience;
        let is_new = is_old && !grant.reported;
        grant.reported |= is_old;
        self.tried = self.tried.saturating_sub(1);
        self.push(grant).map_err(|grant| grant.page)?;
        Ok(is_new)
    }

    /// Those that wait, the next one first.
    pub fn iter(&self) -> impl Iterator<Item = &DeferredGrant<P>> + '_ {
        let place = |number| self.slots.as_ref().get(self.place(number)?);
        (0..self.waiting).filter_map(move |number| place(number)?.0.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    type Pages = Deferred<&'static str, [DeferredSlot<&'static str>; 3]>;

    fn pages() -> Pages {
        Deferred::new([const { DeferredSlot::new() }; 3])
    }

    fn waiting(deferred: &Pages) -> Vec<u32> {
        deferred.iter().map(|grant| grant.reference).collect()
    }

    #[test]
    fn a_grant_waits_with_its_page_until_it_is_revoked() {
        let mut deferred = pages();
        assert!(deferred.take().is_none());
        for (reference, page) in [(10, "a"), (11, "b"), (12, "c")] {
            assert_eq!(deferred.defer(reference, 5, 100, page), Ok(()));
        }
        assert!(deferred.is_full());
        // The first is still in use, and tried again after the others.
        let first = deferred.take().expect("three wait");
        assert_eq!((first.reference, first.peer, first.since), (10, 5, 100));
        assert_eq!(deferred.again(first, 160, 60), Ok(false));
        assert_eq!(waiting(&deferred), [11, 12, 10]);
        let second = deferred.take().expect("three wait");
        assert_eq!(deferred.done(second), "b");
        assert_eq!(waiting(&deferred), [12, 10]);
        assert_eq!(deferred.defer(13, 6, 200, "d"), Ok(()));
        assert_eq!(waiting(&deferred), [12, 10, 13]);
        let text = "3 deferred, 1 revoked later, 0 leaked";
        assert_eq!(deferred.counts().to_string(), text);
    }

    #[test]
    fn a_page_without_a_place_is_leaked_and_never_freed() {
        let mut deferred = pages();
        for reference in 0..3 {
            assert_eq!(deferred.defer(reference, 1, 0, "page"), Ok(()));
        }
        assert_eq!(deferred.defer(3, 1, 0, "leaked"), Err("leaked"));
        assert_eq!(
            (deferred.counts().waiting, deferred.counts().leaked),
            (3, 1)
        );
        // The place of one that is tried is not given to another.
        let tried = deferred.take().expect("three wait");
        assert_eq!(deferred.counts().waiting, 3);
        assert_eq!(deferred.defer(4, 1, 0, "leaked"), Err("leaked"));
        assert_eq!(deferred.again(tried, 1, 5), Ok(false));
        let counts = deferred.counts();
        assert_eq!((counts.waiting, counts.leaked), (3, 2));
        assert_eq!(waiting(&deferred), [1, 2, 0]);
        let tried = deferred.take().expect("three wait");
        assert_eq!(deferred.done(tried), "page");
        assert_eq!(deferred.defer(5, 1, 0, "page"), Ok(()));
        // Without any places nothing can wait.
        let mut none = Deferred::<&str, [DeferredSlot<&str>; 0]>::new([]);
        assert!(none.is_full() && none.take().is_none());
        assert_eq!(none.defer(9, 1, 0, "page"), Err("page"));
    }

    #[test]
    fn one_that_waits_long_is_said_once() {
        let mut deferred = pages();
        assert_eq!(deferred.defer(7, 1, 1000, "page"), Ok(()));
        let mut said = Vec::new();
        for now in [1000, 1060, 1061, 1062, 5000, 0] {
            let grant = deferred.take().expect("it waits");
            said.push(deferred.again(grant, now, 60));
        }
        let expected = [false, false, true, false, false, false].map(Ok);
        assert_eq!(said, expected);
        let place = DeferredSlot::<&str>::default();
        assert!(place.0.is_none());
    }
}
