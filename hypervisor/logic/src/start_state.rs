// SPDX-License-Identifier: GPL-2.0

//! The registers with which a vCPU starts: those in which a PVH kernel is entered, and those that a guest sets for another
//! of its vCPUs (`VCPUOP_initialise`, arch_set_info_hvm_guest() in Xen).

use crate::control::{AllowedBits, ControlRegs, cr0, efer};
use crate::error::{Errno, Result};
use crate::mem::walk::is_canonical;
use xen_abi::hvm::vcpu::{Context, X86_32, X86_64, mode};
use zerocopy::{FromBytes, IntoBytes};

/// A segment register. The selector is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartSegment {
    /// Bits 55:52 and 47:40 of the descriptor, packed, as in the VMCB and in `struct vcpu_hvm_x86_32`.
    pub attributes: u16,
    /// The limit in bytes.
    pub limit: u32,
    /// The linear address.
    pub base: u32,
}

impl StartSegment {
    /// A code or data segment, not one of the system's.
    const CODE_OR_DATA: u16 = 1 << 4;
    const PRESENT: u16 = 1 << 7;
    const LONG: u16 = 1 << 9;
    const BIG: u16 = 1 << 10;
    const PAGES: u16 = 1 << 11;
    /// Type of a code segment, of a data segment that can be written, of an available and a busy 32-bit TSS.
    const CODE: u16 = 1 << 3;
    const WRITABLE: u16 = 1 << 1;
    const BUSY_TSS: u16 = 0xb;

    /// A segment from address 0.
    const fn flat(attributes: u16, limit: u32) -> Self {
        Self {
            attributes,
            limit,
            base: 0,
        }
    }

    fn has(&self, bit: u16) -> bool {
        self.attributes & bit != 0
    }

    fn privilege(&self) -> u16 {
        self.attributes >> 5 & 3
    }
}

/// The segments that are set. The others are as after INIT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the registers' names")]
pub struct StartSegments {
    pub cs: StartSegment,
    pub ds: StartSegment,
    pub es: StartSegment,
    pub ss: StartSegment,
    pub tr: StartSegment,
}

/// The registers. Those that are missing are as after INIT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the registers' names")]
pub struct StartState {
    /// Control registers and EFER.
    pub control: ControlRegs,
    pub rflags: u64,
    pub rip: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub segments: StartSegments,
}

/// Bit 1 of RFLAGS, which is always set.
const RFLAGS_ONE: u64 = 1 << 1;
/// A TSS in which no task runs yet.
const TSS: StartSegment = StartSegment::flat(0x8b, 0x67);

impl StartState {
    /// The state in which a PVH kernel is entered (docs/misc/pvh.pandoc of Xen): 32-bit, flat segments, no paging.
    pub fn pvh(entry: u32, start_info: u32) -> Self {
        let data = StartSegment::flat(0xc93, !0);
        Self {
            control: ControlRegs {
                cr0: cr0::PE | cr0::ET,
                ..ControlRegs::default()
            },
            rflags: RFLAGS_ONE,
            rip: entry.into(),
            rbx: start_info.into(),
            segments: StartSegments {
                cs: StartSegment::flat(0xc9b, !0),
                ds: data,
                es: data,
                ss: data,
                tr: TSS,
            },
            ..Self::default()
        }
    }

    /// The state that a guest whose vCPUs may set `allowed` has described.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] if it contradicts itself, so that the processor would refuse it.
    pub fn of(context: &Context, allowed: &AllowedBits) -> Result<Self> {
        let bytes = context.cpu_regs.as_bytes();
        let mut state = match context.mode {
            mode::X86_32 => Self::of_32(&prefix(bytes)?)?,
            mode::X86_64 => Self::of_64(&prefix(bytes)?)?,
            _ => return Err(Errno::EINVAL),
        };
        state.control = state.checked_control(allowed)?;
        state.rflags |= RFLAGS_ONE;
        Ok(state)
    }

