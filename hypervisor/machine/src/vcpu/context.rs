// SPDX-License-Identifier: GPL-2.0

//! The registers of a vCPU that no processor runs, as the toolstack saves and loads them.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;

use paravane::error::{Errno, Result};
use paravane::system::vcpu::VcpuRegisters;
use xen_abi::hvm::save::{Cpu, CpuXsave, FPU_INITIALISED};
use zerocopy::FromZeros;

use super::SvmVcpu;
use crate::arch::cpu;
use crate::arch::svm::EFER_SVME;
use crate::arch::svm::vmcb::{Segment, event};
use crate::domain::MpState;

/// Bytes of the legacy area and the header of an XSAVE area.
const XSAVE_FIXED: usize = 576;
/// Attributes of a segment that the processor has.
const ATTRIBUTES: u32 = 0xfff;

/// Copies the segments between a VMCB and a record of the toolstack.
macro_rules! segments {
    ($each:ident) => {
        $each!(cs, cs_sel, cs_limit, cs_base, cs_arbytes);
        $each!(ds, ds_sel, ds_limit, ds_base, ds_arbytes);
        $each!(es, es_sel, es_limit, es_base, es_arbytes);
        $each!(fs, fs_sel, fs_limit, fs_base, fs_arbytes);
        $each!(gs, gs_sel, gs_limit, gs_base, gs_arbytes);
        $each!(ss, ss_sel, ss_limit, ss_base, ss_arbytes);
        $each!(tr, tr_sel, tr_limit, tr_base, tr_arbytes);
        $each!(ldtr, ldtr_sel, ldtr_limit, ldtr_base, ldtr_arbytes);
    };
}

impl SvmVcpu {
    /// Its registers, without the time-stamp counter, which runs on.
    pub fn registers(&mut self) -> VcpuRegisters {
        let mut record = Cpu::new_zeroed();
        record.fpu_regs = self.extended.fpu();
        record.flags = FPU_INITIALISED;
        [record.dr0, record.dr1, record.dr2, record.dr3] = self.extended.debug;
        record.msr_tsc_aux = self.extended.tsc_aux.unwrap_or(0);
        let pending = self.exception.unwrap_or(0);
        (record.pending_event, record.error_code) = (pending as u32, (pending >> 32) as u32);
        let regs = self.context.registers;
        (record.rbx, record.rcx, record.rdx) = (regs.rbx, regs.rcx, regs.rdx);
        (record.rsi, record.rdi, record.rbp) = (regs.rsi, regs.rdi, regs.rbp);
        (record.r8, record.r9, record.r10, record.r11) = (regs.r8, regs.r9, regs.r10, regs.r11);
        (record.r12, record.r13, record.r14, record.r15) = (regs.r12, regs.r13, regs.r14, regs.r15);
        let vmcb = self.vmcb();
        (record.rax, record.rsp) = (vmcb.rax, vmcb.rsp);
        (record.rip, record.rflags) = (vmcb.rip, vmcb.rflags);
        (record.cr0, record.cr2, record.cr3, record.cr4) = (vmcb.cr0, vmcb.cr2, vmcb.cr3, vmcb.cr4);
        (record.dr6, record.dr7) = (vmcb.dr6, vmcb.dr7);
        macro_rules! save {
            ($segment:ident, $selector:ident, $limit:ident, $base:ident, $attributes:ident) => {
                record.$selector = vmcb.$segment.selector.into();
                record.$limit = vmcb.$segment.limit;
                record.$base = vmcb.$segment.base;
                record.$attributes = vmcb.$segment.attributes.into();
            };
        }
        segments!(save);
        (record.gdtr_limit, record.gdtr_base) = (vmcb.gdtr.limit, vmcb.gdtr.base);
        (record.idtr_limit, record.idtr_base) = (vmcb.idtr.limit, vmcb.idtr.base);
        record.sysenter_cs = vmcb.sysenter_cs;
        (record.sysenter_esp, record.sysenter_eip) = (vmcb.sysenter_esp, vmcb.sysenter_eip);
        record.shadow_gs = vmcb.kernel_gs_base;
        (record.msr_star, record.msr_lstar) = (vmcb.star, vmcb.lstar);
        (record.msr_cstar, record.msr_syscall_mask) = (vmcb.cstar, vmcb.sfmask);
        record.msr_efer = vmcb.efer & !EFER_SVME;
        VcpuRegisters {
            cpu: record,
            pat: vmcb.g_pat,
        }
    }

