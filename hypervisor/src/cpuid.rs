//! What the CPUID instruction tells a PVH domain: the hypervisor's own leaves, and what it leaves out of the
//! processor's.

use crate::hypercall::version::{MAJOR, MINOR};
use crate::system::vcpu::VcpuId;
use xen_abi::cpuid::{
    FIRST_LEAF, MAX_LEAVES, SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX, hvm, tsc,
};

/// The four registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// EAX.
    pub a: u32,
    /// EBX.
    pub b: u32,
    /// ECX.
    pub c: u32,
    /// EDX.
    pub d: u32,
}

/// The model-specific register by which a guest has its hypercall page filled.
pub const HYPERCALL_MSR: u32 = 0x4000_0000;

/// What is told of the time-stamp counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tsc {
    /// The host's runs true and at one rate on all CPUs.
    pub reliable: bool,
    /// RDTSCP is there.
    pub rdtscp: bool,
    /// Its frequency in kHz.
    pub khz: u32,
    /// What is added to the host's to get the guest's.
    pub offset: u64,
    /// Nanoseconds a tick, as [`crate::pvclock::scale`] gives it.
    pub scale: (u32, i8),
}

/// The hypervisor's leaves, 0x40000000 to 0x40000005; `None` for any other.
pub fn hypervisor_leaf(leaf: u32, subleaf: u32, vcpu: VcpuId, time: &Tsc) -> Option<Registers> {
    let index = leaf
        .checked_sub(FIRST_LEAF)
        .filter(|index| *index <= MAX_LEAVES)?;
    let mut out = Registers::default();
    match (index, subleaf) {
        (0, _) => {
            out.a = FIRST_LEAF + MAX_LEAVES;
            (out.b, out.c, out.d) = (SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX);
        }
        (1, _) => out.a = MAJOR << 16 | MINOR,
        // One page of hypercalls, filled by this register.
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
            out.a = hvm::IOMMU_MAPPINGS
                | hvm::VCPU_ID_PRESENT
                | hvm::DOMID_PRESENT
                | hvm::UPCALL_VECTOR;
            (out.b, out.c) = (vcpu.vcpu, vcpu.domain.into());
        }
        _ => {}
    }
    Some(out)
}

/// What a guest is told besides what the processor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// The number of its local APIC.
    pub apic_id: u32,
    /// How many vCPUs the domain has.
    pub vcpus: u32,
    /// CR4.OSXSAVE is set.
    pub osxsave: bool,
    /// The local APIC is on.
    pub apic: bool,
    /// Bytes that XSAVE needs for what XCR0 has on; 0 to leave the processor's.
    pub xsave_size: u32,
}

/// Bits of leaf 1 ECX that a guest does not get: MONITOR, VMX, SMX, EST, TM2, PDCM, DCA; and, for they are said anew
/// each time, x2APIC, OSXSAVE, HYPERVISOR.
const LEAF1_C_HIDDEN: u32 =
    1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 15 | 1 << 18 | LEAF1_C_SAID;
const LEAF1_C_SAID: u32 = X2APIC | OSXSAVE | HYPERVISOR;
const X2APIC: u32 = 1 << 21;
const TSC_DEADLINE: u32 = 1 << 24;
const OSXSAVE: u32 = 1 << 27;
const HYPERVISOR: u32 = 1 << 31;
/// Bits of leaf 1 EDX that a guest does not get: APIC (said anew), MTRR stays, MCE and MCA stay, DS, ACPI, TM.
const LEAF1_D_HIDDEN: u32 = APIC | 1 << 21 | 1 << 22 | 1 << 29;
const APIC: u32 = 1 << 9;
/// Leaf 7 EBX: SGX, PQM, PQE, MPX and processor trace are not for guests.
const LEAF7_B_HIDDEN: u32 = 1 << 2 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 25;
/// Leaf 0x80000001 ECX: SVM, IBS, SKINIT, WDT, LWP, NodeId, TOPOEXT, performance counters, MWAITX are not for guests.
const EXT1_C_HIDDEN: u32 = 1 << 2
    | 1 << 10
    | 1 << 12
    | 1 << 13
    | 1 << 15
    | 1 << 19
    | 1 << 23
    | 1 << 24
    | 1 << 28
    | 1 << 29;

