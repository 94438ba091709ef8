// SPDX-License-Identifier: GPL-2.0

//! What all parts of a disk share: its rings, and whether each is connected.
//!
//! A disk has as many [`Ring`]s as blk-mq has hardware queues; both exist as long as the disk.
//! Connections begin and end: a ring's [`Link`] has the state of the present one. One lock a ring
//! guards all of it, taken with interrupts off, since responses are handled in the event's
//! interrupt.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    block::{
        BlkStatus,
        RequestList, //
    },
    show::Show,
    sync::{
        new_irq_spinlock,
        IrqSpinLock, //
    },
};
use xen::ring::Corrupt;
use xen_ring::blkif::vdev::DiskName;

use crate::{
    capabilities::Capabilities,
    connection::Connection,
    queue::Blk,
    retired::Retired,
    stats::Stats, //
};

/// A disk's rings. Lives as long as the device, and as long as a queue, a handler or a file in
/// debugfs refers to it.
pub(crate) struct Vbd {
    /// The number that requests name the disk by.
    pub(crate) handle: u16,
    /// Name for messages.
    pub(crate) name: DiskName,
    /// Which requests the backend takes.
    pub(crate) capabilities: Capabilities,
    /// Requests that the disk is done with, and the backend is not.
    pub(crate) retired: Retired,
    rings: KVec<Pin<KBox<IrqSpinLock<Ring>>>>,
}

/// A ring and its counters.
pub(crate) struct Ring {
    pub(crate) link: Link,
    pub(crate) stats: Stats,
}

/// Whether and how a ring is connected to the backend.
pub(crate) enum Link {
    /// Not yet, or never again: requests fail.
    Disconnected,
    /// Requests go to the backend.
    Connected(KBox<Connection>),
    /// The backend closes: new requests fail, those that it has may still be answered.
    Closing(KBox<Connection>),
    /// There will be a connection again: requests wait.
    Suspended,
    /// This backend offers fewer rings than the one before: requests go to that ring.
    Elsewhere(usize),
    /// Never again, for the reason given: requests fail. What is left of the connection is closed
    /// when the device goes, or when the domain is resumed elsewhere.
    Dead(KBox<Connection>, &'static str),
}

impl Vbd {
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
        let vbd = Self {
            handle,
            name,
            capabilities: Capabilities::new(),
            retired: Retired::new()?,
            rings: all,
        };
        Ok(Arc::new(vbd, GFP_KERNEL)?)
    }

    /// The rings, in the order of the hardware queues.
    #[inline]
    pub(crate) fn rings(&self) -> &[Pin<KBox<IrqSpinLock<Ring>>>] {
        &self.rings
    }

    /// Requests that the backend has.
    pub(crate) fn in_flight(&self) -> u32 {
        let rings = self.rings.iter().map(|ring| match &ring.lock().link {
            Link::Connected(c) | Link::Closing(c) => c.in_flight.taken(),
            _ => 0,
        });
        rings.sum()
    }

    /// Ends all connections and leaves the rings without, in the state that `then` gives for each.
    /// What the backend had not answered is appended to `requests`, or retired if the backend has
    /// its pages mapped. May sleep.
    pub(crate) fn disconnect(&self, requests: &mut RequestList<Blk>, then: impl Fn() -> Link) {
        for ring in &self.rings {
            let mut ring = ring.lock();
            let mut old = core::mem::replace(&mut ring.link, then());
            if let Link::Connected(c) | Link::Closing(c) | Link::Dead(c, _) = &mut old {
                let before = c.in_flight.taken();
                c.drain(requests, &self.retired);
                ring.stats.requeued += u64::from(before);
            }
            // Closing the connection waits for its interrupt handler, which takes the lock.
            drop(ring);
            drop(old);
        }
    }

    /// Takes no more requests; those that the backend has may still be answered. Any context.
    pub(crate) fn quiesce(&self) {
        for ring in &self.rings {
            let mut ring = ring.lock();
            ring.link = match core::mem::replace(&mut ring.link, Link::Disconnected) {
                Link::Connected(c) => Link::Closing(c),
                other => other,
            };
        }
    }

    /// Takes no more requests, for the reason given, and fails those that the backend has, as soon
    /// as it has none of their pages mapped. The connections stay until the backend has closed its
    /// side, so that their memory can be freed at once then. Any context; returns whether there was
    /// a connection.
    pub(crate) fn shut(&self, why: &'static str) -> bool {
        let mut failed = RequestList::new();
        let mut any = false;
        for ring in &self.rings {
            let mut ring = ring.lock();
            ring.link = match core::mem::replace(&mut ring.link, Link::Disconnected) {
                Link::Connected(mut c) | Link::Closing(mut c) => {
                    any = true;
                    c.drain(&mut failed, &self.retired);
                    Link::Dead(c, why)
                }
                Link::Dead(c, why) => Link::Dead(c, why),
                _ => Link::Disconnected,
            };
        }
        fail(failed);
        any
    }

    /// The error state, for all rings: requests in flight fail, and so will all others. Called
    /// without any ring's lock held, in any context; logged once.
    #[cold]
    pub(crate) fn give_up(&self, why: Corrupt) {
        if self.shut("error") {
            pr_alert!("{}: {}\n", self.name.as_str(), Show(why));
            pr_alert!("{} disabled for further use\n", self.name.as_str());
        }
    }
}

/// Fails requests.
pub(crate) fn fail(mut requests: RequestList<Blk>) {
    while let Some(rq) = requests.pop() {
        rq.complete(BlkStatus::IOERR);
    }
}
