// SPDX-License-Identifier: GPL-2.0

//! Virqs and IPIs, which belong to a CPU: which interrupts they have, by CPU.

use core::sync::atomic::{
    AtomicI32,
    AtomicU32,
    Ordering::Relaxed, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    sync::rcu,
};

use core_bindings as bindings;

use xen_abi::{
    command::event_channel::{
        BindIpi,
        BindVirq, //
    },
    errno::EINVAL as XEN_EINVAL,
    event_channel::{
        self as abi,
        status, //
    },
};

use xen_core::{
    declared_in_c,
    define_per_cpu,
    error::{
        self,
        Error,
        Result, //
    },
    per_cpu::PossibleCpu, //
};

use crate::{
    affinity, bind,
    channel::{
        Channel,
        Kind, //
    },
    chips, delivery, hypercall, irqs,
    mapping::{
        self,
        Mapping, //
    },
};

/// How many virqs there are.
pub(crate) const VIRQS: usize = bindings::NR_VIRQS as usize;

/// How many IPIs there are.
pub(crate) const IPIS: usize = bindings::ipi_vector_XEN_NR_IPIS as usize;

/// No interrupt.
const NONE: i32 = -1;

define_per_cpu! {
    static VIRQ_IRQS: [AtomicI32; VIRQS] = [const { AtomicI32::new(NONE) }; VIRQS];
    static IPI_IRQS: [AtomicI32; IPIS] = [const { AtomicI32::new(NONE) }; IPIS];
    /// Sending one looks nothing up.
    static IPI_PORTS: [AtomicU32; IPIS] = [const { AtomicU32::new(0) }; IPIS];
}

fn irq(place: Option<&AtomicI32>) -> Option<u32> {
    u32::try_from(place?.load(Relaxed)).ok()
}

/// The interrupt of a CPU's virq.
#[inline]
pub(crate) fn virq_irq(cpu: PossibleCpu, virq: u32) -> Option<u32> {
    irq(VIRQ_IRQS.of(cpu).get(virq as usize))
}

/// The interrupt of an IPI to a CPU.
pub(crate) fn ipi_irq(cpu: PossibleCpu, ipi: u32) -> Option<u32> {
    irq(IPI_IRQS.of(cpu).get(ipi as usize))
}

/// The port of a CPU's virq.
#[inline]
pub(crate) fn virq_port(cpu: PossibleCpu, virq: u32) -> Option<u32> {
    let irq = virq_irq(cpu, virq)?;
    let guard = rcu::read_lock();
    irqs::channel(&guard, irq)?.port()
}

/// The port of an IPI to a CPU.
#[inline]
pub(crate) fn ipi_port(cpu: PossibleCpu, ipi: u32) -> Option<u32> {
    let port = IPI_PORTS.of(cpu).get(ipi as usize)?.load(Relaxed);
    Some(port).filter(|port| *port != 0)
}

fn set_virq(cpu: PossibleCpu, virq: u32, irq: i32) {
    if let Some(place) = VIRQ_IRQS.of(cpu).get(virq as usize) {
        place.store(irq, Relaxed);
    }
}

fn set_ipi(cpu: PossibleCpu, ipi: u32, irq: i32, port: u32) {
    let (irqs, ports) = (IPI_IRQS.of(cpu), IPI_PORTS.of(cpu));
    if let Some((irq_place, port_place)) = irqs.get(ipi as usize).zip(ports.get(ipi as usize)) {
        irq_place.store(irq, Relaxed);
        port_place.store(port, Relaxed);
    }
}

/// Forgets the interrupt of a channel, if it is a virq or an IPI.
pub(crate) fn forget(channel: &Channel) {
    match channel.kind {
        Kind::Virq(virq) => set_virq(channel.cpu(), virq, NONE),
        Kind::Ipi(ipi) => set_ipi(channel.cpu(), ipi, NONE, 0),
        Kind::Event | Kind::Pirq(_) => {}
    }
}

