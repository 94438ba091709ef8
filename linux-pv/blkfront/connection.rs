// SPDX-License-Identifier: GPL-2.0

//! A ring's connection to the backend.
//!
//! [`Submission`](crate::submit::Submission) puts requests on it, [`crate::complete`] takes
//! responses off it.

use kernel::prelude::*;
use kernel_ext::block::{
    OwnedRequest,
    RequestList, //
};
use xen::{
    block::LentRequest,
    domain::DomId,
    event::EventChannel,
    ring::{
        IdSlot,
        IdTable,
        SharedRing, //
    },
};
use xen_abi::io::blkif::Segment;
use xen_ring::blkif::{
    segment::segment,
    BlkFrontRing, //
};

use crate::{
    complete::OnEvent,
    queue::Blk,
    request_data::abandon_copies,
    retired::Retired,
    stats::Stats,
    stock::{
        DataMode,
        Stock, //
    },
    unsendable::Malformed,
};

/// The requests that the backend has, under their ids.
type InFlight = IdTable<LentRequest<Blk>, KVec<IdSlot<LentRequest<Blk>>>>;

/// A connection of a ring, under the ring's lock.
pub(crate) struct Connection {
    // The channel comes first: once it is closed, no handler is running.
    pub(crate) channel: Pin<KBox<EventChannel<OnEvent>>>,
    pub(crate) ring: BlkFrontRing<SharedRing>,
    pub(crate) in_flight: InFlight,
    pub(crate) stock: Stock,
    pub(crate) limits: Limits,
    /// The segments of the request that is being put on the ring; never grows.
    pub(crate) segments: KVec<Segment>,
}

/// What fits into a request on the ring.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Most segments of a read or write.
    pub(crate) max_segments: u32,
    /// Bytes that the disk cannot divide; a power of two.
    pub(crate) block_size: u32,
}

impl Connection {
    /// A connection to domain `peer` over a ring, for up to `requests` requests of blk-mq. May
    /// sleep.
    pub(crate) fn new(
        (channel, ring): OfferedRing,
        peer: DomId,
        mode: DataMode,
        limits: Limits,
        requests: usize,
    ) -> Result<KBox<Self>> {
        let mut ids = KVec::with_capacity(requests, GFP_KERNEL)?;
        for _ in 0..requests {
            ids.push(IdSlot::new(), GFP_KERNEL)?;
        }
        let segments = limits.max_segments as usize;
        let in_flight = (ring.slots() as usize).min(requests);
        let connection = Self {
            channel,
            ring,
            in_flight: IdTable::new(ids),
            stock: Stock::new(peer, mode, in_flight, segments)?,
            limits,
            segments: KVec::with_capacity(segments, GFP_KERNEL)?,
        };
        Ok(KBox::new(connection, GFP_KERNEL)?)
    }

    /// Takes all requests back from the backend, which can no longer answer them: to `into`, or to
    /// `retired` as long as the backend has their pages mapped.
    pub(crate) fn drain(&mut self, into: &mut RequestList<Blk>, retired: &Retired) {
        self.in_flight.drain(|request| match request.try_end() {
            Ok(rq) => into.push(abandon_copies(rq)),
            Err(lent) => retired.push(lent),
        });
    }

    /// Tells the backend about the requests that were put on the ring.
    #[inline]
    pub(crate) fn publish(&mut self, stats: &mut Stats) {
        if self.ring.push_requests().needed() {
            stats.notifications = stats.notifications.wrapping_add(1);
            self.channel.notify();
        }
    }

    /// The request with its pages, which was not put on the ring after all.
    pub(crate) fn take_back(
        &mut self,
        request: LentRequest<Blk>,
    ) -> Result<OwnedRequest<Blk>, LentRequest<Blk>> {
        let mut rq = self.stock.reclaim(request)?;
        // Nothing was published, so nothing can be mapped.
        let _ = self.stock.take_back(rq.data_mut());
        Ok(rq)
    }
}

/// An event channel and the ring that it announces responses on.
pub(crate) type OfferedRing = (Pin<KBox<EventChannel<OnEvent>>>, BlkFrontRing<SharedRing>);

/// Adds a segment to a request.
#[inline]
pub(crate) fn push(
    segments: &mut KVec<Segment>,
    number: u32,
    offset: u32,
    len: u32,
) -> Result<(), Malformed> {
    let segment = segment(number, offset as usize, len as usize).ok_or(Malformed)?;
    segments
        .push_within_capacity(segment)
        .map_err(|_| Malformed)
}
