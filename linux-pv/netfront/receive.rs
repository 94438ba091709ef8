// SPDX-License-Identifier: GPL-2.0

//! Packets from the back end to the network stack, and buffers for the next.
//!
//! A buffer is a page that the back end may fill. A small packet is copied out of it, and the buffer is posted
//! again as it is, its grant included. Of a large one only the headers are copied: its pages go up, once the back
//! end cannot write to them any more, and come back to the pool when the stack is done with them.

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::count::Counter;
use kernel_ext::net::{Checksum, Gso, Incoming, PagePool, Poll, PoolPage, Program, XdpQueue};
use kernel_ext::work::Worker;
use xen::domain::DomId;
use xen::grant::GrantRefs;
use xen::net::LentPage;
use xen::ring::{Corrupt, SharedRing};
use xen_abi::io::netif::NR_SLOTS_MIN;
use xen_ring::netif::extra::GsoKind;
use xen_ring::netif::rx::receiver::Receiver;
use xen_ring::netif::rx::{End, Packet, MAX_PIECES};
use xen_ring::netif::{Checksum as Said, RxFrontRing};

use crate::interface::Nic;
use crate::queue::{Channel, PollLater, LATER};
use crate::stats::Stats;
use crate::transmit::STILL_MAPPED;
use crate::vif::Vif;
use crate::xdp;

/// Packets of up to as many bytes are copied, and of others no more than as many.
const COPY: u32 = 256;

/// Fewer buffers than this may be too few for the back end to go on, which then sends no event: those of the
/// largest packet, with a slot for an extra.
const ENOUGH: u32 = NR_SLOTS_MIN + 1;

/// The receive half of a queue.
#[derive(Default)]
pub(crate) struct Receive {
    pub(crate) link: Option<KBox<RxLink>>,
}

/// A connection of a receive half.
pub(crate) struct RxLink {
    // The channel comes first: once it is closed, no handler is running.
    pub(crate) channel: Channel,
    refill: Pin<KBox<Worker<PollLater>>>,
    pub(crate) ring: RxFrontRing<SharedRing>,
    /// The buffers that the back end has.
    pub(crate) receiver: Receiver<LentPage, KVec<Option<LentPage>>>,
    /// Buffers to be posted again.
    pub(crate) spare: KVec<LentPage>,
    refs: GrantRefs,
    /// Lets programs run on packets in pages of the pool.
    xdp: XdpQueue<Vif>,
    pool: PagePool,
    to: DomId,
    /// The back end may see what was in pages before.
    trusted: bool,
    /// Responses have come since an event was last ended.
    worked: bool,
}

impl RxLink {
    /// A connection over a ring, without buffers. May sleep.
    pub(crate) fn new(
        nic: &Arc<Nic>,
        parent: &kernel::device::Device,
        index: u32,
        channel: Channel,
        ring: RxFrontRing<SharedRing>,
        to: DomId,
        trusted: bool,
    ) -> Result<Self> {
        let slots = ring.slots();
        let mut buffers = KVec::with_capacity(slots as usize, GFP_KERNEL)?;
        for _ in 0..slots {
            buffers.push(None, GFP_KERNEL)?;
        }
        let pool = PagePool::new(slots, parent)?;
        Ok(Self {
            channel,
            refill: PollLater::worker(nic, index)?,
            ring,
            receiver: Receiver::new(buffers),
            spare: KVec::with_capacity(slots as usize + MAX_PIECES, GFP_KERNEL)?,
            refs: GrantRefs::reserve(slots as u16)?,
            xdp: XdpQueue::new(nic, index, &pool)?,
            pool,
            to,
            trusted,
            worked: false,
        })
    }

    /// Receives up to `budget` packets and posts buffers. Returns how many packets there were.
    #[inline]
    pub(crate) fn poll(&mut self, stats: &Stats, poll: &Poll<'_, Vif>) -> Result<u32, Corrupt> {
        let work = match self.receive(stats, poll) {
            Ok(work) => work,
            Err(corrupt) => return Err(self.ring.poison(corrupt)),
        };
        self.fill(stats);
        Ok(work)
    }

