// SPDX-License-Identifier: GPL-2.0

//! How a request's data is shown to the back end.
//!
//! | way | when | cost of a segment |
//! |---|---|---|
//! | [`Way::Lend`] | the back end is trusted and does not keep grants | a grant and its end |
//! | [`Way::Persistent`] | the back end keeps grants mapped | a copy |
//! | [`Way::Bounce`] | the back end is not trusted | a copy, a grant and its end |
//!
//! Pages are copied to and from without the ring's lock, and so that only the bytes of the request
//! change: a bounce page keeps what was in it before, but that was this disk's data already.

use kernel::alloc::flags::{GFP_KERNEL, GFP_NOWAIT};
use kernel::prelude::*;
use kernel_ext::block::OwnedRequest;
use xen::block::Loans;
use xen::domain::DomId;
use xen::grant::{Access, Grant, GrantPool, GrantRefs};
use xen::page::{GrantablePage, PagePool};
use xen_ring::blkif::operation::Operation;

use crate::queue::Blk;

/// Allocation under a ring's lock: no sleeping and no digging into reserves, for there is always the
/// way back through [`Short`]. Failure is not worth a message.
const QUICK: kernel::alloc::Flags = GFP_NOWAIT;

/// References that are reserved at a time, so that most requests need not touch the grant table's
/// own lock.
const STOCK: usize = 64;

/// How many references an idle ring gives back at a time.
const SPARE: usize = 256;

/// Most pages that a ring copies data to and from: 16 MiB, several times what Linux's blkback keeps
/// mapped. Large rings of large requests wait for pages rather than take more of the guest's memory.
const MOST_PAGES: usize = 4096;

/// What is kept with a request. The vectors have their capacity from the start and never grow.
pub(crate) struct RequestData {
    /// Grants of the data pages, while they are not in use.
    pub(crate) loans: Loans,
    /// Granted pages with a copy of the data, in the order of the segments.
    pub(crate) copies: KVec<Grant>,
    /// Granted pages with the segments of an indirect request.
    pub(crate) descriptors: KVec<Grant>,
    /// What the back end was asked to do.
    pub(crate) asked: Operation,
    /// How many bytes the back end was asked to transfer, if not all: see [`crate::submit`].
    pub(crate) part: Option<u32>,
}

impl RequestData {
    /// Room for a request of up to `segments` segments in `descriptors` pages. May sleep.
    pub(crate) fn new(segments: usize, descriptors: usize) -> Result<Self> {
        Ok(Self {
            loans: Loans::with_capacity(segments)?,
            copies: KVec::with_capacity(segments, GFP_KERNEL)?,
            descriptors: KVec::with_capacity(descriptors, GFP_KERNEL)?,
            asked: Operation::Read,
            part: None,
        })
    }
}

/// There are too few pages or grant references right now. Try again when a request has completed, or
/// after a while.
pub(crate) struct Short;

/// The back end answered a request but still has its pages mapped, which it must not unless grants
/// are persistent.
pub(crate) struct StillMapped;

/// The stocks a ring shows data from.
pub(crate) struct Stock {
    /// The back end.
    pub(crate) peer: DomId,
    /// Unused references.
    pub(crate) refs: GrantRefs,
    /// How data is shown.
    pub(crate) way: Way,
    /// Pages for the segments of indirect requests. They stay granted in any case: they hold nothing
    /// but grant references, which the back end is told anyway.
    pub(crate) descriptors: GrantPool,
    /// A page of zeroes, granted for reading, once it was needed.
    pub(crate) zeroes: Option<Grant>,
    /// Pages that are kept even if nobody needs them.
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

/// How data is shown.
pub(crate) enum Way {
    /// The request's own pages are granted for as long as it is in flight.
    Lend,
    /// Data is copied to and from pages that stay granted.
    Persistent(GrantPool),
    /// Data is copied to and from pages that are granted for as long as the request is in flight.
    Bounce(PagePool),
}

impl Stock {
    /// Stocks for `requests` requests of up to `segments` segments. May sleep.
    pub(crate) fn new(
        peer: DomId,
        kind: Kind,
        requests: usize,
        segments: usize,
        descriptors: usize,
    ) -> Result<Self> {
        let most = (requests * segments).min(MOST_PAGES);
        let mut stock = Self {
            peer,
            refs: GrantRefs::empty(),
            way: match kind {
                Kind::Lend => Way::Lend,
                Kind::Persistent => Way::Persistent(GrantPool::new(peer, Access::ReadWrite, most)?),
                Kind::Bounce => Way::Bounce(PagePool::new(most, segments)?),
            },
            descriptors: GrantPool::new(peer, kind.to_read(), requests * descriptors)?,
            zeroes: None,
            reserve: segments,
        };
        stock.fill(segments, descriptors)?;
        Ok(stock)
    }

