// SPDX-License-Identifier: GPL-2.0

//! Persistent grants: pages that stay granted between uses, so that neither side pays for granting
//! and mapping each time. Data is copied in and out instead.

use kernel::{
    alloc::Flags,
    prelude::*, //
};

use crate::{
    domain::DomId,
    page::GrantablePage, //
};

use super::{
    Access,
    Grant,
    GrantRefs, //
};

/// Why a pool had no grant to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolEmpty {
    /// As many grants as the pool may have are in use; one will come back.
    Bound,
    /// No memory for a new page.
    NoMemory,
    /// The grant table is full.
    NoReference,
}

/// A bounded pool of grants to one domain, used last in, first out: what was used most recently is
/// still in the caches and mapped by the peer, and what is not needed collects at the other end,
/// where [`take_idle`](Self::take_idle) finds it.
///
/// The pool starts empty and grows as grants are asked for. It is not locked; it belongs under the
/// lock of its ring.
pub struct GrantPool {
    to: DomId,
    access: Access,
    /// Grants this pool has made and not seen the last of, in use or idle.
    alive: usize,
    bound: usize,
    idle: KVec<Grant>,
    /// The fewest idle grants there were since idle ones were last taken.
    never_needed: usize,
}

impl GrantPool {
    /// A pool of up to `bound` grants to domain `to`. May sleep.
    pub fn new(to: DomId, access: Access, bound: usize) -> Result<Self> {
        Ok(Self {
            to,
            access,
            alive: 0,
            bound,
            idle: KVec::with_capacity(bound, GFP_KERNEL)?,
            never_needed: 0,
        })
    }

    /// Takes an idle grant, or makes one with a reference from `refs` (from the kernel if that is
    /// empty) and a page allocated with `flags`.
    #[inline]
    pub fn get(&mut self, refs: &mut GrantRefs, flags: Flags) -> Result<Grant, PoolEmpty> {
        match self.idle.pop() {
            Some(grant) => {
                self.never_needed = self.never_needed.min(self.idle.len());
                Ok(grant)
            }
            None => self.grow(refs, flags),
        }
    }

    #[cold]
    fn grow(&mut self, refs: &mut GrantRefs, flags: Flags) -> Result<Grant, PoolEmpty> {
        if self.alive >= self.bound {
            return Err(PoolEmpty::Bound);
        }
        if refs.left() == 0 && refs.add(1).is_err() {
            return Err(PoolEmpty::NoReference);
        }
        let page = GrantablePage::new(flags).map_err(|_| PoolEmpty::NoMemory)?;
        let free = refs.claim().ok_or(PoolEmpty::NoReference)?;
        self.alive += 1;
        self.never_needed = 0;
        Ok(free.grant(page, self.to, self.access))
    }

    /// Puts a grant back for the next user.
    #[inline]
    pub fn put(&mut self, grant: Grant) {
        // The capacity is the bound, so there is room for every grant of this pool.
        if let Err(surplus) = self.idle.push_within_capacity(grant) {
            Self::end_surplus(surplus.0);
        }
    }

    /// Ends a grant from somewhere else, for which there is no room.
    #[cold]
    fn end_surplus(grant: Grant) {
        drop(grant);
    }

    /// A grant that was taken does not come back: its owner revokes or drops it.
    pub fn forget_one(&mut self) {
        self.alive = self.alive.saturating_sub(1);
    }

    /// Grants in use or idle.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// Idle grants.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// The most grants the pool may have alive.
    pub fn bound(&self) -> usize {
        self.bound
    }

    /// Takes out up to `most` grants that were not needed since the previous call, the longest
    /// unused ones, for the caller to drop outside of the ring's lock. To be called at an interval
    /// that the driver regards as idle, say every ten seconds. `into` should have capacity for
    /// them; nothing is allocated.
    pub fn take_idle(&mut self, most: usize, into: &mut KVec<Grant>) {
        let room = into.capacity() - into.len();
        let count = self.never_needed.min(most).min(room);
        // The oldest are at the front; the others move up and stay in order.
        self.idle.as_mut_slice().rotate_left(count);
        for _ in 0..count {
            let Some(grant) = self.idle.pop() else { break };
            self.forget_one();
            let _ = into.push_within_capacity(grant);
        }
        self.never_needed = self.idle.len();
    }

    /// Takes in grants again that [`take_idle`](Self::take_idle) took out, because the peer still
    /// has them mapped, as those that will be used last. Drops what there is no room for.
    pub fn take_in(&mut self, grants: &mut KVec<Grant>) {
        let mut count = 0;
        while let Some(grant) = grants.pop() {
            if self.alive < self.bound && self.idle.push_within_capacity(grant).is_ok() {
                self.alive += 1;
                count += 1;
            }
        }
        self.idle.as_mut_slice().rotate_right(count);
    }
}
