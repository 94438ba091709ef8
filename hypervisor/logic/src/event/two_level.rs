// SPDX-License-Identifier: GPL-2.0

//! The 2-level ABI: a pending and a mask bit for each port in the shared info page, and for each vCPU a selector with a
//! bit for each word that has pending bits.

use super::{SetPending, SharedAreas};
use crate::mem::MachineMemory;
use core::mem::offset_of;
use xen_abi::event_channel::NR_CHANNELS_2L;
use xen_abi::vcpu::{SharedInfo, VcpuInfo};

/// Machine address of a port's word in a bitmap of the shared info page, and the port's bit in it.
fn word(areas: &SharedAreas, bitmap: usize, port: u32) -> (u64, u64) {
    let address = areas.shared_info + bitmap as u64 + u64::from(port / 64) * 8;
    (address, 1 << (port % 64))
}

fn pending(areas: &SharedAreas, port: u32) -> (u64, u64) {
    word(areas, offset_of!(SharedInfo, evtchn_pending), port)
}

fn mask(areas: &SharedAreas, port: u32) -> (u64, u64) {
    word(areas, offset_of!(SharedInfo, evtchn_mask), port)
}

/// Sets the bit of the port's word in a vCPU's selector. Returns whether it was clear.
fn select(memory: &impl MachineMemory, areas: &SharedAreas, port: u32, vcpu: u32) -> bool {
    let Some(Some(info)) = areas.vcpu_info.get(vcpu as usize) else {
        return false;
    };
    let selector = info + offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
    let bit = 1 << (port / 64);
    memory.fetch_or_u64(selector, bit) & bit == 0
}

pub(super) fn set_pending(
    memory: &impl MachineMemory,
    areas: &SharedAreas,
    port: u32,
    vcpu: u32,
) -> SetPending {
    if port >= NR_CHANNELS_2L {
        return SetPending::default();
    }
    let (address, bit) = pending(areas, port);
    if memory.fetch_or_u64(address, bit) & bit != 0 {
        return SetPending::default();
    }
    let (address, bit) = mask(areas, port);
    let masked = memory.load_u64(address) & bit != 0;
    let notify = !masked && select(memory, areas, port, vcpu);
    SetPending {
        newly_pending: true,
        notify: notify.then_some(vcpu),
    }
}

pub(super) fn unmask(
    memory: &impl MachineMemory,
    areas: &SharedAreas,
    port: u32,
    vcpu: u32,
) -> SetPending {
    if port >= NR_CHANNELS_2L {
        return SetPending::default();
    }
    let (address, bit) = mask(areas, port);
    let was_masked = memory.fetch_clear_u64(address, bit) & bit != 0;
    let notify = was_masked && is_pending(memory, areas, port) && select(memory, areas, port, vcpu);
    SetPending {
        newly_pending: false,
        notify: notify.then_some(vcpu),
    }
}

pub(super) fn clear_pending(memory: &impl MachineMemory, areas: &SharedAreas, port: u32) {
    if port < NR_CHANNELS_2L {
        let (address, bit) = pending(areas, port);
        memory.fetch_clear_u64(address, bit);
    }
}

pub(super) fn is_pending(memory: &impl MachineMemory, areas: &SharedAreas, port: u32) -> bool {
    let (address, bit) = pending(areas, port);
    memory.load_u64(address) & bit != 0
}
