// SPDX-License-Identifier: GPL-2.0

//! `domctl`: how the toolstack of Xen 4.20 creates, controls and destroys domains.

mod affinity;
mod context;
mod create;
mod info;
mod limits;
mod policy;
mod shadow;
mod time;
mod vcpu_context;

use super::command::Command;
use super::page::hypercall_page;
use super::{Reply, VcpuAction};
use crate::error::{Errno, Result};
use crate::mem::PAGE_SIZE;
use crate::mem::frames::DomId;
use crate::system::destroy::DestroyProgress;
use crate::system::vcpu::VcpuId;
use crate::system::{Caller, Platform};
pub(super) use info::domain_info;
pub(super) use policy::{write_leaves, write_msrs};
use xen_abi::domctl::{
    Createdomain, Getpageframeinfo3, Getvcpuinfo, Header, Sendtrigger, SetLlcColors, op, trigger,
};

pub(super) fn do_domctl<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let command: Command<Header> = Command::copy_from_guest(caller, arg)?;
    if command.header.cmd == op::CREATEDOMAIN {
        let args: Createdomain = command.argument();
        let id = create::create_domain(caller.system, command.header.domain, &args)?;
        command.copyback_domain(caller, id)?;
        return command.copyback(caller, &args);
    }
    // A domctl names its domain by number: `DOMID_SELF` is not allowed.
    let id = caller.system.domain(command.header.domain)?.id();
    let is_self = id == caller.vcpu.domain;
    match command.header.cmd {
        op::DESTROYDOMAIN
        | op::PAUSEDOMAIN
        | op::UNPAUSEDOMAIN
        | op::RESUMEDOMAIN
        | op::MAX_VCPUS
        | op::SETTSCINFO
        | op::SET_CPU_POLICY
        | op::GETVCPUCONTEXT
        | op::SETVCPUCONTEXT
        | op::GETHVMCONTEXT
        | op::GETHVMCONTEXT_PARTIAL
        | op::SETHVMCONTEXT
        | op::SHADOW_OP
            if is_self =>
        {
            Err(Errno::EINVAL)
        }
        op::DESTROYDOMAIN => Ok(match caller.system.destroy_domain(id)? {
            DestroyProgress::Preempted => Reply::continuation([arg, 0, 0, 0, 0]),
            DestroyProgress::Done => Reply::Value(0),
        }),
        op::PAUSEDOMAIN => {
            caller.system.pause(id, true)?;
            // The caller may rely on it that the domain has stopped.
            Ok(VcpuAction::SyncPause(id).into())
        }
        op::UNPAUSEDOMAIN => caller.system.pause(id, false).map(Reply::from),
        op::RESUMEDOMAIN => caller.system.resume(id).map(Reply::from),
        op::GETDOMAININFO => {
            let info = domain_info(caller.system, id)?;
            command.copyback(caller, &info)
        }
        op::GETVCPUINFO => {
            let mut args: Getvcpuinfo = command.argument();
            info::vcpu_info(caller.system, id, &mut args)?;
            command.copyback(caller, &args)
        }
        op::MAX_VCPUS => {
            let max: u32 = command.argument();
            if max != caller.system.domain(id)?.config.max_vcpus {
                return Err(Errno::EINVAL);
            }
            caller.system.create_vcpus(id).map(Reply::from)
        }
        op::SHADOW_OP => {
            let mut args = command.argument();
            match shadow::shadow_op(caller, id, arg, &mut args)? {
                Some(reply) => Ok(reply),
                None => command.copyback(caller, &args),
            }
        }
        op::SUBSCRIBE => {
            caller.system.domain_mut(id)?.suspend_port = command.argument();
            Ok(Reply::Value(0))
        }
        op::GETVCPUAFFINITY => affinity::get(caller, id, &command.argument()).map(Reply::from),
        op::SETVCPUAFFINITY => affinity::set(caller, id, &command.argument()).map(Reply::from),
        op::GETNODEAFFINITY => affinity::get_nodes(caller, &command.argument()).map(Reply::from),
        op::SETNODEAFFINITY => affinity::set_nodes(caller, &command.argument()).map(Reply::from),
        op::MAX_MEM => {
            limits::max_mem(caller.system.domain_mut(id)?, command.argument());
            Ok(Reply::Value(0))
        }
        op::GET_PAGING_MEMPOOL_SIZE => {
            let size = limits::paging_pool_size(caller.system.domain(id)?);
            command.copyback(caller, &size)
        }
        op::SET_PAGING_MEMPOOL_SIZE => {
            let is_done = limits::set_paging_pool_size(caller.system, id, command.argument())?;
            Ok(match is_done {
                true => Reply::Value(0),
                false => Reply::continuation([arg, 0, 0, 0, 0]),
            })
        }
        op::SCHEDULER_OP => {
            let mut args = command.argument();
            limits::scheduler_op(caller.system, id, &mut args)?;
            command.copyback(caller, &args)
        }
        op::SETDOMAINHANDLE => {
            caller.system.domain_mut(id)?.config.handle = command.argument();
            Ok(Reply::Value(0))
        }
        op::IRQ_PERMISSION => limits::irq_permission(&command.argument()).map(Reply::from),
        op::IOMEM_PERMISSION => limits::iomem_permission(&command.argument()).map(Reply::from),
        op::IOPORT_PERMISSION => limits::ioport_permission(&command.argument()).map(Reply::from),
        op::HYPERCALL_INIT => {
            let gfn: u64 = command.argument();
            let gpa = gfn.checked_mul(PAGE_SIZE).ok_or(Errno::EINVAL)?;
            let written = caller.system.write_physical(id, gpa, &hypercall_page());
            written.map_err(|_| Errno::EINVAL).map(Reply::from)
        }
        op::SETTIMEOFFSET => {
            caller.system.domain_mut(id)?.time_offset = command.argument();
            caller.system.update_wall_clock(id);
            Ok(Reply::Value(0))
        }
        op::GETTSCINFO => {
            let info = time::tsc_info(caller.system, id)?;
            command.copyback(caller, &info)
        }
        op::SETTSCINFO => {
            time::set_tsc_info(caller.system, id, &command.argument()).map(Reply::from)
        }
        op::SENDTRIGGER => send_trigger(caller, id, &command.argument()).map(Reply::from),
        op::GETPAGEFRAMEINFO3 => {
            // What is saved is what the last vCPU has left.
            let is_over = caller.system.domain(id)?.shutdown.is_some();
            if is_over && caller.system.has_running_vcpus(id) {
                let again = [arg, 0, 0, 0, 0];
                return Ok(Reply::Continuation(again, VcpuAction::SyncPause(id)));
            }
            let args: Getpageframeinfo3 = command.argument();
            match info::page_types(caller, id, args)? {
                Some(left) => {
                    command.copyback(caller, &left)?;
                    Ok(Reply::continuation([arg, 0, 0, 0, 0]))
                }
                None => Ok(Reply::Value(0)),
            }
        }
        op::GET_CPU_POLICY => {
            let mut args = command.argument();
            policy::get(caller, id, &mut args)?;
            command.copyback(caller, &args)
        }
        op::SET_CPU_POLICY => {
            let mut args = command.argument();
            let result = policy::set(caller, id, &mut args);
            if result.is_err() {
                command.copyback(caller, &args)?;
            }
            result.map(Reply::from)
        }
        op::GETVCPUCONTEXT => with_domain_paused(caller, id, arg, |caller| {
            vcpu_context::get(caller, id, &command.argument())
        }),
        op::SETVCPUCONTEXT => with_domain_paused(caller, id, arg, |caller| {
            vcpu_context::set(caller, id, &command.argument())
        }),
        op::GETHVMCONTEXT => with_domain_paused(caller, id, arg, |caller| {
            let mut args = command.argument();
            let result = context::get(caller, id, &mut args);
            command.copyback(caller, &args)?;
            result
        }),
        op::GETHVMCONTEXT_PARTIAL => with_domain_paused(caller, id, arg, |caller| {
            let mut args = command.argument();
            context::get_record(caller, id, &mut args)?;
            command.copyback(caller, &args).map(drop)
        }),
        op::SETHVMCONTEXT => with_domain_paused(caller, id, arg, |caller| {
            context::set(caller, id, &command.argument())
        }),
        // Only PV domains have a width of addresses.
        op::GET_ADDRESS_SIZE | op::SET_ADDRESS_SIZE => Err(Errno::EOPNOTSUPP),
        // libxl makes this call for every domain, and accepts no other error than this.
        op::SET_LLC_COLORS if command.argument::<SetLlcColors>().pad != 0 => Err(Errno::EINVAL),
        op::SET_LLC_COLORS => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::ENOSYS),
    }
}

