// SPDX-License-Identifier: GPL-2.0

//! Event channels on the heap, for tests and host tools.

use crate::fifo::hypervisor::DomainQueues;
use crate::fifo::{ControlBlock, EventArray, Priority};
use crate::two_level::SharedInfoWords;
use core::array::from_fn;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicU8};
use std::vec::Vec;
use xen_abi::event_channel::fifo::MAX_QUEUES;
use xen_shared::WrittenBetween;

/// What a domain and the hypervisor share of event channels, of both ABIs. All fields are open to
/// the third writer.
#[derive(Debug)]
pub struct HostMemory {
    /// The words of the event array, as many as [`HostMemory::new`] was asked for.
    pub words: Vec<AtomicU32>,
    /// Each vCPU's areas.
    pub vcpus: Vec<HostVcpu>,
    /// `evtchn_pending` of the shared info page.
    pub pending: [AtomicU64; 64],
    /// `evtchn_mask` of the shared info page.
    pub mask: [AtomicU64; 64],
}

/// What a vCPU shares with the hypervisor.
#[derive(Debug, Default)]
pub struct HostVcpu {
    /// `evtchn_upcall_pending`.
    pub upcall: AtomicU8,
    /// `evtchn_pending_sel`.
    pub selector: AtomicU64,
    /// READY of the control block.
    pub ready: AtomicU32,
    /// HEAD of each queue of the control block.
    pub heads: [AtomicU32; MAX_QUEUES],
}

impl HostMemory {
    /// Memory of a domain with event words for ports below `ports`, none of them masked.
    pub fn new(ports: u32, vcpus: usize) -> Self {
        Self {
            words: (0..ports).map(|_| AtomicU32::new(0)).collect(),
            vcpus: (0..vcpus).map(|_| HostVcpu::default()).collect(),
            pending: from_fn(|_| AtomicU64::new(0)),
            mask: from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// The memory as a side reaches it, with a third writer who is called before each operation.
#[derive(Debug)]
pub struct HostDomain<'m, F> {
    /// The memory.
    pub memory: &'m HostMemory,
    /// The third writer.
    pub writer: F,
}

/// A word of a [`HostDomain`].
pub type HostWord<'a, A, F> = WrittenBetween<'a, &'a A, HostMemory, F>;

impl<'m, F: Fn(&HostMemory)> HostDomain<'m, F> {
    /// The memory with a third writer; `|_| {}` is one that writes nothing.
    pub fn new(memory: &'m HostMemory, writer: F) -> Self {
        Self { memory, writer }
    }

    fn word<'a, A>(&'a self, word: &'a A) -> HostWord<'a, A, F> {
        WrittenBetween {
            word,
            memory: self.memory,
            writer: &self.writer,
        }
    }

    /// A vCPU's areas. Panics if there is no such vCPU.
    pub fn vcpu(&self, vcpu: u32) -> HostControl<'_, 'm, F> {
        HostControl {
            domain: self,
            vcpu: &self.memory.vcpus[vcpu as usize],
        }
    }
}

impl<F: Fn(&HostMemory)> EventArray for HostDomain<'_, F> {
    type Word<'a>
        = HostWord<'a, AtomicU32, F>
    where
        Self: 'a;

    fn event_word(&self, port: u32) -> Option<Self::Word<'_>> {
        let word = self.memory.words.get(port as usize)?;
        Some(self.word(word))
    }
}

impl<'m, F: Fn(&HostMemory)> DomainQueues for HostDomain<'m, F> {
    type Control<'a>
        = HostControl<'a, 'm, F>
    where
        Self: 'a;

    fn control_block(&self, vcpu: u32) -> Option<Self::Control<'_>> {
        let vcpu = self.memory.vcpus.get(vcpu as usize)?;
        Some(HostControl { domain: self, vcpu })
    }
}

impl<F: Fn(&HostMemory)> SharedInfoWords for HostDomain<'_, F> {
    type Word<'a>
        = HostWord<'a, AtomicU64, F>
    where
        Self: 'a;

    fn pending(&self, number: u32) -> Self::Word<'_> {
        self.word(&self.memory.pending[number as usize])
    }

    fn mask(&self, number: u32) -> Self::Word<'_> {
        self.word(&self.memory.mask[number as usize])
    }
}

/// The areas of a vCPU of a [`HostDomain`].
#[derive(Debug)]
pub struct HostControl<'a, 'm, F> {
    domain: &'a HostDomain<'m, F>,
    vcpu: &'a HostVcpu,
}

impl<'a, F: Fn(&HostMemory)> HostControl<'a, '_, F> {
    /// The upcall flag.
    pub fn upcall(&self) -> HostWord<'a, AtomicU8, F> {
        self.domain.word(&self.vcpu.upcall)
    }

    /// The selector of the 2-level ABI.
    pub fn selector(&self) -> HostWord<'a, AtomicU64, F> {
        self.domain.word(&self.vcpu.selector)
    }
}

impl<F: Fn(&HostMemory)> ControlBlock for HostControl<'_, '_, F> {
    type Word<'b>
        = HostWord<'b, AtomicU32, F>
    where
        Self: 'b;

    fn ready(&self) -> Self::Word<'_> {
        self.domain.word(&self.vcpu.ready)
    }

    fn head(&self, queue: Priority) -> Self::Word<'_> {
        self.domain
            .word(&self.vcpu.heads[usize::from(queue.number())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_shared::SharedWord;

    #[test]
    fn every_word_of_a_domain_is_one_word() {
        let memory = HostMemory::new(4, 2);
        let domain = HostDomain::new(&memory, |_| {});
        let control = domain.control_block(1).expect("two vCPUs");
        control.ready().store(1);
        control.head(Priority::MIN).store(2);
        control.upcall().store(3);
        control.selector().store(4);
        domain
            .event_word(3)
            .expect("four words")
            .store(crate::fifo::MASKED);
        domain.pending(63).store(5);
        domain.mask(0).store(6);
        let vcpu = domain.vcpu(1);
        assert_eq!(vcpu.ready().load(), 1);
        assert_eq!(vcpu.head(Priority::MIN).load(), 2);
        assert_eq!((vcpu.upcall().load(), vcpu.selector().load()), (3, 4));
        assert_eq!(SharedWord::load(&memory.words[3]), crate::fifo::MASKED);
        assert_eq!(SharedWord::load(&memory.pending[63]), 5);
        assert_eq!(SharedWord::load(&memory.mask[0]), 6);
        assert!(domain.event_word(4).is_none() && domain.control_block(2).is_none());
        assert_eq!(SharedWord::load(&memory.vcpus[0].ready), 0);
    }
}
