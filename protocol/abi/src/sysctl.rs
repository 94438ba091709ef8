// SPDX-License-Identifier: GPL-2.0

//! The `sysctl` hypercall of the toolstack, `sysctl.h` of Xen 4.20.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the argument's second field must say.
pub const INTERFACE_VERSION: u32 = 0x15;

/// Commands (`XEN_SYSCTL_*`).
pub mod op {
    /// Takes [`Readconsole`](super::Readconsole).
    pub const READCONSOLE: u32 = 1;
    /// Writes [`Physinfo`](super::Physinfo).
    pub const PHYSINFO: u32 = 3;
    /// Writes the scheduler's number, 4 bytes.
    pub const SCHED_ID: u32 = 4;
    /// Takes [`Getdomaininfolist`](super::Getdomaininfolist).
    pub const GETDOMAININFOLIST: u32 = 6;
    /// Takes [`DebugKeys`](super::DebugKeys): presses keys on the console.
    pub const DEBUG_KEYS: u32 = 7;
    /// Takes [`Getcpuinfo`](super::Getcpuinfo).
    pub const GETCPUINFO: u32 = 8;
    /// Takes [`Availheap`](super::Availheap).
    pub const AVAILHEAP: u32 = 9;
    /// Takes [`Cputopoinfo`](super::Cputopoinfo).
    pub const CPUTOPOINFO: u32 = 16;
    /// Takes [`Numainfo`](super::Numainfo).
    pub const NUMAINFO: u32 = 17;
    /// Takes [`CpupoolOp`](super::CpupoolOp).
    pub const CPUPOOL_OP: u32 = 18;
    /// Takes [`SchedulerOp`](super::SchedulerOp).
    pub const SCHEDULER_OP: u32 = 19;
    /// Takes [`Pcitopoinfo`](super::Pcitopoinfo).
    pub const PCITOPOINFO: u32 = 22;
    /// Writes the CPUID masks there are, 4 bytes.
    pub const GET_CPU_LEVELLING_CAPS: u32 = 25;
    /// Takes [`CpuFeatureset`](super::CpuFeatureset).
    pub const GET_CPU_FEATURESET: u32 = 26;
    /// Takes [`CpuPolicy`](super::CpuPolicy).
    pub const GET_CPU_POLICY: u32 = 29;
}

args! {
    /// The argument of any command.
    Header {
        /// See [`op`].
        cmd: u32,
        /// [`INTERFACE_VERSION`].
        interface_version: u32,
        /// The command's own argument.
        u: [u64; 16],
    }
}

