// SPDX-License-Identifier: GPL-2.0

//! The registers of one vCPU, which the toolstack reads to show or dump a domain, and writes to let one run on that was to
//! be saved.

use crate::error::{Errno, Result};
use crate::mem::access::NativeStructures;
use crate::mem::frames::DomId;
use crate::system::vcpu::VcpuId;
use crate::system::vcpu::registers::check_cpu;
use crate::system::{Caller, Platform};
use xen_abi::domctl::Vcpucontext;
use xen_abi::hvm::save::{Cpu, FPU_INITIALISED};
use xen_abi::vcpu_context::{CpuUserRegs, VcpuGuestContext, flag};
use zerocopy::FromZeros;

/// `VMASST_TYPE_runstate_update_flag`, as a bit.
const RUNSTATE_UPDATE_FLAG: u64 = 1 << 5;

/// `XEN_DOMCTL_getvcpucontext`. No CPU runs the domain's vCPUs.
///
/// # Errors
///
/// [`Errno::EINVAL`] without the vCPU, [`Errno::ENODATA`] for one whose registers were never set.
pub(super) fn get<P: Platform>(
    caller: &mut Caller<'_, P>,
    domain: DomId,
    args: &Vcpucontext,
) -> Result<()> {
    let vcpu = VcpuId {
        domain,
        vcpu: args.vcpu,
    };
    let state = caller.system.vcpu_mut(vcpu).map_err(|_| Errno::EINVAL)?;
    if !state.initialised {
        return Err(Errno::ENODATA);
    }
    let is_down = state.down;
    let cpu = caller.system.platform.vcpu_registers(vcpu)?.cpu;
    let mut context = guest_context(&cpu);
    if !is_down {
        context.flags |= flag::ONLINE;
    }
    if caller.system.domain(domain)?.runstate_update_flag {
        context.vm_assist = RUNSTATE_UPDATE_FLAG;
    }
    caller.copy_to_guest(args.ctxt, &context)
}

fn guest_context(cpu: &Cpu) -> VcpuGuestContext {
    let is_kernel = cpu.ss_arbytes >> 5 & 3 == 0;
    let (gs_base_kernel, gs_base_user) = match is_kernel {
        true => (cpu.gs_base, cpu.shadow_gs),
        false => (cpu.shadow_gs, cpu.gs_base),
    };
    let valid = cpu.flags & FPU_INITIALISED != 0;
    VcpuGuestContext {
        fpu_ctxt: cpu.fpu_regs,
        flags: if valid { flag::I387_VALID } else { 0 },
        user_regs: CpuUserRegs {
            r15: cpu.r15,
            r14: cpu.r14,
            r13: cpu.r13,
            r12: cpu.r12,
            rbp: cpu.rbp,
            rbx: cpu.rbx,
            r11: cpu.r11,
            r10: cpu.r10,
            r9: cpu.r9,
            r8: cpu.r8,
            rax: cpu.rax,
            rcx: cpu.rcx,
            rdx: cpu.rdx,
            rsi: cpu.rsi,
            rdi: cpu.rdi,
            rip: cpu.rip,
            cs: cpu.cs_sel as u16,
            rflags: cpu.rflags,
            rsp: cpu.rsp,
            ss: cpu.ss_sel as u16,
            es: cpu.es_sel as u16,
            ds: cpu.ds_sel as u16,
            fs: cpu.fs_sel as u16,
            gs: cpu.gs_sel as u16,
            ..CpuUserRegs::default()
        },
        ctrlreg: [cpu.cr0, 0, cpu.cr2, cpu.cr3, cpu.cr4, 0, 0, 0],
        debugreg: [cpu.dr0, cpu.dr1, cpu.dr2, cpu.dr3, 0, 0, cpu.dr6, cpu.dr7],
        fs_base: cpu.fs_base,
        gs_base_kernel,
        gs_base_user,
        ..VcpuGuestContext::new_zeroed()
    }
}

/// `XEN_DOMCTL_setvcpucontext`: general and debug registers, the FPU, and whether the vCPU is up. Without a context the
/// vCPU goes down, and its registers have to be set anew. No CPU runs the domain's vCPUs.
///
/// # Errors
///
/// [`Errno::EINVAL`] without the vCPU, or for registers that it cannot have.
pub(super) fn set<P: Platform>(
    caller: &mut Caller<'_, P>,
    domain: DomId,
    args: &Vcpucontext,
) -> Result<()> {
    let vcpu = VcpuId {
        domain,
        vcpu: args.vcpu,
    };
    let living = caller.system.living_domain(domain)?;
    living.vcpu(args.vcpu).ok_or(Errno::EINVAL)?;
    if args.ctxt == 0 {
        caller.system.vcpu_down(vcpu)?;
        caller.system.vcpu_mut(vcpu)?.initialised = false;
        return Ok(());
    }
    let context: VcpuGuestContext = caller.copy_from_guest(args.ctxt)?;
    let mut registers = caller.system.platform.vcpu_registers(vcpu)?;
    apply(&context, &mut registers.cpu);
    check_cpu(&registers.cpu, &caller.system.domain(domain)?.cpu_policy)?;
    caller
        .system
        .platform
        .set_vcpu_registers(vcpu, &registers)?;
    caller.system.vcpu_mut(vcpu)?.initialised = true;
    match context.flags & flag::ONLINE {
        0 => caller.system.vcpu_down(vcpu)?,
        _ => caller.system.vcpu_up(vcpu)?,
    };
    Ok(())
}

/// Takes over what of a context a hardware-assisted domain has.
fn apply(context: &VcpuGuestContext, cpu: &mut Cpu) {
    let regs = &context.user_regs;
    cpu.fpu_regs = context.fpu_ctxt;
    cpu.flags = match context.flags & flag::I387_VALID {
        0 => 0,
        _ => FPU_INITIALISED,
    };
    (cpu.rax, cpu.rbx, cpu.rcx, cpu.rdx) = (regs.rax, regs.rbx, regs.rcx, regs.rdx);
    (cpu.rsi, cpu.rdi, cpu.rbp, cpu.rsp) = (regs.rsi, regs.rdi, regs.rbp, regs.rsp);
    (cpu.r8, cpu.r9, cpu.r10, cpu.r11) = (regs.r8, regs.r9, regs.r10, regs.r11);
    (cpu.r12, cpu.r13, cpu.r14, cpu.r15) = (regs.r12, regs.r13, regs.r14, regs.r15);
    (cpu.rip, cpu.rflags) = (regs.rip, regs.rflags);
    [cpu.dr0, cpu.dr1, cpu.dr2, cpu.dr3, _, _, cpu.dr6, cpu.dr7] = context.debugreg;
}
