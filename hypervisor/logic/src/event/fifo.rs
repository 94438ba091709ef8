// SPDX-License-Identifier: GPL-2.0

//! The FIFO ABI: an event word for each port, in pages that the guest adds one by one, and for each vCPU 16 queues of
//! ports, one for each priority, linked through the words. The hypervisor appends, the guest removes.
//!
//! The guest may change a linked word in four ways only (mask, unmask, clear pending, unlink), so appending by
//! compare-and-exchange fails at most four times with an honest guest. A guest that does more loses its event, and
//! nothing else happens.

use super::{Port, SetPending};
use crate::mem::{MachineMemory, PAGE_SIZE, PageRef};
use alloc::vec::Vec;
use core::mem::offset_of;
use core::ops::Range;
use xen_abi::event_channel::FifoControlBlock;
use xen_abi::event_channel::fifo::{
    BUSY, LINK_MASK, LINKED, MASKED, MAX_QUEUES, NR_CHANNELS, PENDING,
};

/// Event words in a page.
pub const WORDS_PER_PAGE: u32 = PAGE_SIZE as u32 / 4;
/// Most pages of event words of a domain.
const MAX_PAGES: usize = (NR_CHANNELS / WORDS_PER_PAGE) as usize;

const fn bit(number: u32) -> u32 {
    1 << number
}

/// The queues of one vCPU.
#[derive(Default)]
struct Queues {
    /// Page and offset of the control block, once the guest has set it.
    control: Option<(PageRef, u32)>,
    /// The last port of each queue, 0 if none. The guest's memory decides whether it is still on the queue.
    tails: [u32; MAX_QUEUES],
}

impl Queues {
    fn control(&self) -> Option<u64> {
        let (page, offset) = self.control.as_ref()?;
        Some(page.mfn().address() + u64::from(*offset))
    }
}

/// Event words and queues of a domain.
pub struct Fifo {
    pages: Vec<PageRef>,
    vcpus: Vec<Queues>,
}

impl Fifo {
    pub(super) fn new(vcpus: u32) -> Self {
        Self {
            pages: Vec::new(),
            vcpus: (0..vcpus).map(|_| Queues::default()).collect(),
        }
    }

    pub(super) fn set_control(
        &mut self,
        vcpu: u32,
        page: PageRef,
        offset: u32,
    ) -> Result<(), PageRef> {
        match self.vcpus.get_mut(vcpu as usize) {
            Some(queues) if queues.control.is_none() => {
                queues.control = Some((page, offset));
                Ok(())
            }
            _ => Err(page),
        }
    }

    /// Adds a page and returns the ports whose words lie in it. `Err` returns the page if there is no room.
    pub(super) fn expand(&mut self, page: PageRef) -> Result<Range<u32>, PageRef> {
        if self.is_full() {
            return Err(page);
        }
        let start = self.pages.len() as u32 * WORDS_PER_PAGE;
        self.pages.push(page);
        Ok(start..start + WORDS_PER_PAGE)
    }

    /// Whether all pages were added.
    pub fn is_full(&self) -> bool {
        self.pages.len() >= MAX_PAGES
    }

    /// Number of ports that have an event word.
    pub fn words(&self) -> u32 {
        self.pages.len() as u32 * WORDS_PER_PAGE
    }

    pub(super) fn into_pages(self) -> Vec<PageRef> {
        let controls = self.vcpus.into_iter().filter_map(|queues| queues.control);
        self.pages
            .into_iter()
            .chain(controls.map(|(page, _)| page))
            .collect()
    }

    /// Machine address of a port's event word.
    fn word(&self, port: u32) -> Option<u64> {
        let page = self.pages.get((port / WORDS_PER_PAGE) as usize)?;
        Some(page.mfn().address() + u64::from(port % WORDS_PER_PAGE) * 4)
    }

    fn has(&self, memory: &impl MachineMemory, port: u32, number: u32) -> bool {
        self.word(port)
            .is_some_and(|word| memory.load_u32(word) & bit(number) != 0)
    }

    pub(super) fn is_linked(&self, memory: &impl MachineMemory, port: u32) -> bool {
        self.has(memory, port, LINKED)
    }

