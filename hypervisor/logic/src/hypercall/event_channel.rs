//! `event_channel_op`.

use super::{Reply, given, in_out};
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform, System};
use xen_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, ExpandArray, InitControl,
    Port, Reset, SetPriority, Status, fifo, op,
};

pub(super) fn serve<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    match command {
        op::ALLOC_UNBOUND => in_out(caller, arg, |caller, args: &mut AllocUnbound| {
            let of = caller.target(args.dom)?;
            args.port = caller
                .system
                .alloc_unbound(of, System::<P>::remote(id, args.remote_dom))?;
            Ok(())
        }),
        op::BIND_INTERDOMAIN => in_out(caller, arg, |caller, args: &mut BindInterdomain| {
            let remote = caller.named(args.remote_dom)?;
            args.local_port = caller
                .system
                .bind_interdomain(id, remote, args.remote_port)?;
            Ok(())
        }),
        op::BIND_VIRQ => in_out(caller, arg, |caller, args: &mut BindVirq| {
            args.port = caller.system.bind_virq(id, args.virq, args.vcpu)?;
            Ok(())
        }),
        op::BIND_IPI => in_out(caller, arg, |caller, args: &mut BindIpi| {
            args.port = caller.system.bind_ipi(id, args.vcpu)?;
            Ok(())
        }),
        // PVH domains have no physical interrupts to bind, so every number is out of range.
        op::BIND_PIRQ => given(caller, arg, |_, _: BindPirq| Err(Errno::EINVAL)),
        op::CLOSE => given(caller, arg, |caller, args: Port| {
            caller.system.close(id, args.port)
        }),
        op::SEND => given(caller, arg, |caller, args: Port| {
            caller.system.send(id, args.port)
        }),
        op::STATUS => in_out(caller, arg, |caller, args: &mut Status| {
            let of = caller.named(args.dom)?;
            caller.system.domain(of)?.events.port(args.port)?;
            let of = caller.target(args.dom)?;
            caller.system.port_status(of, args.port, args)
        }),
        op::BIND_VCPU => given(caller, arg, |caller, args: BindVcpu| {
            caller.system.bind_vcpu(id, args.port, args.vcpu)
        }),
        op::UNMASK => given(caller, arg, |caller, args: Port| {
            caller.system.unmask(id, args.port)
        }),
        op::RESET => given(caller, arg, |caller, args: Reset| {
            let of = caller.target(args.dom)?;
            if of != id && caller.system.domain(of)?.pauses == 0 {
                return Err(Errno::EINVAL);
            }
            caller.system.reset_events(of)
        }),
        op::INIT_CONTROL => in_out(caller, arg, |caller, args: &mut InitControl| {
            args.link_bits = fifo::LINK_BITS as u8;
            caller
                .system
                .init_control(id, args.vcpu, args.control_gfn, args.offset)
        }),
        op::EXPAND_ARRAY => given(caller, arg, |caller, args: ExpandArray| {
            caller.system.expand_array(id, args.array_gfn)
        }),
        op::SET_PRIORITY => given(caller, arg, |caller, args: SetPriority| {
            caller
                .domain_mut()?
                .events
                .set_priority(args.port, args.priority)
        }),
        _ => Err(Errno::ENOSYS),
    }
}
