// SPDX-License-Identifier: GPL-2.0

//! The `hvm_op` hypercall, `hvm/hvm_op.h`, as far as a PVH guest uses it.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`HVMOP_*`).
pub mod op {
    /// Takes [`Param`](super::Param).
    pub const SET_PARAM: u32 = 0;
    /// Takes [`Param`](super::Param).
    pub const GET_PARAM: u32 = 1;
    /// Forgets all translations of the domain.
    pub const FLUSH_TLBS: u32 = 5;
    /// A hint for shadow paging; takes [`PagetableDying`](super::PagetableDying).
    pub const PAGETABLE_DYING: u32 = 9;
    /// Writes the system time, 8 bytes.
    pub const GET_TIME: u32 = 10;
    /// Writes to the trace.
    pub const XENTRACE: u32 = 11;
    /// Takes [`GetMemType`](super::GetMemType).
    pub const GET_MEM_TYPE: u32 = 15;
    /// Takes [`EvtchnUpcallVector`](super::EvtchnUpcallVector).
    pub const SET_EVTCHN_UPCALL_VECTOR: u32 = 23;
    /// Tells a monitor.
    pub const GUEST_REQUEST_VM_EVENT: u32 = 24;
    /// Alternative views of memory.
    pub const ALTP2M: u32 = 25;
}

args! {
    no default:
    /// Argument of [`op::SET_PARAM`] and [`op::GET_PARAM`].
    Param {
        /// Whose.
        domid: u16,
        /// Zero.
        pad: u16,
        /// See [`super::params`].
        index: u32,
        /// In or out.
        value: u64,
    }
}

args! {
    no default:
    /// Argument of [`op::SET_EVTCHN_UPCALL_VECTOR`].
    EvtchnUpcallVector {
        /// Which vCPU.
        vcpu: u32,
        /// The vector that events raise.
        vector: u8,
        /// Zero; fills the structure.
        pad: [u8; 3],
    }
}

args! {
    no default:
    /// Argument of [`op::PAGETABLE_DYING`].
    PagetableDying {
        /// Whose.
        domid: u16,
        /// Zero; fills the structure.
        pad: [u16; 3],
        /// Of the page table.
        gpa: u64,
    }
}

args! {
    no default:
    /// Argument of [`op::GET_MEM_TYPE`].
    GetMemType {
        /// Whose.
        domid: u16,
        /// Out: see [`mem_type`].
        mem_type: u16,
        /// Zero.
        pad: [u16; 2],
        /// The frame.
        pfn: u64,
    }
}

/// What a frame is (`hvmmem_type_t`).
pub mod mem_type {
    /// Memory.
    pub const RAM_RW: u16 = 0;
    /// Memory to read.
    pub const RAM_RO: u16 = 1;
    /// Nothing that the hypervisor knows.
    pub const MMIO_DM: u16 = 2;
}
