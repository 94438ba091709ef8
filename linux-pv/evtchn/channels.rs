// SPDX-License-Identifier: GPL-2.0

//! The ports that a file has bound.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNodeReservation};
use kernel::sync::Arc;
use kernel_ext::chardev::error;
use xen::event::port::Port;
use xen::event::{DeferredCell, Eoi, Event, EventChannel, Handler};
use xen_abi::errno;

use crate::pending::Pending;

/// What is called for a port's events: it has the program read the port. No further event comes from there
/// until the program writes the port back.
struct OnEvent {
    port: u32,
    pending: Arc<Pending>,
    /// The event that the program has to answer.
    unanswered: DeferredCell,
    /// The port is being unbound: the program is not to hear of it any more.
    closing: AtomicBool,
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        if self.closing.load(Relaxed) {
            return event.handled();
        }
        let (eoi, unanswered) = event.defer();
        // Before the program can read the port, and answer.
        self.unanswered.put(unanswered);
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

    /// How many ports there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Binds a port, whose events go to `pending` from then on. `name` is for `/proc/interrupts`. May sleep.
    /// If it fails the port is closed.
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
            unanswered: DeferredCell::default(),
            closing: AtomicBool::new(false),
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

    /// The program has dealt with a port's event, and the port may send the next. Nothing happens if it is
    /// not bound, or has sent none.
    #[inline]
    pub(crate) fn answer(&self, port: u32) {
        if let Some(channel) = self.channels.get(&port) {
            if let Some(unanswered) = channel.handler().unanswered.take() {
                unanswered.finish(true);
            }
        }
    }
}

fn close(channel: Channel) {
    channel.handler().closing.store(true, Relaxed);
    // An event that nobody answers stays unanswered: the port is about to go, and so is its interrupt.
    drop(channel);
}

impl Drop for Channels {
    fn drop(&mut self) {
        for channel in self.channels.values() {
            channel.handler().closing.store(true, Relaxed);
        }
    }
}
