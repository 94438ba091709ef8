// SPDX-License-Identifier: GPL-2.0

//! The queues of a disk: what they own, and where blk-mq comes in.
//!
//! A disk has as many [`Ring`]s as blk-mq has hardware queues; both exist as long as the disk.
//! Connections come and go: a ring's [`Link`] says whether there is one. One lock a ring guards all of
//! it, taken with interrupts off, since responses are handled in the event's interrupt.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::block::{
    BlkStatus, IdleRequest, Op, Operations, OwnedRequest, QueueResult, Request, RequestList,
};
use kernel_ext::show::Show;
use kernel_ext::sync::{new_irq_spinlock, IrqSpinLock, IrqSpinLockGuard};
use xen::block::LentRequest;
use xen::event::EventChannel;
use xen::ring::{Corrupt, IdSlot, IdTable, SharedRing};
use xen_abi::io::blkif::Segment;
use xen_ring::blkif::features::{Discard, Durability};
use xen_ring::blkif::vdev::DiskName;
use xen_ring::blkif::BlkFrontRing;

use crate::complete::OnEvent;
use crate::data::{RequestData, Stock};
use crate::stats::Stats;
use crate::submit::ToCopy;

/// The driver, to blk-mq.
pub(crate) struct Blk;

/// What all parts of a disk share.
pub(crate) struct Core {
    /// The number that requests name the disk by.
    pub(crate) handle: u16,
    /// Name for messages.
    pub(crate) name: DiskName,
    /// What the back end can do, as long as it has not said otherwise.
    pub(crate) can: Can,
    rings: KVec<Pin<KBox<IrqSpinLock<Ring>>>>,
}

/// What requests the back end takes. It may take this back at any time, by answering that a request is
/// not supported.
pub(crate) struct Can {
    flush: AtomicBool,
    barrier: AtomicBool,
    discard: AtomicBool,
    secure_erase: AtomicBool,
}

impl Can {
    /// Whether flushes are of use: if not, the back end writes through.
    pub(crate) fn flush(&self) -> bool {
        self.flush.load(Relaxed)
    }

    /// Whether flushes have to be barriers. A write can then be one too.
    pub(crate) fn barrier(&self) -> bool {
        self.barrier.load(Relaxed)
    }

    /// Whether discards are taken.
    pub(crate) fn discard(&self) -> bool {
        self.discard.load(Relaxed)
    }

    /// Whether secure discards are taken.
    pub(crate) fn secure_erase(&self) -> bool {
        self.secure_erase.load(Relaxed)
    }

    /// Takes over what a back end offers.
    pub(crate) fn set(&self, durability: Durability, discard: Option<Discard>) {
        self.flush.store(durability != Durability::None, Relaxed);
        self.barrier
            .store(durability == Durability::Barrier, Relaxed);
        self.discard.store(discard.is_some(), Relaxed);
        self.secure_erase
            .store(discard.is_some_and(|d| d.secure), Relaxed);
    }

    /// Flushes and barriers turned out not to be supported.
    pub(crate) fn lose_flush(&self) {
        self.flush.store(false, Relaxed);
        self.barrier.store(false, Relaxed);
    }

    /// Discards turned out not to be supported.
    pub(crate) fn lose_discard(&self) {
        self.discard.store(false, Relaxed);
        self.secure_erase.store(false, Relaxed);
    }
}

impl Core {
    /// The parts for a disk of `rings` rings, none of them connected. May sleep.
    pub(crate) fn new(handle: u16, name: DiskName, rings: usize) -> Result<Arc<Self>> {
        let mut all = KVec::with_capacity(rings, GFP_KERNEL)?;
        for _ in 0..rings {
            let ring = Ring {
                link: Link::Disconnected,
                stats: Stats::default(),
            };
            let ring = KBox::pin_init(new_irq_spinlock!(ring, "blkfront"), GFP_KERNEL)?;
            all.push(ring, GFP_KERNEL)?;
        }
        let can = Can {
            flush: AtomicBool::new(false),
            barrier: AtomicBool::new(false),
            discard: AtomicBool::new(false),
            secure_erase: AtomicBool::new(false),
        };
        Ok(Arc::new(
            Self {
                handle,
                name,
                can,
                rings: all,
            },
            GFP_KERNEL,
        )?)
    }

    /// The rings, in the order of the hardware queues.
    pub(crate) fn rings(&self) -> &[Pin<KBox<IrqSpinLock<Ring>>>] {
        &self.rings
    }

    /// Requests that the back end has.
    pub(crate) fn in_flight(&self) -> u32 {
        self.rings
            .iter()
            .map(|ring| match &ring.lock().link {
                Link::Connected(c) | Link::Closing(c) => c.requests.taken(),
                _ => 0,
            })
            .sum()
    }

