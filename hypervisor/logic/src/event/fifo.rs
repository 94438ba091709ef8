// SPDX-License-Identifier: GPL-2.0

//! The FIFO ABI ([`xen_event::fifo`]) on pages that the guest adds one by one, and a control block for each vCPU.

use super::{Port, SetPending};
use crate::mem::word::MachineWord;
use crate::mem::{MachineMemory, PageRef};
use alloc::vec::Vec;
use core::mem::offset_of;
use core::ops::Range;
use xen_abi::event_channel::FifoControlBlock;
use xen_event::fifo::hypervisor::{self, DomainQueues, Tails};
use xen_event::fifo::{ControlBlock, EventArray, MAX_PAGES, Priority};

pub use xen_event::fifo::WORDS_PER_PAGE;

/// Page and offset of a control block, once the guest has set it.
type ControlPage = Option<(PageRef, u32)>;

/// Event words and queues of a domain.
pub struct Fifo {
    pages: Vec<PageRef>,
    /// Each vCPU's control block.
    controls: Vec<ControlPage>,
    /// The last ports of each vCPU's queues.
    tails: Vec<Tails>,
}

impl Fifo {
    pub(super) fn new(vcpus: u32) -> Self {
        Self {
            pages: Vec::new(),
            controls: (0..vcpus).map(|_| None).collect(),
            tails: (0..vcpus).map(|_| Tails::default()).collect(),
        }
    }

    pub(super) fn set_control(
        &mut self,
        vcpu: u32,
        page: PageRef,
        offset: u32,
    ) -> Result<(), PageRef> {
        match self.controls.get_mut(vcpu as usize) {
            Some(control @ None) => {
                *control = Some((page, offset));
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
        let start = self.words();
        self.pages.push(page);
        Ok(start..self.words())
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
        let controls = self.controls.into_iter().flatten().map(|(page, _)| page);
        self.pages.into_iter().chain(controls).collect()
    }

    /// The words and control blocks in memory, and the tails.
    fn on<'a, M>(&'a mut self, memory: &'a M) -> (FifoPages<'a, M>, &'a mut [Tails]) {
        let pages = FifoPages {
            memory,
            pages: &self.pages,
            controls: &self.controls,
        };
        (pages, &mut self.tails)
    }

    fn array<'a, M>(&'a self, memory: &'a M) -> FifoPages<'a, M> {
        FifoPages {
            memory,
            pages: &self.pages,
            controls: &self.controls,
        }
    }

    pub(super) fn is_linked(&self, memory: &impl MachineMemory, port: u32) -> bool {
        hypervisor::is_linked(&self.array(memory), port)
    }

    pub(super) fn is_pending(&self, memory: &impl MachineMemory, port: u32) -> bool {
        hypervisor::is_pending(&self.array(memory), port)
    }

    pub(super) fn clear_pending(&self, memory: &impl MachineMemory, port: u32) {
        hypervisor::clear_pending(&self.array(memory), port);
    }

    pub(super) fn unmask(
        &mut self,
        memory: &impl MachineMemory,
        port: u32,
        state: &mut Port,
        vcpu: u32,
    ) -> SetPending {
        let (pages, tails) = self.on(memory);
        let raised = hypervisor::unmask(&pages, tails, port, &mut state.queue, vcpu);
        SetPending::of(raised, vcpu)
    }

    pub(super) fn set_pending(
        &mut self,
        memory: &impl MachineMemory,
        port: u32,
        state: &mut Port,
        vcpu: u32,
    ) -> SetPending {
        let (pages, tails) = self.on(memory);
        let raised = hypervisor::set_pending(&pages, tails, port, &mut state.queue, vcpu);
        SetPending::of(raised, vcpu)
    }
}

/// A domain's event words and control blocks in machine memory.
struct FifoPages<'a, M> {
    memory: &'a M,
    pages: &'a [PageRef],
    controls: &'a [ControlPage],
}

impl<M: MachineMemory> EventArray for FifoPages<'_, M> {
    type Word<'a>
        = MachineWord<'a, M, u32>
    where
        Self: 'a;

    fn event_word(&self, port: u32) -> Option<Self::Word<'_>> {
        let page = self.pages.get((port / WORDS_PER_PAGE) as usize)?;
        let address = page.mfn().address() + u64::from(port % WORDS_PER_PAGE) * 4;
        Some(MachineWord::new(self.memory, address))
    }
}

impl<M: MachineMemory> DomainQueues for FifoPages<'_, M> {
    type Control<'a>
        = ControlAt<'a, M>
    where
        Self: 'a;

    fn control_block(&self, vcpu: u32) -> Option<Self::Control<'_>> {
        let (page, offset) = self.controls.get(vcpu as usize)?.as_ref()?;
        Some(ControlAt {
            memory: self.memory,
            address: page.mfn().address() + u64::from(*offset),
        })
    }
}

/// A control block in machine memory.
struct ControlAt<'a, M> {
    memory: &'a M,
    address: u64,
}

impl<M: MachineMemory> ControlBlock for ControlAt<'_, M> {
    type Word<'a>
        = MachineWord<'a, M, u32>
    where
        Self: 'a;

    fn ready(&self) -> Self::Word<'_> {
        let offset = offset_of!(FifoControlBlock, ready);
        MachineWord::new(self.memory, self.address + offset as u64)
    }

    fn head(&self, queue: Priority) -> Self::Word<'_> {
        let offset = offset_of!(FifoControlBlock, head) as u64 + 4 * u64::from(queue.number());
        MachineWord::new(self.memory, self.address + offset)
    }
}
