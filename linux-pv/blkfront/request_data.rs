// SPDX-License-Identifier: GPL-2.0

//! What the driver keeps with each request of blk-mq.

use kernel::prelude::*;
use kernel_ext::block::OwnedRequest;
use xen::{
    block::{
        LentRequest,
        Loans, //
    },
    grant::Grant, //
};
use xen_ring::blkif::operation::Operation;

use crate::queue::Blk;

/// The driver's data of a request. The vectors have their capacity from the start and never grow.
pub(crate) struct RequestData {
    /// Room for the grants of the data pages, while it is not in use.
    pub(crate) loans: Loans,
    /// Granted pages with a copy of the data, in the order of the segments.
    pub(crate) copies: KVec<Grant>,
    /// Granted pages with the segments of an indirect request.
    pub(crate) descriptors: KVec<Grant>,
    /// The operation that the backend was asked for.
    pub(crate) operation: Operation,
    /// How many bytes the backend was asked to transfer, if not all: see [`crate::submit`].
    pub(crate) part: Option<u32>,
}

impl RequestData {
    /// Room for a request of up to `segments` segments in `descriptors` pages. May sleep.
    pub(crate) fn new(segments: usize, descriptors: usize) -> Result<Self> {
        Ok(Self {
            loans: Loans::with_capacity(segments)?,
            copies: KVec::with_capacity(segments, GFP_KERNEL)?,
            descriptors: KVec::with_capacity(descriptors, GFP_KERNEL)?,
            operation: Operation::Read,
            part: None,
        })
    }
}

/// A request of which nothing is lent, so that it can be in flight like the others: its data is in
/// its granted pages, or it has none.
#[inline]
pub(crate) fn unlent(mut rq: OwnedRequest<Blk>) -> LentRequest<Blk> {
    let loans = core::mem::take(&mut rq.data_mut().loans);
    LentRequest::without_loans(rq, loans)
}

/// The request, whatever the backend still does with its pages: see [`LentRequest::abandon`].
/// Granted copies are dropped, which has the same effect.
pub(crate) fn abandon(request: LentRequest<Blk>) -> OwnedRequest<Blk> {
    let (mut rq, loans) = request.abandon();
    rq.data_mut().loans = loans;
    abandon_copies(rq)
}

/// The same for a request that is not lent.
pub(crate) fn abandon_copies(mut rq: OwnedRequest<Blk>) -> OwnedRequest<Blk> {
    rq.data_mut().copies.clear();
    rq.data_mut().descriptors.clear();
    rq
}
