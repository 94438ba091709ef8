// SPDX-License-Identifier: GPL-2.0

//! What the driver keeps with each request of blk-mq.

use kernel::prelude::*;
use kernel_ext::block::OwnedRequest;
use xen::{
    block::{
        LendableData,
        Loans, //
    },
    grant::Grant, //
};
use xen_ring::blkif::operation::Operation;

use crate::queue::Blk;

/// The driver's data of a request. The vectors have their capacity from the start and never grow.
pub(crate) struct RequestData {
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
    pub(crate) fn new(segments: usize, descriptors: usize) -> Result<LendableData<Self>> {
        let data = Self {
            copies: KVec::with_capacity(segments, GFP_KERNEL)?,
            descriptors: KVec::with_capacity(descriptors, GFP_KERNEL)?,
            operation: Operation::Read,
            part: None,
        };
        Ok(LendableData::new(data, Loans::with_capacity(segments)?))
    }

    /// Gives the granted pages up: what the backend still has mapped of them is left to the kernel,
    /// see [`Grant`].
    pub(crate) fn abandon_copies(&mut self) {
        self.copies.clear();
        self.descriptors.clear();
    }
}

/// The request without the granted pages that it has, see [`RequestData::abandon_copies`].
pub(crate) fn abandon_copies(mut rq: OwnedRequest<Blk>) -> OwnedRequest<Blk> {
    rq.data_mut().abandon_copies();
    rq
}
