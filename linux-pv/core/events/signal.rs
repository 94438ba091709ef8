// SPDX-License-Identifier: GPL-2.0

//! Sending events, and asking or waiting for them without a handler.

use kernel::{
    ffi::{
        c_int,
        c_uint, //
    },
    pr_err_once,
    prelude::*,
    sync::rcu,
};

use core_bindings as bindings;

use xen_abi::{
    command::event_channel::SetPriority,
    event_channel as abi,
    vcpu::op::SEND_NMI,
    xen::hypercall::VCPU_OP, //
};

use xen_core::{
    declared_in_c,
    error::Error,
    hypercall_instruction::call3,
    per_cpu::PossibleCpu, //
};

use crate::{
    channel::Channel,
    chips,
    delivery,
    hypercall,
    irqs,
    per_vcpu,
    table, //
};

/// The port of an interrupt.
#[inline]
fn port(irq: u32) -> Option<u32> {
    let guard = rcu::read_lock();
    irqs::channel(&guard, irq)?.port()
}

declared_in_c! {
    irq_from_evtchn: unsafe extern "C" fn(u32) -> c_uint;
    notify_remote_via_irq: unsafe extern "C" fn(c_int);
    xen_set_irq_priority: unsafe extern "C" fn(c_uint, c_uint) -> c_int;
    xen_clear_irq_pending: unsafe extern "C" fn(c_int);
    xen_test_irq_pending: unsafe extern "C" fn(c_int) -> bool;
    xen_poll_irq_timeout: unsafe extern "C" fn(c_int, u64);
    xen_poll_irq: unsafe extern "C" fn(c_int);
}

/// The interrupt of a port, or all ones.
#[no_mangle]
pub extern "C" fn irq_from_evtchn(port: u32) -> c_uint {
    let guard = rcu::read_lock();
    table::channel(&guard, port).map_or(c_uint::MAX, Channel::irq)
}

/// Sends an event to the other end of an interrupt's channel. Any context; without a channel, as
/// after a restore, nothing is sent.
#[no_mangle]
pub extern "C" fn notify_remote_via_irq(irq: c_int) {
    if let Some(port) = port(irq as u32) {
        hypercall::send(port);
    }
}

/// Sets the priority of an interrupt's events (FIFO).
#[no_mangle]
pub extern "C" fn xen_set_irq_priority(irq: c_uint, priority: c_uint) -> c_int {
    let Some(port) = port(irq) else {
        return Error::EINVAL.to_raw();
    };
    let mut argument = abi::SetPriority { port, priority };
    match hypercall::call::<SetPriority>(&mut argument) {
        Ok(_) => 0,
        Err(error) => error.to_raw(),
    }
}

/// Sends an IPI, or a non-maskable interrupt. Any context, NMIs too. One that is not bound is said
/// once, and not sent.
///
/// # Safety
///
/// The CPU is possible.
#[no_mangle]
pub unsafe extern "C" fn xen_send_IPI_one(cpu: c_uint, ipi: bindings::ipi_vector) {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu as c_int) };
    if ipi == bindings::ipi_vector_XEN_NMI_VECTOR {
        send_nmi(cpu);
        return;
    }
    match per_vcpu::ipi_port(cpu, ipi) {
        Some(port) => hypercall::send(port),
        None => say_unbound(cpu, ipi),
    }
}

#[cold]
fn say_unbound(cpu: PossibleCpu, ipi: u32) {
    pr_err_once!("IPI {ipi} to CPU {} is not bound\n", cpu.number());
}

fn send_nmi(cpu: PossibleCpu) {
    // SAFETY: Only a domain of Xen's sends its IPIs so. Without an argument.
    let result = unsafe { call3(VCPU_OP, [SEND_NMI.into(), hypercall::vcpu(cpu).into(), 0]) };
    if result < 0 {
        pr_warn!("Sending nmi to CPU{} failed (rc:{result})\n", cpu.number());
    }
}

/// Forgets a pending event, before it is polled for.
#[no_mangle]
pub extern "C" fn xen_clear_irq_pending(irq: c_int) {
    let guard = rcu::read_lock();
    if let Some(channel) = irqs::channel(&guard, irq as u32) {
        chips::end_and_clear(channel);
    }
}

/// Whether an event is pending.
#[no_mangle]
pub extern "C" fn xen_test_irq_pending(irq: c_int) -> bool {
    port(irq as u32).is_some_and(delivery::is_pending)
}

/// Waits until an event is pending, or until a time unless that is 0. The interrupt is usually
/// disabled.
#[no_mangle]
pub extern "C" fn xen_poll_irq_timeout(irq: c_int, until: u64) {
    let Some(port) = port(irq as u32) else {
        return;
    };
    if let Err(error) = hypercall::poll(port, until) {
        pr_err_once!(
            "the hypervisor does not wait for port {port}: {}\n",
            error.to_raw()
        );
    }
}

/// Waits until an event is pending.
#[no_mangle]
pub extern "C" fn xen_poll_irq(irq: c_int) {
    xen_poll_irq_timeout(irq, 0);
}