/// A global virq was moved to another CPU.
pub(crate) fn move_virq(virq: u32, from: PossibleCpu, to: PossibleCpu) {
    let irq = virq_irq(from, virq);
    set_virq(from, virq, NONE);
    set_virq(to, virq, irq.map_or(NONE, |irq| irq as i32));
}

/// Binds a virq of a CPU to a port, or an IPI, and gives the port to its channel.
pub(crate) fn open(channel: &Channel, cpu: PossibleCpu, gfp: k::gfp_t) -> Result {
    let vcpu = hypercall::vcpu(cpu);
    match channel.kind {
        Kind::Virq(virq) => {
            let mut argument = abi::BindVirq {
                virq,
                vcpu,
                port: 0,
            };
            hypercall::call::<BindVirq>(&mut argument)?;
            set_virq(cpu, virq, channel.irq() as i32);
            channel.set_up(argument.port, gfp)
        }
        Kind::Ipi(ipi) => {
            let mut argument = abi::BindIpi { vcpu, port: 0 };
            // Until there is a port, and if there will be none, nothing is sent to the one before,
            // which may be another channel's after a restore.
            set_ipi(cpu, ipi, channel.irq() as i32, 0);
            hypercall::call::<BindIpi>(&mut argument)?;
            set_ipi(cpu, ipi, channel.irq() as i32, argument.port);
            channel.set_up(argument.port, gfp)
        }
        Kind::Event | Kind::Pirq(_) => Err(Error::EINVAL),
    }
}

/// The port that a virq is bound to already, by somebody who did not close it.
///
/// # Errors
///
/// [`Error::EEXIST`] if a global virq is bound for another vCPU, [`Error::ENOENT`] if there is
/// none.
fn find_virq(virq: u32, vcpu: u32, is_per_cpu: bool) -> Result<u32> {
    let mut others = Error::ENOENT;
    for port in 0..delivery::max_ports() {
        let status = match hypercall::status(port) {
            Ok(status) => status,
            // The hypervisor has no ports from here on.
            Err(error) if error.to_raw() == -(XEN_EINVAL as c_int) => break,
            Err(_) => continue,
        };
        if status.status != status::VIRQ || status.detail != virq {
            continue;
        }
        if status.vcpu == vcpu {
            return Ok(port);
        }
        if !is_per_cpu {
            others = Error::EEXIST;
        }
    }
    Err(others)
}

fn bind_virq(mapping: &Mapping, virq: u32, cpu: PossibleCpu, is_per_cpu: bool) -> Result<u32> {
    if let Some(irq) = virq_irq(cpu, virq) {
        return Ok(irq);
    }
    if virq as usize >= VIRQS {
        return Err(Error::EINVAL);
    }
    let flow = match is_per_cpu {
        true => bind::per_cpu_flow(c"virq"),
        false => bind::edge_flow(&chips::DYNAMIC, c"virq"),
    };
    let channel = bind::make_any(mapping, Kind::Virq(virq), flow)?;
    let opened = open(channel, cpu, k::GFP_KERNEL).or_else(|error| match error {
        Error::EEXIST => {
            let port = find_virq(virq, hypercall::vcpu(cpu), is_per_cpu)?;
            set_virq(cpu, virq, channel.irq() as i32);
            channel.set_up(port, k::GFP_KERNEL)
        }
        error => Err(error),
    });
    finish(mapping, channel, cpu, is_per_cpu, opened)
}

fn bind_ipi(mapping: &Mapping, ipi: u32, cpu: PossibleCpu) -> Result<u32> {
    if let Some(irq) = ipi_irq(cpu, ipi) {
        return Ok(irq);
    }
    if ipi as usize >= IPIS {
        return Err(Error::EINVAL);
    }
    let channel = bind::make_any(mapping, Kind::Ipi(ipi), bind::per_cpu_flow(c"ipi"))?;
    let opened = open(channel, cpu, k::GFP_KERNEL);
    finish(mapping, channel, cpu, true, opened)
}

