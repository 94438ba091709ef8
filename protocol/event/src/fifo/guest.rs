// SPDX-License-Identifier: GPL-2.0

//! The guest's half of the FIFO ABI: taking ports off the queues, masking and unmasking.

use super::{ControlBlock, EventArray, Priority, BUSY, LINKED, LINK_MASK, MASKED, PENDING};
use crate::{Corrupt, Unmask};
use xen_abi::event_channel::fifo::{MAX_QUEUES, NR_CHANNELS};
use xen_shared::SharedWord;

/// How often unmasking tries to change a word that is busy or changes, before it leaves that to
/// the hypervisor. A word is busy for the time of a few atomic operations of another processor.
const MAX_ATTEMPTS: u32 = 128;

/// A budget for [`Queues::drain`] that no honest hypervisor uses up at once: each port twice.
pub const MAX_STEPS: u32 = 2 * NR_CHANNELS;

/// Masks a port: events stay pending.
#[inline]
pub fn mask(word: &impl SharedWord<Value = u32>) {
    word.fetch_or(MASKED);
}

/// Whether a port is masked.
#[inline]
pub fn is_masked(word: &impl SharedWord<Value = u32>) -> bool {
    word.load() & MASKED != 0
}

/// Whether an event is pending on a port, masked or not.
#[inline]
pub fn is_pending(word: &impl SharedWord<Value = u32>) -> bool {
    word.load() & PENDING != 0
}

/// Forgets a pending event, before its handler runs.
#[inline]
pub fn clear_pending(word: &impl SharedWord<Value = u32>) {
    word.fetch_clear(PENDING);
}

/// Sets a port pending, to be delivered when it is unmasked.
#[inline]
pub fn set_pending(word: &impl SharedWord<Value = u32>) {
    word.fetch_or(PENDING);
}

/// Unmasks a port on which no event is pending. Otherwise the port stays masked, and
/// [`Unmask::Hypercall`] asks the hypervisor to unmask it and to put it on its queue.
///
/// Never waits long: a word that stays busy or keeps changing is left to the hypervisor too.
#[inline]
pub fn unmask(word: &impl SharedWord<Value = u32>) -> Unmask {
    let mut old = word.load();
    for _ in 0..MAX_ATTEMPTS {
        if old & MASKED == 0 {
            return Unmask::Done;
        }
        if old & PENDING != 0 {
            return Unmask::Hypercall;
        }
        // Fails as long as the word is busy: the hypervisor has counted on no such change.
        let idle = old & !BUSY;
        match word.compare_exchange(idle, idle & !MASKED) {
            Ok(_) => return Unmask::Done,
            Err(now) => old = now,
        }
        core::hint::spin_loop();
    }
    Unmask::Hypercall
}

/// What [`Queues::take`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A port with an event to deliver. It is off its queue and still pending.
    Event(u32),
    /// A port that is off its queue now and has no event to deliver: it was masked or served since
    /// it was linked.
    Quiet(u32),
    /// All queues are empty.
    Empty,
}

/// The queues of one vCPU as the guest sees them. Used by that vCPU alone, with interrupts off.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// The next port of each queue; 0 if it has to be read from the control block.
    heads: [u32; MAX_QUEUES],
    /// Bits of the queues that are not empty.
    ready: u32,
}

impl Queues {
    /// For a control block of zeroes, which `EVTCHNOP_init_control` has just set; after a resume
    /// too.
    pub const fn new() -> Self {
        Self {
            heads: [0; MAX_QUEUES],
            ready: 0,
        }
    }

    /// Takes one port off the non-empty queue of the highest priority.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the queue does not begin with a port that has a word. The queue is left until
    /// the hypervisor marks it again; the others are served by the next call.
    #[inline]
    pub fn take(
        &mut self,
        array: &impl EventArray,
        control: &impl ControlBlock,
    ) -> Result<Taken, Corrupt> {
        // A full barrier: what was written before the bits is visible.
        self.ready |= control.ready().swap(0);
        let Some(queue) = Priority::first_of(self.ready) else {
            // Bits beyond the queues mean nothing.
            self.ready = 0;
            return Ok(Taken::Empty);
        };
        let next = match self.heads.get(queue.index()) {
            Some(0) | None => control.head(queue).load(),
            Some(port) => *port,
        };
        let word = if next == 0 {
            Err(Corrupt::NoHead {
                queue: queue.number(),
            })
        } else {
            array.event_word(next).ok_or(Corrupt::Port {
                queue: queue.number(),
                port: next,
            })
        };
        let word = match word {
            Ok(word) => word,
            Err(corrupt) => {
                self.set_head(queue, 0);
                return Err(corrupt);
            }
        };
        // The link is good for this one step; a link in a circle ends here, since each is cleared.
        let linked = word.fetch_clear(LINKED | LINK_MASK);
        self.set_head(queue, linked & LINK_MASK);
        // Read after the port is off: an event from now on links it again.
        Ok(match word.load() & (PENDING | MASKED) {
            PENDING => Taken::Event(next),
            _ => Taken::Quiet(next),
        })
    }

    /// Sets a queue's next port. Without one the queue is empty.
    #[inline]
    fn set_head(&mut self, queue: Priority, port: u32) {
        if let Some(head) = self.heads.get_mut(queue.index()) {
            *head = port;
        }
        if port == 0 {
            self.ready &= !queue.bit();
        }
    }

    /// Takes ports off the queues until these are empty, and calls `each` for those with an event,
    /// and for each queue that is corrupt.
    ///
    /// Returns whether the budget of steps was used up before: the caller looks again later. An
    /// honest hypervisor can make it so by sending faster than the events are handled; only a
    /// hostile one by links.
    #[must_use = "events that are left have to be looked for again"]
    pub fn drain(
        &mut self,
        array: &impl EventArray,
        control: &impl ControlBlock,
        budget: u32,
        mut each: impl FnMut(Result<u32, Corrupt>),
    ) -> bool {
        for _ in 0..budget {
            match self.take(array, control) {
                Ok(Taken::Event(port)) => each(Ok(port)),
                Ok(Taken::Quiet(_)) => {}
                Ok(Taken::Empty) => return false,
                Err(corrupt) => each(Err(corrupt)),
            }
        }
        true
    }
}
