// SPDX-License-Identifier: GPL-2.0

//! Which model-specific registers a PVH domain has. CPUID announces accordingly.

/// The MSR by which a guest has its hypercall page filled.
pub const HYPERCALL_MSR: u32 = 0x4000_0000;

/// How a guest's access to an MSR is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrPolicy {
    /// The vCPU has a value of its own, which the machine part saves and loads.
    Guest,
    /// A register of the vLAPIC: base, x2APIC, TSC deadline.
    Apic,
    /// It reads as this value; writing another one is a #GP.
    Constant(u64),
    /// Reads give the host's value; writes are a #GP.
    HostReadOnly,
    /// A write fills a hypercall page; reads are a #GP.
    HypercallPage,
    /// Reads give 0 and writes are ignored. For MSRs that kernels access without asking CPUID.
    Ignored,
    /// #GP, as on a processor without the MSR.
    Fault,
}

/// The policy for an MSR of a guest. An unknown MSR is a #GP. Nothing of the host is shown but its microcode revision, by
/// which kernels judge whether the processor has an erratum.
pub fn guest_policy(index: u32) -> MsrPolicy {
    match (index, hardware_domain_policy(index)) {
        (0x8b, policy) => policy,
        (_, MsrPolicy::HostReadOnly) => MsrPolicy::Constant(0),
        (_, policy) => policy,
    }
}

/// The policy for an MSR of the hardware domain. An unknown MSR is a #GP.
pub fn hardware_domain_policy(index: u32) -> MsrPolicy {
    match index {
        // TSC, SYSENTER, PAT, EFER, STAR to FMASK, FS and GS bases, TSC_AUX, DEBUGCTL.
        0x10
        | 0x174..=0x176
        | 0x277
        | 0xc000_0080..=0xc000_0084
        | 0xc000_0100..=0xc000_0103
        | 0x1d9 => MsrPolicy::Guest,
        0x1b | 0x6e0 | 0x800..=0x8ff => MsrPolicy::Apic,
        // Microcode revision, platform id, misc enable.
        0x8b | 0x17 | 0x1a0 => MsrPolicy::HostReadOnly,
        // Feature control: locked, and VMX off.
        0x3a => MsrPolicy::Constant(1),
        HYPERCALL_MSR => MsrPolicy::HypercallPage,
        // AMD: SYSCFG without memory encryption; HWCR, by which the counter runs at the rate of P0; DE_CFG, by which
        // LFENCE serialises; VM_CR: SVM is disabled and locked.
        0xc001_0010 => MsrPolicy::Constant(0),
        0xc001_0015 => MsrPolicy::Constant(1 << 24),
        0xc001_1029 => MsrPolicy::Constant(1 << 1),
        0xc001_0114 => MsrPolicy::Constant(1 << 4 | 1 << 3),
        // TOP_MEM, TOP_MEM2, LS_CFG.
        0xc001_001a | 0xc001_001d | 0xc001_1020 => MsrPolicy::HostReadOnly,
        // The interrupt-pending message of old AMD processors, which Linux clears.
        0xc001_0055 => MsrPolicy::Ignored,
        // Among them MTRRs and machine checks, which CPUID does not announce.
        _ => MsrPolicy::Fault,
    }
}
