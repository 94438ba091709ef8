// SPDX-License-Identifier: GPL-2.0

//! The FIFO ABI: a word for each port, and for each vCPU a control block with 16 queues.
//!
//! An event word has the bits PENDING, MASKED, LINKED and BUSY, and a link to the next port of its
//! queue. A queue is a list that begins at the control block's HEAD and ends at the port whose
//! link is 0. The hypervisor appends to it, the guest takes ports off its front:
//!
//! | | hypervisor | guest |
//! |---|---|---|
//! | PENDING | sets | clears |
//! | MASKED | clears on `EVTCHNOP_unmask` | sets and clears |
//! | LINKED | sets, before it links the port | clears with the link, when it takes the port off |
//! | BUSY | sets while a link fails again and again | waits with unmasking, a little |
//! | link | writes to the port before the new one, if that is LINKED | clears |
//! | HEAD | writes if the queue was empty | reads, when it has come to the end of a queue |
//! | READY | sets a queue's bit after HEAD | takes all bits |

pub mod guest;
pub mod hypervisor;

use xen_abi::event_channel::fifo as abi;
use xen_abi::PAGE_SIZE;
use xen_shared::SharedWord;

/// Event words in a page.
pub const WORDS_PER_PAGE: u32 = (PAGE_SIZE / size_of::<u32>()) as u32;

/// Pages of event words that a domain can have at most.
pub const MAX_PAGES: usize = (abi::NR_CHANNELS / WORDS_PER_PAGE) as usize;

/// What a guest fills the words of a new page with: a port that is not bound yet is masked.
pub const NEW_WORD: u32 = MASKED;

/// Bit of a word: an event is pending.
pub const PENDING: u32 = 1 << abi::PENDING;
/// Bit of a word: events are not delivered.
pub const MASKED: u32 = 1 << abi::MASKED;
/// Bit of a word: the port is on a queue.
pub const LINKED: u32 = 1 << abi::LINKED;
/// Bit of a word: the hypervisor is about to change the link.
pub const BUSY: u32 = 1 << abi::BUSY;

pub use abi::LINK_MASK;

/// The priority of a port, which is the number of its queue: 0 to 15, 0 is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Served before all others (`EVTCHN_FIFO_PRIORITY_MAX`).
    pub const MAX: Self = Self(abi::PRIORITY_MAX as u8);
    /// What a port has at first (`EVTCHN_FIFO_PRIORITY_DEFAULT`).
    pub const DEFAULT: Self = Self(abi::PRIORITY_DEFAULT as u8);
    /// Served after all others (`EVTCHN_FIFO_PRIORITY_MIN`).
    pub const MIN: Self = Self(abi::PRIORITY_MIN as u8);

    /// A priority as `EVTCHNOP_set_priority` has it. `None` if there is no such queue.
    #[inline]
    pub const fn new(number: u32) -> Option<Self> {
        if number <= abi::PRIORITY_MIN {
            Some(Self(number as u8))
        } else {
            None
        }
    }

    /// The queue that is served next: that of the lowest bit of `ready`.
    #[inline]
    const fn first_of(ready: u32) -> Option<Self> {
        Self::new(ready.trailing_zeros())
    }

    /// The number, 0 to 15.
    #[inline]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The queue's place in arrays of [`abi::MAX_QUEUES`] queues.
    #[inline]
    const fn index(self) -> usize {
        self.0 as usize
    }

    /// The queue's bit in the control block's READY.
    #[inline]
    const fn bit(self) -> u32 {
        // Never more than 15; said so, it costs no overflow check in the kernel.
        1u32.wrapping_shl(self.0 as u32)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A domain's event array, as one of the sides reaches it.
pub trait EventArray {
    /// A word of it.
    type Word<'a>: SharedWord<Value = u32>
    where
        Self: 'a;

    /// A port's event word. `None` if the array has none for this port, which may be any number.
    fn event_word(&self, port: u32) -> Option<Self::Word<'_>>;
}

impl<A: EventArray> EventArray for &A {
    type Word<'a>
        = A::Word<'a>
    where
        Self: 'a;

    #[inline]
    fn event_word(&self, port: u32) -> Option<Self::Word<'_>> {
        A::event_word(self, port)
    }
}

/// A vCPU's control block (`struct evtchn_fifo_control_block`), as one of the sides reaches it.
pub trait ControlBlock {
    /// A word of it.
    type Word<'a>: SharedWord<Value = u32>
    where
        Self: 'a;

    /// A bit for each queue that has become non-empty.
    fn ready(&self) -> Self::Word<'_>;

    /// The first port of a queue, when it became non-empty.
    fn head(&self, queue: Priority) -> Self::Word<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_a_queue_that_exists() {
        let numbers = (0..40).filter_map(Priority::new).map(Priority::number);
        assert!(numbers.eq(0..16));
        assert_eq!(Priority::new(u32::MAX), None);
        assert_eq!(Priority::new(7), Some(Priority::default()));
        assert_eq!(Priority::new(0), Some(Priority::MAX));
        assert_eq!(Priority::new(15), Some(Priority::MIN));
    }

    #[test]
    fn the_lowest_ready_bit_is_served_first() {
        assert_eq!(Priority::first_of(0), None);
        assert_eq!(Priority::first_of(1 << 16), None);
        assert_eq!(Priority::first_of(0b1010_0000), Priority::new(5));
        assert_eq!(Priority::first_of(u32::MAX), Some(Priority::MAX));
    }
}
