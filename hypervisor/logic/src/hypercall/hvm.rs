// SPDX-License-Identifier: GPL-2.0

//! `hvm_op`: HVM parameters of a domain, and the upcall vector of a vCPU.

use super::{Reply, with_arg, with_arg_copyback};
use crate::error::{Errno, Result};
use crate::mem::Gfn;
use crate::mem::frames::DomId;
use crate::mem::p2m::P2mType;
use crate::system::domain::Callback;
use crate::system::vcpu::VcpuId;
use crate::system::{Caller, Platform};
use xen_abi::compat::Uint64;
use xen_abi::hvm::hvm_op::{EvtchnUpcallVector, GetMemType, PagetableDying, Param, mem_type, op};
use xen_abi::hvm::params;
use xen_abi::sched::shutdown;

/// Vectors below are illegal for a local APIC.
const FIRST_VECTOR: u8 = 0x10;

pub(super) fn do_hvm_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u64,
    arg: u64,
) -> Result<Reply> {
    let Ok(command) = u32::try_from(command) else {
        return Err(Errno::ENOSYS);
    };
    match command {
        op::SET_PARAM => with_arg(caller, arg, |caller, args: Param| {
            let (id, index) = param_target(caller, &args)?;
            set_param(caller, id, index, args.value)
        }),
        op::GET_PARAM => with_arg_copyback(caller, arg, |caller, args: &mut Param| {
            let (id, index) = param_target(caller, args)?;
            args.value = get_param(caller, id, index)?;
            Ok(())
        }),
        op::FLUSH_TLBS if arg != 0 => Err(Errno::EINVAL),
        op::FLUSH_TLBS => {
            let id = caller.vcpu.domain;
            caller.system.platform.flush_tlb(id);
            Ok(Reply::Value(0))
        }
        // A hint for shadow page tables, which do not exist here.
        op::PAGETABLE_DYING => with_arg(caller, arg, |caller, args: PagetableDying| {
            let id = caller.domain_by_any_id(args.domid)?;
            Err(if id == caller.vcpu.domain {
                Errno::EINVAL
            } else {
                Errno::EOPNOTSUPP
            })
        }),
        op::GET_TIME => {
            let now = caller.system.platform.now();
            caller.write_arg(arg, &Uint64(now))?;
            Ok(Reply::Value(0))
        }
        op::GET_MEM_TYPE => with_arg_copyback(caller, arg, |caller, args: &mut GetMemType| {
            let id = caller.target_by_any_id(args.domid)?;
            args.mem_type = match caller
                .system
                .lookup(id, Gfn(args.pfn))
                .map(|entry| entry.p2mt)
            {
                None | Some(P2mType::MmioDirect) => mem_type::MMIO_DM,
                Some(p2mt) if p2mt.writable() || p2mt.is_writable_ram() => mem_type::RAM_RW,
                Some(_) => mem_type::RAM_RO,
            };
            Ok(())
        }),
        op::SET_EVTCHN_UPCALL_VECTOR => {
            with_arg(caller, arg, |caller, args: EvtchnUpcallVector| {
                if args.vector < FIRST_VECTOR {
                    return Err(Errno::EINVAL);
                }
                let state = caller.domain_mut()?.vcpu_mut(args.vcpu)?;
                state.upcall_vector = Some(args.vector);
                let vcpu = VcpuId {
                    domain: caller.vcpu.domain,
                    vcpu: args.vcpu,
                };
                // Once for events that may have come before, as Xen does.
                caller.system.assert_evtchn_irq(vcpu);
                Ok(())
            })
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// The domain and the index of a parameter, checked.
fn param_target<P: Platform>(caller: &Caller<'_, P>, args: &Param) -> Result<(DomId, u32)> {
    if args.index >= params::COUNT {
        return Err(Errno::EINVAL);
    }
    caller.domain_by_any_id(args.domid)?;
    Ok((caller.target_by_any_id(args.domid)?, args.index))
}

/// Whether a parameter is obsolete.
fn is_deprecated(index: u32) -> bool {
    matches!(
        index,
        params::PAE_ENABLED
            | params::DM_DOMAIN
            | params::MEMORY_EVENT_CR0
            | params::MEMORY_EVENT_CR3
            | params::MEMORY_EVENT_CR4
            | params::MEMORY_EVENT_INT3
            | params::NESTEDHVM
            | params::MEMORY_EVENT_SINGLE_STEP
            | params::BUFIOREQ_EVTCHN
            | params::MEMORY_EVENT_MSR
    )
}

/// Whether a domain may set a parameter of its own.
fn may_set(index: u32) -> bool {
    matches!(
        index,
        params::CALLBACK_IRQ
            | params::VM86_TSS
            | params::VM86_TSS_SIZED
            | params::ACPI_IOPORTS_LOCATION
            | params::VM_GENERATION_ID_ADDR
            | params::STORE_EVTCHN
            | params::CONSOLE_EVTCHN
            | params::X87_FIP_WIDTH
    )
}

/// Whether a domain may read a parameter of its own.
fn may_get(index: u32) -> bool {
    may_set(index)
        || matches!(
            index,
            params::STORE_PFN | params::CONSOLE_PFN | params::ALTP2M
        )
}

fn get_param<P: Platform>(caller: &Caller<'_, P>, id: DomId, index: u32) -> Result<u64> {
    if is_deprecated(index) {
        return Err(Errno::EINVAL);
    }
    if id == caller.vcpu.domain && !may_get(index) {
        return Err(Errno::EPERM);
    }
    let values = &caller.system.domain(id)?.params;
    Ok(match index {
        params::VM86_TSS => values[params::VM86_TSS_SIZED as usize] & 0xffff_ffff,
        _ => values[index as usize],
    })
}

fn set_param<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    index: u32,
    value: u64,
) -> Result<()> {
    if index == params::ALTP2M {
        return Err(Errno::EEXIST);
    }
    if is_deprecated(index) {
        return Err(Errno::EINVAL);
    }
    if id == caller.vcpu.domain && !may_set(index) {
        return Err(Errno::EPERM);
    }
    let is_own = id == caller.vcpu.domain;
    let domain = caller.system.domain_mut(id)?;
    let old = domain.params[index as usize];
    let once = matches!(
        index,
        params::VIRIDIAN
            | params::IOREQ_PFN
            | params::BUFIOREQ_PFN
            | params::IOREQ_SERVER_PFN
            | params::NR_IOREQ_SERVER_PAGES
            | params::MCA_CAP
    );
    if once && old != 0 && old != value {
        return Err(Errno::EEXIST);
    }
    let mut index = index;
    let mut value = value;
    match index {
        params::CALLBACK_IRQ => domain.callback = callback(value),
        params::TIMER_MODE if value > 3 => return Err(Errno::EINVAL),
        params::TRIPLE_FAULT_REASON if value > u64::from(shutdown::SOFT_RESET) => {
            return Err(Errno::EINVAL);
        }
        params::X87_FIP_WIDTH if !matches!(value, 0 | 4 | 8) => return Err(Errno::EINVAL),
        // Devices that are not emulated cannot be configured.
        params::ACPI_IOPORTS_LOCATION => return Err(Errno::ENODEV),
        params::VIRIDIAN | params::ACPI_S_STATE | params::MCA_CAP if value != 0 => {
            return Err(Errno::EINVAL);
        }
        params::VM86_TSS => {
            if value > u64::from(u32::MAX) {
                return Err(Errno::EINVAL);
            }
            // A task-state segment of the size that old loaders assume.
            value |= if value != 0 { 128 << 32 } else { 0 };
            index = params::VM86_TSS_SIZED;
        }
        // Not even a task-state segment of 32 bits: 104 bytes.
        params::VM86_TSS_SIZED if value >> 32 < 104 => return Err(Errno::EINVAL),
        _ => {}
    }
    domain.params[index as usize] = value;
    if index == params::CALLBACK_IRQ && is_own {
        caller.system.set_shared_abi(id, caller.abi);
    }
    Ok(())
}

/// Decodes `HVM_PARAM_CALLBACK_IRQ`.
fn callback(value: u64) -> Callback {
    match value >> params::CALLBACK_TYPE_SHIFT {
        params::callback::VECTOR => Callback::Vector(value as u8),
        params::callback::GSI if value == 0 => Callback::None,
        _ => Callback::Intx(value),
    }
}
