// SPDX-License-Identifier: GPL-2.0

//! The 2-level ABI ([`xen_event::two_level`]) on a domain's shared info page and its vCPUs' `vcpu_info`, as 64-bit or as
//! 32-bit code lays them out.

use super::{SetPending, SharedAreas};
use crate::mem::MachineMemory;
use crate::mem::word::MachineWord;
use core::mem::offset_of;
use xen_abi::compat::{self, Abi};
use xen_abi::vcpu::{SharedInfo, VcpuInfo};
use xen_event::Raised;
use xen_event::two_level::{self, SharedInfoWords, hypervisor};

/// The bitmaps in a domain's shared info page.
struct SharedInfoPage<'a, M> {
    memory: &'a M,
    areas: &'a SharedAreas,
}

impl<M: MachineMemory> SharedInfoPage<'_, M> {
    /// A word of a bitmap. Those of 32-bit code lie as close to each other as a few of these words.
    fn word(&self, bitmap: usize, number: u32) -> MachineWord<'_, M, u64> {
        let address = self.areas.shared_info + bitmap as u64 + u64::from(number) * 8;
        MachineWord::new(self.memory, address)
    }

    /// A vCPU's selector, at an offset of its `vcpu_info`. `None` if it has none.
    fn selector<T>(&self, vcpu: u32, offset: usize) -> Option<MachineWord<'_, M, T>> {
        let info = (*self.areas.vcpu_info.get(vcpu as usize)?)?;
        Some(MachineWord::new(self.memory, info + offset as u64))
    }

    fn selector_64(&self, vcpu: u32) -> Option<MachineWord<'_, M, u64>> {
        self.selector(vcpu, offset_of!(VcpuInfo, evtchn_pending_sel))
    }

    fn selector_32(&self, vcpu: u32) -> Option<MachineWord<'_, M, u32>> {
        self.selector(vcpu, offset_of!(compat::vcpu::VcpuInfo, evtchn_pending_sel))
    }

    /// Whether the bitmaps have a bit for a port. A guest whose code has become narrower may have bound others before.
    fn has(&self, port: u32) -> bool {
        port < self.areas.ports()
    }
}

impl<M: MachineMemory> SharedInfoWords for SharedInfoPage<'_, M> {
    type Word<'a>
        = MachineWord<'a, M, u64>
    where
        Self: 'a;

    fn pending(&self, number: u32) -> Self::Word<'_> {
        let bitmap = match self.areas.abi {
            Abi::Bits64 => offset_of!(SharedInfo, evtchn_pending),
            Abi::Bits32 => offset_of!(compat::vcpu::SharedInfo, evtchn_pending),
        };
        self.word(bitmap, number)
    }

    fn mask(&self, number: u32) -> Self::Word<'_> {
        let bitmap = match self.areas.abi {
            Abi::Bits64 => offset_of!(SharedInfo, evtchn_mask),
            Abi::Bits32 => offset_of!(compat::vcpu::SharedInfo, evtchn_mask),
        };
        self.word(bitmap, number)
    }
}

pub(super) fn set_pending(
    memory: &impl MachineMemory,
    areas: &SharedAreas,
    port: u32,
    vcpu: u32,
) -> SetPending {
    let page = SharedInfoPage { memory, areas };
    let raised = match areas.abi {
        _ if !page.has(port) => Raised::default(),
        Abi::Bits64 => hypervisor::set_pending(&page, page.selector_64(vcpu), port),
        Abi::Bits32 => hypervisor::set_pending(&page, page.selector_32(vcpu), port),
    };
    SetPending::of(raised, vcpu)
}

pub(super) fn unmask(
    memory: &impl MachineMemory,
    areas: &SharedAreas,
    port: u32,
    vcpu: u32,
) -> SetPending {
    let page = SharedInfoPage { memory, areas };
    let raised = match areas.abi {
        _ if !page.has(port) => Raised::default(),
        Abi::Bits64 => hypervisor::unmask(&page, page.selector_64(vcpu), port),
        Abi::Bits32 => hypervisor::unmask(&page, page.selector_32(vcpu), port),
    };
    SetPending::of(raised, vcpu)
}

pub(super) fn clear_pending(memory: &impl MachineMemory, areas: &SharedAreas, port: u32) {
    let page = SharedInfoPage { memory, areas };
    if page.has(port) {
        two_level::clear_pending(&page, port);
    }
}

pub(super) fn is_pending(memory: &impl MachineMemory, areas: &SharedAreas, port: u32) -> bool {
    let page = SharedInfoPage { memory, areas };
    page.has(port) && two_level::is_pending(&page, port)
}
