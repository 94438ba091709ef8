// SPDX-License-Identifier: GPL-2.0

//! Putting packets of XDP programs on the ring.

use kernel::prelude::*;
use kernel_ext::net::XdpFrame;
use xen::net::LentPart;
use xen_ring::netif::{
    tx::Packet,
    ETH_HLEN, //
};

use super::{
    send::check_out,
    TxLink, //
};
use crate::stats::Stats;

/// Puts a packet of an XDP program on the ring, or gives it back.
pub(crate) fn send_frame(
    link: &mut TxLink,
    stats: &Stats,
    frame: XdpFrame,
) -> Result<(), XdpFrame> {
    let TxLink {
        ring,
        in_flight,
        refs,
        pages,
        to,
        ..
    } = link;
    if ring.free() == 0 || in_flight.free() == 0 || (frame.len() as usize) < ETH_HLEN {
        return Err(frame);
    }
    let (part, offset, len) = if link.trusted {
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
        // The ring is in its error state, which the next poll reports.
        drop(in_flight.take_back(piece.id));
        return Ok(());
    }
    link.await_last(1);
    stats.tx_packets.one();
    stats.tx_bytes.add(len.into());
    stats.tx_slots.one();
    stats.grants.one();
    Ok(())
}
