// SPDX-License-Identifier: GPL-2.0

//! Packets from the network stack to the backend: the transmit half of a queue.
//!
//! A packet's pages are lent as they are, or as a copy if the backend may not see what else is in
//! them ([`mod@send`]). The packet is freed with its last page, by the poll function
//! ([`mod@complete`]).

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    net::TxGuard,
    work::Worker, //
};
use xen::{
    domain::DomId,
    grant::GrantRefs,
    net::LentPart,
    page::PagePool,
    ring::{
        Corrupt,
        IdSlot,
        SharedRing, //
    },
};
use xen_ring::netif::{
    tx::{
        in_flight::InFlight,
        Piece,
        MAX_PIECES,
        MAX_SLOTS, //
    },
    TxFrontRing, //
};

use crate::{
    backend::Updates,
    delayed_poll::{
        DelayedPoll,
        RETRY_DELAY, //
    },
    event::Channel,
    interface::Nic,
    stats::Stats,
    vif::Vif, //
};

mod complete;
mod frame;
mod multicast;
mod send;

pub(crate) use complete::{
    complete,
    STILL_MAPPED, //
};
pub(crate) use frame::send_frame;
pub(crate) use multicast::{
    request_multicast,
    MulticastRequests, //
};
pub(crate) use send::start_xmit;

/// Slots on the ring up to which nobody waits for the completion of short packets. What is behind
/// them is freed as soon as it is sent, so that sockets notice when the backend cannot keep up.
const MAX_UNAWAITED: u32 = 32;

/// Responses that nobody waits for, but which make an event all the same, before there are
/// [`MAX_UNAWAITED`] slots on the ring.
const UNAWAITED_BATCH: u32 = MAX_UNAWAITED / 2;

/// The transmit half of a queue, under the lock of the network stack.
#[derive(Default)]
pub(crate) struct Transmitter {
    pub(crate) link: Option<KBox<TxLink>>,
    /// Pieces of the packet that is being sent. Has room for any; never grows.
    pieces: KVec<Piece>,
}

impl Transmitter {
    /// Without connection. May sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            link: None,
            pieces: KVec::with_capacity(MAX_PIECES, GFP_KERNEL)?,
        })
    }
}

/// A connection of a transmit half.
pub(crate) struct TxLink {
    // The channel comes first: once it is closed, no handler is running.
    pub(crate) channel: Channel,
    /// Frees packets whose completion nobody waits for, if nothing else does.
    sweep: Pin<KBox<Worker<DelayedPoll>>>,
    pub(crate) ring: TxFrontRing<SharedRing>,
    /// What the backend has.
    in_flight: Requests,
    refs: GrantRefs,
    /// Pages for copies.
    pages: PagePool,
    to: DomId,
    /// The backend may see whole pages.
    trusted: bool,
    /// Slots that were pushed after the last one whose response somebody waits for.
    unawaited: u32,
    /// What has become of requests for packets to groups.
    pub(crate) multicast: MulticastRequests,
    /// Scheduled when those are answered.
    updates: Arc<Updates>,
    /// Responses have come since an event was last ended.
    pub(crate) worked: bool,
}

/// What a request was for.
enum Request {
    /// A part of a packet.
    Part(LentPart),
    /// Packets to a group, or no more of them.
    Multicast,
}

/// What the backend has.
type Requests = InFlight<Request, KVec<IdSlot<Request>>>;

impl TxLink {
    /// A connection over a ring. May sleep.
    pub(crate) fn new(
        nic: &Arc<Nic>,
        index: u32,
        channel: Channel,
        ring: TxFrontRing<SharedRing>,
        to: DomId,
        trusted: bool,
        updates: &Arc<Updates>,
    ) -> Result<Self> {
        let slots = ring.slots();
        let mut ids = KVec::with_capacity(slots as usize, GFP_KERNEL)?;
        for _ in 0..slots {
            ids.push(IdSlot::new(), GFP_KERNEL)?;
        }
        let copies = if trusted { MAX_PIECES } else { slots as usize };
        Ok(Self {
            channel,
            sweep: DelayedPoll::worker(nic, index)?,
            ring,
            in_flight: InFlight::new(ids),
            refs: GrantRefs::reserve(slots as u16)?,
            pages: PagePool::new(copies, 0)?,
            to,
            trusted,
            unawaited: 0,
            multicast: MulticastRequests::default(),
            updates: updates.clone(),
            worked: false,
        })
    }

    /// Slots of packets that the backend has.
    pub(crate) fn requests(&self) -> u32 {
        self.in_flight.requests() - self.multicast.unanswered
    }

    /// Whether there is no room for any packet that may come.
    #[inline]
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.ring.free() < MAX_SLOTS
    }

    /// Tells the backend about the packets that were put on the ring.
    #[inline]
    pub(crate) fn publish(&mut self, stats: &Stats) {
        if self.ring.push_requests().needed() {
            stats.tx_notifications.one();
            self.channel.notify();
        }
    }

    /// Slots whose responses have not been taken.
    #[inline]
    fn in_ring(&self) -> u32 {
        self.ring.slots() - self.ring.free()
    }

    /// Somebody waits for the responses to the last slots, which were pushed and not published.
    #[inline]
    fn await_last(&mut self, slots: u32) {
        self.unawaited = 0;
        self.ring.await_last(slots);
    }

    /// Asks for an event when half of what the backend has is answered, which the last packet
    /// always is: only those who have many packets under way wait for one to be freed. If nobody
    /// waits at all, only many responses make an event. Returns whether they are there already.
    #[inline]
    pub(crate) fn rearm(&mut self) -> Result<bool, Corrupt> {
        let in_ring = self.in_ring();
        if self.unawaited >= in_ring {
            self.unawaited = in_ring;
            if in_ring > 0 {
                self.sweep.as_ref().schedule_once(RETRY_DELAY);
            }
            return self.ring.final_check_for_many(UNAWAITED_BATCH);
        }
        self.ring.final_check_for_batch(in_ring.div_ceil(2))
    }

    /// Whether responses have come since this was last called.
    #[inline]
    pub(crate) fn take_worked(&mut self) -> bool {
        core::mem::take(&mut self.worked)
    }
}

/// Stops the queue if the next packet would find no room: after slots were used by others than the
/// stack.
#[inline]
pub(crate) fn stop_if_full(tx: &TxGuard<'_, Vif>) {
    if tx.link.as_ref().is_some_and(|link| link.is_nearly_full()) {
        tx.stop();
    }
}