    /// Provides for one request of the largest size, so that there is always one that can go on: memory
    /// may be short until something was written to this very disk. May sleep.
    fn fill(&mut self, segments: usize, descriptors: usize) -> Result {
        if let Way::Persistent(pool) = &mut self.way {
            fill_pool(pool, &mut self.refs, segments)?;
        } else {
            self.refs.add(segments as u16)?;
        }
        fill_pool(&mut self.descriptors, &mut self.refs, descriptors)
    }

    /// Takes out pages that nobody has needed for a while, but for the reserve; see
    /// [`GrantPool::take_idle`].
    pub(crate) fn take_idle(&mut self, into: &mut KVec<Grant>) {
        if let Way::Persistent(pool) = &mut self.way {
            pool.take_idle(pool.alive().saturating_sub(self.reserve), into);
        }
    }

    /// Takes out some unused references, for the caller to drop, if a ring without requests has more than
    /// a few of them.
    pub(crate) fn spare_refs(&mut self) -> GrantRefs {
        let mut spare = GrantRefs::empty();
        while self.refs.left() > self.reserve.max(STOCK) && spare.left() < SPARE {
            let Some(free) = self.refs.claim() else { break };
            spare.release(free);
        }
        spare
    }

    /// Puts pages back that were idle, because the back end has them mapped.
    pub(crate) fn take_in(&mut self, grants: &mut KVec<Grant>) {
        if let Way::Persistent(pool) = &mut self.way {
            pool.take_in(grants);
        }
    }

    /// Makes sure of `count` unused references.
    #[inline]
    pub(crate) fn need_refs(&mut self, count: usize) -> Result<(), Short> {
        if self.refs.left() >= count {
            return Ok(());
        }
        self.more_refs(count - self.refs.left())
    }

    #[cold]
    fn more_refs(&mut self, missing: usize) -> Result<(), Short> {
        // More than is needed now, and just that if the grant table is nearly full.
        self.refs
            .add(missing.max(STOCK) as u16)
            .or_else(|_| self.refs.add(missing as u16))
            .map_err(|_| Short)
    }

    /// A granted page for the data of one segment.
    #[inline]
    pub(crate) fn copy_page(&mut self) -> Result<Grant, Short> {
        match &mut self.way {
            Way::Persistent(pool) => pool.get(&mut self.refs, QUICK).map_err(|_| Short),
            Way::Bounce(pages) => {
                let page = pages.get_or_new(QUICK).map_err(|_| Short)?;
                let free = self.refs.claim().ok_or(Short)?;
                Ok(free.grant(page, self.peer, Access::ReadWrite))
            }
            Way::Lend => Err(Short),
        }
    }

    /// A granted page for the segments of an indirect request.
    #[inline]
    pub(crate) fn descriptor_page(&mut self) -> Result<Grant, Short> {
        self.descriptors
            .get(&mut self.refs, QUICK)
            .map_err(|_| Short)
    }

    /// The grant of a page of zeroes.
    pub(crate) fn zeroes(&mut self) -> Result<&Grant, Short> {
        match self.zeroes {
            Some(ref grant) => Ok(grant),
            None => {
                self.need_refs(1)?;
                let page = GrantablePage::new(QUICK).map_err(|_| Short)?;
                let free = self.refs.claim().ok_or(Short)?;
                Ok(self
                    .zeroes
                    .insert(free.grant(page, self.peer, Access::ReadOnly)))
            }
        }
    }

    /// Takes back the pages of a request that the back end has answered, or was never told of.
    #[inline]
    pub(crate) fn take_back(&mut self, rq: &mut OwnedRequest<Blk>) -> Result<(), StillMapped> {
        let data = rq.data_mut();
        while let Some(page) = data.descriptors.pop() {
            self.descriptors.put(page);
        }
        match &mut self.way {
            Way::Lend => Ok(()),
            Way::Persistent(pool) => {
                // Last in, first out: the page that is popped first next time is the one that this
                // request began with, so the pool's order stays.
                while let Some(grant) = data.copies.pop() {
                    pool.put(grant);
                }
                Ok(())
            }
            Way::Bounce(pages) => {
                let mut result = Ok(());
                while let Some(grant) = data.copies.pop() {
                    match grant.try_revoke() {
                        Ok((free, page)) => {
                            self.refs.release(free);
                            // Freed if the pool is full already.
                            let _ = pages.put(page);
                        }
                        // Dropped, so that the kernel waits for the back end to let go.
                        Err(_) => result = Err(StillMapped),
                    }
                }
                result
            }
        }
    }
}

/// Which [`Way`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// See [`Way::Lend`].
    Lend,
    /// See [`Way::Persistent`].
    Persistent,
    /// See [`Way::Bounce`].
    Bounce,
}

impl Kind {
    /// The access that a back end needs to pages it is only to read. With persistent grants it cannot
    /// know what it will be asked to do with a page next time, so it maps all for writing, and that
    /// fails for a grant to read.
    fn to_read(self) -> Access {
        match self {
            Self::Persistent => Access::ReadWrite,
            Self::Lend | Self::Bounce => Access::ReadOnly,
        }
    }
}
