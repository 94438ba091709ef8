// SPDX-License-Identifier: GPL-2.0

//! `event_channel_op`.

use super::commands::Commands;
use super::{Reply, nr};
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform, System};
use xen_abi::command::Command;
use xen_abi::command::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, Close, ExpandArray,
    InitControl, Reset, Send, SetPriority, Status, Unmask,
};
use xen_abi::event_channel::{self, fifo};

pub(super) fn do_event_channel_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    Commands::<P, { nr::EVENT_CHANNEL_OP }>::new(caller, command, arg)
        .serve::<AllocUnbound>(|caller, args| {
            let of = caller.target_by_any_id(args.dom)?;
            let remote = System::<P>::remote(id, args.remote_dom);
            args.port = caller.system.alloc_unbound(of, remote)?;
            Ok(())
        })
        .serve::<BindInterdomain>(|caller, args| {
            let remote = caller.domain_by_any_id(args.remote_dom)?;
            args.local_port = caller
                .system
                .bind_interdomain(id, remote, args.remote_port)?;
            Ok(())
        })
        .serve::<BindVirq>(|caller, args| {
            args.port = caller.system.bind_virq(id, args.virq, args.vcpu)?;
            Ok(())
        })
        .serve::<BindIpi>(|caller, args| {
            args.port = caller.system.bind_ipi(id, args.vcpu)?;
            Ok(())
        })
        // PVH domains have no pirqs to bind, so every number is out of range.
        .serve::<BindPirq>(|_, _| Err(Errno::EINVAL))
        .serve::<Close>(|caller, args| caller.system.close(id, args.port))
        .serve::<Send>(|caller, args| caller.system.send(id, args.port))
        .serve::<Status>(|caller, args| {
            let of = caller.domain_by_any_id(args.dom)?;
            caller.system.domain(of)?.events.port(args.port)?;
            let of = caller.target_by_any_id(args.dom)?;
            caller.system.evtchn_status(of, args.port, args)
        })
        .serve::<BindVcpu>(|caller, args| caller.system.bind_vcpu(id, args.port, args.vcpu))
        .serve::<Unmask>(|caller, args| caller.system.unmask(id, args.port))
        .serve_at::<Reset>(|caller, arg| {
            let args: event_channel::Reset = caller.read_arg(arg)?;
            let of = caller.target_by_any_id(args.dom)?;
            if of != id && caller.system.domain(of)?.controller_pause_count == 0 {
                return Err(Errno::EINVAL);
            }
            Ok(match caller.system.evtchn_reset(of)? {
                true => Reply::Value(0),
                false => Reply::continuation([Reset::NUMBER.into(), arg, 0, 0, 0]),
            })
        })
        .serve::<InitControl>(|caller, args| {
            args.link_bits = fifo::LINK_BITS as u8;
            caller
                .system
                .init_control(id, args.vcpu, args.control_gfn, args.offset)
        })
        .serve::<ExpandArray>(|caller, args| caller.system.expand_array(id, args.array_gfn))
        .serve::<SetPriority>(|caller, args| {
            caller
                .domain_mut()?
                .events
                .set_priority(args.port, args.priority)
        })
        .reply()
}
