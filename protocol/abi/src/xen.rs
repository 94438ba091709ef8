// SPDX-License-Identifier: GPL-2.0

//! Domain ids, hypercall numbers, batches of hypercalls and virtual interrupts, `xen.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Domain ids with a meaning of their own (`DOMID_*`).
pub mod domid {
    /// The first id that never names a domain.
    pub const FIRST_RESERVED: u16 = 0x7ff0;
    /// The calling domain.
    pub const SELF: u16 = 0x7ff0;
    /// Owner of I/O memory, in page-table updates.
    pub const IO: u16 = 0x7ff1;
    /// Owner of Xen's own heap pages that are shared with a guest.
    pub const XEN: u16 = 0x7ff2;
    /// Owner of pages shared copy-on-write.
    pub const COW: u16 = 0x7ff3;
    /// No domain.
    pub const INVALID: u16 = 0x7ff4;
    /// The idle domain.
    pub const IDLE: u16 = 0x7fff;
}

/// Hypercall numbers (`__HYPERVISOR_*`).
pub mod hypercall {
    /// `set_trap_table` (PV).
    pub const SET_TRAP_TABLE: u32 = 0;
    /// `mmu_update` (PV).
    pub const MMU_UPDATE: u32 = 1;
    /// `set_gdt` (PV).
    pub const SET_GDT: u32 = 2;
    /// `stack_switch` (PV).
    pub const STACK_SWITCH: u32 = 3;
    /// `set_callbacks` (PV).
    pub const SET_CALLBACKS: u32 = 4;
    /// `fpu_taskswitch` (PV).
    pub const FPU_TASKSWITCH: u32 = 5;
    /// `platform_op`.
    pub const PLATFORM_OP: u32 = 7;
    /// `set_debugreg` (PV).
    pub const SET_DEBUGREG: u32 = 8;
    /// `get_debugreg` (PV).
    pub const GET_DEBUGREG: u32 = 9;
    /// `update_descriptor` (PV).
    pub const UPDATE_DESCRIPTOR: u32 = 10;
    /// `memory_op`.
    pub const MEMORY_OP: u32 = 12;
    /// `multicall`.
    pub const MULTICALL: u32 = 13;
    /// `update_va_mapping` (PV).
    pub const UPDATE_VA_MAPPING: u32 = 14;
    /// `set_timer_op`.
    pub const SET_TIMER_OP: u32 = 15;
    /// `xen_version`.
    pub const XEN_VERSION: u32 = 17;
    /// `console_io`.
    pub const CONSOLE_IO: u32 = 18;
    /// `grant_table_op`.
    pub const GRANT_TABLE_OP: u32 = 20;
    /// `vm_assist`.
    pub const VM_ASSIST: u32 = 21;
    /// `update_va_mapping_otherdomain` (PV).
    pub const UPDATE_VA_MAPPING_OTHERDOMAIN: u32 = 22;
    /// `iret` (PV).
    pub const IRET: u32 = 23;
    /// `vcpu_op`.
    pub const VCPU_OP: u32 = 24;
    /// `set_segment_base` (64-bit PV).
    pub const SET_SEGMENT_BASE: u32 = 25;
    /// `mmuext_op` (PV).
    pub const MMUEXT_OP: u32 = 26;
    /// `xsm_op`.
    pub const XSM_OP: u32 = 27;
    /// `nmi_op`.
    pub const NMI_OP: u32 = 28;
    /// `sched_op`.
    pub const SCHED_OP: u32 = 29;
    /// `callback_op`.
    pub const CALLBACK_OP: u32 = 30;
    /// `event_channel_op`.
    pub const EVENT_CHANNEL_OP: u32 = 32;
    /// `physdev_op`.
    pub const PHYSDEV_OP: u32 = 33;
    /// `hvm_op`.
    pub const HVM_OP: u32 = 34;
    /// `sysctl`.
    pub const SYSCTL: u32 = 35;
    /// `domctl`.
    pub const DOMCTL: u32 = 36;
    /// `kexec_op`.
    pub const KEXEC_OP: u32 = 37;
    /// `xenpmu_op`.
    pub const XENPMU_OP: u32 = 40;
    /// `dm_op`.
    pub const DM_OP: u32 = 41;
    /// `mca`, the first of the numbers that are the architecture's (`__HYPERVISOR_arch_0`).
    pub const MCA: u32 = 48;
}

/// Virtual interrupts (`VIRQ_*`); each is per vCPU or global to a domain.
pub mod virq {
    /// Timer (per vCPU).
    pub const TIMER: u32 = 0;
    /// Request to dump debug information (per vCPU).
    pub const DEBUG: u32 = 1;
    /// Bytes on the emergency console (global, dom0).
    pub const CONSOLE: u32 = 2;
    /// Something happened to some domain (global, the xenstore's domain).
    pub const DOM_EXC: u32 = 3;
    /// The trace buffer has records (global, dom0).
    pub const TBUF: u32 = 4;
    /// A domain has paused for a debugger (global, dom0).
    pub const DEBUGGER: u32 = 6;
    /// Profiling sample (per vCPU).
    pub const XENOPROF: u32 = 7;
    /// Bytes in Xen's console ring (global, dom0).
    pub const CON_RING: u32 = 8;
    /// A physical CPU changed state (global, dom0).
    pub const PCPU_STATE: u32 = 9;
    /// A memory event has occurred (global, dom0).
    pub const MEM_EVENT: u32 = 10;
    /// Xen's heap is low on memory (global, dom0).
    pub const ENOMEM: u32 = 12;
    /// Performance counter interrupt (per vCPU).
    pub const XENPMU: u32 = 13;
    /// First of eight that belong to the architecture.
    pub const ARCH_0: u32 = 16;
}

args! {
    /// One call of `multicall`'s list (`struct multicall_entry`).
    MulticallEntry {
        /// The hypercall's number.
        op: u64,
        /// Out: what it has returned, negative for an error.
        result: u64,
        /// Its arguments; the sixth is not used.
        args: [u64; 6],
    }
}
