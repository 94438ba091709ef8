// SPDX-License-Identifier: GPL-2.0

//! After a restore no port is bound any more. Virqs, IPIs and pirqs get new ones here; drivers of
//! the xenbus, and the console, bind theirs when they resume.

use core::sync::atomic::Ordering::Relaxed;

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    sync::rcu,
};

use xen_abi::{
    command::physdev::MapPirq,
    physdev::{
        self,
        map_type, //
    },
    xen::domid,
};

use xen_core::{
    declared_in_c,
    domain,
    per_cpu::PossibleCpu, //
};

use crate::{
    affinity,
    channel::{
        Channel,
        Kind,
        Pirq, //
    },
    delivery,
    fifo,
    hypercall,
    irqs,
    mapping,
    per_vcpu,
    pirq,
    table,
    two_level, //
};

declared_in_c! {
    xen_irq_resume: unsafe extern "C" fn();
    rebind_evtchn_irq: unsafe extern "C" fn(u32, c_int);
}

/// Binds virqs, IPIs and pirqs anew.
///
/// # Safety
///
/// To be called after a restore, while all other CPUs are stopped and interrupts are disabled.
#[no_mangle]
pub unsafe extern "C" fn xen_irq_resume() {
    // SAFETY: By the requirement of this function.
    unsafe { resume_delivery() };
    irqs::for_each(|channel| {
        channel.forget_port();
        affinity::uncount(channel);
    });
    table::clear_all();
    for cpu in PossibleCpu::all() {
        for virq in 0..per_vcpu::VIRQS as u32 {
            reopen(per_vcpu::virq_irq(cpu, virq), cpu);
        }
        for ipi in 0..per_vcpu::IPIS as u32 {
            reopen(per_vcpu::ipi_irq(cpu, ipi), cpu);
        }
    }
    irqs::for_each(|channel| {
        if let Kind::Pirq(pirq) = &channel.kind {
            restore_pirq(channel, pirq);
        }
    });
}

/// Nothing may sleep.
const GFP: k::gfp_t = k::GFP_ATOMIC | k::__GFP_NOWARN;

/// Gives the hypervisor the ABI's memory anew.
///
/// # Safety
///
/// As [`xen_irq_resume`].
unsafe fn resume_delivery() {
    if delivery::is_fifo() {
        // SAFETY: By the requirement of this function.
        if let Err(error) = unsafe { fifo::resume() } {
            let error = error.to_raw();
            pr_err!("this hypervisor has no FIFO-based ABI ({error})\n");
            delivery::choose(false);
            two_level::mask_all();
        }
    }
    for cpu in PossibleCpu::all() {
        two_level::unbind_all(cpu);
    }
    if domain::is_pv() {
        pirq::share_eoi_map(GFP);
    }
}

/// Binds a virq or an IPI of a CPU anew.
fn reopen(irq: Option<u32>, cpu: PossibleCpu) {
    let guard = rcu::read_lock();
    let Some(channel) = irq.and_then(|irq| irqs::channel(&guard, irq)) else {
        return;
    };
    match per_vcpu::open(channel, cpu, GFP) {
        // The interrupt's affinity is still right.
        Ok(()) => affinity::bind(channel, cpu),
        Err(error) => per_vcpu::say_lost(channel, cpu, error),
    }
}

/// Maps the GSI of an emulated device anew, and binds it. Devices that are passed through do not
/// survive a save. One that fails keeps its interrupt, without events; C frees the interrupt, and
/// goes on with what stood behind it in a list.
fn restore_pirq(channel: &Channel, pirq: &Pirq) {
    let Some(gsi) = pirq.gsi.filter(|gsi| *gsi != 0) else {
        return;
    };
    let (irq, number) = (channel.irq(), pirq.number.load(Relaxed));
    let mut argument = physdev::MapPirq {
        domid: domid::SELF,
        map_type: map_type::GSI,
        index: gsi as i32,
        pirq: number as i32,
        ..Default::default()
    };
    if let Err(error) = hypercall::call::<MapPirq>(&mut argument) {
        let error = error.to_raw();
        pr_warn!("xen map irq failed gsi={gsi} irq={irq} pirq={number} rc={error}\n");
        return;
    }
    pirq.number.store(argument.pirq as u32, Relaxed);
    pirq::start(channel);
}

/// Gives the channel of an interrupt a new port, which it keeps masked until the interrupt is
/// enabled again. May sleep.
#[no_mangle]
pub extern "C" fn rebind_evtchn_irq(port: u32, irq: c_int) {
    let irq = irq as c_uint;
    let is_event = {
        let guard = rcu::read_lock();
        irqs::channel(&guard, irq).is_some_and(|channel| matches!(channel.kind, Kind::Event))
    };
    if !is_event {
        pr_warn!("port {port} is to be bound to irq {irq}, which is no event channel's\n");
        return;
    }
    // SAFETY: The interrupt has a descriptor.
    unsafe { k::disable_irq(irq) };
    mapping::with(|mapping| {
        let Some(channel) = mapping.of_irq(irq) else {
            return;
        };
        if mapping.of_port(port).is_some() {
            pr_warn!("port {port} is to be bound to irq {irq}, and is bound already\n");
            return;
        }
        if let Err(error) = channel.set_up(port, k::GFP_KERNEL) {
            let error = error.to_raw();
            pr_err!("port {port} was not bound to irq {irq}: {error}\n");
            return;
        }
        // Where a new port is delivered.
        affinity::bind(channel, PossibleCpu::FIRST);
    });
    // SAFETY: It was disabled above.
    unsafe { k::enable_irq(irq) };
}
