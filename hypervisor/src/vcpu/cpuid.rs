// SPDX-License-Identifier: GPL-2.0

//! What a guest's CPUID says: the machine's leaves without what the hypervisor keeps or does not do, and Xen's own
//! leaves (Xen's public header arch-x86/cpuid.h).

use crate::arch::cpu::leaf as machine;
use crate::arch::time;
use paravane::hypercall::version::{MAJOR, MINOR};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The vCPU's number.
    pub vcpu: u32,
    /// How many the domain has.
    pub vcpus: u32,
    /// Its CR4.
    pub cr4: u64,
    /// Its XCR0.
    pub xcr0: u64,
    /// Its APIC id.
    pub apic_id: u32,
}

/// First of Xen's leaves.
const XEN: u32 = 0x4000_0000;
/// The register that takes the hypercall page.
pub const HYPERCALL_PAGE: u32 = 0x4000_0000;

/// Leaf 1, ECX: DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA, OSXSAVE.
const LEAF1_ECX_HIDDEN: u32 = 1 << 2
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 8
    | 1 << 10
    | 1 << 11
    | 1 << 14
    | 1 << 15
    | 1 << 18
    | 1 << 27;
/// Leaf 1, ECX: x2APIC, TSC deadline, hypervisor present.
const LEAF1_ECX_GIVEN: u32 = 1 << 21 | 1 << 24 | 1 << 31;
/// Leaf 1, EDX: MCE, MTRR, MCA, DS, ACPI, TM, PBE.
const LEAF1_EDX_HIDDEN: u32 = 1 << 7 | 1 << 12 | 1 << 14 | 1 << 21 | 1 << 22 | 1 << 29 | 1 << 31;
/// Leaf 7, EBX: TSC_ADJUST, SGX, PQM, MPX, PQE, PT.
const LEAF7_EBX_HIDDEN: u32 = 1 << 1 | 1 << 2 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 25;
/// Leaf 7, ECX: PKU, OSPKE, WAITPKG, CET_SS, LA57, ENQCMD, PKS.
const LEAF7_ECX_HIDDEN: u32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 16 | 1 << 29 | 1 << 31;
/// Leaf 7, EDX: UINTR, IBT and what needs registers that are not given (IBRS, STIBP, L1D flush, capabilities, SSBD).
const LEAF7_EDX_HIDDEN: u32 = 1 << 5 | 1 << 20 | 0x3f << 26;
/// Extended leaf 1, ECX: SVM, IBS, SKINIT, WDT, LWP, performance counters, MONITORX.
const EXT1_ECX_HIDDEN: u32 =
    1 << 2 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 15 | 7 << 23 | 3 << 28;
/// Extended leaf 1, EDX: as leaf 1.
const EXT1_EDX_HIDDEN: u32 = 1 << 7 | 1 << 12 | 1 << 14;
/// Extended leaf 8, EBX: CLZERO, XSAVEERPTR, WBNOINVD; the rest needs registers that are not given.
const EXT8_EBX_KEPT: u32 = 1 << 0 | 1 << 2 | 1 << 9;

/// The processor's signature, which EDX holds after INIT.
pub fn signature() -> u32 {
    machine(1, 0)[0]
}

/// The answer to a leaf and subleaf.
pub fn leaf(leaf: u32, sub: u32, caller: &Caller) -> [u32; 4] {
    if (XEN..XEN + 0x100).contains(&leaf) {
        return xen(leaf - XEN, sub, caller);
    }
    let top = machine(
        if leaf & 0x8000_0000 != 0 {
            0x8000_0000
        } else {
            0
        },
        0,
    )[0];
    if leaf > top {
        return [0; 4];
    }
    let [a, b, c, d] = machine(leaf, sub);
    let shift = u32::BITS - (2 * caller.vcpus - 1).leading_zeros();
    match leaf {
        1 => {
            let ids = (2 * caller.vcpus).min(255);
            let osxsave = ((caller.cr4 >> 18) as u32 & 1) << 27;
            let c = c & !LEAF1_ECX_HIDDEN | LEAF1_ECX_GIVEN | osxsave;
            [
                a,
                b & 0xffff | ids << 16 | caller.apic_id << 24,
                c,
                d & !LEAF1_EDX_HIDDEN | 1 << 28,
            ]
        }
        // MONITOR, power, performance counters, quality of service, SGX, trace: not given.
        5 | 6 | 0xa | 0xf | 0x10 | 0x12 | 0x14 => [0; 4],
        7 if sub == 0 => [
            0,
            b & !LEAF7_EBX_HIDDEN,
            c & !LEAF7_ECX_HIDDEN,
            d & !LEAF7_EDX_HIDDEN,
        ],
        7 => [0; 4],
        // Two ids a core, as Xen numbers vCPUs, and one package.
        0xb => match sub {
            0 => [1, 1, 0x100, caller.apic_id],
            1 => [shift, caller.vcpus, 0x201, caller.apic_id],
            _ => [0, 0, sub & 0xff, caller.apic_id],
        },
        0xd => match sub {
            // The size for what is enabled; the rest is the machine's. Supervisor states are not given.
            0 => [a, xsave_size(caller.xcr0), c, d],
            1 => [a & !(1 << 3) & !(1 << 4), 0, 0, 0],
            2..63 if machine(0xd, 0)[0] >> sub & 1 != 0 => [a, b, c, d],
            _ => [0; 4],
        },
        0x8000_0001 => [a, b, c & !EXT1_ECX_HIDDEN, d & !EXT1_EDX_HIDDEN],
        0x8000_0008 => [a, b & EXT8_EBX_KEPT, (caller.vcpus - 1) | shift << 12, 0],
        0x8000_001e => [caller.apic_id, caller.vcpu, 0, 0],
        0x8000_000a
        | 0x8000_001b
        | 0x8000_001c
        | 0x8000_001f
        | 0x8000_0020
        | 0x8000_0022..=0x8000_00ff => [0; 4],
        _ => [a, b, c, d],
    }
}

/// Bytes of the XSAVE area for a set of states (Intel SDM volume 1, 13.5): the end of the last.
fn xsave_size(xcr0: u64) -> u32 {
    let states = (2..63).filter(|state| xcr0 >> state & 1 != 0);
    states
        .map(|state| machine(0xd, state))
        .map(|[size, offset, ..]| size + offset)
        .max()
        .unwrap_or(0)
        .max(576)
}

fn xen(leaf: u32, sub: u32, caller: &Caller) -> [u32; 4] {
    let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    match leaf {
        0 => [XEN + 4, word(b"XenV"), word(b"MMXe"), word(b"nVMM")],
        1 => [MAJOR << 16 | MINOR, 0, 0, 0],
        2 => [1, HYPERCALL_PAGE, 0, 0],
        3 => {
            let khz = (time::tsc_hz() / 1000) as u32;
            let (multiplier, shift) = time::scale();
            match sub {
                // The counter is the machine's own: mode "never emulated", not changed since the start.
                0 => [1 << 1, 2, khz, 0],
                1 => [0, 0, multiplier, shift as i32 as u32],
                2 => [khz, 0, 0, 0],
                _ => [0; 4],
            }
        }
        // x2APIC without exits is what the flag promises and we do not give; vCPU id, domain id, upcall vectors.
        4 => [1 << 3 | 1 << 4 | 1 << 6, caller.vcpu, 0, 0],
        _ => [0; 4],
    }
}
