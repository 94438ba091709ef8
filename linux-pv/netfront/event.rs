// SPDX-License-Identifier: GPL-2.0

//! Events of a queue's channels have the queue polled.

use kernel::sync::Arc;
use xen::event::{
    Eoi,
    Event,
    EventChannel,
    Handler, //
};

use crate::interface::Nic;

/// Direction channel of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Of the transmit ring, or of both.
    Transmit = 0,
    /// Of the receive ring alone.
    Receive = 1,
}

/// A queue's event channel, shared by both halves if the backend has one only.
pub(crate) type Channel = Arc<EventChannel<OnEvent>>;

/// What is called for a queue's events: they have the queue polled. No further event
/// comes from that channel until the poll function has nothing left to do.
pub(crate) struct OnEvent {
    pub(crate) nic: Arc<Nic>,
    pub(crate) index: u32,
    pub(crate) direction: Direction,
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let vif = self.nic.data();
        let (eoi, deferred) = event.defer();
        match vif.queues().get(self.index as usize) {
            Some(queue) if !vif.is_broken() => {
                queue.interrupts.one();
                queue.events[self.direction as usize].put(deferred);
                self.nic.schedule(self.index);
            }
            // No end of this interrupt, so that there is no further one.
            _ => core::mem::forget(deferred),
        }
        eoi
    }
}