/// Binds a channel that was opened to its CPU. If it was not, it is removed.
fn finish(
    mapping: &Mapping,
    channel: &Channel,
    cpu: PossibleCpu,
    is_pinned: bool,
    opened: Result,
) -> Result<u32> {
    if let Err(error) = opened {
        channel.set_cpu(cpu);
        bind::unbind(mapping, channel);
        return Err(error);
    }
    match is_pinned {
        true => affinity::pin(channel, cpu),
        false => affinity::bind(channel, cpu),
    }
    Ok(channel.irq())
}

declared_in_c! {
    bind_virq_to_irq: unsafe extern "C" fn(c_uint, c_uint, bool) -> c_int;
    irq_evtchn_from_virq: unsafe extern "C" fn(c_uint, c_uint, *mut u32) -> c_int;
}

/// Binds a virq. One of each CPU (`is_per_cpu`) stays on that CPU; a global one may move.
///
/// # Safety
///
/// The CPU is possible.
#[no_mangle]
pub unsafe extern "C" fn bind_virq_to_irq(virq: c_uint, cpu: c_uint, is_per_cpu: bool) -> c_int {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu as c_int) };
    error::to_raw(mapping::with(|mapping| {
        bind_virq(mapping, virq, cpu, is_per_cpu)
    }))
}

/// Binds a virq, and requests its interrupt with a handler.
///
/// # Safety
///
/// The CPU is possible. Handler, name and argument are valid until the interrupt is unbound.
#[no_mangle]
pub unsafe extern "C" fn bind_virq_to_irqhandler(
    virq: c_uint,
    cpu: c_uint,
    handler: k::irq_handler_t,
    flags: usize,
    name: *const kernel::ffi::c_char,
    argument: *mut kernel::ffi::c_void,
) -> c_int {
    let is_per_cpu = flags & k::IRQF_PERCPU as usize != 0;
    // SAFETY: By the requirements of this function.
    unsafe {
        let irq = bind_virq_to_irq(virq, cpu, is_per_cpu);
        bind::request(irq, handler, flags, name, argument)
    }
}

/// Binds an IPI to a CPU, and requests its interrupt with a handler. It works while other
/// interrupts are suspended.
///
/// # Safety
///
/// As [`bind_virq_to_irqhandler`].
#[no_mangle]
pub unsafe extern "C" fn bind_ipi_to_irqhandler(
    ipi: bindings::ipi_vector,
    cpu: c_uint,
    handler: k::irq_handler_t,
    flags: usize,
    name: *const kernel::ffi::c_char,
    argument: *mut kernel::ffi::c_void,
) -> c_int {
    let always = k::IRQF_NO_SUSPEND | k::IRQF_FORCE_RESUME | k::IRQF_EARLY_RESUME;
    // SAFETY: By the requirements of this function.
    unsafe {
        let cpu = PossibleCpu::from_raw(cpu as c_int);
        let irq = mapping::with(|mapping| bind_ipi(mapping, ipi, cpu));
        let flags = flags | always as usize;
        bind::request(error::to_raw(irq), handler, flags, name, argument)
    }
}

/// The interrupt of a CPU's virq, or -1, and its port, or 0.
///
/// # Safety
///
/// The CPU is possible, and `port` can be written.
#[no_mangle]
pub unsafe extern "C" fn irq_evtchn_from_virq(cpu: c_uint, virq: c_uint, port: *mut u32) -> c_int {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu as c_int) };
    // SAFETY: Likewise.
    unsafe { port.write(virq_port(cpu, virq).unwrap_or(0)) };
    virq_irq(cpu, virq).map_or(NONE, |irq| irq as i32)
}

/// Says that a channel could not be opened again after a restore.
#[cold]
pub(crate) fn say_lost(channel: &Channel, cpu: PossibleCpu, error: Error) {
    let (irq, cpu, error) = (channel.irq(), cpu.number(), error.to_raw());
    match channel.kind {
        Kind::Virq(virq) => {
            pr_err!("virq {virq} of CPU {cpu} (irq {irq}) is lost after the restore: {error}\n");
        }
        _ => pr_err!("an IPI to CPU {cpu} (irq {irq}) is lost after the restore: {error}\n"),
    }
}
