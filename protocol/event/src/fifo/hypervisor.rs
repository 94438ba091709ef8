// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's half of the FIFO ABI: setting a port pending and appending it to its queue.
//!
//! The guest may change a linked word in four ways only (mask, unmask, clear pending, unlink), so
//! appending by compare-and-exchange fails at most four times with an honest guest. A guest that
//! does more loses events of that queue, and nothing else happens.
//!
//! The last port of a queue is remembered here and never read from the guest. Only whether it is
//! still on the queue is: that is its LINKED bit.

use super::{ControlBlock, EventArray, Priority, BUSY, LINKED, LINK_MASK, MASKED, PENDING};
use crate::Raised;
use xen_abi::event_channel::fifo::MAX_QUEUES;
use xen_shared::SharedWord;

/// Attempts at a link that the guest keeps changing: one for each change of an honest guest, and
/// the one that succeeds.
pub const MAX_ATTEMPTS: u32 = 5;

/// A domain's event array and the control blocks of its vCPUs.
pub trait DomainQueues: EventArray {
    /// A control block.
    type Control<'a>: ControlBlock
    where
        Self: 'a;

    /// A vCPU's control block. `None` as long as the guest has not set one.
    fn control_block(&self, vcpu: u32) -> Option<Self::Control<'_>>;
}

/// The last port of each queue of a vCPU, 0 if none. The guest's memory says whether it is still
/// on the queue.
#[derive(Clone, Debug, Default)]
pub struct Tails([u32; MAX_QUEUES]);

/// What the hypervisor keeps for each port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortQueue {
    /// The queue on which events are put from now on.
    pub priority: Priority,
    /// The port became pending before its event word existed.
    pub pending: bool,
    /// vCPU and priority of the queue that it was put on last: it may be that queue's tail.
    last_queue: (u32, Priority),
}

impl PortQueue {
    /// Of a port that was never used.
    pub const fn new() -> Self {
        Self {
            priority: Priority::DEFAULT,
            pending: false,
            last_queue: (0, Priority::MAX),
        }
    }

    /// Of a port that is closed or bound anew. It may still be a tail.
    pub const fn reset(self) -> Self {
        Self {
            last_queue: self.last_queue,
            ..Self::new()
        }
    }
}

impl Default for PortQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a port is on a queue of the guest. Such a port is not bound anew: the guest would take
/// its next event for one of the closed channel.
pub fn is_linked(array: &impl EventArray, port: u32) -> bool {
    has(array, port, LINKED)
}

/// Whether an event is pending on a port, masked or not.
pub fn is_pending(array: &impl EventArray, port: u32) -> bool {
    has(array, port, PENDING)
}

fn has(array: &impl EventArray, port: u32, bit: u32) -> bool {
    let word = array.event_word(port);
    word.is_some_and(|word| word.load() & bit != 0)
}

/// Forgets a pending event, when a port is closed. The port stays on its queue.
pub fn clear_pending(array: &impl EventArray, port: u32) {
    if let Some(word) = array.event_word(port) {
        word.fetch_clear(PENDING);
    }
}

/// Unmasks a port, and delivers it if it is pending (`EVTCHNOP_unmask`). `tails` has one element
/// for each vCPU.
pub fn unmask(
    domain: &impl DomainQueues,
    tails: &mut [Tails],
    port: u32,
    queue: &mut PortQueue,
    vcpu: u32,
) -> Raised {
    let was_pending = match domain.event_word(port) {
        Some(word) => word.fetch_clear(MASKED) & PENDING != 0,
        None => false,
    };
    if !was_pending {
        return Raised::default();
    }
    Raised {
        newly_pending: false,
        ..set_pending(domain, tails, port, queue, vcpu)
    }
}

/// Sets a port pending for a vCPU, and puts it on the queue of its priority, if it is neither
/// masked nor on one. `tails` has one element for each vCPU.
pub fn set_pending(
    domain: &impl DomainQueues,
    tails: &mut [Tails],
    port: u32,
    queue: &mut PortQueue,
    vcpu: u32,
) -> Raised {
    let Some(word) = domain.event_word(port) else {
        // Remembered until the word exists.
        queue.pending = true;
        return Raised::default();
    };
    queue.pending = false;
    let newly_pending = word.fetch_or(PENDING) & PENDING == 0;
    let notify = match domain.control_block(vcpu) {
        Some(control) if word.load() & MASKED == 0 && word.fetch_or(LINKED) & LINKED == 0 => {
            append(domain, &control, tails, port, queue, vcpu)
        }
        // Without a control block there are no queues; the guest may still poll.
        _ => false,
    };
    Raised {
        newly_pending,
        notify,
    }
}

/// Appends a port that has been marked as linked to its queue. Returns whether the vCPU has to be
/// notified.
fn append(
    array: &impl EventArray,
    control: &impl ControlBlock,
    tails: &mut [Tails],
    port: u32,
    queue: &mut PortQueue,
    vcpu: u32,
) -> bool {
    // If the port is the tail of the queue that it was on last, that queue is empty now. Its tail
    // is forgotten: linking to it would append to the queue that the port is on next.
    if let Some(tail) = tail_of(tails, queue.last_queue) {
        if *tail == port {
            *tail = 0;
        }
    }
    let priority = queue.priority;
    queue.last_queue = (vcpu, priority);
    let last = match tail_of(tails, queue.last_queue) {
        Some(tail) => core::mem::replace(tail, port),
        None => return false,
    };
    if last != 0 && link(array, last, port) {
        return false;
    }
    control.head(priority).store(port);
    control.ready().fetch_or(priority.bit()) & priority.bit() == 0
}

fn tail_of(tails: &mut [Tails], (vcpu, priority): (u32, Priority)) -> Option<&mut u32> {
    let Tails(tails) = tails.get_mut(vcpu as usize)?;
    tails.get_mut(priority.index())
}

/// Links the tail's word to a port, if the tail is still on its queue. Returns whether it is.
fn link(array: &impl EventArray, tail: u32, port: u32) -> bool {
    let Some(word) = array.event_word(tail) else {
        return false;
    };
    let mut value = word.load();
    // While the word is busy an honest guest does not unmask it, so three changes are left.
    for attempt in 0..MAX_ATTEMPTS {
        if value & LINKED == 0 {
            word.fetch_clear(BUSY);
            return false;
        }
        let linked = (value & !(BUSY | LINK_MASK)) | port;
        match word.compare_exchange(value, linked) {
            Ok(_) => return true,
            Err(now) if attempt == 0 => {
                word.fetch_or(BUSY);
                value = now | BUSY;
            }
            Err(now) => value = now,
        }
    }
    word.fetch_clear(BUSY);
    // As in Xen: treated as linked, so that the queue's head stays. The port is the tail of a queue
    // that the guest cannot follow to it: this guest has lost that queue.
    true
}