/// What a guest is told, given what the processor says.
///
/// Leaves of what is not for guests are empty: performance counters, cache monitoring, processor trace, SGX, SVM.
pub fn guest_leaf(leaf: u32, subleaf: u32, host: Registers, of: &Virtual) -> Registers {
    let mut out = host;
    match leaf {
        1 => {
            // The APIC's number in the highest byte, and below it how many there are; CLFLUSH's size stays.
            let count = of.vcpus.clamp(1, 255);
            out.b = host.b & 0xff00 | (of.apic_id & 0xff) << 24 | count << 16 | host.b & 0xff;
            out.c = host.c & !LEAF1_C_HIDDEN | HYPERVISOR | X2APIC | TSC_DEADLINE;
            if of.osxsave && host.c & 1 << 26 != 0 {
                out.c |= OSXSAVE;
            }
            out.d = host.d & !LEAF1_D_HIDDEN;
            if of.apic {
                out.d |= APIC;
            }
        }
        // MONITOR/MWAIT, thermal and power, performance counters, SGX, processor trace, cache monitoring.
        5 | 0xa | 0xf | 0x10 | 0x12 | 0x14 => out = Registers::default(),
        // Only that the APIC's timer does not stop.
        6 => {
            out = Registers {
                a: host.a & 1 << 2,
                ..Registers::default()
            }
        }
        7 if subleaf == 0 => out.b &= !LEAF7_B_HIDDEN,
        // Each vCPU is a core of its own, and the x2APIC's number is said here.
        0xb => {
            let level_bits = if subleaf == 0 {
                0
            } else {
                of.vcpus.max(1).next_power_of_two().ilog2() + 1
            };
            out = Registers {
                a: level_bits,
                b: if subleaf == 0 { 1 } else { of.vcpus.max(1) },
                c: subleaf & 0xff | [1, 2].get(subleaf as usize).copied().unwrap_or(0) << 8,
                d: of.apic_id,
            };
            if subleaf > 1 {
                (out.a, out.b) = (0, 0);
            }
        }
        0xd if subleaf == 0 && of.xsave_size != 0 => out.b = of.xsave_size,
        0x8000_0001 => {
            out.c &= !EXT1_C_HIDDEN;
            out.d &= !APIC;
            if of.apic {
                out.d |= APIC;
            }
        }
        // Of what power management says, only that the time-stamp counter is invariant.
        0x8000_0007 => {
            out = Registers {
                d: host.d & 1 << 8,
                ..Registers::default()
            }
        }
        0x8000_0008 => {
            // The number of cores, and how many bits of the APIC's number are theirs.
            let bits = of.vcpus.max(1).next_power_of_two().ilog2() + 1;
            out.c = host.c & !0xf0ff | bits << 12 | (of.vcpus.max(1) - 1).min(0xff);
        }
        // SVM, instruction-based sampling, extended topology (said by leaf 0xb), memory encryption.
        0x8000_000a | 0x8000_001b | 0x8000_001e | 0x8000_001f => out = Registers::default(),
        _ => {}
    }
    out
}

/// The number of a vCPU's local APIC, as Xen numbers them.
pub const fn apic_id(vcpu: u32) -> u32 {
    vcpu * 2
}

/// What a guest's access to a model-specific register comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msr {
    /// The processor holds the guest's own value: the machine part saves and loads it.
    Guest,
    /// The local APIC's register: xAPIC base, x2APIC, deadline.
    Apic,
    /// It reads as this value, and takes no other.
    Constant(u64),
    /// Reads give the host's value; writes are a general protection fault.
    HostReadOnly,
    /// The hypercall page.
    HypercallPage,
    /// Reading gives 0 and writing is ignored: what any kernel touches without asking CPUID, on a machine without it.
    Ignored,
    /// General protection fault, as on hardware that has no such register.
    Fault,
}