    /// Ends all connections and leaves the rings without, in the state that `then` gives for each. What
    /// the back end had not answered is appended to `requests`. May sleep.
    pub(crate) fn disconnect(&self, requests: &mut RequestList<Blk>, then: impl Fn() -> Link) {
        for ring in &self.rings {
            let mut ring = ring.lock();
            let mut old = core::mem::replace(&mut ring.link, then());
            if let Link::Connected(c) | Link::Closing(c) | Link::Dead(c, _) = &mut old {
                let before = c.requests.taken();
                c.drain(requests);
                ring.stats.requeued += u64::from(before);
            }
            // Closing the connection waits for its interrupt handler, which takes the lock.
            drop(ring);
            drop(old);
        }
    }

    /// Takes no more requests; those that the back end has may still be answered. Any context.
    pub(crate) fn quiesce(&self) {
        for ring in &self.rings {
            let mut ring = ring.lock();
            ring.link = match core::mem::replace(&mut ring.link, Link::Disconnected) {
                Link::Connected(c) => Link::Closing(c),
                other => other,
            };
        }
    }

    /// Takes no more requests, for the reason given, and fails those that the back end has. The
    /// connections stay until the back end has closed its side, so that their memory can be freed at
    /// once then. Any context; returns whether there was a connection.
    pub(crate) fn shut(&self, why: &'static str) -> bool {
        let mut failed = RequestList::new();
        let mut any = false;
        for ring in &self.rings {
            let mut ring = ring.lock();
            ring.link = match core::mem::replace(&mut ring.link, Link::Disconnected) {
                Link::Connected(mut c) | Link::Closing(mut c) => {
                    any = true;
                    c.drain(&mut failed);
                    Link::Dead(c, why)
                }
                Link::Dead(c, why) => Link::Dead(c, why),
                _ => Link::Disconnected,
            };
        }
        fail(failed);
        any
    }

    /// The error state, for all rings: requests in flight fail, and so will all others. Called without
    /// any ring's lock held, in any context; says so once.
    #[cold]
    pub(crate) fn give_up(&self, why: Corrupt) {
        if self.shut("error") {
            pr_alert!("{}: {}\n", self.name.as_str(), Show(why));
            pr_alert!("{} disabled for further use\n", self.name.as_str());
        }
    }
}

/// A ring and its counters.
pub(crate) struct Ring {
    pub(crate) link: Link,
    pub(crate) stats: Stats,
}

/// Whether and how a ring is connected to the back end.
pub(crate) enum Link {
    /// Not yet, or never again: requests fail.
    Disconnected,
    /// Requests go to the back end.
    Connected(KBox<Connection>),
    /// The back end closes: new requests fail, those that it has may still be answered.
    Closing(KBox<Connection>),
    /// There will be a connection again: requests wait.
    Suspended,
    /// This back end offers fewer rings than the one before: requests go to that ring.
    Elsewhere(usize),
    /// Never again, for the reason given: requests fail. What is left of the connection is closed when
    /// the device goes, or when the domain is resumed elsewhere.
    Dead(KBox<Connection>, &'static str),
}

/// A connection of a ring.
pub(crate) struct Connection {
    // The channel comes first: once it is closed, no handler is running.
    pub(crate) channel: Pin<KBox<EventChannel<OnEvent>>>,
    pub(crate) ring: BlkFrontRing<SharedRing>,
    /// The requests that the back end has, under their ids.
    pub(crate) requests: IdTable<InFlight, KVec<IdSlot<InFlight>>>,
    pub(crate) stock: Stock,
    pub(crate) limits: Limits,
    /// The segments of the message that is being put together; never grows.
    pub(crate) wire: KVec<Segment>,
}

/// What fits into a message.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Most segments of a read or write.
    pub(crate) max_segments: u32,
    /// Bytes that the disk cannot divide.
    pub(crate) block_size: u32,
}

/// A request that the back end has.
pub(crate) enum InFlight {
    /// With its own pages.
    Lent(LentRequest<Blk>),
    /// With copies of its data, or without data.
    Plain(OwnedRequest<Blk>),
}

impl InFlight {
    #[inline]
    pub(crate) fn data(&self) -> &RequestData {
        match self {
            Self::Lent(rq) => rq.data(),
            Self::Plain(rq) => rq.data(),
        }
    }

    #[inline]
    pub(crate) fn data_mut(&mut self) -> &mut RequestData {
        match self {
            Self::Lent(rq) => rq.data_mut(),
            Self::Plain(rq) => rq.data_mut(),
        }
    }

    /// The request, whatever the back end still does with its pages: see [`LentRequest::abandon`].
    /// Granted copies are dropped, which has the same effect.
    pub(crate) fn abandon(self) -> OwnedRequest<Blk> {
        let mut rq = match self {
            Self::Lent(rq) => {
                let (mut rq, loans) = rq.abandon();
                rq.data_mut().loans = loans;
                rq
            }
            Self::Plain(rq) => rq,
        };
        rq.data_mut().copies.clear();
        rq.data_mut().descriptors.clear();
        rq
    }
}

