// SPDX-License-Identifier: GPL-2.0

//! Handling events, when the hypervisor has interrupted a CPU to look for them.

use core::ptr::addr_of;

use kernel::{
    bindings as k,
    ffi::c_int,
    sync::rcu, //
};

use core_bindings as bindings;

use xen_core::declared_in_c;

use xen_event::{
    patience::Patience,
    upcall, //
};

use crate::{
    channel::Kind,
    delivery,
    lateeoi,
    table,
    vcpu::Vcpu, //
};

/// `IRQ_NONE` and `IRQ_HANDLED`.
const NONE: c_int = 0;
const HANDLED: c_int = 1;

/// Nanoseconds of a jiffy.
const JIFFY: u64 = 1_000_000_000 / bindings::XEN_CORE_HZ as u64;

/// An upcall.
struct Upcall<'a> {
    guard: &'a rcu::Guard,
    patience: Patience,
}

impl Upcall<'_> {
    /// Handles an event. A port without a channel is one that was just closed.
    #[inline]
    fn handle(&mut self, port: u32) {
        let Some(channel) = table::channel(self.guard, port) else {
            return;
        };
        let is_late = self.patience.is_over_with(time_limit(), now);
        if !channel.begin() {
            return;
        }
        if matches!(channel.kind, Kind::Event) {
            if let Some(device) = channel.device() {
                device.count_event();
            }
        }
        if is_late {
            channel.late.put_off(eoi_delay());
        }
        // SAFETY: Called in an interrupt, with an interrupt's number. The descriptor lives as long
        // as the channel.
        unsafe { k::generic_handle_irq(channel.irq()) };
    }
}

/// For how many nanoseconds of events EOIs are not put off (`xen.event_loop_timeout`).
#[inline]
fn time_limit() -> u64 {
    // SAFETY: A variable of ours in C, which the user may change at any time.
    let jiffies = unsafe { addr_of!(bindings::xen_core_event_loop_timeout).read_volatile() };
    u64::from(jiffies).wrapping_mul(JIFFY)
}

/// By how many jiffies EOIs are put off then (`xen.event_eoi_delay`).
fn eoi_delay() -> u64 {
    // SAFETY: A variable of ours in C, which the user may change at any time.
    unsafe { addr_of!(bindings::xen_core_event_eoi_delay).read_volatile() }.into()
}

/// A clock, in nanoseconds.
fn now() -> u64 {
    // SAFETY: Only reads a clock.
    unsafe { k::ktime_get() as u64 }
}

declared_in_c! {
    xen_evtchn_do_upcall: unsafe extern "C" fn() -> c_int;
}

/// Handles all events of this CPU. Returns whether the hypervisor has said that there are any.
///
/// # Safety
///
/// To be called in an interrupt, with interrupts disabled.
#[no_mangle]
pub unsafe extern "C" fn xen_evtchn_do_upcall() -> c_int {
    let Some(vcpu) = Vcpu::current() else {
        return NONE;
    };
    let flag = vcpu.upcall_pending();
    let result = match upcall::is_pending(flag) {
        true => HANDLED,
        false => NONE,
    };
    // Channels and descriptors that are unbound meanwhile stay until all upcalls have ended.
    let guard = rcu::read_lock();
    let mut upcall = Upcall {
        guard: &guard,
        patience: Patience::new(),
    };
    loop {
        upcall::clear_pending(flag);
        // SAFETY: By the requirement of this function interrupts are disabled.
        unsafe { delivery::for_each_event(|port| upcall.handle(port)) };
        if !upcall::is_pending(flag) {
            break;
        }
    }
    drop(guard);
    lateeoi::upcall_has_ended();
    result
}
