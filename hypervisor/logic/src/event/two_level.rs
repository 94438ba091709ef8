// SPDX-License-Identifier: GPL-2.0

//! The 2-level ABI ([`xen_event::two_level`]) on a domain's shared info page and its vCPUs' `vcpu_info`.

use super::{SetPending, SharedAreas};
use crate::mem::MachineMemory;
use crate::mem::word::MachineWord;
use core::mem::offset_of;
use xen_abi::vcpu::{SharedInfo, VcpuInfo};
use xen_event::two_level::{self, SharedInfoWords, hypervisor};

/// The bitmaps in a domain's shared info page.
struct SharedInfoPage<'a, M> {
    memory: &'a M,
    areas: &'a SharedAreas,
}

impl<M: MachineMemory> SharedInfoPage<'_, M> {
    fn word(&self, bitmap: usize, number: u32) -> MachineWord<'_, M, u64> {
        let address = self.areas.shared_info + bitmap as u64 + u64::from(number) * 8;
        MachineWord::new(self.memory, address)
    }

    /// A vCPU's selector. `None` if it has no `vcpu_info`.
    fn selector(&self, vcpu: u32) -> Option<MachineWord<'_, M, u64>> {
        let info = (*self.areas.vcpu_info.get(vcpu as usize)?)?;
        let address = info + offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
        Some(MachineWord::new(self.memory, address))
    }
}

impl<M: MachineMemory> SharedInfoWords for SharedInfoPage<'_, M> {
    type Word<'a>
        = MachineWord<'a, M, u64>
    where
        Self: 'a;

    fn pending(&self, number: u32) -> Self::Word<'_> {
        self.word(offset_of!(SharedInfo, evtchn_pending), number)
    }

    fn mask(&self, number: u32) -> Self::Word<'_> {
        self.word(offset_of!(SharedInfo, evtchn_mask), number)
    }
}

pub(super) fn set_pending(
    memory: &impl MachineMemory,
    areas: &SharedAreas,
    port: u32,
    vcpu: u32,
) -> SetPending {
    let page = SharedInfoPage { memory, areas };
    SetPending::of(
        hypervisor::set_pending(&page, page.selector(vcpu), port),
        vcpu,
    )
}

pub(super) fn unmask(
    memory: &impl MachineMemory,
    areas: &SharedAreas,
    port: u32,
    vcpu: u32,
) -> SetPending {
    let page = SharedInfoPage { memory, areas };
    SetPending::of(hypervisor::unmask(&page, page.selector(vcpu), port), vcpu)
}

pub(super) fn clear_pending(memory: &impl MachineMemory, areas: &SharedAreas, port: u32) {
    two_level::clear_pending(&SharedInfoPage { memory, areas }, port);
}

pub(super) fn is_pending(memory: &impl MachineMemory, areas: &SharedAreas, port: u32) -> bool {
    two_level::is_pending(&SharedInfoPage { memory, areas }, port)
}
