// SPDX-License-Identifier: GPL-2.0

//! What a guest may set in CR0, CR4 and EFER. It follows from the guest's CPUID: a bit of a feature that the guest does
//! not have is a #GP, as on a processor without the feature, and so is a state that VMRUN would refuse (APM volume 2,
//! 15.5.1).

use crate::cpuid::CpuidRegs;

/// Bits of CR0 (APM volume 2, 3.1.1).
pub mod cr0 {
    #![allow(missing_docs, reason = "the manual's names")]
    pub const PE: u64 = 1 << 0;
    pub const MP: u64 = 1 << 1;
    pub const EM: u64 = 1 << 2;
    pub const TS: u64 = 1 << 3;
    pub const ET: u64 = 1 << 4;
    pub const NE: u64 = 1 << 5;
    pub const WP: u64 = 1 << 16;
    pub const AM: u64 = 1 << 18;
    pub const NW: u64 = 1 << 29;
    pub const CD: u64 = 1 << 30;
    pub const PG: u64 = 1 << 31;
    /// All of them. The others of the low half are ignored.
    pub const ALL: u64 = PE | MP | EM | TS | ET | NE | WP | AM | NW | CD | PG;
}

/// Bits of CR4 (APM volume 2, 3.1.3).
pub mod cr4 {
    #![allow(missing_docs, reason = "the manual's names")]
    pub const VME: u64 = 1 << 0;
    pub const PVI: u64 = 1 << 1;
    pub const TSD: u64 = 1 << 2;
    pub const DE: u64 = 1 << 3;
    pub const PSE: u64 = 1 << 4;
    pub const PAE: u64 = 1 << 5;
    pub const MCE: u64 = 1 << 6;
    pub const PGE: u64 = 1 << 7;
    pub const PCE: u64 = 1 << 8;
    pub const OSFXSR: u64 = 1 << 9;
    pub const OSXMMEXCPT: u64 = 1 << 10;
    pub const UMIP: u64 = 1 << 11;
    pub const FSGSBASE: u64 = 1 << 16;
    pub const PCIDE: u64 = 1 << 17;
    pub const OSXSAVE: u64 = 1 << 18;
    pub const SMEP: u64 = 1 << 20;
    pub const SMAP: u64 = 1 << 21;
    pub const PKE: u64 = 1 << 22;
    /// A change of one of these flushes the TLB.
    pub const FLUSH: u64 = PSE | PAE | PGE | PCIDE | SMEP | SMAP | PKE;
}

/// Bits of EFER (APM volume 2, 3.1.7).
pub mod efer {
    #![allow(missing_docs, reason = "the manual's names")]
    pub const SCE: u64 = 1 << 0;
    pub const LME: u64 = 1 << 8;
    pub const LMA: u64 = 1 << 10;
    pub const NXE: u64 = 1 << 11;
    pub const FFXSR: u64 = 1 << 14;
    pub const TCE: u64 = 1 << 15;
}

/// The write is a #GP with error code 0, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

/// Whether the TLB has to be flushed after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TlbEffect {
    /// It has not.
    Keep,
    /// All translations of the vCPU.
    Flush,
}

/// The bits that a guest may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedBits {
    /// In CR4.
    pub cr4: u64,
    /// In EFER, without LMA, whose value is ignored.
    pub efer: u64,
}

