// SPDX-License-Identifier: GPL-2.0

//! Binding ports to interrupts, and unbinding them.

use kernel::{
    bindings as k,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    str::CStr,
};

use core_bindings as bindings;

use xen_abi::{
    command::event_channel::BindInterdomain,
    event_channel as abi, //
};

use xen_core::{
    declared_in_c,
    error::{
        self,
        Error,
        Result, //
    },
    per_cpu::PossibleCpu, //
};

use crate::{
    affinity,
    channel::{
        Channel,
        Kind, //
    },
    chips::{
        self,
        Chip, //
    },
    delivery,
    device::Device,
    hypercall,
    irqs::{
        self,
        Flow, //
    },
    mapping::{
        self,
        Mapping, //
    },
    per_vcpu,
    users, //
};

/// Events that end with their handler, or with their late EOI.
pub(crate) fn edge_flow(chip: &'static Chip, name: &'static CStr) -> Flow {
    Flow {
        chip,
        handler: Some(k::handle_edge_irq),
        name: name.to_bytes_with_nul().as_ptr(),
    }
}

/// Events of one CPU, which are handled without a lock.
pub(crate) fn per_cpu_flow(name: &'static CStr) -> Flow {
    Flow {
        chip: &chips::PER_CPU,
        handler: Some(k::handle_percpu_irq),
        name: name.to_bytes_with_nul().as_ptr(),
    }
}

/// Makes a channel with any interrupt that is free.
pub(crate) fn make_any(mapping: &Mapping, kind: Kind, flow: Flow) -> Result<&Channel> {
    let irq = irqs::allocate(None, 1)?;
    // SAFETY: The descriptor was just allocated.
    unsafe { make_in(mapping, irq, kind, flow) }
}

/// Makes a channel with an interrupt. If this fails, the interrupt's descriptor is freed.
///
/// # Safety
///
/// As [`Channel::make`].
pub(crate) unsafe fn make_in(
    mapping: &Mapping,
    irq: u32,
    kind: Kind,
    flow: Flow,
) -> Result<&Channel> {
    // SAFETY: By the requirement of this function.
    let channel = unsafe { Channel::make(mapping, irq, kind, flow) };
    if channel.is_err() {
        // SAFETY: The descriptor has no channel.
        unsafe { irqs::free(irq) };
    }
    channel
}

/// Unbinds a channel, whatever users it has: closes its port, and frees it and its interrupt.
pub(crate) fn unbind(mapping: &Mapping, channel: &Channel) {
    per_vcpu::forget(channel);
    if let Some(device) = channel.device() {
        device.remove_channel();
    }
    affinity::uncount(channel);
    if let Some(port) = channel.take_port() {
        if !channel.is_static() {
            hypercall::close(port);
        }
    }
    channel.remove(mapping);
}

/// Binds a port, unless it is bound. If it is, and the interrupt may be shared, that is one more
/// user.
fn bind_port(
    mapping: &Mapping,
    port: u32,
    chip: &'static Chip,
    device: Option<Device>,
    is_shared: bool,
) -> Result<u32> {
    if port >= delivery::max_ports() {
        return Err(Error::ENOMEM);
    }
    if let Some(channel) = mapping.of_port(port) {
        match channel.kind {
            Kind::Event if is_shared => users::get(mapping, channel)?,
            Kind::Event => {}
            _ => pr_warn!("port {port} is bound to a virq, an IPI or a device, not to a domain\n"),
        }
        return Ok(channel.irq());
    }
    let channel = make_any(mapping, Kind::Event, edge_flow(chip, c"event"))?;
    if let Some(device) = device {
        channel.set_device(device);
        device.add_channel();
    }
    if let Err(error) = channel.set_up(port, k::GFP_KERNEL) {
        unbind(mapping, channel);
        return Err(error);
    }
    // Where a new port is delivered; without more CPUs nobody would say so.
    affinity::bind(channel, PossibleCpu::FIRST);
    Ok(channel.irq())
}

/// Connects to a port of a device's other domain, and binds that.
///
/// # Safety
///
/// The device is valid.
unsafe fn bind_interdomain(
    device: *mut bindings::xenbus_device,
    remote_port: u32,
    is_shared: bool,
) -> Result<u32> {
    // SAFETY: By the requirement of this function.
    let device = unsafe { Device::from_raw(device) }.ok_or(Error::EINVAL)?;
    let mut argument = abi::BindInterdomain {
        remote_dom: device.domain(),
        remote_port,
        ..Default::default()
    };
    hypercall::call::<BindInterdomain>(&mut argument)?;
    let port = argument.local_port;
    mapping::with(|mapping| {
        let bound = bind_port(mapping, port, &chips::LATE_EOI, Some(device), is_shared);
        bound.inspect_err(|_| {
            // Nobody else knows of the port. If it had a channel for a moment, it is closed.
            if mapping.of_port(port).is_none() && hypercall::remote_domain(port).is_some() {
                hypercall::close(port);
            }
        })
    })
}