    fn of_32(regs: &X86_32) -> Result<Self> {
        let segment = |attributes, limit, base| StartSegment {
            attributes,
            limit,
            base,
        };
        let segments = StartSegments {
            cs: segment(regs.cs_ar, regs.cs_limit, regs.cs_base),
            ds: segment(regs.ds_ar, regs.ds_limit, regs.ds_base),
            es: segment(regs.es_ar, regs.es_limit, regs.es_base),
            ss: segment(regs.ss_ar, regs.ss_limit, regs.ss_base),
            tr: segment(regs.tr_ar, regs.tr_limit, regs.tr_base),
        };
        let is_padded = regs.pad1 == 0 && regs.pad2 == [0; 3];
        if !is_padded || !segments.are_valid(regs.eip) {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            control: ControlRegs {
                cr0: regs.cr0.into(),
                cr3: regs.cr3.into(),
                cr4: regs.cr4.into(),
                efer: regs.efer,
                cs_long: segments.cs.has(StartSegment::LONG),
            },
            rflags: regs.eflags.into(),
            rip: regs.eip.into(),
            rax: regs.eax.into(),
            rcx: regs.ecx.into(),
            rdx: regs.edx.into(),
            rbx: regs.ebx.into(),
            rsp: regs.esp.into(),
            rbp: regs.ebp.into(),
            rsi: regs.esi.into(),
            rdi: regs.edi.into(),
            segments,
        })
    }

    /// 64-bit code with flat segments.
    fn of_64(regs: &X86_64) -> Result<Self> {
        let is_long = regs.cr0 & cr0::PG != 0 && regs.efer & efer::LME != 0;
        if !is_long || !is_canonical(regs.rip, 48) {
            return Err(Errno::EINVAL);
        }
        let data = StartSegment::flat(0xc93, !0);
        Ok(Self {
            control: ControlRegs {
                cr0: regs.cr0,
                cr3: regs.cr3,
                cr4: regs.cr4,
                efer: regs.efer,
                cs_long: true,
            },
            rflags: regs.rflags,
            rip: regs.rip,
            rax: regs.rax,
            rcx: regs.rcx,
            rdx: regs.rdx,
            rbx: regs.rbx,
            rsp: regs.rsp,
            rbp: regs.rbp,
            rsi: regs.rsi,
            rdi: regs.rdi,
            segments: StartSegments {
                cs: StartSegment::flat(0xa9b, !0),
                ds: data,
                es: data,
                ss: data,
                tr: TSS,
            },
        })
    }

    /// The control registers, as if the guest had written them one after the other in an order that is allowed.
    fn checked_control(&self, allowed: &AllowedBits) -> Result<ControlRegs> {
        let wanted = &self.control;
        let mut regs = ControlRegs {
            cr3: wanted.cr3,
            ..ControlRegs::default()
        };
        let written = regs
            .set_efer(wanted.efer, allowed)
            .and_then(|_| regs.set_cr4(wanted.cr4, allowed))
            .and_then(|_| regs.set_cr0(wanted.cr0));
        // Its TLB has nothing to flush.
        let _ = written.map_err(|_| Errno::EINVAL)?;
        // 64-bit code needs long mode.
        if wanted.cs_long && regs.efer & efer::LMA == 0 {
            return Err(Errno::EINVAL);
        }
        regs.cs_long = wanted.cs_long;
        Ok(regs)
    }
}

impl StartSegments {
    /// Whether the segments fit each other, and EIP the code segment (check_segment() in Xen).
    fn are_valid(&self, eip: u32) -> bool {
        type S = StartSegment;
        let Self { cs, ds, es, ss, tr } = self;
        let limit = match cs.has(S::PAGES) {
            true => cs.limit << 12 | 0xfff,
            false => cs.limit,
        };
        let is_code = cs.has(S::PRESENT) && cs.has(S::CODE_OR_DATA) && cs.has(S::CODE);
        // Big and long at once is reserved.
        let is_sized = !(cs.has(S::LONG) && cs.has(S::BIG));
        let is_stack = ss.has(S::PRESENT)
            && ss.has(S::CODE_OR_DATA)
            && !ss.has(S::CODE)
            && ss.has(S::WRITABLE);
        let is_task =
            tr.has(S::PRESENT) && !tr.has(S::CODE_OR_DATA) && tr.attributes & 0xf == S::BUSY_TSS;
        let is_data = |segment: &S| {
            !segment.has(S::PRESENT)
                || segment.has(S::CODE_OR_DATA) && segment.privilege() >= cs.privilege()
        };
        is_code
            && is_sized
            && is_stack
            && is_task
            && is_data(ds)
            && is_data(es)
            && ss.privilege() == cs.privilege()
            && eip <= limit
    }
}

/// The value that bytes begin with.
fn prefix<T: FromBytes>(bytes: &[u8]) -> Result<T> {
    T::read_from_prefix(bytes)
        .map(|(value, _)| value)
        .map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests;