    pub(super) fn is_pending(&self, memory: &impl MachineMemory, port: u32) -> bool {
        self.has(memory, port, PENDING)
    }

    pub(super) fn clear_pending(&self, memory: &impl MachineMemory, port: u32) {
        if let Some(word) = self.word(port) {
            memory.fetch_clear_u32(word, bit(PENDING));
        }
    }

    pub(super) fn unmask(
        &mut self,
        memory: &impl MachineMemory,
        port: u32,
        state: &mut Port,
        vcpu: u32,
    ) -> SetPending {
        let Some(word) = self.word(port) else {
            return SetPending::default();
        };
        let before = memory.fetch_clear_u32(word, bit(MASKED));
        if before & bit(PENDING) == 0 {
            return SetPending::default();
        }
        SetPending {
            newly_pending: false,
            ..self.set_pending(memory, port, state, vcpu)
        }
    }

    pub(super) fn set_pending(
        &mut self,
        memory: &impl MachineMemory,
        port: u32,
        state: &mut Port,
        vcpu: u32,
    ) -> SetPending {
        let Some(word) = self.word(port) else {
            // Remembered until the word exists.
            state.pending = true;
            return SetPending::default();
        };
        state.pending = false;
        let newly_pending = memory.fetch_or_u32(word, bit(PENDING)) & bit(PENDING) == 0;
        let control = self.vcpus.get(vcpu as usize).and_then(Queues::control);
        let Some(control) = control else {
            // Without a control block there are no queues; the guest may still poll.
            return SetPending {
                newly_pending,
                notify: None,
            };
        };
        let masked = memory.load_u32(word) & bit(MASKED) != 0;
        if masked || memory.fetch_or_u32(word, bit(LINKED)) & bit(LINKED) != 0 {
            return SetPending {
                newly_pending,
                notify: None,
            };
        }
        self.leave_last_queue(port, state);
        let queue = usize::from(state.priority);
        state.last_queue = (vcpu, state.priority);
        let tail = self.vcpus[vcpu as usize].tails[queue];
        let appended = tail != 0 && self.link(memory, tail, port);
        self.vcpus[vcpu as usize].tails[queue] = port;
        if appended {
            return SetPending {
                newly_pending,
                notify: None,
            };
        }
        let head = offset_of!(FifoControlBlock, head) + 4 * queue;
        memory.store_u32(control + head as u64, port);
        let ready = memory.fetch_or_u32(
            control + offset_of!(FifoControlBlock, ready) as u64,
            bit(queue as u32),
        );
        SetPending {
            newly_pending,
            notify: (ready & bit(queue as u32) == 0).then_some(vcpu),
        }
    }

    /// If the port is the tail of the queue that it was on last, that queue is empty now. Its tail is forgotten:
    /// linking to it would append to the queue that the port is on next.
    fn leave_last_queue(&mut self, port: u32, state: &Port) {
        let (vcpu, priority) = state.last_queue;
        let tail = self
            .vcpus
            .get_mut(vcpu as usize)
            .map(|q| &mut q.tails[usize::from(priority)]);
        if let Some(tail) = tail.filter(|tail| **tail == port) {
            *tail = 0;
        }
    }

    /// Links the tail's word to a port, if the tail is still on its queue. Returns whether it is.
    fn link(&self, memory: &impl MachineMemory, tail: u32, port: u32) -> bool {
        let Some(word) = self.word(tail) else {
            return false;
        };
        let mut value = memory.load_u32(word);
        // While the word is busy an honest guest does not unmask it, so three changes are left.
        for attempt in 0..5 {
            if value & bit(LINKED) == 0 {
                memory.fetch_clear_u32(word, bit(BUSY));
                return false;
            }
            let linked = (value & !(bit(BUSY) | LINK_MASK)) | port;
            match memory.compare_exchange_u32(word, value, linked) {
                Ok(_) => return true,
                Err(now) if attempt == 0 => {
                    memory.fetch_or_u32(word, bit(BUSY));
                    value = now | bit(BUSY);
                }
                Err(now) => value = now,
            }
        }
        memory.fetch_clear_u32(word, bit(BUSY));
        // As in Xen: treated as linked, so that the queue's head stays. This event is delivered with the next one.
        true
    }
}
