//! The 2-level ABI: a pending and a mask bit a port in the shared info page, and a word a vCPU that says which words
//! have news.

use super::{Places, Raised};
use crate::mem::MachineMemory;
use core::mem::offset_of;
use xen_abi::event_channel::NR_CHANNELS_2L;
use xen_abi::vcpu::{SharedInfo, VcpuInfo};

/// Address of the word of a bitmap in the shared info page, and the port's bit in it.
fn word(places: &Places, bitmap: usize, port: u32) -> (u64, u64) {
    let address = places.shared_info + bitmap as u64 + u64::from(port / 64) * 8;
    (address, 1 << (port % 64))
}

fn pending(places: &Places, port: u32) -> (u64, u64) {
    word(places, offset_of!(SharedInfo, evtchn_pending), port)
}

fn mask(places: &Places, port: u32) -> (u64, u64) {
    word(places, offset_of!(SharedInfo, evtchn_mask), port)
}

/// Marks the port's word as having news. Says whether it had none.
fn select(memory: &impl MachineMemory, places: &Places, port: u32, vcpu: u32) -> bool {
    let Some(Some(info)) = places.vcpu_info.get(vcpu as usize) else {
        return false;
    };
    let selector = info + offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
    let bit = 1 << (port / 64);
    memory.fetch_or_u64(selector, bit) & bit == 0
}

pub(super) fn raise(memory: &impl MachineMemory, places: &Places, port: u32, vcpu: u32) -> Raised {
    if port >= NR_CHANNELS_2L {
        return Raised::default();
    }
    let (address, bit) = pending(places, port);
    if memory.fetch_or_u64(address, bit) & bit != 0 {
        return Raised::default();
    }
    let (address, bit) = mask(places, port);
    let masked = memory.load_u64(address) & bit != 0;
    let tell = !masked && select(memory, places, port, vcpu);
    Raised {
        newly: true,
        tell: tell.then_some(vcpu),
    }
}

pub(super) fn unmask(memory: &impl MachineMemory, places: &Places, port: u32, vcpu: u32) -> Raised {
    if port >= NR_CHANNELS_2L {
        return Raised::default();
    }
    let (address, bit) = mask(places, port);
    let was_masked = memory.fetch_clear_u64(address, bit) & bit != 0;
    let tell = was_masked && is_pending(memory, places, port) && select(memory, places, port, vcpu);
    Raised {
        newly: false,
        tell: tell.then_some(vcpu),
    }
}

pub(super) fn clear_pending(memory: &impl MachineMemory, places: &Places, port: u32) {
    if port < NR_CHANNELS_2L {
        let (address, bit) = pending(places, port);
        memory.fetch_clear_u64(address, bit);
    }
}

pub(super) fn is_pending(memory: &impl MachineMemory, places: &Places, port: u32) -> bool {
    let (address, bit) = pending(places, port);
    memory.load_u64(address) & bit != 0
}
