// SPDX-License-Identifier: GPL-2.0

//! The CPUID policy of a PVH domain: the hypervisor's own leaves, and which features of the processor a guest has. What
//! the toolstack changes of it for a domain is in [`policy`].

pub mod policy;

use crate::hypercall::version::{MAJOR, MINOR};
use crate::msr::HYPERCALL_MSR;
use crate::system::vcpu::VcpuId;
use xen_abi::cpuid::{
    FIRST_LEAF, MAX_LEAVES, SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX, hvm, tsc,
};

/// The four registers that CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidRegs {
    /// EAX.
    pub a: u32,
    /// EBX.
    pub b: u32,
    /// ECX.
    pub c: u32,
    /// EDX.
    pub d: u32,
}

/// The time-stamp counter, for leaf 0x40000003.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tsc {
    /// The host's TSC is invariant and synchronised.
    pub reliable: bool,
    /// The processor has RDTSCP.
    pub rdtscp: bool,
    /// Its frequency in kHz.
    pub khz: u32,
    /// The guest's TSC minus the host's.
    pub offset: u64,
    /// Nanoseconds a tick, as [`crate::pvclock::scale`] gives it.
    pub scale: (u32, i8),
}

/// The hypervisor's leaves, 0x40000000 to 0x40000005; `None` for any other.
pub fn hypervisor_leaf(leaf: u32, subleaf: u32, vcpu: VcpuId, time: &Tsc) -> Option<CpuidRegs> {
    let index = leaf
        .checked_sub(FIRST_LEAF)
        .filter(|index| *index <= MAX_LEAVES)?;
    let mut out = CpuidRegs::default();
    match (index, subleaf) {
        (0, _) => {
            out.a = FIRST_LEAF + MAX_LEAVES;
            (out.b, out.c, out.d) = (SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX);
        }
        (1, _) => out.a = MAJOR << 16 | MINOR,
        // One hypercall page, filled by this MSR.
        (2, _) => (out.a, out.b) = (1, HYPERCALL_MSR),
        (3, 0) => {
            let mut features = 0;
            if time.reliable {
                features |= tsc::HOST_TSC_RELIABLE;
            }
            if time.rdtscp {
                features |= tsc::RDTSCP_INSTR_AVAIL;
            }
            // Reading it is not emulated. The mode is the default, the incarnation the first.
            (out.a, out.b, out.c, out.d) = (features, 0, time.khz, 0);
        }
        (3, 1) => {
            (out.a, out.b) = (time.offset as u32, (time.offset >> 32) as u32);
            (out.c, out.d) = (time.scale.0, time.scale.1 as u32);
        }
        (3, 2) => out.a = time.khz,
        (4, 0) => {
            // Without an I/O MMU a device sees no grant that is mapped for the CPU: Xen's flag for that is not set.
            out.a = hvm::VCPU_ID_PRESENT | hvm::DOMID_PRESENT | hvm::UPCALL_VECTOR;
            (out.b, out.c) = (vcpu.vcpu, vcpu.domain.into());
        }
        _ => {}
    }
    Some(out)
}

/// The state of a vCPU that CPUID depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuState {
    /// The id of its vLAPIC.
    pub apic_id: u32,
    /// How many vCPUs the domain has.
    pub vcpus: u32,
    /// CR4.OSXSAVE is set.
    pub osxsave: bool,
    /// The vLAPIC is enabled by its base register.
    pub apic: bool,
    /// Its XCR0.
    pub xcr0: u64,
}

/// The extended states that a guest may enable in XCR0, as far as the processor has them: x87, SSE, AVX, AVX-512.
pub const XCR0: u64 = 0xe7;

/// A mask of the given bits.
const fn bits(bits: &[u32]) -> u32 {
    let (mut set, mut i) = (0, 0);
    while i < bits.len() {
        set |= 1 << bits[i];
        i += 1;
    }
    set
}

