// SPDX-License-Identifier: GPL-2.0

//! The `domctl` hypercall of the toolstack, `domctl.h` of Xen 4.20.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the argument's second field must say.
pub const INTERFACE_VERSION: u32 = 0x17;

pub mod op;

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
    /// Physical interrupts as event channels (`hvm_pirq`).
    pub const USE_PIRQ: u32 = 1 << 9;
    /// PCI configuration.
    pub const VPCI: u32 = 1 << 10;
    /// Every emulated device.
    pub const ALL: u32 = 0x7ff;
}

args! {
    /// Argument of [`op::CREATEDOMAIN`].
    Createdomain {
        /// In: security label.
        ssidref: u32,
        /// In: its UUID.
        handle: [u8; 16],
        /// In: see [`cdf`].
        flags: u32,
        /// In: options of the IOMMU.
        iommu_opts: u32,
        /// In: how many vCPUs it may have.
        max_vcpus: u32,
        /// In: its highest event channel port.
        max_evtchn_port: u32,
        /// In: most frames of its grant table; negative for the default.
        max_grant_frames: i32,
        /// In: most frames of its maptrack entries; negative for the default.
        max_maptrack_frames: i32,
        /// In: the highest grant table version in the lowest four bits.
        grant_opts: u32,
        /// In: alternate p2m.
        altp2m_opts: u32,
        /// In: size in bytes of each vCPU's trace buffer.
        vmtrace_size: u32,
        /// In: its CPU pool.
        cpupool_id: u32,
        /// In: see [`emulation`].
        emulation_flags: u32,
        /// In: see [`misc`].
        misc_flags: u32,
    }
}

/// Bits of [`Createdomain::flags`] (`XEN_DOMCTL_CDF_*`).
pub mod cdf {
    /// Hardware-assisted: HVM or PVH.
    pub const HVM: u32 = 1 << 0;
    /// With nested paging.
    pub const HAP: u32 = 1 << 1;
    /// Its memory is verified when the machine resumes.
    pub const S3_INTEGRITY: u32 = 1 << 2;
    /// Shadow page tables are always in step.
    pub const OOS_OFF: u32 = 1 << 3;
    /// It serves the xenstore.
    pub const XS_DOMAIN: u32 = 1 << 4;
    /// It may have devices behind an IOMMU.
    pub const IOMMU: u32 = 1 << 5;
    /// It may have guests of its own.
    pub const NESTED_VIRT: u32 = 1 << 6;
    /// It has performance counters.
    pub const VPMU: u32 = 1 << 7;
}

/// Bits of [`Createdomain::misc_flags`] (`XEN_X86_*`).
pub mod misc {
    /// Unknown MSRs read as zero instead of raising #GP.
    pub const MSR_RELAXED: u32 = 1 << 0;
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
    /// What has happened since a domain's log of dirty pages was last cleaned.
    ShadowOpStats {
        /// Write faults.
        fault_count: u32,
        /// Pages that were written to.
        dirty_count: u32,
    }
}

args! {
    /// Argument of [`op::SHADOW_OP`].
    ShadowOp {
        /// In: see [`shadow_op`].
        op: u32,
        /// In: flags of the command.
        mode: u32,
        /// In and out: size of the paging pool in MiB.
        mb: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of the bitmap, or 0.
        dirty_bitmap: u64,
        /// In and out: bits of it.
        pages: u64,
        /// Out.
        stats: ShadowOpStats,
    }
}

