// SPDX-License-Identifier: GPL-2.0

//! The registers of a vCPU that does not run, in the form in which the toolstack saves and loads them.

use crate::control::{AllowedBits, cr0, efer};
use crate::cpuid::policy::CpuPolicy;
use crate::error::{Errno, Result};
use xen_abi::hvm::save::{Cpu, CpuXsave, FPU_INITIALISED, Mtrr};

/// The page attribute table after a reset (AMD APM volume 2, 7.8.2).
pub const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// Leaf 1 ECX: XSAVE.
const XSAVE: u32 = 1 << 26;
/// Bytes of the legacy area and the header of an XSAVE area.
const XSAVE_FIXED: usize = 576;
/// Bits of a physical address, if CPUID does not say.
const DEFAULT_PHYSICAL_BITS: u32 = 36;
/// MTRRs after a reset: eight variable ranges, the fixed ones, and write combining, all of them off.
const MTRR_CAP: u64 = 8 | 1 << 8 | 1 << 10;

/// The registers of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuRegisters {
    /// General, control, debug and segment registers, MSRs, the FPU's state, the time-stamp counter.
    pub cpu: Cpu,
    /// The page attribute table.
    pub pat: u64,
}

/// The MTRRs of a vCPU. CPUID does not announce them, so no guest sees them; they are kept for the toolstack, which sets
/// the type of a PVH domain's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtrrs(pub Mtrr);

impl Default for Mtrrs {
    fn default() -> Self {
        Self(Mtrr {
            msr_mtrr_cap: MTRR_CAP,
            ..Mtrr::default()
        })
    }
}

/// Whether extended states can be loaded into a vCPU of a domain with a CPU policy. Returns how many bytes follow the
/// fixed part of the record.
///
/// # Errors
///
/// [`Errno::EOPNOTSUPP`] without XSAVE, [`Errno::EINVAL`] for states that the domain does not have, or an area of another
/// format.
pub fn check_xstate(fixed: &CpuXsave, policy: &CpuPolicy) -> Result<usize> {
    if policy.get(1, 0).c & XSAVE == 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let user = policy.get(0xd, 0);
    let known = u64::from(user.d) << 32 | u64::from(user.a);
    let CpuXsave {
        xcr0, xcr0_accum, ..
    } = *fixed;
    let is_valid = xcr0_accum & !known == 0
        && xcr0 & !xcr0_accum == 0
        && is_valid_xcr0(xcr0)
        && is_valid_xcr0(xcr0_accum)
        && fixed.xstate_bv & !xcr0_accum == 0
        && fixed.xcomp_bv == 0
        && fixed.reserved == [0; 6];
    if !is_valid {
        return Err(Errno::EINVAL);
    }
    Ok(xsave_bytes(xcr0_accum, policy) - XSAVE_FIXED)
}

/// Whether a processor with all of its states would accept it as XCR0: x87 always; AVX needs SSE; the three parts of
/// AVX-512 go together and need AVX (Intel SDM volume 1, 13.3).
pub fn is_valid_xcr0(value: u64) -> bool {
    let (avx, wide) = (value & 4 != 0, value & 0xe0);
    value & 1 != 0 && (!avx || value & 2 != 0) && (wide == 0 || (wide == 0xe0 && avx))
}

/// Bytes of an XSAVE area in the standard format with these states.
pub fn xsave_bytes(states: u64, policy: &CpuPolicy) -> usize {
    let ends = (2..63)
        .filter(|state| states >> state & 1 != 0)
        .map(|state| {
            let at = policy.get(0xd, state);
            at.a.saturating_add(at.b) as usize
        });
    ends.max().unwrap_or(0).max(XSAVE_FIXED)
}

/// Whether registers can be loaded into a vCPU of a domain with a CPU policy: the guest could have set them itself.
///
/// # Errors
///
/// [`Errno::EINVAL`] if not.
pub fn check_cpu(cpu: &Cpu, policy: &CpuPolicy) -> Result<()> {
    let allowed = AllowedBits::of(|leaf, sub| policy.get(leaf, sub));
    let known_bits = match policy.get(0x8000_0008, 0).a & 0xff {
        0 => DEFAULT_PHYSICAL_BITS,
        bits => bits,
    };
    let is_paged = cpu.cr0 & cr0::PG != 0;
    let is_long = cpu.msr_efer & efer::LMA != 0;
    let fits = |value: u64| value <= u64::from(u32::MAX);
    let is_valid = cpu.pad0 == 0
        && cpu.flags & !FPU_INITIALISED == 0
        && cpu.cr0 & !cr0::ALL == 0
        && cpu.cr0 & cr0::ET != 0
        && (!is_paged || cpu.cr0 & cr0::PE != 0)
        && (cpu.cr0 & cr0::NW == 0 || cpu.cr0 & cr0::CD != 0)
        && cpu.cr4 & !allowed.cr4 == 0
        && cpu.msr_efer & !(allowed.efer | efer::LMA) == 0
        && (!is_long || (is_paged && cpu.msr_efer & efer::LME != 0))
        && cpu.cr3.checked_shr(known_bits).unwrap_or(0) == 0
        && [cpu.dr6, cpu.dr7, cpu.msr_tsc_aux].into_iter().all(fits);
    if is_valid { Ok(()) } else { Err(Errno::EINVAL) }
}
