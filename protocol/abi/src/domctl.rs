// SPDX-License-Identifier: GPL-2.0

//! The `domctl` hypercall of the toolstack, `domctl.h` of Xen 4.20.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the argument's second field must say.
pub const INTERFACE_VERSION: u32 = 0x17;

/// Commands (`XEN_DOMCTL_*`).
pub mod op {
    /// Makes a domain.
    pub const CREATEDOMAIN: u32 = 1;
    /// Ends one.
    pub const DESTROYDOMAIN: u32 = 2;
    /// Stops its vCPUs.
    pub const PAUSEDOMAIN: u32 = 3;
    /// Lets them run.
    pub const UNPAUSEDOMAIN: u32 = 4;
    /// Writes [`Getdomaininfo`](super::Getdomaininfo).
    pub const GETDOMAININFO: u32 = 5;
    /// Limits its memory.
    pub const MAX_MEM: u32 = 11;
    /// Takes [`Getvcpuinfo`](super::Getvcpuinfo).
    pub const GETVCPUINFO: u32 = 14;
    /// Makes its vCPUs.
    pub const MAX_VCPUS: u32 = 15;
    /// Takes [`Vcpuaffinity`](super::Vcpuaffinity).
    pub const GETVCPUAFFINITY: u32 = 25;
}

args! {
    /// The argument of any command.
    Header {
        /// See [`op`].
        cmd: u32,
        /// [`INTERFACE_VERSION`].
        interface_version: u32,
        /// Which domain.
        domain: u16,
        /// Zero.
        pad: [u16; 3],
        /// The command's own argument.
        u: [u64; 16],
    }
}

args! {
    /// A domain.
    Getdomaininfo {
        /// Which.
        domain: u16,
        /// Zero.
        pad1: u16,
        /// See [`dominf`].
        flags: u32,
        /// Frames it has.
        tot_pages: u64,
        /// Frames it may have.
        max_pages: u64,
        /// Claimed.
        outstanding_pages: u64,
        /// Shared.
        shr_pages: u64,
        /// Paged out.
        paged_pages: u64,
        /// Its [`crate::vcpu::SharedInfo`].
        shared_info_frame: u64,
        /// Nanoseconds it ran.
        cpu_time: u64,
        /// vCPUs that are up.
        nr_online_vcpus: u32,
        /// Highest number of a vCPU.
        max_vcpu_id: u32,
        /// Security label.
        ssidref: u32,
        /// Its UUID.
        handle: [u8; 16],
        /// Its pool of CPUs.
        cpupool: u32,
        /// Bits of a guest-physical address.
        gpaddr_bits: u8,
        /// Zero.
        pad2: [u8; 7],
        /// See [`emulation`].
        emulation_flags: u32,
        /// Nothing.
        misc_flags: u32,
    }
}

/// What a domain does (`XEN_DOMINF_*`).
pub mod dominf {
    /// It ends.
    pub const DYING: u32 = 1 << 0;
    /// It is no PV guest.
    pub const HVM_GUEST: u32 = 1 << 1;
    /// It has shut down.
    pub const SHUTDOWN: u32 = 1 << 2;
    /// The toolstack has paused it.
    pub const PAUSED: u32 = 1 << 3;
    /// It waits.
    pub const BLOCKED: u32 = 1 << 4;
    /// It runs.
    pub const RUNNING: u32 = 1 << 5;
    /// It is debugged.
    pub const DEBUGGED: u32 = 1 << 6;
    /// It serves the xenstore.
    pub const XS_DOMAIN: u32 = 1 << 7;
    /// It has nested paging.
    pub const HAP: u32 = 1 << 8;
    /// First bit of the reason of a shutdown.
    pub const SHUTDOWN_SHIFT: u32 = 16;
}

/// What is emulated for a domain (`XEN_X86_EMU_*`).
pub mod emulation {
    /// The local APIC.
    pub const LAPIC: u32 = 1 << 0;
    /// The I/O APIC.
    pub const IOAPIC: u32 = 1 << 4;
    /// PCI configuration.
    pub const VPCI: u32 = 1 << 10;
}

args! {
    /// Argument of [`op::GETVCPUINFO`].
    Getvcpuinfo {
        /// In: which.
        vcpu: u32,
        /// Out: it is up.
        online: u8,
        /// Out: it waits.
        blocked: u8,
        /// Out: it runs.
        running: u8,
        /// Zero; fills the structure.
        pad: u8,
        /// Out: nanoseconds it ran.
        cpu_time: u64,
        /// Out: where.
        cpu: u32,
        /// Zero; fills the structure.
        pad2: u32,
    }
}

args! {
    /// A map of bits.
    Bitmap {
        /// Address of its bytes.
        bitmap: u64,
        /// How many there is room for.
        nr_bits: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

args! {
    /// Argument of [`op::GETVCPUAFFINITY`].
    Vcpuaffinity {
        /// In: which.
        vcpu: u32,
        /// In: 1 for hard, 2 for soft.
        flags: u32,
        /// Out: CPUs it may run on.
        cpumap_hard: Bitmap,
        /// Out: CPUs it would like to run on.
        cpumap_soft: Bitmap,
    }
}