/// Values of [`ShadowOp::op`] (`XEN_DOMCTL_SHADOW_OP_*`) and of its mode.
pub mod shadow_op {
    /// Ends log-dirty mode.
    pub const OFF: u32 = 0;
    /// Begins log-dirty mode.
    pub const ENABLE_LOGDIRTY: u32 = 2;
    /// Reports the dirty pages, which are clean then.
    pub const CLEAN: u32 = 11;
    /// Reports the dirty pages.
    pub const PEEK: u32 = 12;
    /// Begins what the mode says.
    pub const ENABLE: u32 = 32;
    /// Mode of [`ENABLE`]: log-dirty mode.
    pub const ENABLE_LOG_DIRTY: u32 = 1 << 2;
    /// Mode of [`CLEAN`] and [`PEEK`]: pages that the hypervisor may write to are dirty too
    /// (`XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL`).
    pub const LOGDIRTY_FINAL: u32 = 1 << 0;
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

args! {
    /// Argument of [`op::SETVCPUCONTEXT`] and [`op::GETVCPUCONTEXT`].
    Vcpucontext {
        /// In: which.
        vcpu: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of a `vcpu_guest_context_t`; 0 to reset the vCPU.
        ctxt: u64,
    }
}

args! {
    /// Argument of [`op::SCHEDULER_OP`], with the parameters of the credit scheduler.
    SchedulerOp {
        /// In: number of the scheduler.
        sched_id: u32,
        /// In: see [`schedop`].
        cmd: u32,
        /// In and out: share of processor time, relative to other domains'.
        weight: u16,
        /// In and out: limit of its processor time in percent of a processor; 0 for none.
        cap: u16,
        /// Of other schedulers.
        pad: [u32; 3],
    }
}

/// Values of [`SchedulerOp::cmd`] (`XEN_DOMCTL_SCHEDOP_*`).
pub mod schedop {
    /// Sets the domain's parameters.
    pub const PUTINFO: u32 = 0;
    /// Writes the domain's parameters.
    pub const GETINFO: u32 = 1;
}

args! {
    /// Argument of [`op::IRQ_PERMISSION`].
    IrqPermission {
        /// In: the interrupt.
        pirq: u32,
        /// In: give the permission, or take it.
        allow_access: u8,
        /// Zero.
        pad: [u8; 3],
    }
}

args! {
    /// Argument of [`op::IOMEM_PERMISSION`].
    IomemPermission {
        /// In: first frame.
        first_mfn: u64,
        /// In: how many frames.
        nr_mfns: u64,
        /// In: give the permission, or take it.
        allow_access: u8,
        /// Zero; fills the structure.
        pad: [u8; 7],
    }
}

args! {
    /// Argument of [`op::IOPORT_PERMISSION`].
    IoportPermission {
        /// In: first port.
        first_port: u32,
        /// In: how many ports.
        nr_ports: u32,
        /// In: give the permission, or take it.
        allow_access: u8,
        /// Zero; fills the structure.
        pad: [u8; 3],
    }
}

args! {
    /// Argument of [`op::SENDTRIGGER`].
    Sendtrigger {
        /// In: see [`trigger`].
        trigger: u32,
        /// In: which vCPU.
        vcpu: u32,
    }
}

/// Values of [`Sendtrigger::trigger`] (`XEN_DOMCTL_SENDTRIGGER_*`).
pub mod trigger {
    /// A non-maskable interrupt.
    pub const NMI: u32 = 0;
    /// The reset button.
    pub const RESET: u32 = 1;
    /// An INIT.
    pub const INIT: u32 = 2;
    /// The power button.
    pub const POWER: u32 = 3;
    /// The sleep button.
    pub const SLEEP: u32 = 4;
}

args! {
    /// Argument of [`op::GETHVMCONTEXT`] and [`op::SETHVMCONTEXT`].
    Hvmcontext {
        /// In and out: bytes of the buffer.
        size: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// In: address of the records of [`crate::hvm::save`]; 0 to get the size.
        buffer: u64,
    }
}

args! {
    /// Argument of [`op::GETHVMCONTEXT_PARTIAL`].
    HvmcontextPartial {
        /// In: type of the record.
        kind: u32,
        /// In: which of the records of that type.
        instance: u32,
        /// In and out: bytes of the buffer.
        bufsz: u64,
        /// In: address of the record; 0 to get its size.
        buffer: u64,
    }
}

args! {
    /// Argument of [`op::GETTSCINFO`] and [`op::SETTSCINFO`].
    TscInfo {
        /// See [`tsc_mode`](crate::cpuid::tsc_mode).
        tsc_mode: u32,
        /// Frequency of the guest's counter, in kHz; 0 for the host's.
        gtsc_khz: u32,
        /// How often the domain was restored.
        incarnation: u32,
        /// Zero.
        pad: u32,
        /// Nanoseconds that the guest's counter has counted.
        elapsed_nsec: u64,
    }
}

args! {
    /// Argument of [`op::GETPAGEFRAMEINFO3`].
    Getpageframeinfo3 {
        /// In: how many pages.
        num: u64,
        /// In: address of an array of gfns, in whose place their types are written.
        array: u64,
    }
}

/// Types of pages in [`Getpageframeinfo3::array`] (`XEN_DOMCTL_PFINFO_*`).
pub mod pfinfo {
    /// Memory that is no page table of a PV domain.
    pub const NOTAB: u32 = 0;
    /// No memory of the domain.
    pub const XTAB: u32 = 0xf << 28;
}

args! {
    /// Argument of [`op::GET_CPU_POLICY`] and [`op::SET_CPU_POLICY`].
    CpuPolicy {
        /// In and out: elements of the array of leaves.
        nr_leaves: u32,
        /// In and out: elements of the array of MSRs.
        nr_msrs: u32,
        /// In: address of an array of [`CpuidLeaf`], or 0.
        leaves: u64,
        /// In: address of an array of [`MsrEntry`], or 0.
        msrs: u64,
        /// Out: the leaf that was refused.
        err_leaf: u32,
        /// Out: its subleaf.
        err_subleaf: u32,
        /// Out: the MSR that was refused.
        err_msr: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

args! {
    /// A CPUID leaf of a policy (`xen_cpuid_leaf_t`).
    CpuidLeaf {
        /// EAX when it is asked for.
        leaf: u32,
        /// ECX when it is asked for; [`CPUID_NO_SUBLEAF`] if that does not matter.
        subleaf: u32,
        /// EAX.
        a: u32,
        /// EBX.
        b: u32,
        /// ECX.
        c: u32,
        /// EDX.
        d: u32,
    }
}

/// A leaf without subleaves.
pub const CPUID_NO_SUBLEAF: u32 = u32::MAX;

args! {
    /// An MSR of a policy (`xen_msr_entry_t`).
    MsrEntry {
        /// Its number.
        idx: u32,
        /// Zero.
        flags: u32,
        /// Its value.
        val: u64,
    }
}

args! {
    /// Argument of [`op::SET_LLC_COLORS`].
    SetLlcColors {
        /// In: how many colours.
        num_llc_colors: u32,
        /// Zero.
        pad: u32,
        /// In: address of their numbers.
        llc_colors: u64,
    }
}
