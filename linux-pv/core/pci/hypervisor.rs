// SPDX-License-Identifier: GPL-2.0

//! The type of this domain, and hypercalls.

use core::ptr::addr_of;

use kernel::bindings as k;

use core_bindings as bindings;

use xen_abi::{
    command::{
        event_channel::Status,
        PlainCommand, //
    },
    event_channel::{
        self,
        status, //
    },
    features::HVM_PIRQS,
    hvm::start_info::flag,
    xen::hypercall::PHYSDEV_OP, //
};

use xen_core::hypercall_instruction::Xen;

use xen_hypercall::{
    call,
    Hypervisor as _, //
};

use xen_irq::{
    Physdev,
    SELF, //
};

/// The hypervisor, reached by hypercalls.
pub(crate) struct Hypervisor;

impl Physdev for Hypervisor {
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i32 {
        const { assert!(C::HYPERCALL == PHYSDEV_OP) };
        match Xen::get() {
            Some(xen) => xen.call::<C>(argument) as i32,
            None => -(k::ENOSYS as i32),
        }
    }
}

/// Whether the kernel runs on Xen.
pub(crate) fn is_there() -> bool {
    domain_type() != bindings::xen_domain_type_XEN_NATIVE
}

/// Whether this domain is HVM or PVH.
pub(crate) fn is_hvm() -> bool {
    domain_type() == bindings::xen_domain_type_XEN_HVM_DOMAIN
}

fn domain_type() -> bindings::xen_domain_type {
    // SAFETY: Written early at boot, before this object is called.
    unsafe { addr_of!(bindings::xen_domain_type).read() }
}

/// Whether this domain is PV.
pub(crate) fn is_pv() -> bool {
    // SAFETY: Only reads a CPU feature.
    unsafe { bindings::xen_core_is_pv() }
}

/// Whether this domain is dom0.
pub(crate) fn is_initial() -> bool {
    // SAFETY: Written early at boot, before this object is called.
    is_there() && unsafe { addr_of!(bindings::xen_start_flags).read() } & flag::INITDOMAIN != 0
}

/// Whether interrupts of an HVM domain can be delivered through pirqs and event channels.
pub(crate) fn has_hvm_pirqs() -> bool {
    // SAFETY: Both are written early at boot; the array has an element for each feature.
    unsafe {
        addr_of!(bindings::xen_have_vector_callback).read()
            && addr_of!(bindings::xen_features[HVM_PIRQS as usize]).read() != 0
    }
}

/// An event channel that a pirq is bound to, as the hypervisor reports it.
#[derive(Clone, Copy)]
pub(crate) struct PirqPort {
    pub(crate) port: u32,
    pub(crate) pirq: u32,
    /// The vCPU that is notified.
    pub(crate) vcpu: u32,
}

/// Calls `each` for each event channel of this domain that a pirq is bound to.
pub(crate) fn for_each_pirq_port(mut each: impl FnMut(PirqPort)) {
    let Some(xen) = Xen::get() else {
        return;
    };
    // SAFETY: Only reads a number that is constant after early boot.
    let limit = unsafe { bindings::xen_evtchn_nr_channels() };
    for port in 1..limit {
        let mut argument = event_channel::Status {
            dom: SELF,
            port,
            ..Default::default()
        };
        // Ports beyond the ones that the hypervisor has allocated are invalid.
        if call::<Status>(&xen, &mut argument) != Ok(0) {
            return;
        }
        if argument.status == status::PIRQ {
            each(PirqPort {
                port,
                pirq: argument.detail,
                vcpu: argument.vcpu,
            });
        }
    }
}
