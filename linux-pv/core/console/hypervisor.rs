// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's own console, and the other hypercalls of this object.

use core::arch::asm;

use core_bindings as bindings;

use xen_abi::{
    command::event_channel::Send,
    event_channel::Port,
    sched::op::YIELD,
    xen::hypercall::{
        CONSOLE_IO,
        SCHED_OP, //
    },
};

use xen_core::{
    domain,
    error::Error,
    hypercall_instruction::{
        call2,
        call3,
        Xen, //
    },
};

use xen_hypercall::call;

/// `CONSOLEIO_write` and `CONSOLEIO_read` of `xen.h`.
const CONSOLEIO_WRITE: u64 = 0;
const CONSOLEIO_READ: u64 = 1;

/// The port that Xen, and QEMU's debug console, print a byte of an HVM domain on.
const DEBUG_PORT: u16 = 0xe9;

/// Writes on the hypervisor's console: dom0 may, others if the hypervisor is built for debugging.
pub(crate) fn write(bytes: &[u8]) -> isize {
    if !domain::is_xen() {
        return Error::ENOSYS.to_raw_size();
    }
    let arguments = [CONSOLEIO_WRITE, bytes.len() as u64, bytes.as_ptr() as u64];
    // SAFETY: The kernel runs on Xen, which only reads the bytes, during the call.
    match unsafe { call3(CONSOLE_IO, arguments) } {
        0.. => bytes.len() as isize,
        error => error as isize,
    }
}

/// Reads from the hypervisor's console: how many bytes, or an error.
pub(crate) fn read(to: &mut [u8]) -> isize {
    if !domain::is_xen() {
        return Error::ENOSYS.to_raw_size();
    }
    let arguments = [CONSOLEIO_READ, to.len() as u64, to.as_mut_ptr() as u64];
    // SAFETY: The kernel runs on Xen, which writes at most as many bytes, during the call.
    let count = unsafe { call3(CONSOLE_IO, arguments) };
    // It would say so if it had written beyond.
    match usize::try_from(count) {
        Ok(count) if count > to.len() => Error::EINVAL.to_raw_size(),
        _ => count as isize,
    }
}

/// Writes on the port for early messages of HVM domains, if there is a hypervisor.
pub(crate) fn write_port(bytes: &[u8]) {
    // SAFETY: Only executes CPUID.
    if unsafe { bindings::xen_core_xen_cpuid_base() } == 0 {
        return;
    }
    // SAFETY: Writing to this port has no effect on memory; the bytes are only read.
    unsafe {
        asm!(
            "rep outsb",
            in("dx") DEBUG_PORT,
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Sends an event. Whoever is at the other end looks at the ring.
pub(crate) fn notify(port: u32) {
    if let Some(xen) = Xen::get() {
        // What is not there needs no event.
        let _ = call::<Send>(&xen, &mut Port { port });
    }
}

/// Lets the hypervisor run others.
pub(crate) fn yield_cpu() {
    // SAFETY: Only a domain of Xen's has a console. A hypercall without an argument.
    unsafe { call2(SCHED_OP, [YIELD.into(), 0]) };
}

/// Unmasks an event channel whose event was looked at; after a delay if it was spurious.
pub(crate) fn end_of_event(irq: u32, is_spurious: bool) {
    let flags = match is_spurious {
        true => bindings::XEN_EOI_FLAG_SPURIOUS,
        false => 0,
    };
    // SAFETY: A function for any number: it ignores one that is no interrupt of an event channel.
    unsafe { bindings::xen_irq_lateeoi(irq, flags) };
}
