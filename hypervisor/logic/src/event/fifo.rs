//! The FIFO ABI: a word a port, in pages that the guest adds one by one, and per vCPU 16 queues of ports, one a
//! priority, linked through the words. The hypervisor appends, the guest takes off.
//!
//! The guest may change a word of a queue in four ways only (mask, unmask, clear pending, unlink), so appending by
//! compare-and-exchange fails at most four times with an honest guest. With another one its event is lost, and
//! nothing else.

use super::{Port, Raised};
use crate::mem::{Hold, MachineMemory, PAGE_SIZE};
use alloc::vec::Vec;
use core::mem::offset_of;
use core::ops::Range;
use xen_abi::event_channel::FifoControlBlock;
use xen_abi::event_channel::fifo::{
    BUSY, LINK_MASK, LINKED, MASKED, MAX_QUEUES, NR_CHANNELS, PENDING,
};

/// Ports whose words share a page.
pub const WORDS_PER_PAGE: u32 = PAGE_SIZE as u32 / 4;
/// Pages of words a domain may add.
const MAX_PAGES: usize = (NR_CHANNELS / WORDS_PER_PAGE) as usize;

const fn bit(number: u32) -> u32 {
    1 << number
}

/// A vCPU's queues.
#[derive(Default)]
struct Queues {
    /// Page and offset of the control block that the guest has given it.
    control: Option<(Hold, u32)>,
    /// The last port of each queue, 0 if none; never trusted beyond its being a port.
    tails: [u32; MAX_QUEUES],
}

impl Queues {
    fn control(&self) -> Option<u64> {
        let (hold, offset) = self.control.as_ref()?;
        Some(hold.mfn().address() + u64::from(*offset))
    }
}

/// A domain's words and queues.
pub struct Fifo {
    pages: Vec<Hold>,
    vcpus: Vec<Queues>,
}

impl Fifo {
    pub(super) fn new(vcpus: u32) -> Self {
        Self {
            pages: Vec::new(),
            vcpus: (0..vcpus).map(|_| Queues::default()).collect(),
        }
    }

    pub(super) fn set_control(&mut self, vcpu: u32, hold: Hold, offset: u32) -> Result<(), Hold> {
        match self.vcpus.get_mut(vcpu as usize) {
            Some(queues) if queues.control.is_none() => {
                queues.control = Some((hold, offset));
                Ok(())
            }
            _ => Err(hold),
        }
    }

    /// Adds a page and returns the ports whose words it has, or gives the page back.
    pub(super) fn expand(&mut self, hold: Hold) -> Result<Range<u32>, Hold> {
        if self.is_full() {
            return Err(hold);
        }
        let start = self.pages.len() as u32 * WORDS_PER_PAGE;
        self.pages.push(hold);
        Ok(start..start + WORDS_PER_PAGE)
    }

    /// Whether there is no room for another page.
    pub fn is_full(&self) -> bool {
        self.pages.len() >= MAX_PAGES
    }

    /// Number of ports that have words.
    pub fn words(&self) -> u32 {
        self.pages.len() as u32 * WORDS_PER_PAGE
    }

    pub(super) fn into_holds(self) -> Vec<Hold> {
        let controls = self.vcpus.into_iter().filter_map(|queues| queues.control);
        self.pages
            .into_iter()
            .chain(controls.map(|(hold, _)| hold))
            .collect()
    }

    /// Address of a port's word.
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
    ) -> Raised {
        let Some(word) = self.word(port) else {
            return Raised::default();
        };
        let before = memory.fetch_clear_u32(word, bit(MASKED));
        if before & bit(PENDING) == 0 {
            return Raised::default();
        }
        Raised {
            newly: false,
            ..self.raise(memory, port, state, vcpu)
        }
    }

    pub(super) fn raise(
        &mut self,
        memory: &impl MachineMemory,
        port: u32,
        state: &mut Port,
        vcpu: u32,
    ) -> Raised {
        let Some(word) = self.word(port) else {
            // Kept until its word comes into being.
            state.pending = true;
            return Raised::default();
        };
        state.pending = false;
        let newly = memory.fetch_or_u32(word, bit(PENDING)) & bit(PENDING) == 0;
        let control = self.vcpus.get(vcpu as usize).and_then(Queues::control);
        let Some(control) = control else {
            // A guest must not unmask before it has said where the queues are; it may poll.
            return Raised { newly, tell: None };
        };
        let masked = memory.load_u32(word) & bit(MASKED) != 0;
        if masked || memory.fetch_or_u32(word, bit(LINKED)) & bit(LINKED) != 0 {
            return Raised { newly, tell: None };
        }
        self.leave_last_queue(port, state);
        let queue = usize::from(state.priority);
        state.last_queue = (vcpu, state.priority);
        let tail = self.vcpus[vcpu as usize].tails[queue];
        let appended = tail != 0 && self.link(memory, tail, port);
        self.vcpus[vcpu as usize].tails[queue] = port;
        if appended {
            return Raised { newly, tell: None };
        }
        let head = offset_of!(FifoControlBlock, head) + 4 * queue;
        memory.store_u32(control + head as u64, port);
        let ready = memory.fetch_or_u32(
            control + offset_of!(FifoControlBlock, ready) as u64,
            bit(queue as u32),
        );
        Raised {
            newly,
            tell: (ready & bit(queue as u32) == 0).then_some(vcpu),
        }
    }

    /// If the port was the tail of the queue it was on last, that queue is empty now; its tail must not be linked to
    /// again, or the queue the port goes to would be continued by it.
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

    /// Links the tail's word to a port if the tail is still on its queue. Says whether it was.
    fn link(&self, memory: &impl MachineMemory, tail: u32, port: u32) -> bool {
        let Some(word) = self.word(tail) else {
            return false;
        };
        let mut value = memory.load_u32(word);
        // While the word is busy the guest does not unmask it, so that only three changes are left to it.
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
        // As in Xen: said to be linked, so that the queue's head stays; this event waits for the next one.
        true
    }
}
