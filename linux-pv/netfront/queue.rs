// SPDX-License-Identifier: GPL-2.0

//! A queue: a transmit and a receive ring, polled by one NAPI context.
//!
//! Both halves exist as long as the interface; their connections come and go. The transmit half is
//! guarded by the network stack's lock of the queue, the receive half by a lock that is only
//! contended when a connection is made or ended.

use kernel::{
    prelude::*,
    sync::atomic::{
        AtomicFlag,
        Relaxed, //
    },
};
use kernel_ext::{
    count::SharedCounter,
    sync::{
        new_bh_spinlock,
        BhSpinLock, //
    },
};
use xen::event::DeferredCell;

use crate::{
    interface::Nic,
    receive::Receive,
    stats::Stats,
    vif::Vif, //
};

/// What both halves of a queue share, and the receive half.
#[pin_data]
pub(crate) struct Queue {
    #[pin]
    pub(crate) rx: BhSpinLock<Receive>,
    /// Events that the poll function has to end, of each channel: see
    /// [`Direction`](crate::event::Direction).
    pub(crate) events: [DeferredCell; 2],
    /// There are two channels.
    pub(crate) split: AtomicFlag,
    pub(crate) stats: Stats,
    pub(crate) interrupts: SharedCounter,
}

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

    /// The queue's state, in a word.
    pub(crate) fn state(&self, vif: &Vif) -> &'static str {
        if vif.is_broken() {
            "error"
        } else if self.rx.lock().link.is_some() {
            "connected"
        } else {
            "disconnected"
        }
    }

    /// Slots in flight, buffers posted, and buffers that wait to be posted, of the queue with this
    /// number.
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
