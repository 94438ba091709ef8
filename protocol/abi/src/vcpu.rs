// SPDX-License-Identifier: GPL-2.0

//! The `vcpu_op` hypercall, `vcpu.h`, and the structures that a vCPU and the hypervisor share, `xen.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`VCPUOP_*`).
pub mod op {
    /// Sets a vCPU's first state; takes [`crate::hvm::vcpu::Context`].
    pub const INITIALISE: u32 = 0;
    /// Lets a vCPU run.
    pub const UP: u32 = 1;
    /// Stops a vCPU.
    pub const DOWN: u32 = 2;
    /// Returns whether a vCPU may run.
    pub const IS_UP: u32 = 3;
    /// Writes [`RunstateInfo`](super::RunstateInfo).
    pub const GET_RUNSTATE_INFO: u32 = 4;
    /// Takes the address of a [`RunstateInfo`](super::RunstateInfo) that is kept up to date.
    pub const REGISTER_RUNSTATE_MEMORY_AREA: u32 = 5;
    /// Takes the period in nanoseconds, 8 bytes.
    pub const SET_PERIODIC_TIMER: u32 = 6;
    /// Stops it.
    pub const STOP_PERIODIC_TIMER: u32 = 7;
    /// Takes [`SetSingleshotTimer`](super::SetSingleshotTimer).
    pub const SET_SINGLESHOT_TIMER: u32 = 8;
    /// Stops it.
    pub const STOP_SINGLESHOT_TIMER: u32 = 9;
    /// Takes [`RegisterVcpuInfo`](super::RegisterVcpuInfo).
    pub const REGISTER_VCPU_INFO: u32 = 10;
    /// Sends a non-maskable interrupt.
    pub const SEND_NMI: u32 = 11;
    /// Writes the identity of the CPU, 8 bytes.
    pub const GET_PHYSID: u32 = 12;
    /// Takes the address of a [`TimeInfo`](super::TimeInfo) that is kept up to date.
    pub const REGISTER_VCPU_TIME_MEMORY_AREA: u32 = 13;
    /// Like the other, by guest-physical address.
    pub const REGISTER_RUNSTATE_PHYS_AREA: u32 = 14;
    /// Like the other, by guest-physical address.
    pub const REGISTER_VCPU_TIME_PHYS_AREA: u32 = 15;
}

/// What a vCPU does (`RUNSTATE_*`).
pub mod runstate {
    /// It runs.
    pub const RUNNING: u32 = 0;
    /// It waits for a CPU.
    pub const RUNNABLE: u32 = 1;
    /// It waits for an event.
    pub const BLOCKED: u32 = 2;
    /// It is down or paused.
    pub const OFFLINE: u32 = 3;
}

/// Bit of [`RunstateInfo::state_entry_time`]: an update is under way (`XEN_RUNSTATE_UPDATE`).
pub const RUNSTATE_UPDATE_BIT: u32 = 63;

args! {
    no default:
    /// Where a vCPU's time went, in nanoseconds.
    RunstateInfo {
        /// See [`runstate`].
        state: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// Since when, in system time; may have [`RUNSTATE_UPDATE_BIT`].
        state_entry_time: u64,
        /// Time spent in each state, without the present one since it was entered.
        time: [u64; 4],
    }
}

args! {
    no default:
    /// Argument of [`op::SET_SINGLESHOT_TIMER`].
    SetSingleshotTimer {
        /// When, in system time.
        timeout_abs_ns: u64,
        /// Zero or [`SSHOTTMR_FUTURE`].
        flags: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

/// Flag: a time that has passed is an error (`VCPU_SSHOTTMR_future`), which Xen 4.20 does not look at.
pub const SSHOTTMR_FUTURE: u32 = 1;

args! {
    no default:
    /// Argument of [`op::REGISTER_VCPU_INFO`].
    RegisterVcpuInfo {
        /// Frame of the [`VcpuInfo`].
        mfn: u64,
        /// Its offset in the frame.
        offset: u32,
        /// Not used.
        rsvd: u32,
    }
}

args! {
    no default:
    /// The clock of a vCPU.
    TimeInfo {
        /// Odd while it is changed.
        version: u32,
        /// Zero; fills the structure.
        pad0: u32,
        /// The time-stamp counter when it was changed.
        tsc_timestamp: u64,
        /// Nanoseconds since the hypervisor's start, then.
        system_time: u64,
        /// Nanoseconds a tick, as a fraction of 2 to the 32.
        tsc_to_system_mul: u32,
        /// How far ticks are shifted before.
        tsc_shift: i8,
        /// Zero or [`TSC_STABLE`].
        flags: u8,
        /// Zero; fills the structure.
        pad1: [u8; 2],
    }
}

/// Flag of [`TimeInfo::flags`]: all vCPUs' clocks agree (`XEN_PVCLOCK_TSC_STABLE_BIT`).
pub const TSC_STABLE: u8 = 1;

args! {
    no default:
    /// What a vCPU and the hypervisor share.
    VcpuInfo {
        /// An event waits.
        evtchn_upcall_pending: u8,
        /// No upcalls, please (PV).
        evtchn_upcall_mask: u8,
        /// Zero; fills the structure.
        pad: [u8; 6],
        /// Words of the pending bits that have news.
        evtchn_pending_sel: u64,
        /// The address of a page fault (PV).
        cr2: u64,
        /// Nothing.
        arch_pad: u64,
        /// The clock.
        time: TimeInfo,
    }
}

args! {
    no default:
    /// The page that a domain and the hypervisor share.
    SharedInfo {
        /// Of the first 32 vCPUs, until they register another place.
        vcpu_info: [VcpuInfo; 32],
        /// A bit a port: an event waits.
        evtchn_pending: [u64; 64],
        /// A bit a port: no news, please.
        evtchn_mask: [u64; 64],
        /// Odd while the wall clock is changed.
        wc_version: u32,
        /// The time of the hypervisor's start since 1970: seconds, low half.
        wc_sec: u32,
        /// Nanoseconds.
        wc_nsec: u32,
        /// Seconds, high half.
        wc_sec_hi: u32,
        /// PV.
        max_pfn: u64,
        /// PV.
        pfn_to_mfn_frame_list_list: u64,
        /// Why there was a non-maskable interrupt.
        nmi_reason: u64,
        /// PV.
        p2m_cr3: u64,
        /// PV.
        p2m_vaddr: u64,
        /// PV.
        p2m_generation: u64,
    }
}
