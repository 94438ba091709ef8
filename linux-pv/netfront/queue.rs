// SPDX-License-Identifier: GPL-2.0

//! A queue: a transmit and a receive ring, polled by one NAPI context.
//!
//! Both halves exist as long as the interface; their connections come and go. The transmit half is guarded by
//! the network stack's lock of the queue, the receive half by a lock that is only contended when a connection
//! is made or ended.

use core::time::Duration;

use kernel::prelude::*;
use kernel::sync::atomic::{AtomicFlag, Relaxed};
use kernel::sync::Arc;
use kernel_ext::count::SharedCounter;
use kernel_ext::sync::{new_bh_spinlock, BhSpinLock};
use kernel_ext::work::{new_worker, Job, Worker};
use xen::event::{DeferredCell, Eoi, Event, EventChannel, Handler};

use crate::interface::Nic;
use crate::receive::Receive;
use crate::stats::Stats;
use crate::vif::Vif;

/// How long a queue may have to wait for what there is no event for.
pub(crate) const LATER: Duration = Duration::from_millis(100);

/// What both halves of a queue share, and the receive half.
#[pin_data]
pub(crate) struct Queue {
    #[pin]
    pub(crate) rx: BhSpinLock<Receive>,
    /// Events that the poll function deals with, of each channel.
    pub(crate) events: [DeferredCell; 2],
    /// There are two channels.
    pub(crate) split: AtomicFlag,
    pub(crate) stats: Stats,
    pub(crate) interrupts: SharedCounter,
}

/// Which channel of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Of the transmit ring, or of both.
    Transmit = 0,
    /// Of the receive ring alone.
    Receive = 1,
}

/// A queue's event channel, shared by both halves if the back end knows one only.
pub(crate) type Channel = Arc<EventChannel<OnEvent>>;

impl Queue {
    /// A queue without connection.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            rx <- new_bh_spinlock!(Receive::default(), "netfront rx"),
            events: Default::default(),
            split: AtomicFlag::new(false),
            stats: Stats::default(),
            interrupts: SharedCounter::new(),
        })
    }

    /// Whether the rings have a channel each.
    #[inline]
    pub(crate) fn is_split(&self) -> bool {
        self.split.load(Relaxed)
    }

    /// How the queue is, in a word.
    pub(crate) fn state(&self, vif: &Vif) -> &'static str {
        if vif.is_broken() {
            "error"
        } else if self.rx.lock().link.is_some() {
            "connected"
        } else {
            "disconnected"
        }
    }

    /// Slots in flight, buffers posted, and buffers that wait to be posted, of the queue with this number.
    pub(crate) fn fill(&self, nic: &Nic, index: u32) -> (u32, u32, usize) {
        let tx = nic.lock_tx(index);
        let in_flight = tx.and_then(|tx| tx.link.as_ref().map(|link| link.requests()));
        let rx = self.rx.lock();
        let (posted, spare) = match &rx.link {
            Some(link) => (link.receiver.posted(), link.spare.len()),
            None => (0, 0),
        };
        (in_flight.unwrap_or(0), posted, spare)
    }
}

/// What is called for a queue's events: it has the queue polled. No further event comes from that channel
/// until the poll function has nothing left to do.
pub(crate) struct OnEvent {
    pub(crate) nic: Arc<Nic>,
    pub(crate) index: u32,
    pub(crate) which: Which,
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let vif = self.nic.data();
        let (eoi, deferred) = event.defer();
        match vif.queues().get(self.index as usize) {
            Some(queue) if !vif.is_broken() => {
                queue.interrupts.one();
                queue.events[self.which as usize].put(deferred);
                self.nic.schedule(self.index);
            }
            // No end of this interrupt, so that there is no further one.
            _ => core::mem::forget(deferred),
        }
        eoi
    }
}

/// Has a queue polled for what there is no event for: to post buffers when there was no memory for them, and to
/// free packets that nobody waits for.
pub(crate) struct PollLater {
    nic: Arc<Nic>,
    index: u32,
}

impl Job for PollLater {
    fn run(&self) -> Option<Duration> {
        self.nic.schedule(self.index);
        None
    }
}

impl PollLater {
    /// Makes the job for a queue. May sleep.
    pub(crate) fn worker(nic: &Arc<Nic>, index: u32) -> Result<Pin<KBox<Worker<Self>>>> {
        let nic = nic.clone();
        KBox::pin_init(new_worker!(Self { nic, index }), GFP_KERNEL)
    }
}