const X2APIC: u32 = 1 << 21;
const TSC_DEADLINE: u32 = 1 << 24;
const XSAVE: u32 = 1 << 26;
const OSXSAVE: u32 = 1 << 27;
const HYPERVISOR: u32 = 1 << 31;
const APIC: u32 = 1 << 9;
const HTT: u32 = 1 << 28;
/// Leaf 1 ECX: DTES64, MONITOR, DS-CPL, VMX, SMX, EST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA, OSXSAVE.
const LEAF1_C_HIDDEN: u32 = bits(&[2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 18, 27]);
/// Leaf 1 EDX: MCE, APIC, MTRR, MCA, DS, ACPI, TM, PBE. There are neither virtual MTRRs nor virtual machine checks.
const LEAF1_D_HIDDEN: u32 = bits(&[7, 9, 12, 14, 21, 22, 29, 31]);
/// Leaf 7 EBX: TSC_ADJUST, SGX, PQM, MPX, PQE, PT.
const LEAF7_B_HIDDEN: u32 = bits(&[1, 2, 12, 14, 15, 25]);
/// Leaf 7 ECX: PKU, OSPKE, WAITPKG, CET_SS, TME, LA57, BUS_LOCK, ENQCMD, SGX_LC, PKS.
const LEAF7_C_HIDDEN: u32 = bits(&[3, 4, 5, 7, 13, 16, 24, 29, 30, 31]);
/// Leaf 7 EDX: UINTR, HYBRID, PCONFIG, ARCH_LBR, IBT, AMX, and what needs registers that are not given: IBRS, STIBP,
/// L1D_FLUSH, the two of capabilities, SSBD.
const LEAF7_D_HIDDEN: u32 = bits(&[5, 15, 18, 19, 20, 22, 24, 25, 26, 27, 28, 29, 30, 31]);
/// Leaf 0x80000001 ECX: SVM, OSVW, IBS, SKINIT, WDT, LWP, NodeId, TOPOEXT, performance counters, MWAITX.
const EXT1_C_HIDDEN: u32 = bits(&[2, 9, 10, 12, 13, 15, 19, 22, 23, 24, 25, 28, 29]);
/// Leaf 0x80000001 EDX: as leaf 1's.
const EXT1_D_HIDDEN: u32 = bits(&[7, 9, 12, 14]);
/// Leaf 0x80000008 EBX: CLZERO, XSAVEERPTR and WBNOINVD; the rest needs registers that are not given.
const EXT8_B_KEPT: u32 = bits(&[0, 2, 9]);
/// Leaf 0xd, subleaf 1 EAX: XSAVEOPT, XSAVEC, XGETBV with ECX 1; supervisor states are not given.
const XSAVE_KEPT: u32 = bits(&[0, 1, 2]);

/// CPUID of a guest. `host` is CPUID of the processor.
pub fn leaf(
    leaf: u32,
    subleaf: u32,
    vcpu: VcpuId,
    of: &VcpuState,
    time: &Tsc,
    host: impl Fn(u32, u32) -> CpuidRegs,
) -> CpuidRegs {
    if let Some(own) = hypervisor_leaf(leaf, subleaf, vcpu, time) {
        return own;
    }
    let top = host(leaf & 0x8000_0000, 0).a;
    if leaf > top {
        return CpuidRegs::default();
    }
    guest_leaf(leaf, subleaf, of, host)
}

