// SPDX-License-Identifier: GPL-2.0

//! The records in which the state of a hardware-assisted domain is saved, `arch-x86/hvm/save.h`. A context is a
//! [`code::HEADER`], any records, and a [`code::END`]; each begins with a [`Descriptor`].

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`Header::magic`].
pub const FILE_MAGIC: u32 = 0x5438_1286;
/// [`Header::version`].
pub const FILE_VERSION: u32 = 1;
/// [`Cpu::flags`]: [`Cpu::fpu_regs`] are valid.
pub const FPU_INITIALISED: u32 = 1 << 0;
/// Pairs of variable MTRRs in [`Mtrr`].
pub const MTRR_VCNT: usize = 8;
/// Fixed MTRRs in [`Mtrr`].
pub const NUM_FIXED_MSR: usize = 11;

/// Types of records.
pub mod code {
    /// The last record, empty.
    pub const END: u16 = 0;
    /// A [`Header`](super::Header).
    pub const HEADER: u16 = 1;
    /// A [`Cpu`](super::Cpu).
    pub const CPU: u16 = 2;
    /// A [`Lapic`](super::Lapic).
    pub const LAPIC: u16 = 5;
    /// The registers of a local APIC, [`LapicRegs`](super::LapicRegs).
    pub const LAPIC_REGS: u16 = 6;
    /// An [`Mtrr`](super::Mtrr).
    pub const MTRR: u16 = 14;
    /// A [`CpuXsave`](super::CpuXsave), and behind it the states other than x87 and SSE.
    pub const CPU_XSAVE: u16 = 16;
    /// A [`VmceVcpu`](super::VmceVcpu).
    pub const VMCE_VCPU: u16 = 18;
    /// A [`TscAdjust`](super::TscAdjust).
    pub const TSC_ADJUST: u16 = 19;
    /// How many MSRs, and an array of numbers and values.
    pub const CPU_MSR: u16 = 20;
}

args! {
    /// What stands before each record.
    Descriptor {
        /// See [`code`].
        typecode: u16,
        /// Number of the vCPU or device.
        instance: u16,
        /// Bytes of the record behind this.
        length: u32,
    }
}

args! {
    /// The first record.
    Header {
        /// [`FILE_MAGIC`].
        magic: u32,
        /// [`FILE_VERSION`].
        version: u32,
        /// Of the hypervisor's source; all ones if that is unknown.
        changeset: u64,
        /// The processor's signature, CPUID leaf 1 EAX.
        cpuid: u32,
        /// Frequency of the guest's time-stamp counter.
        gtsc_khz: u32,
    }
}

