// SPDX-License-Identifier: GPL-2.0

//! Putting packets of the network stack on the ring.

use core::num::NonZeroU16;

use kernel::prelude::*;
use kernel_ext::net::{
    self,
    Feature,
    SkBuff,
    Transmit, //
};
use xen::{
    net::{
        LentPart,
        PagedPacket,
        Unlendable, //
    },
    ring::Corrupt, //
};
use xen_abi::io::netif::MAX_TX_SIZE;
use xen_ring::netif::{
    extra::{
        Gso,
        GsoKind, //
    },
    tx::{
        in_flight::SendError,
        transfer::{
            PacketLayout,
            Transfer, //
        },
        Packet,
        Piece, //
    },
    Checksum, //
};

use super::{
    Request,
    Requests,
    Transmitter,
    TxLink,
    MAX_UNAWAITED, //
};
use crate::{
    delayed_poll::RETRY_DELAY,
    interface::Nic,
    stats::Stats,
    vif::Vif, //
};

/// Nobody waits for the completion of packets of up to as many bytes: their socket is told that
/// they were sent at once, and they are freed with others, or after [`RETRY_DELAY`]. So a lone
/// packet, as of a request or an acknowledgement, makes no event.
const MAX_UNAWAITED_LEN: u32 = 256;

/// Why a packet is dropped.
enum DropReason {
    /// It is of no use to the backend.
    Unfit,
    /// There is no memory or no grant.
    NoGrants,
    /// The backend has broken the protocol.
    Broken(Corrupt),
}

impl From<Unlendable> for DropReason {
    fn from(_: Unlendable) -> Self {
        Self::NoGrants
    }
}

/// Takes a packet from the stack. One that cannot be sent is counted and dropped.
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
    let result = send(link, nic, stats, pieces, skb);
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
        Err(DropReason::Unfit | DropReason::NoGrants) => stats.tx_dropped.one(),
        Err(DropReason::Broken(why)) => {
            stats.tx_dropped.one();
            vif.give_up(nic, why);
        }
    }
}

/// Puts a packet on the ring.
#[inline]
fn send(
    link: &mut TxLink,
    nic: &Nic,
    stats: &Stats,
    pieces: &mut KVec<Piece>,
    skb: SkBuff,
) -> Result<(), DropReason> {
    let mut skb = PagedPacket::new(skb);
    let len = skb.len();
    if len > MAX_TX_SIZE {
        report_too_long(len);
    }
    if skb.gso_size().is_some() && skb.needs_segmentation() {
        return Err(DropReason::Unfit);
    }
    let layout = PacketLayout {
        len,
        pages: skb.pages(),
        first_len: skb.first_len(),
    };
    let scatter_gather = nic.features().contains(Feature::ScatterGather);
    let transfer = layout.transfer(scatter_gather, link.trusted);
    if transfer == Transfer::Drop {
        return Err(DropReason::Unfit);
    }
    let packet = describe(&skb);
    skb.sent();
    let in_ring = link.in_ring();
    // TCP puts data into pages of their own. It gathers small writes as long as an earlier one is
    // under way, and should keep doing so.
    let max_in_ring = if skb.pages() == 1 { MAX_UNAWAITED } else { 1 };
    let unawaited = len <= MAX_UNAWAITED_LEN && in_ring < max_in_ring && skb.disown();
    if unawaited && in_ring == 0 {
        link.sweep.as_ref().schedule_once(RETRY_DELAY);
    }
    let TxLink {
        ring,
        in_flight,
        refs,
        pages,
        to,
        ..
    } = link;
    pieces.clear();
    let each = |part, offset, len| {
        let piece = check_out(in_flight, part, offset, len)?;
        pieces.push_within_capacity(piece).map_err(|_| Unlendable)
    };
    // Copies are in single pages, which there are when there is no memory in one piece.
    let lent = if transfer == Transfer::Copy {
        stats.tx_copied.one();
        let result = skb.lend_copy(pages, refs, *to, each);
        skb.into_skb().consume();
        result
    } else {
        skb.lend(refs, *to, each)
    };
    let result = lent.map_err(DropReason::from).and_then(|()| {
        let pushed = in_flight.push(ring, &packet, pieces);
        pushed.map_err(|error| match error {
            SendError::Misfit(_) => DropReason::Unfit,
            SendError::Full => DropReason::NoGrants,
            SendError::Corrupt(corrupt) => DropReason::Broken(corrupt),
        })
    });
    if let Err(error) = result {
        take_back(link, pieces);
        return Err(error);
    }
    let slots = pieces.len() as u32 + u32::from(packet.gso.is_some());
    if unawaited {
        stats.tx_unawaited.one();
        link.unawaited = link.unawaited.saturating_add(slots);
    } else {
        link.await_last(slots);
    }
    stats.tx_packets.one();
    stats.tx_bytes.add(len.into());
    stats.tx_slots.add(slots.into());
    stats.grants.add(pieces.len() as u64);
    Ok(())
}

/// A packet's metadata for the ring.
#[inline]
fn describe(skb: &PagedPacket) -> Packet {
    Packet {
        checksum: match skb.checksum() {
            net::Checksum::Partial => Checksum::Blank,
            net::Checksum::Unnecessary => Checksum::Validated,
            net::Checksum::None => Checksum::Unknown,
        },
        gso: skb.gso_size().and_then(|size| {
            Some(Gso {
                size: NonZeroU16::new(size)?,
                kind: if skb.is_tcpv6() {
                    GsoKind::TcpV6
                } else {
                    GsoKind::TcpV4
                },
            })
        }),
        hash: None,
    }
}

/// Gives a part its id.
#[inline]
pub(super) fn check_out(
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

/// A packet that was not put on the ring: it is dropped with its last part.
#[cold]
fn take_back(link: &mut TxLink, pieces: &KVec<Piece>) {
    for piece in pieces {
        if let Some(Request::Part(part)) = link.in_flight.take_back(piece.id) {
            // The grant was not published.
            let _ = part.reclaim(&mut link.refs, &mut link.pages);
        }
    }
}

#[cold]
fn report_too_long(len: u32) {
    kernel::pr_warn_once!("skb->len = {}, too big for wire format\n", len);
}
