// SPDX-License-Identifier: GPL-2.0

//! Packets from the network stack to the back end.
//!
//! A packet's pages are lent as they are, or as a copy if the back end may not see what else is in them. The
//! packet is freed with its last page, by the poll function ([`complete`](mod@complete)).

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::net::{self, Feature, SkBuff, Transmit, XdpFrame};
use kernel_ext::work::Worker;
use xen::domain::DomId;
use xen::grant::GrantRefs;
use xen::net::{LentPart, PagedPacket, Unlendable};
use xen::page::PagePool;
use xen::ring::{Corrupt, IdSlot, SharedRing};
use xen_abi::io::netif::MAX_TX_SIZE;
use xen_ring::netif::extra::{Gso, GsoKind};
use xen_ring::netif::tx::in_flight::{InFlight, SendError};
use xen_ring::netif::tx::{Multicast, Packet, Piece, MAX_PIECES, MAX_SLOTS};
use xen_ring::netif::{Checksum, TxFrontRing, ETH_HLEN};

use crate::backend::Updates;
use crate::interface::Nic;
use crate::queue::{Channel, PollLater, LATER};
use crate::stats::Stats;
use crate::vif::Vif;

mod complete;

pub(crate) use complete::{complete, stop_if_full, STILL_MAPPED};

/// The transmit half of a queue, under the lock of the network stack.
#[derive(Default)]
pub(crate) struct Transmitter {
    pub(crate) link: Option<KBox<TxLink>>,
    /// Pieces of the packet that is being sent. Has room for any; never grows.
    pieces: KVec<Piece>,
}

/// A connection of a transmit half.
pub(crate) struct TxLink {
    // The channel comes first: once it is closed, no handler is running.
    pub(crate) channel: Channel,
    /// Frees packets that nobody waits for, if nothing else does.
    sweep: Pin<KBox<Worker<PollLater>>>,
    pub(crate) ring: TxFrontRing<SharedRing>,
    /// What the back end has.
    in_flight: Requests,
    refs: GrantRefs,
    /// Pages for copies.
    pages: PagePool,
    to: DomId,
    /// The back end may see whole pages.
    trusted: bool,
    /// Slots that were pushed after the last one whose response somebody waits for.
    unawaited: u32,
    /// What has become of requests for packets to groups.
    pub(crate) multicast: MulticastRequests,
    /// Waits for the answers to those.
    updates: Arc<Updates>,
    /// Responses have come since an event was last ended.
    pub(crate) worked: bool,
}

/// Requests for packets to groups, and for no more of them.
#[derive(Clone, Copy, Default)]
pub(crate) struct MulticastRequests {
    /// The number of those that are not answered yet.
    pub(crate) unanswered: u32,
    /// One was refused.
    pub(crate) refused: bool,
}

/// Nobody waits for the end of packets of up to as many bytes: they are let go of when they are sent, and freed with
/// others, or after [`LATER`]. So a lone packet, as of a request or an acknowledgement, makes no event.
const SHORT: u32 = 256;
/// Slots on the ring up to which that is so. What is behind them is freed as soon as it is sent, so that sockets
/// notice when the back end cannot keep up.
const UNAWAITED: u32 = 32;
/// Responses that nobody waits for, but which make an event all the same, before there are as many slots on the ring.
const MANY: u32 = UNAWAITED / 2;

impl Transmitter {
    /// Without connection. May sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            link: None,
            pieces: KVec::with_capacity(MAX_PIECES, GFP_KERNEL)?,
        })
    }
}

/// What a request was for.
enum Request {
    /// A part of a packet.
    Part(LentPart),
    /// Packets to a group, or no more of them.
    Multicast,
}

/// What the back end has.
type Requests = InFlight<Request, KVec<IdSlot<Request>>>;

/// Gives a part its id.
#[inline]
fn check_out(
    requests: &mut Requests,
    part: LentPart,
    offset: u16,
    len: u16,
) -> Result<Piece, Unlendable> {
    let gref = part.number();
    let id = requests
        .check_out(Request::Part(part))
        .map_err(|_| Unlendable)?;
    Ok(Piece {
        gref,
        offset,
        len,
        id,
    })
}

