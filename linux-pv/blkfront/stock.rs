// SPDX-License-Identifier: GPL-2.0

//! How the data of requests travels to the backend and back, and the grants and pages for that.
//!
//! | mode | when | cost of a segment |
//! |---|---|---|
//! | [`Direct`](DataMode::Direct) | the backend is trusted, keeps no grants | grant, revocation |
//! | [`Persistent`](DataMode::Persistent) | the backend keeps grants mapped | a copy |
//! | [`Bounce`](DataMode::Bounce) | the backend is not trusted | a copy, grant, revocation |
//!
//! Pages are copied to and from without the ring's lock, but for requests of a single page. Only
//! the bytes of the request change: a bounce page keeps what was in it before, but that was this
//! disk's data already.

use kernel::{
    alloc::flags::{
        GFP_KERNEL,
        GFP_NOWAIT, //
    },
    prelude::*, //
};
use kernel_ext::block::OwnedRequest;
use xen::{
    block::LentRequest,
    domain::DomId,
    grant::{
        Access,
        Grant,
        GrantPool,
        GrantRefs, //
    },
    page::{
        GrantablePage,
        PagePool, //
    },
};
use xen_ring::blkif::segment::{
    indirect_pages,
    needs_indirect, //
};

use crate::{
    queue::Blk,
    request_data::RequestData, //
};

/// Allocation under a ring's lock: no sleeping and no digging into reserves, since a request can
/// always be handed back ([`NoGrants`]). Failure is not worth a message.
const ATOMIC: kernel::alloc::Flags = GFP_NOWAIT;

/// References that are reserved at a time, so that most requests need not touch the grant table's
/// own lock.
const REFS_BATCH: usize = 64;

/// How many references an idle ring gives back at a time.
const MAX_SPARE_REFS: usize = 256;

/// Most pages that a ring copies data to and from: 16 MiB, several times what Linux's blkback keeps
/// mapped. Large rings of large requests wait for pages rather than take more of the guest's
/// memory.
const MAX_COPY_PAGES: usize = 4096;

/// How the data of requests travels to the backend and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DataMode {
    /// The request's own pages are granted for as long as it is in flight.
    Direct,
    /// Data is copied to and from pages that stay granted.
    Persistent,
    /// Data is copied to and from pages that are granted for as long as the request is in flight.
    Bounce,
}

impl DataMode {
    /// The access that a backend needs to pages it only reads. With persistent grants it cannot
    /// know what it will be asked to do with a page next time, so it maps all for writing, and that
    /// fails for a read-only grant.
    fn to_read(self) -> Access {
        match self {
            Self::Persistent => Access::ReadWrite,
            Self::Direct | Self::Bounce => Access::ReadOnly,
        }
    }
}

/// There are too few pages or grant references right now. Try again when a request has completed,
/// or after a while.
pub(crate) struct NoGrants;

/// The backend answered a request but still has its pages mapped, which it must not unless grants
/// are persistent.
pub(crate) struct StillMapped;

/// The grants and pages of a connection, under the ring's lock.
pub(crate) struct Stock {
    /// The backend.
    pub(crate) peer: DomId,
    pub(crate) mode: DataMode,
    /// Unused references.
    pub(crate) refs: GrantRefs,
    /// Granted pages for copies, in mode `Persistent`.
    pub(crate) persistent: GrantPool,
    /// Pages for copies that are not granted, in mode `Bounce`.
    pub(crate) bounce: PagePool,
    /// Pages for the segments of indirect requests. They stay granted in any mode: they hold
    /// nothing but grant references, which the backend is told anyway.
    pub(crate) descriptors: GrantPool,
    /// A page of zeroes, granted read-only, once it was needed.
    zeroes: Option<Grant>,
    /// Number of pages that are kept although they are idle.
    reserve: usize,
}

/// Makes `count` grants in an empty pool. May sleep.
fn fill_pool(pool: &mut GrantPool, refs: &mut GrantRefs, count: usize) -> Result {
    let mut grants = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        grants.push(pool.get(refs, GFP_KERNEL).map_err(|_| ENOMEM)?, GFP_KERNEL)?;
    }
    for grant in grants {
        pool.put(grant);
    }
    Ok(())
}

impl Stock {
    /// For `requests` requests of up to `segments` segments. May sleep.
    pub(crate) fn new(
        peer: DomId,
        mode: DataMode,
        requests: usize,
        segments: usize,
    ) -> Result<Self> {
        let descriptors = if needs_indirect(segments) {
            indirect_pages(segments)
        } else {
            0
        };
        let copies = (requests * segments).min(MAX_COPY_PAGES);
        let (persistent, bounce, filled) = match mode {
            DataMode::Direct => (0, 0, 0),
            DataMode::Persistent => (copies, 0, 0),
            DataMode::Bounce => (0, copies, segments),
        };
        let mut stock = Self {
            peer,
            mode,
            refs: GrantRefs::empty(),
            persistent: GrantPool::new(peer, Access::ReadWrite, persistent)?,
            bounce: PagePool::new(bounce, filled)?,
            descriptors: GrantPool::new(peer, mode.to_read(), requests * descriptors)?,
            zeroes: None,
            reserve: segments,
        };
        stock.fill(segments, descriptors)?;
        Ok(stock)
    }