/// Requests an interrupt that was just bound, or returns the error. If the request fails, the
/// interrupt is unbound.
///
/// # Safety
///
/// Handler, name and argument are valid until the interrupt is unbound.
pub(crate) unsafe fn request(
    irq: c_int,
    handler: k::irq_handler_t,
    flags: usize,
    name: *const c_char,
    argument: *mut c_void,
) -> c_int {
    let Ok(number) = u32::try_from(irq) else {
        return irq;
    };
    let flags = flags | k::IRQF_COND_ONESHOT as usize;
    // SAFETY: By the requirement of this function.
    let result = unsafe { k::request_threaded_irq(number, handler, None, flags, name, argument) };
    if result != 0 {
        users::put(number);
        return result;
    }
    irq
}

declared_in_c! {
    bind_evtchn_to_irq: unsafe extern "C" fn(u32) -> c_int;
    bind_evtchn_to_irq_lateeoi: unsafe extern "C" fn(u32) -> c_int;
    bind_interdomain_evtchn_to_irq_lateeoi:
        unsafe extern "C" fn(*mut bindings::xenbus_device, u32) -> c_int;
    unbind_from_irqhandler: unsafe extern "C" fn(c_uint, *mut c_void);
}

fn bind(port: u32, chip: &'static Chip, flags: usize) -> c_int {
    let is_shared = flags & k::IRQF_SHARED as usize != 0;
    error::to_raw(mapping::with(|mapping| {
        bind_port(mapping, port, chip, None, is_shared)
    }))
}

/// Binds a port. Returns its interrupt, or a negative error number, as the others here.
#[no_mangle]
pub extern "C" fn bind_evtchn_to_irq(port: u32) -> c_int {
    bind(port, &chips::DYNAMIC, 0)
}

/// Binds a port whose events end by `xen_irq_lateeoi`.
#[no_mangle]
pub extern "C" fn bind_evtchn_to_irq_lateeoi(port: u32) -> c_int {
    bind(port, &chips::LATE_EOI, 0)
}

/// Binds a port, and requests its interrupt with a handler.
///
/// # Safety
///
/// Handler, name and argument are valid until the interrupt is unbound.
#[no_mangle]
pub unsafe extern "C" fn bind_evtchn_to_irqhandler(
    port: u32,
    handler: k::irq_handler_t,
    flags: usize,
    name: *const c_char,
    argument: *mut c_void,
) -> c_int {
    let irq = bind(port, &chips::DYNAMIC, flags);
    // SAFETY: By the requirements of this function.
    unsafe { request(irq, handler, flags, name, argument) }
}

/// The same for events that end by `xen_irq_lateeoi`.
///
/// # Safety
///
/// As [`bind_evtchn_to_irqhandler`].
#[no_mangle]
pub unsafe extern "C" fn bind_evtchn_to_irqhandler_lateeoi(
    port: u32,
    handler: k::irq_handler_t,
    flags: usize,
    name: *const c_char,
    argument: *mut c_void,
) -> c_int {
    let irq = bind(port, &chips::LATE_EOI, flags);
    // SAFETY: By the requirements of this function.
    unsafe { request(irq, handler, flags, name, argument) }
}

/// Connects to a port of a device's other domain. Its events end by `xen_irq_lateeoi`.
///
/// # Safety
///
/// The device is valid.
#[no_mangle]
pub unsafe extern "C" fn bind_interdomain_evtchn_to_irq_lateeoi(
    device: *mut bindings::xenbus_device,
    remote_port: u32,
) -> c_int {
    // SAFETY: By the requirement of this function.
    error::to_raw(unsafe { bind_interdomain(device, remote_port, false) })
}

/// The same, and requests the interrupt with a handler.
///
/// # Safety
///
/// The device is valid. Handler, name and argument are so until the interrupt is unbound.
#[no_mangle]
pub unsafe extern "C" fn bind_interdomain_evtchn_to_irqhandler_lateeoi(
    device: *mut bindings::xenbus_device,
    remote_port: u32,
    handler: k::irq_handler_t,
    flags: usize,
    name: *const c_char,
    argument: *mut c_void,
) -> c_int {
    let is_shared = flags & k::IRQF_SHARED as usize != 0;
    // SAFETY: By the requirements of this function.
    unsafe {
        let irq = error::to_raw(bind_interdomain(device, remote_port, is_shared));
        request(irq, handler, flags, name, argument)
    }
}

/// Takes a handler from an interrupt, and unbinds it if nobody else uses it.
///
/// # Safety
///
/// The interrupt was requested with this argument.
#[no_mangle]
pub unsafe extern "C" fn unbind_from_irqhandler(irq: c_uint, argument: *mut c_void) {
    if !users::is_bound(irq) {
        pr_warn!("irq {irq} is to be unbound, and is not bound\n");
        return;
    }
    // SAFETY: By the requirement of this function.
    unsafe { k::free_irq(irq, argument) };
    users::put(irq);
}
