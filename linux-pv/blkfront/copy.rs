// SPDX-License-Identifier: GPL-2.0

//! Copying the data of requests to and from their granted pages, without the ring's lock.

use kernel::prelude::*;
use kernel_ext::block::{
    BlkStatus,
    OwnedRequest,
    Refused, //
};
use xen_ring::blkif::operation::Operation;

use crate::{
    queue::Blk,
    request_data::abandon_copies, //
};

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
    ///
    /// # Errors
    ///
    /// If a segment is not where a request's data may be.
    #[inline]
    pub(crate) fn copy(&self) -> Result {
        let pages = self.rq.data().copies.iter();
        for (s, page) in self.rq.segments_within(self.bytes).zip(pages) {
            page.page().copy_from_segment(&s)?;
        }
        Ok(())
    }

    /// Hands the request back, because the connection is gone.
    #[cold]
    pub(crate) fn abandon(self, status: BlkStatus) -> Refused<Blk> {
        abandon_copies(self.rq).refuse(status)
    }
}

/// Copies the data that was read to where it was asked for. If that fails, so does the request.
#[inline]
pub(crate) fn copy_back(rq: &mut OwnedRequest<Blk>) {
    let bytes = rq.data().part.unwrap_or(rq.bytes());
    let mut copied = Ok(());
    for (segment, copy) in rq.segments_within(bytes).zip(rq.data().copies.iter()) {
        copied = copied.and(copy.page().copy_to_segment(&segment));
    }
    if copied.is_err() {
        rq.set_status(BlkStatus::IOERR);
    }
}
