// SPDX-License-Identifier: GPL-2.0

//! `sched_op`.

use super::commands::Commands;
use super::{Reply, VcpuAction, nr};
use crate::error::{Errno, Result};
use crate::system::vcpu::Poll as VcpuPoll;
use crate::system::{Caller, Platform};
use alloc::vec::Vec;
use core::mem::offset_of;
use xen_abi::command::sched::{Poll, RemoteShutdown, Shutdown, ShutdownCode};
use xen_abi::sched::op;
use xen_abi::vcpu::VcpuInfo;

/// Most ports of one poll, as in Xen.
const MAX_POLL_PORTS: u32 = 128;

pub(super) fn do_sched_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    match command {
        op::YIELD => Ok(VcpuAction::Yield.into()),
        op::BLOCK => {
            unmask_upcalls(caller)?;
            Ok(VcpuAction::Block.into())
        }
        op::PIN_OVERRIDE if !caller.is_privileged() => Err(Errno::EPERM),
        _ => Commands::<P, { nr::SCHED_OP }>::new(caller, command, arg)
            .serve_at::<Shutdown>(|caller, arg| {
                let reason: u32 = caller.read_arg(arg)?;
                caller.system.shut_down(id, reason as u8)?;
                Ok(VcpuAction::Stop.into())
            })
            .serve::<ShutdownCode>(|caller, reason| {
                let code = &mut caller.domain_mut()?.shutdown_code;
                code.get_or_insert(*reason as u8);
                Ok(())
            })
            .serve_at::<Poll>(poll)
            .serve::<RemoteShutdown>(|caller, args| {
                // Unlike elsewhere, `DOMID_SELF` is not allowed here.
                let of = caller.system.domain(args.domain_id)?.id();
                if of == id || !caller.is_privileged() {
                    return Err(Errno::EPERM);
                }
                caller.system.shut_down(of, args.reason as u8)
            })
            .reply(),
    }
}

/// Clears the caller's `evtchn_upcall_mask`: a vCPU that blocks takes upcalls.
fn unmask_upcalls<P: Platform>(caller: &mut Caller<'_, P>) -> Result<()> {
    let vcpu = caller.vcpu.vcpu as usize;
    if let Some(Some(info)) = caller.domain()?.areas.vcpu_info.get(vcpu).copied() {
        let mask = info + offset_of!(VcpuInfo, evtchn_upcall_mask) as u64;
        caller.system.platform.swap_u8(mask, 0);
    }
    Ok(())
}

fn poll<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let args: xen_abi::sched::Poll = caller.read_arg(arg)?;
    if args.nr_ports > MAX_POLL_PORTS {
        return Err(Errno::EINVAL);
    }
    if caller.system.evtchn_upcall_pending(caller.vcpu) {
        return Ok(Reply::Value(0));
    }
    let mut ports = Vec::new();
    for index in 0..args.nr_ports {
        let port: u32 = caller.read_arg_at(args.ports, u64::from(index))?;
        if caller.system.poll_port(caller.vcpu.domain, port)? {
            return Ok(Reply::Value(0));
        }
        ports.push(port);
    }
    let until = (args.timeout != 0).then_some(args.timeout);
    let vcpu = caller.vcpu;
    caller
        .system
        .update_timers(vcpu, |state| state.poll = Some(VcpuPoll { ports, until }))?;
    Ok(VcpuAction::Poll.into())
}