    #[inline]
    fn receive(&mut self, stats: &Stats, poll: &Poll<'_, Vif>) -> Result<u32, Corrupt> {
        let Self {
            ring,
            receiver,
            spare,
            refs,
            xdp,
            worked,
            ..
        } = self;
        let program = poll.program();
        let mut work = 0;
        let mut slots = 0_u64;
        let mut responses = ring.responses()?;
        while work < poll.budget() {
            let Some(response) = responses.next() else {
                break;
            };
            slots += 1;
            let taken = receiver.take(response)?;
            if let Some(buffer) = taken.unused {
                keep(spare, buffer);
            }
            match taken.end {
                None => {}
                Some(End::Packet(packet)) => {
                    let context = Context { stats, poll };
                    match &program {
                        None => context.deliver(receiver, spare, refs, &packet)?,
                        Some(program) => {
                            context.ask(program, xdp, receiver, spare, refs, &packet)?
                        }
                    }
                    work += 1;
                }
                Some(End::Dropped(_)) => {
                    stats.rx_errors.one();
                    for (buffer, _) in receiver.pieces() {
                        keep(spare, buffer);
                    }
                    work += 1;
                }
            }
        }
        if program.is_some() {
            if let Some(mut tx) = poll.lock_tx() {
                xdp::publish(stats, &mut tx);
            }
        }
        *worked |= slots > 0;
        stats.rx_slots.add(slots);
        Ok(work)
    }

    /// Posts as many buffers as there is room for, and tells the back end.
    #[inline]
    pub(crate) fn fill(&mut self, stats: &Stats) {
        let mut short = false;
        let mut granted = 0;
        while self.receiver.posted() < self.receiver.capacity() {
            let buffer = match self.spare.pop() {
                Some(buffer) => buffer,
                None => match self.make() {
                    Some(buffer) => {
                        granted += 1;
                        buffer
                    }
                    None => {
                        short = true;
                        break;
                    }
                },
            };
            let gref = buffer.number();
            if let Err((_, buffer)) = self.receiver.post(&mut self.ring, gref, buffer) {
                keep(&mut self.spare, buffer);
                break;
            }
        }
        stats.grants.add(granted);
        if short || self.receiver.posted() < ENOUGH {
            self.refill.as_ref().schedule(LATER);
        }
        if self.ring.push_requests().needed() {
            stats.rx_notifications.one();
            self.channel.notify();
        }
    }

    /// Makes a buffer of a page from the pool.
    #[inline]
    fn make(&mut self) -> Option<LentPage> {
        // Buffers that were dropped, in a packet that could not be taken apart, took their references along.
        if self.refs.left() == 0 && self.refs.add(1).is_err() {
            return None;
        }
        let page = self.pool.get()?;
        if !self.trusted {
            // What the stack has made of an earlier packet in there is not for the back end.
            page.zero();
        }
        LentPage::new(page, &mut self.refs, self.to).ok()
    }

    /// Asks for an event for the next response. Returns whether there are responses already.
    #[inline]
    pub(crate) fn rearm(&mut self) -> Result<bool, Corrupt> {
        self.ring.final_check_for_responses()
    }

    /// Whether responses have come since this was last called.
    #[inline]
    pub(crate) fn take_worked(&mut self) -> bool {
        core::mem::take(&mut self.worked)
    }
}

/// Keeps a buffer to be posted again; there is room for all that there are.
#[inline]
fn keep(spare: &mut KVec<LentPage>, buffer: LentPage) {
    let _ = spare.push_within_capacity(buffer);
}

/// Buffers that the back end has, or had.
type Buffers = Receiver<LentPage, KVec<Option<LentPage>>>;

/// Where a packet has arrived.
struct Context<'a> {
    stats: &'a Stats,
    poll: &'a Poll<'a, Vif>,
}

