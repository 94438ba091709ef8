// SPDX-License-Identifier: GPL-2.0

//! The records of a vCPU in a domain's context: registers, local APIC, memory types, extended states, and what of a
//! processor no guest has here: machine checks, an adjusted time-stamp counter, further MSRs.

use super::{append, read};
use crate::cpuid::policy::CpuPolicy;
use crate::error::{Errno, Result};
use crate::irq::vlapic::save::check_hidden;
use crate::mem::frames::DomId;
use crate::system::vcpu::registers::{check_cpu, check_xstate};
use crate::system::vcpu::{VcpuId, VcpuRegisters};
use crate::system::{Platform, System};
use alloc::vec::Vec;
use xen_abi::hvm::save::{
    Cpu, CpuXsave, Descriptor, Lapic, LapicRegs, MTRR_VCNT, Mtrr, TscAdjust, VmceVcpu, code,
};
use zerocopy::FromBytes;

/// The types of records that are written, in their order, and those that are only read.
pub(super) const RECORDS: [u16; 8] = [
    code::CPU,
    code::LAPIC,
    code::LAPIC_REGS,
    code::MTRR,
    code::CPU_XSAVE,
    code::VMCE_VCPU,
    code::TSC_ADJUST,
    code::CPU_MSR,
];
/// Bytes of an XSAVE area, at most: all states that guests may have fit in a page.
const MAX_XSAVE: usize = 4096;
/// Most bytes of a vCPU's records.
pub(super) const MAX_VCPU_BYTES: usize = RECORDS.len() * size_of::<Descriptor>()
    + size_of::<Cpu>()
    + size_of::<Lapic>()
    + size_of::<LapicRegs>()
    + size_of::<Mtrr>()
    + size_of::<CpuXsave>()
    + MAX_XSAVE
    + size_of::<VmceVcpu>()
    + size_of::<TscAdjust>();
/// Bits of `msr_mtrr_cap` that count the variable ranges.
const MTRR_VCNT_MASK: u64 = 0xff;
/// Offset of the first MSR in a record of MSRs, and the bytes of each: number, zero, value.
const FIRST_MSR: usize = 8;
const MSR_BYTES: usize = 16;

impl<P: Platform> System<P> {
    /// Appends a vCPU's record of a type, if it has one. `tsc` is the machine's counter at the instant of saving.
    pub(super) fn save_record(
        &mut self,
        context: &mut Vec<u8>,
        typecode: u16,
        vcpu: VcpuId,
        tsc: u64,
    ) -> Result<()> {
        let number = vcpu.vcpu;
        match typecode {
            code::CPU if self.vcpu_mut(vcpu)?.down => {}
            code::CPU => {
                let mut cpu = self.platform.vcpu_registers(vcpu)?.cpu;
                cpu.tsc = tsc.wrapping_add(self.platform.tsc_offset(vcpu));
                append(context, typecode, number, &cpu, &[]);
            }
            code::LAPIC => {
                let hidden = self.platform.vlapic(vcpu, |apic| apic.save_hidden())?;
                append(context, typecode, number, &hidden, &[]);
            }
            code::LAPIC_REGS => {
                let now = self.platform.now();
                let registers = self
                    .platform
                    .vlapic(vcpu, |apic| apic.save_registers(now))?;
                append(context, typecode, number, &registers, &[]);
            }
            code::MTRR => {
                let pat = self.platform.vcpu_registers(vcpu)?.pat;
                let mtrrs = Mtrr {
                    msr_pat_cr: pat,
                    ..self.vcpu_mut(vcpu)?.mtrrs.0
                };
                append(context, typecode, number, &mtrrs, &[]);
            }
            code::CPU_XSAVE => {
                if let Some((fixed, rest)) = self.platform.vcpu_xstate(vcpu)? {
                    append(context, typecode, number, &fixed, &rest);
                }
            }
            code::VMCE_VCPU => append(context, typecode, number, &VmceVcpu::default(), &[]),
            code::TSC_ADJUST => append(context, typecode, number, &TscAdjust::default(), &[]),
            // No guest has an MSR that would be saved here.
            _ => {}
        }
        Ok(())
    }

