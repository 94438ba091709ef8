// SPDX-License-Identifier: GPL-2.0

//! Copying the data of requests to and from their granted pages, without the ring's lock if there
//! is more than [`MAX_COPIED_AT_ONCE`] of it.

use kernel_ext::block::{
    BlkStatus,
    OwnedRequest,
    Refused,
    Request, //
};
use xen_ring::blkif::operation::Operation;

use crate::{
    queue::Blk,
    request_data::{
        abandon_copies,
        RequestData, //
    },
};

/// Most segments of a request that are copied under the ring's lock: for so few, leaving the lock
/// and taking it again costs more than the copy.
pub(crate) const MAX_COPIED_AT_ONCE: usize = 1;

/// A request whose data is to be copied to the granted pages that it has, and which is then to be
/// sent.
pub(crate) struct ToCopy {
    pub(crate) rq: OwnedRequest<Blk>,
    /// How many bytes of it.
    pub(crate) bytes: u32,
    pub(crate) sector: u64,
    pub(crate) operation: Operation,
}

impl ToCopy {
    /// Copies.
    #[inline]
    pub(crate) fn copy(&self) {
        let copies = self.rq.data().copies.iter();
        for (segment, copy) in self.rq.segments_within(self.bytes).zip(copies) {
            copy.page().copy_from_segment(&segment);
        }
    }

    /// Hands the request back, because the connection is gone.
    #[cold]
    pub(crate) fn abandon(self, status: BlkStatus) -> Refused<Blk> {
        abandon_copies(self.rq).refuse(status)
    }
}

/// Copies the data that was read to where it was asked for.
#[inline]
pub(crate) fn copy_back(rq: &Request<Blk>, data: &RequestData) {
    let bytes = data.part.unwrap_or(rq.bytes());
    for (segment, copy) in rq.segments_within(bytes).zip(data.copies.iter()) {
        copy.page().copy_to_segment(&segment);
    }
}

/// As [`copy_back`], for a request with one page.
#[inline]
pub(crate) fn copy_page_back(rq: &Request<Blk>, data: &RequestData) {
    let bytes = data.part.unwrap_or(rq.bytes());
    if let (Some(segment), Some(copy)) = (rq.segments_within(bytes).next(), data.copies.first()) {
        copy.page().copy_to_segment(&segment);
    }
}
