// SPDX-License-Identifier: GPL-2.0

//! The registers of a vCPU as the toolstack sees those of any kind of domain, `arch-x86/xen.h`. Of a hardware-assisted one
//! only a part is used.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits of [`VcpuGuestContext::flags`] (`VGCF_*`).
pub mod flag {
    /// [`VcpuGuestContext::fpu_ctxt`](super::VcpuGuestContext::fpu_ctxt) is valid.
    pub const I387_VALID: u64 = 1 << 0;
    /// The vCPU is up.
    pub const ONLINE: u64 = 1 << 5;
}

args! {
    /// The general registers of a vCPU.
    CpuUserRegs {
        /// A register.
        r15: u64,
        /// A register.
        r14: u64,
        /// A register.
        r13: u64,
        /// A register.
        r12: u64,
        /// A register.
        rbp: u64,
        /// A register.
        rbx: u64,
        /// A register.
        r11: u64,
        /// A register.
        r10: u64,
        /// A register.
        r9: u64,
        /// A register.
        r8: u64,
        /// A register.
        rax: u64,
        /// A register.
        rcx: u64,
        /// A register.
        rdx: u64,
        /// A register.
        rsi: u64,
        /// A register.
        rdi: u64,
        /// Of an exception.
        error_code: u32,
        /// Of an exception.
        entry_vector: u32,
        /// A register.
        rip: u64,
        /// A selector.
        cs: u16,
        /// Zero.
        pad0: u16,
        /// Of a PV domain.
        saved_upcall_mask: u8,
        /// Zero.
        pad1: [u8; 3],
        /// A register.
        rflags: u64,
        /// A register.
        rsp: u64,
        /// A selector.
        ss: u16,
        /// Zero.
        pad_ss: [u16; 3],
        /// A selector.
        es: u16,
        /// Zero.
        pad_es: [u16; 3],
        /// A selector.
        ds: u16,
        /// Zero.
        pad_ds: [u16; 3],
        /// A selector.
        fs: u16,
        /// Zero.
        pad_fs: [u16; 3],
        /// A selector.
        gs: u16,
        /// Zero.
        pad_gs: [u16; 3],
    }
}

args! {
    no default:
    /// A vCPU (`vcpu_guest_context_t`).
    VcpuGuestContext {
        /// The FXSAVE area.
        fpu_ctxt: [u8; 512],
        /// See [`flag`].
        flags: u64,
        /// The general registers.
        user_regs: CpuUserRegs,
        /// Of a PV domain: handlers of exceptions.
        trap_ctxt: [[u64; 2]; 256],
        /// Of a PV domain.
        ldt_base: u64,
        /// Of a PV domain.
        ldt_ents: u64,
        /// Of a PV domain.
        gdt_frames: [u64; 16],
        /// Of a PV domain.
        gdt_ents: u64,
        /// Of a PV domain.
        kernel_ss: u64,
        /// Of a PV domain.
        kernel_sp: u64,
        /// CR0 to CR7.
        ctrlreg: [u64; 8],
        /// DR0 to DR7.
        debugreg: [u64; 8],
        /// Of a PV domain.
        event_callback_eip: u64,
        /// Of a PV domain.
        failsafe_callback_eip: u64,
        /// Of a PV domain.
        syscall_callback_eip: u64,
        /// Assists that the domain has enabled.
        vm_assist: u64,
        /// Base of FS.
        fs_base: u64,
        /// Base of GS in the kernel.
        gs_base_kernel: u64,
        /// Base of GS in programs.
        gs_base_user: u64,
    }
}