/// Why a packet is dropped.
enum Drop {
    /// It is of no use to the back end.
    Unfit,
    /// There is no memory or no grant.
    Short,
    /// The back end has broken the protocol.
    Broken(Corrupt),
}

impl From<Unlendable> for Drop {
    fn from(_: Unlendable) -> Self {
        Self::Short
    }
}

/// Takes a packet from the stack.
#[inline]
pub(crate) fn start_xmit(nic: &Nic, mut tx: Transmit<'_, Vif>, skb: SkBuff) {
    let vif = nic.data();
    let Some(queue) = vif.queues().get(tx.index() as usize) else {
        return;
    };
    let stats = &queue.stats;
    let more = tx.more();
    let Transmitter { link, pieces } = tx.transmitter();
    let Some(link) = link.as_mut().filter(|_| !vif.is_broken()) else {
        stats.tx_dropped.one();
        return;
    };
    let result = link.send(nic, stats, pieces, skb);
    let full = link.is_nearly_full();
    if !more || full || result.is_err() {
        link.publish(stats);
    }
    if full {
        stats.tx_full.one();
        tx.stop();
    }
    match result {
        Ok(()) => {}
        Err(Drop::Unfit | Drop::Short) => stats.tx_dropped.one(),
        Err(Drop::Broken(why)) => {
            stats.tx_dropped.one();
            vif.give_up(nic, why);
        }
    }
}

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
            sweep: PollLater::worker(nic, index)?,
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

    /// Puts a packet on the ring.
    #[inline]
    fn send(
        &mut self,
        nic: &Nic,
        stats: &Stats,
        pieces: &mut KVec<Piece>,
        skb: SkBuff,
    ) -> Result<(), Drop> {
        let mut skb = PagedPacket::new(skb);
        let len = skb.len();
        if len > MAX_TX_SIZE {
            too_long(len);
            return Err(Drop::Unfit);
        }
        if skb.pages() > 1 && !nic.features().contains(Feature::ScatterGather)
            || skb.gso_size().is_some() && skb.needs_segmentation()
        {
            return Err(Drop::Unfit);
        }
        let packet = Packet {
            checksum: match skb.checksum() {
                net::Checksum::Partial => Checksum::Blank,
                net::Checksum::Unnecessary => Checksum::Validated,
                net::Checksum::None => Checksum::Unknown,
            },
            gso: skb.gso_size().and_then(|size| {
                Some(Gso {
                    size: core::num::NonZeroU16::new(size)?,
                    kind: if skb.is_tcpv6() {
                        GsoKind::TcpV6
                    } else {
                        GsoKind::TcpV4
                    },
                })
            }),
            hash: None,
        };
        // The back end looks for the Ethernet header in the first piece only. A packet in more pieces than it takes is
        // copied to single pages, which there are when there is no memory in one piece for it.
        let copy = !self.trusted
            || (skb.first_len() as usize) < ETH_HLEN
            || skb.pages() as usize > MAX_PIECES;
        skb.sent();
        let in_ring = self.in_ring();
        // TCP puts data into pages of their own. It gathers small writes as long as an earlier one is under way, which
        // it should go on doing.
        let most = if skb.pages() == 1 { UNAWAITED } else { 1 };
        let unawaited = len <= SHORT && in_ring < most && skb.disown();
        if unawaited && in_ring == 0 {
            self.sweep.as_ref().schedule_once(LATER);
        }
        let Self {
            ring,
            in_flight,
            refs,
            pages,
            to,
            ..
        } = self;
        pieces.clear();
        let each = |part, offset, len| {
            let piece = check_out(in_flight, part, offset, len)?;
            pieces.push_within_capacity(piece).map_err(|_| Unlendable)
        };
        let shown = if copy {
            stats.tx_copied.one();
            let result = skb.lend_copy(pages, refs, *to, each);
            skb.into_skb().consume();
            result
        } else {
            skb.lend(refs, *to, each)
        };
        let result = shown.map_err(Drop::from).and_then(|()| {
            in_flight
                .push(ring, &packet, pieces)
                .map_err(|error| match error {
                    SendError::Misfit(_) => Drop::Unfit,
                    SendError::Full => Drop::Short,
                    SendError::Corrupt(corrupt) => Drop::Broken(corrupt),
                })
        });
        if let Err(error) = result {
            self.take_back(pieces);
            return Err(error);
        }
        let slots = pieces.len() as u32 + u32::from(packet.gso.is_some());
        if unawaited {
            stats.tx_unawaited.one();
            self.unawaited = self.unawaited.saturating_add(slots);
        } else {
            self.await_last(slots);
        }
        stats.tx_packets.one();
        stats.tx_bytes.add(len.into());
        stats.tx_slots.add(slots.into());
        stats.grants.add(pieces.len() as u64);
        Ok(())
    }

    /// Puts a packet of an XDP program on the ring, or gives it back.
    pub(crate) fn send_frame(&mut self, stats: &Stats, frame: XdpFrame) -> Result<(), XdpFrame> {
        let Self {
            ring,
            in_flight,
            refs,
            pages,
            to,
            ..
        } = self;
        if ring.free() == 0 || in_flight.free() == 0 || (frame.len() as usize) < ETH_HLEN {
            return Err(frame);
        }
        let (part, offset, len) = if self.trusted {
            LentPart::lend_frame(frame, refs, *to)?
        } else {
            LentPart::lend_frame_copy(frame, pages, refs, *to)?
        };
        // There is room: checked above.
        let Ok(piece) = check_out(in_flight, part, offset, len) else {
            return Ok(());
        };
        let packet = Packet::default();
        if in_flight.push(ring, &packet, &[piece]).is_err() {
            // The ring is in its error state, which whoever found out deals with.
            drop(in_flight.take_back(piece.id));
            return Ok(());
        }
        self.await_last(1);
        stats.tx_packets.one();
        stats.tx_bytes.add(len.into());
        stats.tx_slots.one();
        stats.grants.one();
        Ok(())
    }

    /// Asks the back end for packets to a group, or for no more of them; what becomes of that is in
    /// [`multicast`](Self::multicast). [`publish`](Self::publish) has to follow.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is no room now.
    pub(crate) fn request_multicast(&mut self, request: Multicast) -> Result {
        let id = self
            .in_flight
            .check_out(Request::Multicast)
            .map_err(|_| EAGAIN)?;
        if self
            .in_flight
            .push_multicast(&mut self.ring, id, request)
            .is_err()
        {
            drop(self.in_flight.take_back(id));
            return Err(EAGAIN);
        }
        self.multicast.unanswered += 1;
        // A request and its extra.
        self.await_last(2);
        Ok(())
    }

    /// Slots of packets that the back end has.
    pub(crate) fn requests(&self) -> u32 {
        self.in_flight.requests() - self.multicast.unanswered
    }

    /// Whether there is no room for any packet that may come.
    #[inline]
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.ring.free() < MAX_SLOTS
    }

    /// A packet that was not put on the ring: it is dropped with its last part.
    #[cold]
    fn take_back(&mut self, pieces: &KVec<Piece>) {
        for piece in pieces {
            if let Some(Request::Part(part)) = self.in_flight.take_back(piece.id) {
                // The back end was never told of the grant.
                let _ = part.reclaim(&mut self.refs, &mut self.pages);
            }
        }
    }

    /// Tells the back end about the packets that were put on the ring.
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

    /// Asks for an event when half of what the back end has is answered, which the last packet always is: nobody waits
    /// for a packet to be freed but those who have many under way. If nobody waits at all, only many responses make
    /// an event. Returns whether they are there already.
    #[inline]
    pub(crate) fn rearm(&mut self) -> Result<bool, Corrupt> {
        let in_ring = self.in_ring();
        if self.unawaited >= in_ring {
            self.unawaited = in_ring;
            if in_ring > 0 {
                self.sweep.as_ref().schedule_once(LATER);
            }
            return self.ring.final_check_for_many(MANY);
        }
        self.ring.final_check_for_batch(in_ring.div_ceil(2))
    }

    /// Whether responses have come since this was last called.
    #[inline]
    pub(crate) fn take_worked(&mut self) -> bool {
        core::mem::take(&mut self.worked)
    }
}

#[cold]
fn too_long(len: u32) {
    kernel::pr_warn_once!("skb->len = {}, too big for wire format\n", len);
}