args! {
    /// Argument of [`op::DEBUG_KEYS`].
    DebugKeys {
        /// In: address of the keys, a byte each.
        keys: u64,
        /// In: how many.
        nr_keys: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

args! {
    /// Argument of [`op::PCITOPOINFO`].
    Pcitopoinfo {
        /// In: how many devices; out: how many of them were looked up.
        num_devs: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of a list of [`PciDevice`](crate::physdev::PciDevice).
        devs: u64,
        /// In: address of a list of their nodes, 4 bytes each; [`INVALID_DEV`] for an unknown device.
        nodes: u64,
    }
}

/// The node of a device that the hypervisor does not know (`XEN_INVALID_DEV`).
pub const INVALID_DEV: u32 = u32::MAX - 1;

args! {
    /// Argument of [`op::READCONSOLE`].
    Readconsole {
        /// In: forget what was read.
        clear: u8,
        /// In: start at the index.
        incremental: u8,
        /// Nothing.
        pad0: u8,
        /// Nothing.
        pad1: u8,
        /// In and out: place in all that was ever written.
        index: u32,
        /// In: address.
        buffer: u64,
        /// In: bytes of the buffer; out: bytes written.
        count: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

args! {
    /// The machine.
    Physinfo {
        /// Threads of a core.
        threads_per_core: u32,
        /// Cores of a socket.
        cores_per_socket: u32,
        /// CPUs that run.
        nr_cpus: u32,
        /// Highest number of a CPU.
        max_cpu_id: u32,
        /// NUMA nodes.
        nr_nodes: u32,
        /// Highest number of a node.
        max_node_id: u32,
        /// Frequency of the time-stamp counter.
        cpu_khz: u32,
        /// See [`physcap`].
        capabilities: u32,
        /// None on x86.
        arch_capabilities: u32,
        /// Zero.
        pad: u32,
        /// Memory, in frames.
        total_pages: u64,
        /// Free.
        free_pages: u64,
        /// Free and to be cleared.
        scrub_pages: u64,
        /// Claimed.
        outstanding_pages: u64,
        /// Highest frame.
        max_mfn: u64,
        /// Features of the processor.
        hw_cap: [u32; 8],
    }
}

/// Bits of [`Physinfo::capabilities`](Physinfo::capabilities) (`XEN_SYSCTL_PHYSCAP_*`).
pub mod physcap {
    /// HVM and PVH guests.
    pub const HVM: u32 = 1 << 0;
    /// PV guests.
    pub const PV: u32 = 1 << 1;
    /// Devices for guests.
    pub const DIRECTIO: u32 = 1 << 2;
    /// Nested paging.
    pub const HAP: u32 = 1 << 3;
    /// Shadow paging.
    pub const SHADOW: u32 = 1 << 4;
    /// Grant tables of version 1.
    pub const GNTTAB_V1: u32 = 1 << 8;
    /// Grant tables of version 2.
    pub const GNTTAB_V2: u32 = 1 << 9;
}

args! {
    /// Argument of [`op::GETDOMAININFOLIST`].
    Getdomaininfolist {
        /// In: where to start.
        first_domain: u16,
        /// Zero; fills the structure.
        pad: u16,
        /// In: room in the buffer.
        max_domains: u32,
        /// In: address of an array of [`crate::domctl::Getdomaininfo`].
        buffer: u64,
        /// Out.
        num_domains: u32,
        /// Zero; fills the structure.
        pad2: u32,
    }
}

args! {
    /// Argument of [`op::GETCPUINFO`].
    Getcpuinfo {
        /// In: room in the array.
        max_cpus: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of an array of idle times, 8 bytes each.
        info: u64,
        /// Out.
        nr_cpus: u32,
        /// Zero; fills the structure.
        pad2: u32,
    }
}

args! {
    /// Where a CPU is.
    Cputopo {
        /// Its core.
        core: u32,
        /// Its socket.
        socket: u32,
        /// Its node.
        node: u32,
    }
}

args! {
    /// Argument of [`op::CPUTOPOINFO`].
    Cputopoinfo {
        /// In and out.
        num_cpus: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of an array, or zero.
        cputopo: u64,
    }
}

args! {
    /// Memory of a node.
    Meminfo {
        /// Bytes.
        memsize: u64,
        /// Bytes.
        memfree: u64,
    }
}

args! {
    /// Argument of [`op::NUMAINFO`].
    Numainfo {
        /// In and out.
        num_nodes: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of an array of [`Meminfo`], or zero.
        meminfo: u64,
        /// In: address of an array, or zero.
        distance: u64,
    }
}

args! {
    /// Argument of [`op::CPUPOOL_OP`].
    CpupoolOp {
        /// See [`cpupool`].
        op: u32,
        /// In and out.
        cpupool_id: u32,
        /// Out.
        sched_id: u32,
        /// In.
        domid: u32,
        /// In.
        cpu: u32,
        /// Out: domains in it.
        n_dom: u32,
        /// Out: its CPUs.
        cpumap: crate::domctl::Bitmap,
    }
}

/// Operations on pools of CPUs (`XEN_SYSCTL_CPUPOOL_OP_*`).
pub mod cpupool {
    /// Tells of the pool or the next one.
    pub const INFO: u32 = 3;
    /// Tells which CPUs are in no pool.
    pub const FREEINFO: u32 = 7;
}

/// No core.
pub const INVALID_CORE: u32 = u32::MAX;

/// Number of the credit scheduler (`XEN_SCHEDULER_CREDIT`).
pub const SCHED_CREDIT: u32 = 5;

args! {
    /// Argument of [`op::GET_CPU_FEATURESET`].
    CpuFeatureset {
        /// In: see [`cpu_featureset`].
        index: u32,
        /// In and out: words of the array.
        nr_features: u32,
        /// In: address of an array of words, or 0.
        features: u64,
    }
}

/// Values of [`CpuFeatureset::index`] (`XEN_SYSCTL_cpu_featureset_*`).
pub mod cpu_featureset {
    /// What the processor has.
    pub const RAW: u32 = 0;
    /// What the hypervisor uses.
    pub const HOST: u32 = 1;
    /// What PV guests get.
    pub const PV: u32 = 2;
    /// What hardware-assisted guests get.
    pub const HVM: u32 = 3;
    /// What PV guests may have.
    pub const PV_MAX: u32 = 4;
    /// What hardware-assisted guests may have.
    pub const HVM_MAX: u32 = 5;
}

args! {
    /// Argument of [`op::GET_CPU_POLICY`].
    CpuPolicy {
        /// In: see [`cpu_policy`].
        index: u32,
        /// In and out: elements of the array of leaves.
        nr_leaves: u32,
        /// In and out: elements of the array of MSRs.
        nr_msrs: u32,
        /// Zero.
        rsvd: u32,
        /// In: address of an array of [`CpuidLeaf`](crate::domctl::CpuidLeaf), or 0.
        leaves: u64,
        /// In: address of an array of [`MsrEntry`](crate::domctl::MsrEntry), or 0.
        msrs: u64,
    }
}

/// Values of [`CpuPolicy::index`] (`XEN_SYSCTL_cpu_policy_*`).
pub mod cpu_policy {
    /// What the processor has.
    pub const RAW: u32 = 0;
    /// What the hypervisor uses.
    pub const HOST: u32 = 1;
    /// What PV guests may have.
    pub const PV_MAX: u32 = 2;
    /// What hardware-assisted guests may have.
    pub const HVM_MAX: u32 = 3;
    /// What PV guests get.
    pub const PV_DEFAULT: u32 = 4;
    /// What hardware-assisted guests get.
    pub const HVM_DEFAULT: u32 = 5;
}

args! {
    /// Argument of [`op::AVAILHEAP`].
    Availheap {
        /// In: fewest bits of the memory's addresses; 0 for any.
        min_bitwidth: u32,
        /// In: most bits of the memory's addresses; 0 for any.
        max_bitwidth: u32,
        /// In: the NUMA node; -1 for all.
        node: i32,
        /// Zero; fills the structure.
        pad: u32,
        /// Out: bytes that are free.
        avail_bytes: u64,
    }
}

args! {
    /// Argument of [`op::SCHEDULER_OP`], with the parameters of the credit scheduler.
    SchedulerOp {
        /// In: the CPU pool.
        cpupool_id: u32,
        /// In: number of the scheduler.
        sched_id: u32,
        /// In: as [`schedop`](crate::domctl::schedop).
        cmd: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In and out: length of a timeslice, in milliseconds.
        tslice_ms: u32,
        /// In and out: how long a vCPU runs at least, in microseconds; 0 for no limit.
        ratelimit_us: u32,
        /// In and out: how long a vCPU stays on its CPU at least, in microseconds.
        vcpu_migr_delay_us: u32,
        /// Zero; fills the structure.
        pad2: u32,
    }
}
