// SPDX-License-Identifier: GPL-2.0

//! Arguments of `vcpu_op` and what a vCPU and the hypervisor share, as 32-bit code has them: what differs of
//! [`crate::vcpu`].

use super::convert::{compat_struct, converted};
use crate::vcpu as native;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Ports of the 2-level ABI: a selector of 32 bits, each for a word of as many.
pub const NR_CHANNELS_2L: u32 = 32 * 32;

compat_struct! {
    /// [`native::RunstateInfo`].
    RunstateInfo {
        /// See [`native::runstate`].
        state: u32,
        /// Since when; may have [`native::RUNSTATE_UPDATE_BIT`].
        state_entry_time: u64,
        /// Time spent in each state.
        time: [u64; 4],
    }
}

compat_struct! {
    /// [`native::SetSingleshotTimer`].
    SetSingleshotTimer {
        /// When, in system time.
        timeout_abs_ns: u64,
        /// Zero or [`native::SSHOTTMR_FUTURE`].
        flags: u32,
    }
}

compat_struct! {
    /// [`native::VcpuInfo`]. It has the same size, and its clock and its first two bytes the same place.
    VcpuInfo {
        /// An event waits.
        evtchn_upcall_pending: u8,
        /// No upcalls, please (PV).
        evtchn_upcall_mask: u8,
        /// Zero; fills the structure.
        pad: [u8; 2],
        /// Words of the pending bits that have news.
        evtchn_pending_sel: u32,
        /// The address of a page fault (PV).
        cr2: u32,
        /// Nothing.
        arch_pad: [u32; 5],
        /// The clock.
        time: native::TimeInfo,
    }
}

compat_struct! {
    /// [`native::SharedInfo`].
    SharedInfo {
        /// Of the first 32 vCPUs, until they register another place.
        vcpu_info: [VcpuInfo; 32],
        /// A bit a port: an event waits.
        evtchn_pending: [u32; 32],
        /// A bit a port: no news, please.
        evtchn_mask: [u32; 32],
        /// Odd while the wall clock is changed.
        wc_version: u32,
        /// The time of the hypervisor's start since 1970: seconds, low half.
        wc_sec: u32,
        /// Nanoseconds.
        wc_nsec: u32,
        /// PV.
        max_pfn: u32,
        /// PV.
        pfn_to_mfn_frame_list_list: u32,
        /// Why there was a non-maskable interrupt.
        nmi_reason: u32,
        /// PV.
        p2m_cr3: u32,
        /// PV.
        p2m_vaddr: u32,
        /// PV.
        p2m_generation: u32,
        /// Seconds, high half.
        wc_sec_hi: u32,
    }
}

converted! {
    native::RunstateInfo => RunstateInfo { state, state_entry_time, time, }
    native::SetSingleshotTimer => SetSingleshotTimer { timeout_abs_ns, flags, }
}
