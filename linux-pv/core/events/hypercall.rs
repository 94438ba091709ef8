// SPDX-License-Identifier: GPL-2.0

//! Hypercalls about event channels and pirqs.

use core::ptr;

use kernel::prelude::*;

use xen_abi::{
    command::{
        event_channel as command,
        Command,
        PlainCommand, //
    },
    event_channel as abi,
    sched::{
        op::POLL,
        Poll, //
    },
    xen::{
        domid,
        hypercall::SCHED_OP, //
    },
};

use xen_core::{
    error::{
        Error,
        Result, //
    },
    hypercall_instruction::{
        call2,
        Xen, //
    },
    per_cpu::{
        self,
        PossibleCpu, //
    },
};

use core_bindings as bindings;

/// Makes a call with one structure.
#[inline]
pub(crate) fn call<C: PlainCommand>(argument: &mut C::Argument) -> Result<u64> {
    let xen = Xen::get().ok_or(Error::ENOSYS)?;
    Ok(xen_hypercall::call::<C>(&xen, argument)?)
}

/// Makes a call with one structure, which names memory.
///
/// # Safety
///
/// The hypervisor may do with the memory what the command says.
pub(crate) unsafe fn call_with_memory<C: Command>(argument: &mut C::Argument) -> Result<u64> {
    if Xen::get().is_none() {
        return Err(Error::ENOSYS);
    }
    let arguments = [C::NUMBER.into(), ptr::from_mut(argument) as u64];
    // SAFETY: The kernel runs on Xen; the structure is that of the command, and by the requirement
    // of this function its memory may be used.
    Ok(xen_hypercall::Errno::check(unsafe {
        call2(C::HYPERCALL, arguments)
    })?)
}

/// Sends an event. A channel that is not connected needs none.
#[inline]
pub(crate) fn send(port: u32) {
    let _ = call::<command::Send>(&mut abi::Port { port });
}

/// Has the hypervisor unmask a port, and deliver it if it is pending.
pub(crate) fn unmask(port: u32) {
    let _ = call::<command::Unmask>(&mut abi::Port { port });
}

/// Closes a port. The hypervisor refuses that only for a port that is not open.
pub(crate) fn close(port: u32) {
    if let Err(error) = call::<command::Close>(&mut abi::Port { port }) {
        pr_warn!("port {port} was not closed: {}\n", error.to_raw());
    }
}

/// What a port of this domain is bound to.
pub(crate) fn status(port: u32) -> Result<abi::Status> {
    let mut argument = abi::Status {
        dom: domid::SELF,
        port,
        ..Default::default()
    };
    call::<command::Status>(&mut argument)?;
    Ok(argument)
}

/// The domain at the other end of a port, if there is one.
pub(crate) fn remote_domain(port: u32) -> Option<u16> {
    let status = status(port).ok()?;
    match status.status {
        abi::status::UNBOUND | abi::status::INTERDOMAIN => Some(status.detail as u16),
        _ => None,
    }
}

/// Waits until an event is pending on a port, or until a time in nanoseconds unless that is 0.
pub(crate) fn poll(port: u32, until: u64) -> Result {
    let ports = [port];
    let mut argument = Poll {
        ports: ports.as_ptr() as u64,
        nr_ports: 1,
        pad: 0,
        timeout: until,
    };
    let arguments = [POLL.into(), ptr::from_mut(&mut argument) as u64];
    // SAFETY: Only a domain of Xen's has ports. The hypervisor reads both, during the call.
    let result = unsafe { call2(SCHED_OP, arguments) };
    xen_hypercall::Errno::check(result)?;
    Ok(())
}

/// The hypervisor's number of a CPU.
pub(crate) fn vcpu(cpu: PossibleCpu) -> u32 {
    // SAFETY: The variable is C's; it is written before its CPU comes up.
    unsafe { per_cpu::read_c(&raw const bindings::xen_vcpu_id, cpu) }
}