/// The policy: a register that is not known faults; nothing reads as zero that is not meant to.
pub fn msr(index: u32) -> Msr {
    match index {
        // TSC, SYSENTER, PAT, EFER, STAR to FMASK, FS and GS bases, TSC_AUX, DEBUGCTL.
        0x10
        | 0x174..=0x176
        | 0x277
        | 0xc000_0080..=0xc000_0084
        | 0xc000_0100..=0xc000_0103
        | 0x1d9 => Msr::Guest,
        0x1b | 0x6e0 | 0x800..=0x8ff => Msr::Apic,
        // Memory type ranges are the host's: MTRR capabilities, default, fixed and variable ones, SYSCFG.
        0xfe | 0x2ff | 0x250 | 0x258 | 0x259 | 0x268..=0x26f | 0x200..=0x20f | 0xc001_0010 => {
            Msr::HostReadOnly
        }
        // Machine checks: no banks.
        0x179 => Msr::Constant(0),
        0x17a => Msr::Constant(0),
        // Microcode revision, platform id, feature control (locked and off), misc enable.
        0x8b | 0x17 => Msr::HostReadOnly,
        0x3a => Msr::Constant(1),
        0x1a0 => Msr::HostReadOnly,
        HYPERCALL_MSR => Msr::HypercallPage,
        // AMD: HWCR, TOP_MEM, TOP_MEM2, P-state limits, LS_CFG, DE_CFG.
        0xc001_0015 | 0xc001_001a | 0xc001_001d | 0xc001_1020 | 0xc001_1029 => Msr::HostReadOnly,
        // VM_CR: SVM is disabled and locked.
        0xc001_0114 => Msr::Constant(1 << 4 | 1 << 3),
        // The interrupt-pending message of old AMD processors, which Linux clears.
        0xc001_0055 => Msr::Ignored,
        _ => Msr::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VCPU: VcpuId = VcpuId { domain: 0, vcpu: 3 };
    const OF: Virtual = Virtual {
        apic_id: 6,
        vcpus: 4,
        osxsave: false,
        apic: true,
        xsave_size: 0,
    };

    #[test]
    fn the_signature_is_xens() {
        let leaf = hypervisor_leaf(FIRST_LEAF, 0, VCPU, &Tsc::default()).expect("a leaf");
        let text: Vec<u8> = [leaf.b, leaf.c, leaf.d]
            .iter()
            .flat_map(|r| r.to_le_bytes())
            .collect();
        assert_eq!(text, b"XenVMMXenVMM");
        assert_eq!(leaf.a, 0x4000_0005);
        let leaf = hypervisor_leaf(FIRST_LEAF + 4, 0, VCPU, &Tsc::default()).expect("a leaf");
        assert_eq!((leaf.a, leaf.b, leaf.c), (0x5c, 3, 0));
        assert_eq!(
            hypervisor_leaf(FIRST_LEAF + 6, 0, VCPU, &Tsc::default()),
            None
        );
        assert_eq!(
            hypervisor_leaf(FIRST_LEAF - 1, 0, VCPU, &Tsc::default()),
            None
        );
    }

    #[test]
    fn what_is_not_for_guests_is_not_told() {
        let all = Registers {
            a: !0,
            b: !0,
            c: !0,
            d: !0,
        };
        let leaf = guest_leaf(1, 0, all, &OF);
        assert_eq!(
            leaf.c & (1 << 5 | 1 << 3 | OSXSAVE),
            0,
            "VMX, MONITOR, OSXSAVE"
        );
        assert_ne!(leaf.c & HYPERVISOR, 0);
        assert_eq!(leaf.b >> 24, 6);
        assert_eq!(guest_leaf(0x8000_0001, 0, all, &OF).c & 1 << 2, 0, "SVM");
        assert_eq!(guest_leaf(0x8000_000a, 0, all, &OF), Registers::default());
        assert_eq!(
            guest_leaf(0xb, 1, all, &OF),
            Registers {
                a: 3,
                b: 4,
                c: 0x201,
                d: 6
            }
        );
        let off = Virtual { apic: false, ..OF };
        assert_eq!(guest_leaf(1, 0, all, &off).d & APIC, 0);
    }

    proptest! {
        #[test]
        fn no_leaf_panics(leaf in any::<u32>(), subleaf in any::<u32>(), vcpus in any::<u32>(), r in any::<u32>()) {
            let host = Registers { a: r, b: !r, c: r, d: !r };
            guest_leaf(leaf % 32, subleaf, host, &Virtual { vcpus: vcpus % 256, ..OF });
            guest_leaf(leaf, subleaf, host, &OF);
            hypervisor_leaf(leaf, subleaf, VCPU, &Tsc::default());
        }
    }

    #[test]
    fn an_unknown_register_faults() {
        for index in [0u32, 1, 0x48, 0x1ff, 0xc001_0201, 0xffff_ffff] {
            assert_eq!(msr(index), Msr::Fault, "{index:#x}");
        }
    }
}
