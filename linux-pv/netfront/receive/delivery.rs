// SPDX-License-Identifier: GPL-2.0

//! A packet that has come becomes one of the network stack's.

use kernel::prelude::*;
use kernel_ext::{
    count::Counter,
    net::{
        Checksum,
        Gso,
        Incoming,
        Poll,
        PoolPage,
        Program,
        XdpQueue, //
    },
};
use xen::{
    grant::GrantRefs,
    net::LentPage,
    ring::Corrupt, //
};
use xen_ring::netif::{
    extra::GsoKind,
    rx::{
        Packet,
        MAX_PIECES, //
    },
    Checksum as WireChecksum, //
};

use super::{
    recycle,
    Buffers, //
};
use crate::{
    stats::Stats,
    transmit::STILL_MAPPED,
    vif::Vif,
    xdp, //
};

/// Packets of up to as many bytes are copied; of larger ones no more than as many are.
const COPYBREAK: u32 = 256;

/// The delivery of one packet, which the receiver has just completed.
pub(super) struct Delivery<'a> {
    pub(super) stats: &'a Stats,
    pub(super) poll: &'a Poll<'a, Vif>,
    /// The buffers that the packet came in, and those that are posted.
    pub(super) receiver: &'a mut Buffers,
    /// Buffers to be posted again.
    pub(super) spare: &'a mut KVec<LentPage>,
    /// References of revoked grants.
    pub(super) refs: &'a mut GrantRefs,
}

impl Delivery<'_> {
    /// Makes a packet of the buffers that it came in and passes it on. One that there is no memory
    /// for, or that the stack would not take, is counted and dropped.
    #[inline]
    pub(super) fn deliver(&mut self, packet: &Packet) -> Result<(), Corrupt> {
        let stats = self.stats;
        let small = packet.len <= COPYBREAK;
        let Some(mut skb) = self.poll.alloc(packet.len.min(COPYBREAK)) else {
            self.drop_packet(&stats.rx_dropped);
            return Ok(());
        };
        let mut whole = true;
        for (index, (buffer, piece)) in self.receiver.pieces().enumerate() {
            let (offset, len) = (piece.offset.into(), piece.len.into());
            if small || !whole {
                whole &= buffer.copy_to(&mut skb, offset, len).is_ok();
                recycle(self.spare, buffer);
                continue;
            }
            // If that fails the page is left to the kernel until the backend lets go.
            let page = buffer.reclaim(self.refs).map_err(|_| STILL_MAPPED)?;
            whole &= append(&mut skb, (page, offset, len), index == 0, packet.pieces);
        }
        if !whole {
            stats.rx_errors.one();
            return Ok(());
        }
        if small {
            stats.rx_copied.one();
        }
        self.pass_on(skb, packet);
        Ok(())
    }

    /// Runs an XDP program on a packet, and passes on what it leaves.
    #[cold]
    pub(super) fn run_program(
        &mut self,
        program: &Program<'_>,
        queue: &XdpQueue<Vif>,
        packet: &Packet,
    ) -> Result<(), Corrupt> {
        let stats = self.stats;
        if packet.pieces != 1 {
            self.drop_packet(&stats.rx_errors);
            return Ok(());
        }
        let Some((buffer, piece)) = self.receiver.pieces().next() else {
            return Ok(());
        };
        let page = buffer.reclaim(self.refs).map_err(|_| STILL_MAPPED)?;
        let part = (page, piece.offset.into(), piece.len.into());
        let Some(part) = xdp::run(stats, self.poll, queue, program, part) else {
            return Ok(());
        };
        let Some(mut skb) = self.poll.alloc(part.2.min(COPYBREAK)) else {
            stats.rx_dropped.one();
            return Ok(());
        };
        let packet = Packet {
            len: part.2,
            ..*packet
        };
        if append(&mut skb, part, true, 1) {
            self.pass_on(skb, &packet);
        } else {
            stats.rx_errors.one();
        }
        Ok(())
    }

    /// Drops a packet: its buffers are posted again.
    #[cold]
    fn drop_packet(&mut self, counter: &Counter) {
        for (buffer, _) in self.receiver.pieces() {
            recycle(self.spare, buffer);
        }
        counter.one();
    }

    /// Passes a packet to the stack.
    #[inline]
    fn pass_on(&self, mut skb: Incoming<'_, Vif>, packet: &Packet) {
        let mut checksum = match packet.checksum {
            WireChecksum::Unknown => Checksum::None,
            WireChecksum::Validated => Checksum::Unnecessary,
            WireChecksum::Blank => Checksum::Partial,
        };
        let mut recompute = false;
        if let Some(gso) = packet.gso {
            skb.set_gso(Gso {
                size: gso.size.get(),
                tcpv6: gso.kind == GsoKind::TcpV6,
            });
            if checksum != Checksum::Partial {
                // Each segment will need one, so it is partial whatever the backend says.
                self.stats.rx_gso_checksum_fixup.one();
                checksum = Checksum::Partial;
                recompute = true;
            }
        }
        if let Some(hash) = packet.hash {
            skb.set_hash(hash.value, hash.kind.has_ports());
        }
        match skb.finish(checksum, recompute) {
            Ok(skb) => {
                self.stats.rx_packets.one();
                self.stats.rx_bytes.add(packet.len.into());
                self.poll.receive(skb);
            }
            Err(_) => self.stats.rx_errors.one(),
        }
    }
}

/// Adds a page to a packet, of the first one only what is behind the headers.
#[inline]
fn append(
    skb: &mut Incoming<'_, Vif>,
    (page, mut offset, mut len): (PoolPage, u32, u32),
    first: bool,
    pieces: u32,
) -> bool {
    if first {
        let max = len.min(COPYBREAK);
        // A packet of the most pieces has no room for the first page if that is not copied whole.
        let head = if pieces as usize == MAX_PIECES || len <= COPYBREAK {
            max
        } else {
            skb.header_len(&page, offset, max).min(max)
        };
        if skb.copy_page(&page, offset, head).is_err() {
            return false;
        }
        offset += head;
        len -= head;
        if len == 0 {
            return true;
        }
    }
    skb.add(page, offset, len).is_ok()
}