/// Does something while no CPU runs a vCPU of a domain (`domain_pause`, `domain_unpause`). As long as one does, or still
/// holds a part of its state, the hypercall is preempted, and its vCPU waits without the system's lock.
fn with_domain_paused<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    arg: u64,
    work: impl FnOnce(&mut Caller<'_, P>) -> Result<()>,
) -> Result<Reply> {
    let waits = Reply::Continuation([arg, 0, 0, 0, 0], VcpuAction::SyncPause(id));
    caller.system.set_hypercall_pause(id, true)?;
    if caller.system.has_running_vcpus(id) {
        return Ok(waits);
    }
    match work(caller) {
        Err(Errno::EAGAIN) => Ok(waits),
        result => {
            caller.system.set_hypercall_pause(id, false)?;
            result.map(Reply::from)
        }
    }
}

/// `XEN_DOMCTL_sendtrigger`. A domain without a device model has no buttons, so pressing them does nothing, as in Xen.
///
/// # Errors
///
/// [`Errno::ESRCH`] without the vCPU, [`Errno::ENOSYS`] for what cannot be triggered.
fn send_trigger<P: Platform>(
    caller: &mut Caller<'_, P>,
    domain: DomId,
    args: &Sendtrigger,
) -> Result<()> {
    let target = VcpuId {
        domain,
        vcpu: args.vcpu,
    };
    let state = caller.system.vcpu_mut(target).map_err(|_| Errno::ESRCH)?;
    match args.trigger {
        trigger::NMI => {
            if !core::mem::replace(&mut state.nmi_pending, true) {
                caller.system.platform.vcpu_unblock(target);
            }
            Ok(())
        }
        trigger::POWER | trigger::SLEEP => Ok(()),
        _ => Err(Errno::ENOSYS),
    }
}