args! {
    no default:
    /// The registers of a vCPU.
    Cpu {
        /// The FXSAVE area.
        fpu_regs: [u8; 512],
        /// A register.
        rax: u64,
        /// A register.
        rbx: u64,
        /// A register.
        rcx: u64,
        /// A register.
        rdx: u64,
        /// A register.
        rbp: u64,
        /// A register.
        rsi: u64,
        /// A register.
        rdi: u64,
        /// A register.
        rsp: u64,
        /// A register.
        r8: u64,
        /// A register.
        r9: u64,
        /// A register.
        r10: u64,
        /// A register.
        r11: u64,
        /// A register.
        r12: u64,
        /// A register.
        r13: u64,
        /// A register.
        r14: u64,
        /// A register.
        r15: u64,
        /// A register.
        rip: u64,
        /// A register.
        rflags: u64,
        /// A register.
        cr0: u64,
        /// A register.
        cr2: u64,
        /// A register.
        cr3: u64,
        /// A register.
        cr4: u64,
        /// A register.
        dr0: u64,
        /// A register.
        dr1: u64,
        /// A register.
        dr2: u64,
        /// A register.
        dr3: u64,
        /// A register.
        dr6: u64,
        /// A register.
        dr7: u64,
        /// Of a segment.
        cs_sel: u32,
        /// Of a segment.
        ds_sel: u32,
        /// Of a segment.
        es_sel: u32,
        /// Of a segment.
        fs_sel: u32,
        /// Of a segment.
        gs_sel: u32,
        /// Of a segment.
        ss_sel: u32,
        /// Of a segment.
        tr_sel: u32,
        /// Of a segment.
        ldtr_sel: u32,
        /// Of a segment, in bytes.
        cs_limit: u32,
        /// Of a segment, in bytes.
        ds_limit: u32,
        /// Of a segment, in bytes.
        es_limit: u32,
        /// Of a segment, in bytes.
        fs_limit: u32,
        /// Of a segment, in bytes.
        gs_limit: u32,
        /// Of a segment, in bytes.
        ss_limit: u32,
        /// Of a segment, in bytes.
        tr_limit: u32,
        /// Of a segment, in bytes.
        ldtr_limit: u32,
        /// Of a segment, in bytes.
        idtr_limit: u32,
        /// Of a segment, in bytes.
        gdtr_limit: u32,
        /// Of a segment.
        cs_base: u64,
        /// Of a segment.
        ds_base: u64,
        /// Of a segment.
        es_base: u64,
        /// Of a segment.
        fs_base: u64,
        /// Of a segment.
        gs_base: u64,
        /// Of a segment.
        ss_base: u64,
        /// Of a segment.
        tr_base: u64,
        /// Of a segment.
        ldtr_base: u64,
        /// Of a segment.
        idtr_base: u64,
        /// Of a segment.
        gdtr_base: u64,
        /// Of a segment, in the VMCB's format.
        cs_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        ds_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        es_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        fs_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        gs_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        ss_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        tr_arbytes: u32,
        /// Of a segment, in the VMCB's format.
        ldtr_arbytes: u32,
        /// An MSR.
        sysenter_cs: u64,
        /// An MSR.
        sysenter_esp: u64,
        /// An MSR.
        sysenter_eip: u64,
        /// An MSR.
        shadow_gs: u64,
        /// Nothing.
        msr_flags: u64,
        /// An MSR.
        msr_lstar: u64,
        /// An MSR.
        msr_star: u64,
        /// An MSR.
        msr_cstar: u64,
        /// An MSR.
        msr_syscall_mask: u64,
        /// An MSR.
        msr_efer: u64,
        /// An MSR.
        msr_tsc_aux: u64,
        /// The guest's time-stamp counter.
        tsc: u64,
        /// An event whose delivery was interrupted, as in EVENTINJ.
        pending_event: u32,
        /// Its error code.
        error_code: u32,
        /// [`FPU_INITIALISED`].
        flags: u32,
        /// Zero.
        pad0: u32,
    }
}

args! {
    /// A local APIC, without its registers.
    Lapic {
        /// The MSR with its base address.
        apic_base_msr: u64,
        /// It is disabled: bit 0 by software, bit 1 by the MSR.
        disabled: u32,
        /// Divisor of its timer.
        timer_divisor: u32,
        /// The MSR with the timer's deadline.
        tdt_msr: u64,
        /// Errors for the error status register.
        pending_esr: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

args! {
    no default:
    /// The registers of a local APIC.
    LapicRegs {
        /// Its page, as far as it has registers.
        data: [u8; 1024],
    }
}

args! {
    /// Memory types of a vCPU.
    Mtrr {
        /// The page attribute table.
        msr_pat_cr: u64,
        /// Base and mask of each variable range.
        msr_mtrr_var: [u64; 2 * MTRR_VCNT],
        /// The fixed ranges.
        msr_mtrr_fixed: [u64; NUM_FIXED_MSR],
        /// Which there are.
        msr_mtrr_cap: u64,
        /// The type of all other memory.
        msr_mtrr_def_type: u64,
    }
}

args! {
    no default:
    /// The extended states of a vCPU: the beginning of an XSAVE area in the standard format, and what it has.
    CpuXsave {
        /// The states that the processor can save.
        xfeature_mask: u64,
        /// XCR0.
        xcr0: u64,
        /// The states that may be in use: they decide how long the area is.
        xcr0_accum: u64,
        /// The FXSAVE area.
        fpu_sse: [u8; 512],
        /// The states that the area has; others are as after a reset.
        xstate_bv: u64,
        /// Zero: the area is not compacted.
        xcomp_bv: u64,
        /// Zero.
        reserved: [u64; 6],
    }
}

args! {
    /// The machine checks of a vCPU.
    VmceVcpu {
        /// MCG_CAP.
        caps: u64,
        /// An MSR.
        mci_ctl2_bank0: u64,
        /// An MSR.
        mci_ctl2_bank1: u64,
        /// An MSR.
        mcg_ext_ctl: u64,
    }
}

args! {
    /// What a vCPU has added to its time-stamp counter.
    TscAdjust {
        /// The MSR.
        tsc_adjust: u64,
    }
}
