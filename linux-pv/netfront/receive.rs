// SPDX-License-Identifier: GPL-2.0

//! Packets from the backend to the network stack, and buffers for the next.
//!
//! A buffer is a page that the backend may fill. A small packet is copied out of it, and the
//! buffer is posted again as it is, its grant included. Of a large one only the headers are copied:
//! its pages go up, once the backend cannot write to them any more, and come back to the pool when
//! the stack is done with them. [`Delivery`] makes the packets.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    net::{
        PagePool,
        Poll,
        XdpQueue, //
    },
    work::Worker, //
};
use xen::{
    domain::DomId,
    grant::GrantRefs,
    net::LentPage,
    ring::{
        Corrupt,
        SharedRing, //
    },
};
use xen_abi::io::netif::NR_SLOTS_MIN;
use xen_ring::netif::{
    rx::{
        receiver::Receiver,
        End,
        MAX_PIECES, //
    },
    RxFrontRing, //
};

use crate::{
    delayed_poll::{
        DelayedPoll,
        RETRY_DELAY, //
    },
    event::Channel,
    interface::Nic,
    stats::Stats,
    vif::Vif,
    xdp, //
};

mod delivery;

use delivery::Delivery;

/// Buffers of the largest packet, with a slot for an extra. With fewer of them the backend may
/// have too few to go on, and then sends no event.
const MIN_POSTED: u32 = NR_SLOTS_MIN + 1;

/// The receive half of a queue.
#[derive(Default)]
pub(crate) struct Receive {
    pub(crate) link: Option<KBox<RxLink>>,
}

/// A connection of a receive half.
pub(crate) struct RxLink {
    // The channel comes first: once it is closed, no handler is running.
    pub(crate) channel: Channel,
    refill: Pin<KBox<Worker<DelayedPoll>>>,
    pub(crate) ring: RxFrontRing<SharedRing>,
    /// The buffers that the backend has.
    pub(crate) receiver: Buffers,
    /// Buffers to be posted again.
    pub(crate) spare: KVec<LentPage>,
    refs: GrantRefs,
    /// Lets programs run on packets in pages of the pool.
    xdp: XdpQueue<Vif>,
    pool: PagePool,
    to: DomId,
    /// The backend may see what was in pages before.
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
            refill: DelayedPoll::worker(nic, index)?,
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
                recycle(spare, buffer);
            }
            match taken.end {
                None => {}
                Some(End::Packet(packet)) => {
                    let mut delivery = Delivery {
                        stats,
                        poll,
                        receiver,
                        spare,
                        refs,
                    };
                    match &program {
                        None => delivery.deliver(&packet)?,
                        Some(program) => delivery.run_program(program, xdp, &packet)?,
                    }
                    work += 1;
                }
                Some(End::Dropped(_)) => {
                    stats.rx_errors.one();
                    for (buffer, _) in receiver.pieces() {
                        recycle(spare, buffer);
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

    /// Posts as many buffers as there is room for, and tells the backend.
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
                recycle(&mut self.spare, buffer);
                break;
            }
        }
        stats.grants.add(granted);
        if short || self.receiver.posted() < MIN_POSTED {
            self.refill.as_ref().schedule(RETRY_DELAY);
        }
        if self.ring.push_requests().needed() {
            stats.rx_notifications.one();
            self.channel.notify();
        }
    }

    /// Makes a buffer of a page from the pool.
    #[inline]
    fn make(&mut self) -> Option<LentPage> {
        // Buffers that were dropped, in a packet that could not be taken apart, took their
        // references along.
        if self.refs.left() == 0 && self.refs.add(1).is_err() {
            return None;
        }
        let page = self.pool.get()?;
        if !self.trusted {
            // What the stack has made of an earlier packet in there is not for the backend.
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

/// Keeps a buffer to be posted again; there is room for all that exist.
#[inline]
fn recycle(spare: &mut KVec<LentPage>, buffer: LentPage) {
    let _ = spare.push_within_capacity(buffer);
}

/// Buffers that the backend has, or had.
type Buffers = Receiver<LentPage, KVec<Option<LentPage>>>;
