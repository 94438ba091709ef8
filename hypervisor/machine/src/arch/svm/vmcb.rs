// SPDX-License-Identifier: GPL-2.0

//! The virtual machine control block (VMCB; APM volume 2, appendix B). Offsets are checked at compile time.

use core::mem::offset_of;

pub use paravane::vmexit as exit;

/// A segment register as the VMCB keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// The selector.
    pub selector: u16,
    /// Attributes: bits 55:52 and 47:40 of the descriptor, packed.
    pub attributes: u16,
    /// The limit in bytes.
    pub limit: u32,
    /// The linear address.
    pub base: u64,
}

macro_rules! vmcb {
    ($(#[$doc:meta])* $name:ident, $size:literal { $($offset:literal $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[allow(missing_docs)]
        pub struct $name { $(pub $field: $type,)* }
        $(const _: () = assert!(offset_of!($name, $field) == $offset, stringify!($field));)*
        const _: () = assert!(size_of::<$name>() == $size);
    };
}

vmcb! {
    /// The whole block; the fields have the manual's names.
    Vmcb, 0x1000 {
        0x000 intercept_cr: u32,
        0x004 intercept_dr: u32,
        0x008 intercept_exceptions: u32,
        0x00c intercept_1: u32,
        0x010 intercept_2: u32,
        0x014 intercept_3: u32,
        0x018 reserved_1: [u8; 0x24],
        0x03c pause_filter_threshold: u16,
        0x03e pause_filter_count: u16,
        0x040 iopm_base_pa: u64,
        0x048 msrpm_base_pa: u64,
        0x050 tsc_offset: u64,
        0x058 asid: u32,
        0x05c tlb_control: u32,
        0x060 int_ctl: u32,
        0x064 int_vector: u32,
        0x068 interrupt_shadow: u64,
        0x070 exitcode: u64,
        0x078 exitinfo1: u64,
        0x080 exitinfo2: u64,
        0x088 exitintinfo: u64,
        0x090 np_enable: u64,
        0x098 avic_apic_bar: u64,
        0x0a0 ghcb: u64,
        0x0a8 eventinj: u64,
        0x0b0 n_cr3: u64,
        0x0b8 lbr_virt: u64,
        0x0c0 clean: u64,
        0x0c8 next_rip: u64,
        0x0d0 fetched: [u8; 16],
        0x0e0 reserved_2: [u8; 0x320],
        0x400 es: Segment,
        0x410 cs: Segment,
        0x420 ss: Segment,
        0x430 ds: Segment,
        0x440 fs: Segment,
        0x450 gs: Segment,
        0x460 gdtr: Segment,
        0x470 ldtr: Segment,
        0x480 idtr: Segment,
        0x490 tr: Segment,
        0x4a0 reserved_3: [u8; 0x2b],
        0x4cb cpl: u8,
        0x4cc reserved_4: u32,
        0x4d0 efer: u64,
        0x4d8 reserved_5: [u8; 0x70],
        0x548 cr4: u64,
        0x550 cr3: u64,
        0x558 cr0: u64,
        0x560 dr7: u64,
        0x568 dr6: u64,
        0x570 rflags: u64,
        0x578 rip: u64,
        0x580 reserved_6: [u8; 0x58],
        0x5d8 rsp: u64,
        0x5e0 reserved_7: [u8; 0x18],
        0x5f8 rax: u64,
        0x600 star: u64,
        0x608 lstar: u64,
        0x610 cstar: u64,
        0x618 sfmask: u64,
        0x620 kernel_gs_base: u64,
        0x628 sysenter_cs: u64,
        0x630 sysenter_esp: u64,
        0x638 sysenter_eip: u64,
        0x640 cr2: u64,
        0x648 reserved_8: [u8; 0x20],
        0x668 g_pat: u64,
        0x670 dbgctl: u64,
        0x678 reserved_9: [u8; 0x988],
    }
}

/// Bits of [`Vmcb::intercept_cr`].
#[allow(missing_docs)]
pub mod intercept_cr {
    pub const WRITE_CR0: u32 = 1 << 16;
    pub const WRITE_CR4: u32 = 1 << 20;
}

/// Bits of [`Vmcb::intercept_exceptions`]: the vectors.
#[allow(missing_docs)]
pub mod intercept_exception {
    pub const DEBUG: u32 = 1 << 1;
    pub const ALIGNMENT_CHECK: u32 = 1 << 17;
    pub const MACHINE_CHECK: u32 = 1 << 18;
}

/// Bits of [`Vmcb::intercept_1`].
#[allow(missing_docs)]
pub mod intercept1 {
    pub const INTR: u32 = 1 << 0;
    pub const NMI: u32 = 1 << 1;
    pub const SMI: u32 = 1 << 2;
    pub const INIT: u32 = 1 << 3;
    pub const VINTR: u32 = 1 << 4;
    pub const RDPMC: u32 = 1 << 15;
    pub const CPUID: u32 = 1 << 18;
    pub const IRET: u32 = 1 << 20;
    pub const INVD: u32 = 1 << 22;
    pub const HLT: u32 = 1 << 24;
    pub const INVLPGA: u32 = 1 << 26;
    pub const IOIO: u32 = 1 << 27;
    pub const MSR: u32 = 1 << 28;
    pub const SHUTDOWN: u32 = 1 << 31;
}

/// Bits of [`Vmcb::intercept_2`].
#[allow(missing_docs)]
pub mod intercept2 {
    pub const VMRUN: u32 = 1 << 0;
    pub const VMMCALL: u32 = 1 << 1;
    pub const VMLOAD: u32 = 1 << 2;
    pub const VMSAVE: u32 = 1 << 3;
    pub const STGI: u32 = 1 << 4;
    pub const CLGI: u32 = 1 << 5;
    pub const SKINIT: u32 = 1 << 6;
    pub const ICEBP: u32 = 1 << 8;
    pub const WBINVD: u32 = 1 << 9;
    pub const MONITOR: u32 = 1 << 10;
    pub const MWAIT: u32 = 1 << 11;
    pub const MWAIT_ARMED: u32 = 1 << 12;
    pub const XSETBV: u32 = 1 << 13;
    pub const RDPRU: u32 = 1 << 14;
}

/// Bits of [`Vmcb::int_ctl`].
#[allow(missing_docs)]
pub mod int_ctl {
    pub const V_IRQ: u32 = 1 << 8;
    /// The highest priority of a virtual interrupt.
    pub const V_INTR_PRIO: u32 = 0xf << 16;
    pub const V_IGN_TPR: u32 = 1 << 20;
    pub const V_INTR_MASKING: u32 = 1 << 24;
}

/// The form of an injected event and of an interrupted one (15.20): vector, kind, error code.
#[allow(missing_docs)]
pub mod event {
    pub const KIND: u64 = 7 << 8;
    pub const NMI: u64 = 2 << 8;
    pub const EXCEPTION: u64 = 3 << 8;
    pub const ERROR_VALID: u64 = 1 << 11;
    pub const VALID: u64 = 1 << 31;
}
