// SPDX-License-Identifier: GPL-2.0

//! The ABI in use: FIFO if the hypervisor has it, unless the user does not want it; otherwise
//! 2-level.

use core::sync::atomic::{
    AtomicU8,
    Ordering::Relaxed, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
};

use xen_abi::event_channel::NR_CHANNELS_2L;

use xen_core::{
    declared_in_c,
    domain,
    error::{
        self,
        Result, //
    },
    per_cpu::PossibleCpu, //
};

use xen_event::{
    fifo::{
        guest as fifo_port,
        EventArray, //
    },
    two_level as two_level_port,
    upcall,
    Unmask, //
};

use crate::{
    fifo::{
        self,
        Array, //
    },
    hypercall,
    two_level::{
        self,
        SharedInfo, //
    },
    vcpu::Vcpu, //
};

#[link_section = ".data..read_mostly"]
static IS_FIFO: AtomicU8 = AtomicU8::new(0);

/// Whether the FIFO ABI is in use.
#[inline]
pub(crate) fn is_fifo() -> bool {
    IS_FIFO.load(Relaxed) != 0
}

/// Chooses the ABI: at boot, and after a restore for a hypervisor that lacks the one before.
pub(crate) fn choose(is_fifo: bool) {
    IS_FIFO.store(is_fifo.into(), Relaxed);
    match is_fifo {
        true => pr_info!("Using FIFO-based ABI\n"),
        false => pr_info!("Using 2-level ABI\n"),
    }
}

/// How many ports there can be.
pub(crate) fn max_ports() -> u32 {
    match is_fifo() {
        true => xen_abi::event_channel::fifo::NR_CHANNELS,
        false => NR_CHANNELS_2L,
    }
}

declared_in_c! {
    xen_evtchn_nr_channels: unsafe extern "C" fn() -> c_uint;
}

/// How many ports can be used without more memory.
#[no_mangle]
pub extern "C" fn xen_evtchn_nr_channels() -> c_uint {
    match is_fifo() {
        true => fifo::ports(),
        false => NR_CHANNELS_2L,
    }
}

/// Makes what a port needs before it is used, and masks it. Allocates with these flags.
pub(crate) fn set_up(port: u32, gfp: k::gfp_t) -> Result {
    if is_fifo() {
        fifo::expand(port, gfp)?;
    }
    mask(port);
    Ok(())
}

/// Ends delivery of a port's events to a CPU.
pub(crate) fn remove(port: u32, cpu: PossibleCpu) {
    if !is_fifo() {
        two_level::unbind(port, cpu);
    }
}

/// Has a port's events delivered to a CPU, in place of another one.
pub(crate) fn bind_to_cpu(port: u32, cpu: PossibleCpu, before: PossibleCpu) {
    if !is_fifo() {
        two_level::unbind(port, before);
        two_level::bind(port, cpu);
    }
}

/// Masks a port.
#[inline]
pub(crate) fn mask(port: u32) {
    match is_fifo() {
        true => {
            if let Some(word) = Array.event_word(port) {
                fifo_port::mask(&word);
            }
        }
        false => two_level_port::guest::mask(&SharedInfo, port),
    }
}

/// Whether a port is masked.
pub(crate) fn is_masked(port: u32) -> bool {
    match is_fifo() {
        true => Array
            .event_word(port)
            .is_some_and(|word| fifo_port::is_masked(&word)),
        false => two_level_port::guest::is_masked(&SharedInfo, port),
    }
}

/// Unmasks a port whose events are delivered to this CPU; interrupts are disabled.
#[inline]
pub(crate) fn unmask(port: u32, cpu: PossibleCpu) {
    let result = match is_fifo() {
        true => match Array.event_word(port) {
            Some(word) => fifo_port::unmask(&word),
            None => Unmask::Done,
        },
        false => unmask_two_level(port, cpu),
    };
    match result {
        Unmask::Done => {}
        Unmask::Hypercall => hypercall::unmask(port),
        Unmask::Upcall => {
            if let Some(vcpu) = Vcpu::current() {
                let _ = upcall::set_pending(vcpu.upcall_pending());
            }
        }
    }
}

fn unmask_two_level(port: u32, cpu: PossibleCpu) -> Unmask {
    // Another CPU is only told by the hypervisor.
    if cpu.number() != PossibleCpu::current().number() {
        return Unmask::Hypercall;
    }
    match Vcpu::current() {
        Some(vcpu) if !domain::is_hvm() => {
            two_level_port::guest::unmask_pv(&SharedInfo, vcpu.selector(), port)
        }
        _ => two_level_port::guest::unmask_hvm(&SharedInfo, port),
    }
}

/// Forgets a pending event.
#[inline]
pub(crate) fn clear_pending(port: u32) {
    match is_fifo() {
        true => {
            if let Some(word) = Array.event_word(port) {
                fifo_port::clear_pending(&word);
            }
        }
        false => two_level_port::clear_pending(&SharedInfo, port),
    }
}

/// Sets a port pending, to be delivered when it is unmasked.
pub(crate) fn set_pending(port: u32) {
    match is_fifo() {
        true => {
            if let Some(word) = Array.event_word(port) {
                fifo_port::set_pending(&word);
            }
        }
        false => two_level_port::guest::set_pending(&SharedInfo, port),
    }
}

/// Whether an event is pending, masked or not.
pub(crate) fn is_pending(port: u32) -> bool {
    match is_fifo() {
        true => Array
            .event_word(port)
            .is_some_and(|word| fifo_port::is_pending(&word)),
        false => two_level_port::is_pending(&SharedInfo, port),
    }
}

/// Calls `each` with the ports of this CPU that have events, until there are none.
///
/// # Safety
///
/// Interrupts are disabled.
#[inline]
pub(crate) unsafe fn for_each_event(each: impl FnMut(u32)) {
    // SAFETY: By the requirement of this function.
    unsafe {
        match is_fifo() {
            true => fifo::for_each_event(each),
            false => two_level::for_each_event(each),
        }
    }
}

/// Before a CPU comes up: gives the hypervisor its memory.
///
/// # Safety
///
/// To be called by the kernel's CPU hotplug, with a possible CPU that is offline.
pub(crate) unsafe extern "C" fn prepare_cpu(cpu: c_uint) -> c_int {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu as c_int) };
    match is_fifo() {
        // SAFETY: The CPU is offline.
        true => error::to_status(unsafe { fifo::add_control_block(cpu) }),
        false => 0,
    }
}

/// When a CPU is offline: its channels are on other CPUs already, but events may not be.
///
/// # Safety
///
/// To be called by the kernel's CPU hotplug, with a CPU that is offline.
pub(crate) unsafe extern "C" fn cpu_is_dead(cpu: c_uint) -> c_int {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu as c_int) };
    match is_fifo() {
        // SAFETY: The CPU is offline.
        true => unsafe { fifo::empty_queues(cpu) },
        false => two_level::unbind_all(cpu),
    }
    0
}