    /// Whether a record can be loaded.
    pub(super) fn check_record(
        &self,
        id: DomId,
        descriptor: Descriptor,
        body: &[u8],
    ) -> Result<()> {
        let domain = self.domain(id)?;
        if descriptor.typecode == code::HEADER {
            return Ok(());
        }
        domain
            .vcpu(descriptor.instance.into())
            .ok_or(Errno::EINVAL)?;
        match descriptor.typecode {
            code::CPU => check_cpu(&read(body)?, &domain.cpu_policy),
            code::LAPIC => check_hidden(&read(body)?),
            code::LAPIC_REGS if body.len() == size_of::<LapicRegs>() => Ok(()),
            code::MTRR => check_mtrrs(&read(body)?),
            code::CPU_XSAVE => check_xsave(body, &domain.cpu_policy),
            // Zeroes are what a processor without machine checks, and without this MSR, has.
            code::VMCE_VCPU if read::<VmceVcpu>(body)? == VmceVcpu::default() => Ok(()),
            code::TSC_ADJUST if read::<TscAdjust>(body)? == TscAdjust::default() => Ok(()),
            code::CPU_MSR => check_msrs(body),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Loads a record that was checked. `tsc` is the machine's counter at the instant of loading.
    pub(super) fn load_record(
        &mut self,
        typecode: u16,
        vcpu: VcpuId,
        body: &[u8],
        tsc: u64,
    ) -> Result<()> {
        match typecode {
            code::CPU => {
                let pat = self.platform.vcpu_registers(vcpu)?.pat;
                let cpu: Cpu = read(body)?;
                let registers = VcpuRegisters { cpu, pat };
                self.platform.set_vcpu_registers(vcpu, &registers)?;
                self.load_tsc(vcpu, cpu.tsc, tsc)
            }
            code::LAPIC => {
                let hidden: Lapic = read(body)?;
                self.platform.vlapic(vcpu, |apic| apic.load_hidden(&hidden))
            }
            code::LAPIC_REGS => {
                let registers: LapicRegs = read(body)?;
                let (now, clock) = (self.platform.now(), self.platform.clock(vcpu));
                self.platform.vlapic(vcpu, |apic| {
                    apic.load_registers(&registers, now, |tsc| clock.deadline(tsc))
                })
            }
            code::MTRR => {
                let mtrrs: Mtrr = read(body)?;
                // Of the vCPUs that wait for a start-up IPI too; they go on to wait.
                self.platform.set_vcpu_pat(vcpu, mtrrs.msr_pat_cr)?;
                self.vcpu_mut(vcpu)?.mtrrs.0 = mtrrs;
                Ok(())
            }
            code::CPU_XSAVE => {
                let (fixed, rest) = CpuXsave::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
                self.platform.set_vcpu_xstate(vcpu, &fixed, rest)
            }
            _ => Ok(()),
        }
    }

    /// Has a vCPU's time-stamp counter go on from a value. vCPUs that are started later count as the first one does. A
    /// counter of zero, as the toolstack sets it for a new domain, leaves the machine's.
    fn load_tsc(&mut self, vcpu: VcpuId, value: u64, now: u64) -> Result<()> {
        if value == 0 {
            return Ok(());
        }
        let offset = value.wrapping_sub(now);
        let targets = match vcpu.vcpu {
            0 => 0..self.domain(vcpu.domain)?.vcpus.len() as u32,
            number => number..number + 1,
        };
        for number in targets {
            let vcpu = VcpuId {
                vcpu: number,
                ..vcpu
            };
            self.platform.set_tsc_offset(vcpu, offset)?;
        }
        Ok(())
    }
}

/// Whether memory types can be loaded.
fn check_mtrrs(mtrrs: &Mtrr) -> Result<()> {
    let mut types = mtrrs.msr_pat_cr.to_le_bytes().into_iter();
    let is_pat = types.all(|memory_type| matches!(memory_type, 0 | 1 | 4..=7));
    let ranges = mtrrs.msr_mtrr_cap & MTRR_VCNT_MASK;
    if ranges > MTRR_VCNT as u64 || !is_pat {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Whether extended states can be loaded.
///
/// # Errors
///
/// [`Errno::EOPNOTSUPP`] if the domain has no XSAVE or the area is longer than its states are, [`Errno::EINVAL`] for states
/// that it does not have.
fn check_xsave(body: &[u8], policy: &CpuPolicy) -> Result<()> {
    let (fixed, rest) = CpuXsave::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
    let size = check_xstate(&fixed, policy)?;
    // What lies behind the states is ignored if it is zero, as in Xen.
    let is_longer = rest.iter().skip(size).any(|byte| *byte != 0);
    if is_longer {
        Err(Errno::EOPNOTSUPP)
    } else {
        Ok(())
    }
}

/// Whether MSRs can be loaded: a guest has none of those that are saved so, which are zero then.
fn check_msrs(body: &[u8]) -> Result<()> {
    let (count, _) = u32::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
    let msrs = body.get(FIRST_MSR..).unwrap_or_default();
    let has_size = (count as usize).checked_mul(MSR_BYTES) == Some(msrs.len());
    let is_zero = |msr: &[u8]| msr.iter().skip(4).all(|byte| *byte == 0);
    if !has_size {
        return Err(Errno::EINVAL);
    }
    match msrs.chunks(MSR_BYTES).all(is_zero) {
        true => Ok(()),
        false => Err(Errno::ENXIO),
    }
}