impl Context<'_> {
    /// Makes a packet of the buffers that it came in and passes it on. One that there is no memory for, or that the
    /// stack would not take, is counted and dropped.
    #[inline]
    fn deliver(
        &self,
        receiver: &mut Buffers,
        spare: &mut KVec<LentPage>,
        refs: &mut GrantRefs,
        packet: &Packet,
    ) -> Result<(), Corrupt> {
        let small = packet.len <= COPY;
        let Some(mut skb) = self.poll.alloc(packet.len.min(COPY)) else {
            return self.lose(receiver, spare, &self.stats.rx_dropped);
        };
        let mut whole = true;
        for (index, (buffer, piece)) in receiver.pieces().enumerate() {
            let (offset, len) = (piece.offset.into(), piece.len.into());
            if small || !whole {
                whole &= buffer.copy_to(&mut skb, offset, len).is_ok();
                keep(spare, buffer);
                continue;
            }
            // If that fails the page is left to the kernel until the back end lets go.
            let page = buffer.reclaim(refs).map_err(|_| STILL_MAPPED)?;
            whole &= self.append(&mut skb, (page, offset, len), index == 0, packet.pieces);
        }
        if !whole {
            self.stats.rx_errors.one();
            return Ok(());
        }
        if small {
            self.stats.rx_copied.one();
        }
        self.pass_on(skb, packet);
        Ok(())
    }

    /// Has a program look at a packet, and makes one of what it leaves.
    #[cold]
    fn ask(
        &self,
        program: &Program<'_>,
        queue: &XdpQueue<Vif>,
        receiver: &mut Buffers,
        spare: &mut KVec<LentPage>,
        refs: &mut GrantRefs,
        packet: &Packet,
    ) -> Result<(), Corrupt> {
        if packet.pieces != 1 {
            return self.lose(receiver, spare, &self.stats.rx_errors);
        }
        let Some((buffer, piece)) = receiver.pieces().next() else {
            return Ok(());
        };
        let page = buffer.reclaim(refs).map_err(|_| STILL_MAPPED)?;
        let part = (page, piece.offset.into(), piece.len.into());
        let Some(part) = xdp::run(self.stats, self.poll, queue, program, part) else {
            return Ok(());
        };
        let Some(mut skb) = self.poll.alloc(part.2.min(COPY)) else {
            self.stats.rx_dropped.one();
            return Ok(());
        };
        let packet = Packet {
            len: part.2,
            ..*packet
        };
        if self.append(&mut skb, part, true, 1) {
            self.pass_on(skb, &packet);
        } else {
            self.stats.rx_errors.one();
        }
        Ok(())
    }

    /// Drops a packet: its buffers are posted again.
    #[cold]
    fn lose(
        &self,
        receiver: &mut Buffers,
        spare: &mut KVec<LentPage>,
        counter: &Counter,
    ) -> Result<(), Corrupt> {
        for (buffer, _) in receiver.pieces() {
            keep(spare, buffer);
        }
        counter.one();
        Ok(())
    }

    /// Adds a page to a packet, of the first one only what is behind the headers.
    #[inline]
    fn append(
        &self,
        skb: &mut Incoming<'_, Vif>,
        (page, mut offset, mut len): (PoolPage, u32, u32),
        first: bool,
        pieces: u32,
    ) -> bool {
        if first {
            let most = len.min(COPY);
            // A packet of most pieces has no room for the first page if that is not copied as a whole.
            let head = if pieces as usize == MAX_PIECES || len <= COPY {
                most
            } else {
                skb.header_len(&page, offset, most).min(most)
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

    /// Passes a packet to the stack.
    #[inline]
    fn pass_on(&self, mut skb: Incoming<'_, Vif>, packet: &Packet) {
        let mut checksum = match packet.checksum {
            Said::Unknown => Checksum::None,
            Said::Validated => Checksum::Unnecessary,
            Said::Blank => Checksum::Partial,
        };
        let mut recompute = false;
        if let Some(gso) = packet.gso {
            skb.set_gso(Gso {
                size: gso.size.get(),
                tcpv6: gso.kind == GsoKind::TcpV6,
            });
            if checksum != Checksum::Partial {
                // Each segment will need one, so it is open whatever the back end says.
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