    /// Loads its registers, with which it runs once it may. What it ran before is forgotten, but its extended states
    /// other than x87 and SSE, and its time-stamp counter, which are set by themselves.
    pub fn set_registers(&mut self, registers: &VcpuRegisters) {
        let VcpuRegisters { cpu: record, pat } = registers;
        self.reset(0);
        self.extended
            .set_fpu((record.flags & FPU_INITIALISED != 0).then_some(&record.fpu_regs));
        self.extended.debug = [record.dr0, record.dr1, record.dr2, record.dr3];
        self.extended.tsc_aux = self.extended.tsc_aux.map(|_| record.msr_tsc_aux);
        self.extended_is_new = true;
        let pending = u64::from(record.pending_event) | u64::from(record.error_code) << 32;
        self.exception = Some(pending).filter(|pending| pending & event::VALID != 0);
        let regs = &mut self.context.registers;
        (regs.rbx, regs.rcx, regs.rdx) = (record.rbx, record.rcx, record.rdx);
        (regs.rsi, regs.rdi, regs.rbp) = (record.rsi, record.rdi, record.rbp);
        (regs.r8, regs.r9, regs.r10, regs.r11) = (record.r8, record.r9, record.r10, record.r11);
        (regs.r12, regs.r13, regs.r14, regs.r15) = (record.r12, record.r13, record.r14, record.r15);
        let vmcb = self.vmcb();
        (vmcb.rax, vmcb.rsp) = (record.rax, record.rsp);
        // Bit 1 is always set (AMD APM volume 2, 3.1.6).
        (vmcb.rip, vmcb.rflags) = (record.rip, record.rflags | 1 << 1);
        (vmcb.cr0, vmcb.cr2, vmcb.cr3, vmcb.cr4) = (record.cr0, record.cr2, record.cr3, record.cr4);
        (vmcb.dr6, vmcb.dr7) = (record.dr6, record.dr7);
        macro_rules! load {
            ($segment:ident, $selector:ident, $limit:ident, $base:ident, $attributes:ident) => {
                vmcb.$segment = Segment {
                    selector: record.$selector as u16,
                    attributes: (record.$attributes & ATTRIBUTES) as u16,
                    limit: record.$limit,
                    base: record.$base,
                };
            };
        }
        segments!(load);
        vmcb.cpl = (record.ss_arbytes >> 5 & 3) as u8;
        let table = |limit, base| Segment {
            selector: 0,
            attributes: 0,
            limit,
            base,
        };
        vmcb.gdtr = table(record.gdtr_limit, record.gdtr_base);
        vmcb.idtr = table(record.idtr_limit, record.idtr_base);
        vmcb.sysenter_cs = record.sysenter_cs;
        (vmcb.sysenter_esp, vmcb.sysenter_eip) = (record.sysenter_esp, record.sysenter_eip);
        vmcb.kernel_gs_base = record.shadow_gs;
        (vmcb.star, vmcb.lstar) = (record.msr_star, record.msr_lstar);
        (vmcb.cstar, vmcb.sfmask) = (record.msr_cstar, record.msr_syscall_mask);
        vmcb.efer = record.msr_efer | EFER_SVME;
        vmcb.g_pat = *pat;
        *self.vcpu.mp_state.lock() = MpState::Runnable;
    }

    /// Its extended states, as a record of the toolstack has them; `None` without XSAVE.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOMEM`].
    pub fn xstate(&mut self) -> Result<Option<(CpuXsave, Vec<u8>)>> {
        let Some(saved) = self.extended.xsave_area() else {
            return Ok(None);
        };
        let accumulated = self.extended.xcr0 | saved.xstate_bv;
        let length = self.xsave_bytes(accumulated).saturating_sub(XSAVE_FIXED);
        let mut states = Vec::new();
        states
            .try_reserve_exact(length)
            .map_err(|_| Errno::ENOMEM)?;
        states.resize(length, 0);
        self.extended.read_states(&mut states);
        let fixed = CpuXsave {
            xfeature_mask: saved.known,
            xcr0: self.extended.xcr0,
            xcr0_accum: accumulated,
            fpu_sse: self.extended.fpu(),
            xstate_bv: saved.xstate_bv,
            xcomp_bv: 0,
            reserved: [0; 6],
        };
        Ok(Some((fixed, states)))
    }

    /// Loads its extended states, which it may have by its CPU policy. Those that the processor does not save are ignored.
    pub fn set_xstate(&mut self, fixed: &CpuXsave, states: &[u8]) {
        let length = self
            .xsave_bytes(fixed.xcr0_accum)
            .saturating_sub(XSAVE_FIXED);
        let states = &states[..states.len().min(length)];
        self.extended
            .set_xsave_area(&fixed.fpu_sse, fixed.xstate_bv, states, fixed.xcr0);
        self.extended_is_new = true;
    }

    /// Bytes of an XSAVE area with these states, by the processor's CPUID.
    fn xsave_bytes(&self, states: u64) -> usize {
        let ends = (2..63)
            .filter(|state| states >> state & 1 != 0)
            .map(|state| {
                let [size, at, ..] = cpu::leaf(0xd, state);
                (size + at) as usize
            });
        ends.max().unwrap_or(0).max(XSAVE_FIXED)
    }

    /// Sets its time-stamp counter minus the processor's.
    pub fn set_tsc_offset(&mut self, offset: u64) {
        self.vmcb().tsc_offset = offset;
        self.vcpu.tsc_offset.store(offset, Ordering::Relaxed);
    }

    /// Sets its page attribute table. Whether it waits for a start-up IPI stays.
    pub fn set_pat(&mut self, pat: u64) {
        let vmcb = self.vmcb();
        vmcb.g_pat = pat;
        vmcb.clean = 0;
    }
}
