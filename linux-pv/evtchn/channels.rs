// SPDX-License-Identifier: GPL-2.0

//! The ports that a file has bound.

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            AtomicFlag,
            Relaxed, //
        },
        Arc, //
    },
};
use kernel_ext::chardev::error;
use xen::event::{
    port::Port,
    DeferredCell,
    Eoi,
    Event,
    EventChannel,
    Handler, //
};
use xen_abi::errno;

use crate::pending::Pending;

/// What is called for a port's events: it queues the port for reading. No further event comes from
/// the port until the process writes it back.
struct OnEvent {
    port: u32,
    pending: Arc<Pending>,
    /// The event that is ended when the process writes the port back.
    deferred: DeferredCell,
    /// The port is being unbound: its events are not queued any more.
    closing: AtomicFlag,
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        if self.closing.load(Relaxed) {
            return event.handled();
        }
        let (eoi, deferred) = event.defer();
        // Before the process can read the port, and write it back.
        self.deferred.put(deferred);
        self.pending.push(self.port);
        eoi
    }
}

type Channel = Pin<KBox<EventChannel<OnEvent>>>;

/// The bound ports of a file, by number. Dropped, it unbinds them all, which may sleep.
#[derive(Default)]
pub(crate) struct Channels {
    channels: RBTree<u32, Channel>,
    count: usize,
}

impl Channels {
    /// Whether the file has bound this port.
    pub(crate) fn has(&self, port: u32) -> bool {
        self.channels.get(&port).is_some()
    }

    /// The number of bound ports.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Binds a port, whose events go to `pending` from then on. `name` is for `/proc/interrupts`.
    /// May sleep. If it fails the port is closed.
    pub(crate) fn bind(&mut self, port: Port, name: &CStr, pending: &Arc<Pending>) -> Result<u32> {
        let number = port.number();
        if self.has(number) {
            return Err(EEXIST);
        }
        let reserved = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        pending.make_room(self.count + 1)?;
        let handler = OnEvent {
            port: number,
            pending: pending.clone(),
            deferred: DeferredCell::default(),
            closing: AtomicFlag::new(false),
        };
        let channel = KBox::pin_init(EventChannel::adopt(port, name, handler), GFP_KERNEL_ACCOUNT)?;
        self.channels.insert(reserved.into_node(number, channel));
        self.count += 1;
        Ok(number)
    }

    /// Unbinds a port. May sleep.
    pub(crate) fn unbind(&mut self, port: u32) -> Result {
        let channel = self.channels.remove(&port);
        let channel = channel.ok_or_else(|| error(errno::ENOTCONN))?;
        self.count -= 1;
        close(channel);
        Ok(())
    }

    /// Sends an event to the other end of a port.
    pub(crate) fn notify(&self, port: u32) -> Result {
        let channel = self.channels.get(&port);
        channel.ok_or_else(|| error(errno::ENOTCONN))?.notify();
        Ok(())
    }

    /// Ends a port's event, so that the port may send the next: the process has written it back.
    /// Nothing happens if it is not bound, or has sent none.
    #[inline]
    pub(crate) fn end_event(&self, port: u32) {
        if let Some(channel) = self.channels.get(&port) {
            if let Some(deferred) = channel.handler().deferred.take() {
                deferred.finish(true);
            }
        }
    }
}

fn close(channel: Channel) {
    channel.handler().closing.store(true, Relaxed);
    // A deferred event is not ended: the port is about to go, and so is its interrupt.
    drop(channel);
}

impl Drop for Channels {
    fn drop(&mut self) {
        for channel in self.channels.values() {
            channel.handler().closing.store(true, Relaxed);
        }
    }
}