impl AllowedBits {
    /// Those of a guest with this CPUID.
    pub fn of(mut cpuid: impl FnMut(u32, u32) -> CpuidRegs) -> Self {
        let (basic, features, extended) = (cpuid(1, 0), cpuid(7, 0), cpuid(0x8000_0001, 0));
        let sum = |bits: &[(u32, u32, u64)]| {
            let has = bits.iter().filter(|(word, bit, _)| word >> bit & 1 != 0);
            has.fold(0, |sum, (_, _, bits)| sum | bits)
        };
        Self {
            cr4: cr4::PCE
                | sum(&[
                    (basic.d, 1, cr4::VME | cr4::PVI),
                    (basic.d, 2, cr4::DE),
                    (basic.d, 3, cr4::PSE),
                    (basic.d, 4, cr4::TSD),
                    (basic.d, 6, cr4::PAE),
                    (basic.d, 7, cr4::MCE),
                    (basic.d, 13, cr4::PGE),
                    (basic.d, 24, cr4::OSFXSR),
                    (basic.d, 25, cr4::OSXMMEXCPT),
                    (basic.c, 17, cr4::PCIDE),
                    (basic.c, 26, cr4::OSXSAVE),
                    (features.b, 0, cr4::FSGSBASE),
                    (features.b, 7, cr4::SMEP),
                    (features.b, 20, cr4::SMAP),
                    (features.c, 2, cr4::UMIP),
                    (features.c, 3, cr4::PKE),
                ]),
            efer: sum(&[
                (extended.d, 11, efer::SCE),
                (extended.d, 20, efer::NXE),
                (extended.d, 25, efer::FFXSR),
                (extended.d, 29, efer::LME),
                (extended.c, 17, efer::TCE),
            ]),
        }
    }
}

/// The control registers of a vCPU that depend on each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlRegs {
    /// CR0.
    pub cr0: u64,
    /// CR3, of which the PCID matters.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER, without SVME.
    pub efer: u64,
    /// The code segment is a 64-bit one.
    pub cs_long: bool,
}

impl ControlRegs {
    /// Writes CR0 (MOV, LMSW, CLTS).
    pub fn set_cr0(&mut self, value: u64) -> Result<TlbEffect, GeneralProtection> {
        if value >> 32 != 0 {
            return Err(GeneralProtection);
        }
        let value = value & cr0::ALL | cr0::ET;
        let paged_before = self.cr0 & cr0::PG != 0;
        let paged = value & cr0::PG != 0;
        let unprotected = paged && value & cr0::PE == 0;
        let uncached = value & cr0::NW != 0 && value & cr0::CD == 0;
        if unprotected || uncached {
            return Err(GeneralProtection);
        }
        let long = self.efer & efer::LME != 0;
        if paged && !paged_before && long && (self.cr4 & cr4::PAE == 0 || self.cs_long) {
            return Err(GeneralProtection);
        }
        if !paged && paged_before && (self.cr4 & cr4::PCIDE != 0 || self.cs_long) {
            return Err(GeneralProtection);
        }
        self.efer &= !efer::LMA;
        if paged && long {
            self.efer |= efer::LMA;
        }
        let flushing = (self.cr0 ^ value) & (cr0::PG | cr0::PE | cr0::WP) != 0;
        self.cr0 = value;
        Ok(if flushing {
            TlbEffect::Flush
        } else {
            TlbEffect::Keep
        })
    }

    /// Writes CR4.
    pub fn set_cr4(
        &mut self,
        value: u64,
        allowed: &AllowedBits,
    ) -> Result<TlbEffect, GeneralProtection> {
        let long = self.efer & efer::LMA != 0;
        let sets_pcide = value & !self.cr4 & cr4::PCIDE != 0;
        if value & !allowed.cr4 != 0
            || (long && value & cr4::PAE == 0)
            || (sets_pcide && (!long || self.cr3 & 0xfff != 0))
        {
            return Err(GeneralProtection);
        }
        let flushing = (self.cr4 ^ value) & cr4::FLUSH != 0;
        self.cr4 = value;
        Ok(if flushing {
            TlbEffect::Flush
        } else {
            TlbEffect::Keep
        })
    }

    /// Writes EFER. LMA is read-only, and its value is ignored.
    pub fn set_efer(
        &mut self,
        value: u64,
        allowed: &AllowedBits,
    ) -> Result<TlbEffect, GeneralProtection> {
        let changed = self.efer ^ value;
        let paged = self.cr0 & cr0::PG != 0;
        if value & !(allowed.efer | efer::LMA) != 0 || (paged && changed & efer::LME != 0) {
            return Err(GeneralProtection);
        }
        self.efer = value & !efer::LMA | self.efer & efer::LMA;
        Ok(if changed & efer::NXE != 0 {
            TlbEffect::Flush
        } else {
            TlbEffect::Keep
        })
    }
}

#[cfg(test)]
mod tests;
