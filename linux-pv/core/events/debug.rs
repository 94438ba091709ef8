// SPDX-License-Identifier: GPL-2.0

//! What a CPU prints when the hypervisor asks for it (`VIRQ_DEBUG`), as when a domain hangs.

use kernel::{
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    sync::rcu,
};

use xen_core::per_cpu::PossibleCpu;

use xen_event::SharedWord;

use crate::{
    delivery,
    table,
    two_level,
    vcpu::Vcpu, //
};

/// `IRQ_HANDLED`.
const HANDLED: c_uint = 1;

/// Prints what all CPUs share with the hypervisor, and the pending ports. Each CPU does so.
///
/// # Safety
///
/// To be called as an interrupt's handler.
#[no_mangle]
pub unsafe extern "C" fn xen_debug_interrupt(_: c_int, _: *mut c_void) -> c_uint {
    let this = PossibleCpu::current();
    pr_info!("vcpu {}\n", this.number());
    for cpu in PossibleCpu::all().filter(|cpu| cpu.is_online()) {
        let Some(vcpu) = Vcpu::of(cpu) else {
            continue;
        };
        pr_info!(
            "{}: masked={} pending={} event_sel {:016x}\n",
            cpu.number(),
            vcpu.upcall_mask().load(),
            vcpu.upcall_pending().load(),
            vcpu.selector().load()
        );
    }
    let guard = rcu::read_lock();
    for port in (0..delivery::xen_evtchn_nr_channels()).filter(|port| delivery::is_pending(*port)) {
        let irq = table::channel(&guard, port).map_or(-1, |channel| channel.irq() as i32);
        let masked = match delivery::is_masked(port) {
            true => " globally-masked",
            false => "",
        };
        let elsewhere = match two_level::is_bound(port, this) {
            true => "",
            false => " locally-masked",
        };
        pr_info!("event {port} -> irq {irq}{masked}{elsewhere}\n");
    }
    HANDLED
}
