// SPDX-License-Identifier: GPL-2.0

//! The first state of a vCPU of a PVH domain, `hvm/hvm_vcpu.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which registers count (`VCPU_HVM_MODE_*`).
pub mod mode {
    /// Those of 32 bits.
    pub const X86_32: u32 = 0;
    /// Those of 64 bits.
    pub const X86_64: u32 = 1;
}

args! {
    no default:
    /// Registers of a vCPU that starts without long mode.
    X86_32 {
        /// A register.
        eax: u32,
        /// A register.
        ecx: u32,
        /// A register.
        edx: u32,
        /// A register.
        ebx: u32,
        /// A register.
        esp: u32,
        /// A register.
        ebp: u32,
        /// A register.
        esi: u32,
        /// A register.
        edi: u32,
        /// A register.
        eip: u32,
        /// A register.
        eflags: u32,
        /// A register.
        cr0: u32,
        /// A register.
        cr3: u32,
        /// A register.
        cr4: u32,
        /// Zero.
        pad1: u32,
        /// A register.
        efer: u64,
        /// Of a segment.
        cs_base: u32,
        /// Of a segment.
        ds_base: u32,
        /// Of a segment.
        ss_base: u32,
        /// Of a segment.
        es_base: u32,
        /// Of a segment.
        tr_base: u32,
        /// Of a segment.
        cs_limit: u32,
        /// Of a segment.
        ds_limit: u32,
        /// Of a segment.
        ss_limit: u32,
        /// Of a segment.
        es_limit: u32,
        /// Of a segment.
        tr_limit: u32,
        /// Attributes of a segment.
        cs_ar: u16,
        /// Attributes of a segment.
        ds_ar: u16,
        /// Attributes of a segment.
        ss_ar: u16,
        /// Attributes of a segment.
        es_ar: u16,
        /// Attributes of a segment.
        tr_ar: u16,
        /// Zero.
        pad2: [u16; 3],
    }
}

args! {
    no default:
    /// Registers of a vCPU that starts in long mode, with flat segments.
    X86_64 {
        /// A register.
        rax: u64,
        /// A register.
        rcx: u64,
        /// A register.
        rdx: u64,
        /// A register.
        rbx: u64,
        /// A register.
        rsp: u64,
        /// A register.
        rbp: u64,
        /// A register.
        rsi: u64,
        /// A register.
        rdi: u64,
        /// A register.
        rip: u64,
        /// A register.
        rflags: u64,
        /// A register.
        cr0: u64,
        /// A register.
        cr3: u64,
        /// A register.
        cr4: u64,
        /// A register.
        efer: u64,
    }
}

args! {
    no default:
    /// Argument of [`crate::vcpu::op::INITIALISE`].
    Context {
        /// See [`mode`].
        mode: u32,
        /// Zero.
        pad: u32,
        /// [`X86_32`] or [`X86_64`], as the mode says.
        cpu_regs: [u64; 15],
    }
}
