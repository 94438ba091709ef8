// SPDX-License-Identifier: GPL-2.0

//! `event_channel_op`.

use super::{Reply, with_arg, with_arg_copyback};
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform, System};
use xen_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, ExpandArray, InitControl,
    Port, Reset, SetPriority, Status, fifo, op,
};

pub(super) fn do_event_channel_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    match command {
        op::ALLOC_UNBOUND => with_arg_copyback(caller, arg, |caller, args: &mut AllocUnbound| {
            let of = caller.target_by_any_id(args.dom)?;
            args.port = caller
                .system
                .alloc_unbound(of, System::<P>::remote(id, args.remote_dom))?;
            Ok(())
        }),
        op::BIND_INTERDOMAIN => {
            with_arg_copyback(caller, arg, |caller, args: &mut BindInterdomain| {
                let remote = caller.domain_by_any_id(args.remote_dom)?;
                args.local_port = caller
                    .system
                    .bind_interdomain(id, remote, args.remote_port)?;
                Ok(())
            })
        }
        op::BIND_VIRQ => with_arg_copyback(caller, arg, |caller, args: &mut BindVirq| {
            args.port = caller.system.bind_virq(id, args.virq, args.vcpu)?;
            Ok(())
        }),
        op::BIND_IPI => with_arg_copyback(caller, arg, |caller, args: &mut BindIpi| {
            args.port = caller.system.bind_ipi(id, args.vcpu)?;
            Ok(())
        }),
        // PVH domains have no pirqs to bind, so every number is out of range.
        op::BIND_PIRQ => with_arg(caller, arg, |_, _: BindPirq| Err(Errno::EINVAL)),
        op::CLOSE => with_arg(caller, arg, |caller, args: Port| {
            caller.system.close(id, args.port)
        }),
        op::SEND => with_arg(caller, arg, |caller, args: Port| {
            caller.system.send(id, args.port)
        }),
        op::STATUS => with_arg_copyback(caller, arg, |caller, args: &mut Status| {
            let of = caller.domain_by_any_id(args.dom)?;
            caller.system.domain(of)?.events.port(args.port)?;
            let of = caller.target_by_any_id(args.dom)?;
            caller.system.evtchn_status(of, args.port, args)
        }),
        op::BIND_VCPU => with_arg(caller, arg, |caller, args: BindVcpu| {
            caller.system.bind_vcpu(id, args.port, args.vcpu)
        }),
        op::UNMASK => with_arg(caller, arg, |caller, args: Port| {
            caller.system.unmask(id, args.port)
        }),
        op::RESET => with_arg(caller, arg, |caller, args: Reset| {
            let of = caller.target_by_any_id(args.dom)?;
            if of != id && caller.system.domain(of)?.controller_pause_count == 0 {
                return Err(Errno::EINVAL);
            }
            caller.system.evtchn_reset(of)
        }),
        op::INIT_CONTROL => with_arg_copyback(caller, arg, |caller, args: &mut InitControl| {
            args.link_bits = fifo::LINK_BITS as u8;
            caller
                .system
                .init_control(id, args.vcpu, args.control_gfn, args.offset)
        }),
        op::EXPAND_ARRAY => with_arg(caller, arg, |caller, args: ExpandArray| {
            caller.system.expand_array(id, args.array_gfn)
        }),
        op::SET_PRIORITY => with_arg(caller, arg, |caller, args: SetPriority| {
            caller
                .domain_mut()?
                .events
                .set_priority(args.port, args.priority)
        }),
        _ => Err(Errno::ENOSYS),
    }
}