impl Connection {
    /// Takes all requests back from the back end, which can no longer answer them.
    pub(crate) fn drain(&mut self, into: &mut RequestList<Blk>) {
        self.requests.drain(|request| into.push(request.abandon()));
    }

    /// Tells the back end about the requests that were put on the ring.
    #[inline]
    pub(crate) fn publish(&mut self, stats: &mut Stats) {
        if self.ring.push_requests().needed() {
            stats.notifications = stats.notifications.wrapping_add(1);
            self.channel.notify();
        }
    }
}

/// Fails requests.
pub(crate) fn fail(mut requests: RequestList<Blk>) {
    while let Some(rq) = requests.pop() {
        rq.complete(BlkStatus::IOERR);
    }
}

/// What blk-mq keeps for a hardware queue.
pub(crate) struct HwQueue {
    core: Arc<Core>,
    index: usize,
}

impl HwQueue {
    /// The ring that requests of this queue go to, locked.
    #[inline]
    fn ring(&self) -> IrqSpinLockGuard<'_, Ring> {
        let ring = self.core.rings[self.index].lock();
        match ring.link {
            Link::Elsewhere(index) => {
                drop(ring);
                self.core.rings[index].lock()
            }
            _ => ring,
        }
    }

    /// Copies the data of a request, and puts it on the ring.
    #[inline]
    fn copy_and_send(&self, copy: ToCopy, last: bool) -> QueueResult<Blk> {
        let copied = copy.copy();
        let mut ring = self.ring();
        let Ring { link, stats } = &mut *ring;
        match link {
            // It is the connection that the pages are from: before there is another one, requests are
            // held, which waits for this function.
            Link::Connected(c) => {
                let result = match copied {
                    Ok(()) => c.send_copied(&self.core, stats, copy),
                    Err(_) => Err(c.refuse_copy(stats, copy)),
                };
                if last || result.is_err() {
                    c.publish(stats);
                }
                result
            }
            Link::Suspended | Link::Elsewhere(_) => Err(copy.abandon(BlkStatus::RESOURCE)),
            Link::Disconnected | Link::Closing(_) | Link::Dead(..) => {
                Err(copy.abandon(BlkStatus::IOERR))
            }
        }
    }
}

/// What the tag set is made with.
pub(crate) struct TagSetData {
    pub(crate) core: Arc<Core>,
    /// Most segments that any connection of this disk will be asked to carry.
    pub(crate) max_segments: usize,
    /// Pages that these need in an indirect request.
    pub(crate) max_descriptors: usize,
}

#[vtable]
impl Operations for Blk {
    type TagSetData = TagSetData;
    type HwData = KBox<HwQueue>;
    type RequestData = RequestData;

    fn new_hw_data(data: &TagSetData, index: u32) -> Result<KBox<HwQueue>> {
        let index = index as usize;
        if index >= data.core.rings.len() {
            return Err(EINVAL);
        }
        Ok(KBox::new(
            HwQueue {
                core: data.core.clone(),
                index,
            },
            GFP_KERNEL,
        )?)
    }

    fn new_request_data(data: &TagSetData) -> impl PinInit<RequestData, Error> {
        RequestData::new(data.max_segments, data.max_descriptors)
    }

    #[inline]
    fn queue_rq(hw: &HwQueue, rq: IdleRequest<'_, Self>, last: bool) -> QueueResult<Self> {
        if rq.op() == Op::Flush && !hw.core.can.flush() {
            // The back end writes through, or said that it cannot flush after it had offered it.
            rq.start().end(BlkStatus::OK);
            if last {
                Self::commit_rqs(hw);
            }
            return Ok(());
        }
        let mut ring = hw.ring();
        let Ring { link, stats } = &mut *ring;
        match link {
            Link::Connected(c) => match c.submit(&hw.core, stats, rq) {
                Ok(Some(copy)) => {
                    drop(ring);
                    hw.copy_and_send(copy, last)
                }
                result => {
                    // A request that was refused is not followed by others.
                    if last || result.is_err() {
                        c.publish(stats);
                    }
                    result.map(|_| ())
                }
            },
            Link::Suspended | Link::Elsewhere(_) => Err(rq.refuse(BlkStatus::RESOURCE)),
            Link::Disconnected | Link::Closing(_) | Link::Dead(..) => {
                Err(rq.refuse(BlkStatus::IOERR))
            }
        }
    }

    fn commit_rqs(hw: &HwQueue) {
        let mut ring = hw.ring();
        let Ring { link, stats } = &mut *ring;
        if let Link::Connected(c) = link {
            c.publish(stats);
        }
    }
}

/// [`Request`], for what both kinds of values can do.
pub(crate) type AnyRequest = Request<Blk>;
