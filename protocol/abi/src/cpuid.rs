// SPDX-License-Identifier: GPL-2.0

//! What the CPUID instruction tells of the hypervisor, `arch-x86/cpuid.h`. Leaves are counted from [`FIRST_LEAF`].

/// The first leaf (`XEN_CPUID_FIRST_LEAF`), where no other hypervisor's leaves are.
pub const FIRST_LEAF: u32 = 0x4000_0000;

/// The highest leaf (`XEN_CPUID_MAX_NUM_LEAVES`).
pub const MAX_LEAVES: u32 = 5;

/// "XenV".
pub const SIGNATURE_EBX: u32 = 0x566e_6558;

/// "MMXe".
pub const SIGNATURE_ECX: u32 = 0x6558_4d4d;

/// "nVMM".
pub const SIGNATURE_EDX: u32 = 0x4d4d_566e;

/// Leaf 4, EAX: features of an HVM domain (`XEN_HVM_CPUID_*`).
pub mod hvm {
    /// The APIC's registers are served by the processor.
    pub const APIC_ACCESS_VIRT: u32 = 1 << 0;
    /// The x2APIC's are.
    pub const X2APIC_VIRT: u32 = 1 << 1;
    /// What is mapped for the CPU is mapped for devices.
    pub const IOMMU_MAPPINGS: u32 = 1 << 2;
    /// EBX is the vCPU's number.
    pub const VCPU_ID_PRESENT: u32 = 1 << 3;
    /// ECX is the domain's number.
    pub const DOMID_PRESENT: u32 = 1 << 4;
    /// Interrupt messages have 15 bits of destination.
    pub const EXT_DEST_ID: u32 = 1 << 5;
    /// A vCPU may choose the vector of its upcalls.
    pub const UPCALL_VECTOR: u32 = 1 << 6;
}

/// Leaf 3, subleaf 0, EAX: the time-stamp counter (`XEN_CPUID_*`).
pub mod tsc {
    /// Reading it is emulated.
    pub const TSC_EMULATED: u32 = 1 << 0;
    /// The host's runs true.
    pub const HOST_TSC_RELIABLE: u32 = 1 << 1;
    /// RDTSCP is there.
    pub const RDTSCP_INSTR_AVAIL: u32 = 1 << 2;
}

/// How a guest's time-stamp counter is read (`XEN_CPUID_TSC_MODE_*`).
pub mod tsc_mode {
    /// By the processor, if its counter can be relied on.
    pub const DEFAULT: u32 = 0;
    /// Every read is emulated.
    pub const ALWAYS_EMULATE: u32 = 1;
    /// By the processor.
    pub const NEVER_EMULATE: u32 = 2;
}