    /// Provides for one request of the largest size, so that there is always one that can be sent:
    /// memory may be short until something was written to this very disk. May sleep.
    fn fill(&mut self, segments: usize, descriptors: usize) -> Result {
        if self.mode == DataMode::Persistent {
            fill_pool(&mut self.persistent, &mut self.refs, segments)?;
        } else {
            self.refs.add(segments as u16)?;
        }
        fill_pool(&mut self.descriptors, &mut self.refs, descriptors)
    }

    /// Takes out pages that have been idle for a while, but for the reserve; see
    /// [`GrantPool::take_idle`].
    pub(crate) fn take_idle(&mut self, into: &mut KVec<Grant>) {
        let spare = self.persistent.alive().saturating_sub(self.reserve);
        self.persistent.take_idle(spare, into);
    }

    /// Takes out some unused references, for the caller to drop, if a ring without requests has
    /// more than a few of them.
    pub(crate) fn spare_refs(&mut self) -> GrantRefs {
        let mut spare = GrantRefs::empty();
        while self.refs.left() > self.reserve.max(REFS_BATCH) && spare.left() < MAX_SPARE_REFS {
            let Some(free) = self.refs.claim() else { break };
            spare.release(free);
        }
        spare
    }

    /// Puts pages back that were idle, because the backend has them mapped.
    pub(crate) fn take_in(&mut self, grants: &mut KVec<Grant>) {
        self.persistent.take_in(grants);
    }

    /// Makes sure of `count` unused references.
    #[inline]
    pub(crate) fn need_refs(&mut self, count: usize) -> Result<(), NoGrants> {
        if self.refs.left() >= count {
            return Ok(());
        }
        self.more_refs(count - self.refs.left())
    }

    #[cold]
    fn more_refs(&mut self, missing: usize) -> Result<(), NoGrants> {
        // More than is needed now, and just that if the grant table is nearly full.
        self.refs
            .add(missing.max(REFS_BATCH) as u16)
            .or_else(|_| self.refs.add(missing as u16))
            .map_err(|_| NoGrants)
    }

    /// A granted page for the data of one segment.
    #[inline]
    pub(crate) fn copy_page(&mut self) -> Result<Grant, NoGrants> {
        if self.mode == DataMode::Persistent {
            let grant = self.persistent.get(&mut self.refs, ATOMIC);
            grant.map_err(|_| NoGrants)
        } else {
            self.bounce_page()
        }
    }

    #[inline(never)]
    fn bounce_page(&mut self) -> Result<Grant, NoGrants> {
        if self.mode != DataMode::Bounce {
            return Err(NoGrants);
        }
        let page = self.bounce.get_or_new(ATOMIC).map_err(|_| NoGrants)?;
        let free = self.refs.claim().ok_or(NoGrants)?;
        Ok(free.grant(page, self.peer, Access::ReadWrite))
    }

    /// A granted page for the segments of an indirect request.
    #[inline]
    pub(crate) fn descriptor_page(&mut self) -> Result<Grant, NoGrants> {
        self.descriptors
            .get(&mut self.refs, ATOMIC)
            .map_err(|_| NoGrants)
    }

    /// The grant of a page of zeroes.
    pub(crate) fn zeroes(&mut self) -> Result<&Grant, NoGrants> {
        match self.zeroes {
            Some(ref grant) => Ok(grant),
            None => {
                self.need_refs(1)?;
                let page = GrantablePage::new(ATOMIC).map_err(|_| NoGrants)?;
                let free = self.refs.claim().ok_or(NoGrants)?;
                let grant = free.grant(page, self.peer, Access::ReadOnly);
                Ok(self.zeroes.insert(grant))
            }
        }
    }

    /// Revokes the grants of the request's own pages, or returns the request if the backend has one
    /// mapped.
    #[inline]
    pub(crate) fn reclaim(
        &mut self,
        request: LentRequest<Blk>,
    ) -> Result<OwnedRequest<Blk>, LentRequest<Blk>> {
        request.reclaim(&mut self.refs)
    }

    /// Takes back the granted pages of a request that the backend has answered, or that was not
    /// published.
    #[inline(always)]
    pub(crate) fn take_back(&mut self, data: &mut RequestData) -> Result<(), StillMapped> {
        while let Some(page) = data.descriptors.pop() {
            self.descriptors.put(page);
        }
        if self.mode != DataMode::Persistent {
            return self.revoke_copies(data);
        }
        // Last in, first out: the page that is popped first next time is the one that this request
        // began with, so the pool's order stays.
        while let Some(grant) = data.copies.pop() {
            self.persistent.put(grant);
        }
        Ok(())
    }

    #[inline(never)]
    fn revoke_copies(&mut self, data: &mut RequestData) -> Result<(), StillMapped> {
        let mut result = Ok(());
        // In the same order as above.
        while let Some(grant) = data.copies.pop() {
            match grant.try_revoke() {
                Ok((free, page)) => {
                    self.refs.release(free);
                    // Freed if the pool is full already.
                    let _ = self.bounce.put(page);
                }
                // Dropped, so that the kernel waits for the backend to unmap it.
                Err(_) => result = Err(StillMapped),
            }
        }
        result
    }
}