/// A leaf of the processor, as a guest gets it.
///
/// Leaves of features that guests do not have are empty: performance counters, cache monitoring, processor trace, SGX,
/// SVM.
fn guest_leaf(
    leaf: u32,
    subleaf: u32,
    of: &VcpuState,
    host: impl Fn(u32, u32) -> CpuidRegs,
) -> CpuidRegs {
    let host_leaf = host(leaf, subleaf);
    let mut out = host_leaf;
    let vcpus = of.vcpus.max(1);
    // Bits of an APIC id that differ between vCPUs of the domain; ids are even.
    let id_bits = vcpus.min(1 << 30).next_power_of_two().ilog2() + 1;
    match leaf {
        1 => {
            // The APIC id in the highest byte, below it the number of ids; the CLFLUSH size stays.
            let count = vcpus.saturating_mul(2).min(255);
            out.b = host_leaf.b & 0xffff | (of.apic_id & 0xff) << 24 | count << 16;
            out.c = host_leaf.c & !LEAF1_C_HIDDEN | HYPERVISOR | X2APIC | TSC_DEADLINE;
            if of.osxsave && host_leaf.c & XSAVE != 0 {
                out.c |= OSXSAVE;
            }
            out.d = host_leaf.d & !LEAF1_D_HIDDEN | if vcpus > 1 { HTT } else { 0 };
            if of.apic {
                out.d |= APIC;
            }
        }
        // MONITOR/MWAIT, performance counters, SGX, processor trace, cache monitoring.
        5 | 0xa | 0xf | 0x10 | 0x12 | 0x14 => out = CpuidRegs::default(),
        // Only ARAT: the APIC timer never stops.
        6 => {
            out = CpuidRegs {
                a: host_leaf.a & 1 << 2,
                ..CpuidRegs::default()
            }
        }
        7 if subleaf == 0 => {
            out = CpuidRegs {
                a: 0,
                b: host_leaf.b & !LEAF7_B_HIDDEN,
                c: host_leaf.c & !LEAF7_C_HIDDEN,
                d: host_leaf.d & !LEAF7_D_HIDDEN,
            }
        }
        7 => out = CpuidRegs::default(),
        // Each vCPU is a core of its own; EDX is the x2APIC id.
        0xb => {
            let (a, b, kind) = match subleaf {
                0 => (1, 1, 1),
                1 => (id_bits, vcpus, 2),
                _ => (0, 0, 0),
            };
            out = CpuidRegs {
                a,
                b,
                c: subleaf & 0xff | kind << 8,
                d: of.apic_id,
            };
        }
        0xd => out = xsave_leaf(subleaf, host_leaf, of, host),
        0x8000_0001 => {
            out.c &= !EXT1_C_HIDDEN;
            out.d &= !EXT1_D_HIDDEN;
            if of.apic {
                out.d |= APIC;
            }
        }
        // Only the invariant TSC.
        0x8000_0007 => {
            out = CpuidRegs {
                d: host_leaf.d & 1 << 8,
                ..CpuidRegs::default()
            }
        }
        0x8000_0008 => {
            // Linear addresses of 48 bits, since five levels of page tables are not announced.
            let linear = (out.a >> 8 & 0xff).min(48);
            out.a = out.a & !0xff00 | linear << 8;
            // The number of cores, and the size of the core id in the APIC id.
            out.b &= EXT8_B_KEPT;
            out.c = id_bits << 12 | (vcpus - 1).min(0xff);
            out.d = 0;
        }
        // SVM, instruction-based sampling, extended topology (said by leaf 0xb), memory encryption and what came later.
        0x8000_000a
        | 0x8000_001b
        | 0x8000_001c
        | 0x8000_001e..=0x8000_0020
        | 0x8000_0022..=0x8000_00ff => out = CpuidRegs::default(),
        _ => {}
    }
    out
}

/// Leaf 0xd (Intel SDM volume 1, 13.2): which extended states there are, and where they are kept.
fn xsave_leaf(
    subleaf: u32,
    host_leaf: CpuidRegs,
    of: &VcpuState,
    host: impl Fn(u32, u32) -> CpuidRegs,
) -> CpuidRegs {
    let states = |set: u64| (2..63).filter(move |state| set >> state & 1 != 0);
    // Behind the legacy area and the header: the end of the last one.
    let size = |set: u64| {
        let ends = states(set).map(|state| {
            let at = host(0xd, state);
            at.a.saturating_add(at.b)
        });
        ends.max().unwrap_or(0).max(576)
    };
    match subleaf {
        0 => {
            let known = xcr0_of(host_leaf);
            CpuidRegs {
                a: known as u32,
                b: size(of.xcr0 & known),
                c: size(known),
                d: (known >> 32) as u32,
            }
        }
        1 => {
            // One after the other, those on 64 bytes that want to be.
            let compact = states(of.xcr0 & XCR0).fold(576u32, |end, state| {
                let at = host(0xd, state);
                let aligned = at.c & 1 << 1 != 0;
                let start = if aligned { (end + 63) & !63 } else { end };
                start.saturating_add(at.a)
            });
            let a = host_leaf.a & XSAVE_KEPT;
            CpuidRegs {
                a,
                b: if a & 1 << 1 != 0 { compact } else { 0 },
                ..CpuidRegs::default()
            }
        }
        // A processor may say where a state would be that it does not have.
        2..63 if xcr0_of(host(0xd, 0)) >> subleaf & 1 != 0 => host_leaf,
        _ => CpuidRegs::default(),
    }
}

/// The extended states in subleaf 0 that guests may have.
fn xcr0_of(leaf: CpuidRegs) -> u64 {
    (u64::from(leaf.d) << 32 | u64::from(leaf.a)) & XCR0
}

/// The APIC id of a vCPU, numbered as in Xen.
pub const fn apic_id(vcpu: u32) -> u32 {
    vcpu * 2
}

#[cfg(test)]
mod tests;
