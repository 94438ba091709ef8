// SPDX-License-Identifier: GPL-2.0

//! What kind of domain this is, and the hypervisor's calls.

use core::ptr::{self, addr_of};

use core_bindings as bindings;
use xen_abi::event_channel::{self, op, status};
use xen_abi::features::HVM_PIRQS;
use xen_abi::hvm::start_info::flag;
use xen_irq::{Physdev, SELF};
use zerocopy::{FromBytes, IntoBytes};

/// The hypervisor.
pub(crate) struct Xen;

impl Physdev for Xen {
    fn call<T: IntoBytes + FromBytes>(&self, command: u32, argument: &mut T) -> i32 {
        // SAFETY: The hypervisor reads and writes a command's structure during the call only, and `xen_irq` pairs commands with
        // their structures, which are compared with the C headers by a test. Any bytes are a valid one.
        unsafe { bindings::xen_core_physdev_op(command as i32, ptr::from_mut(argument).cast()) }
    }
}

/// Whether there is a hypervisor.
pub(crate) fn is_there() -> bool {
    domain_type() != bindings::xen_domain_type_XEN_NATIVE
}

/// A domain whose processor is virtual: HVM or PVH.
pub(crate) fn is_hvm() -> bool {
    domain_type() == bindings::xen_domain_type_XEN_HVM_DOMAIN
}

fn domain_type() -> bindings::xen_domain_type {
    // SAFETY: Written while the kernel boots, before anything here is called.
    unsafe { addr_of!(bindings::xen_domain_type).read() }
}

/// A paravirtualised domain.
pub(crate) fn is_pv() -> bool {
    // SAFETY: Only reads.
    unsafe { bindings::xen_core_is_pv() }
}

/// The domain that has the machine's devices.
pub(crate) fn is_initial() -> bool {
    // SAFETY: Written while the kernel boots, before anything here is called.
    is_there() && unsafe { addr_of!(bindings::xen_start_flags).read() } & flag::INITDOMAIN != 0
}

/// Whether an HVM domain's interrupts may come by pirqs and event channels.
pub(crate) fn has_hvm_pirqs() -> bool {
    // SAFETY: Written while the kernel boots; the array has a place for each feature.
    unsafe {
        addr_of!(bindings::xen_have_vector_callback).read()
            && addr_of!(bindings::xen_features[HVM_PIRQS as usize]).read() != 0
    }
}

/// What an event channel that belongs to a pirq is, as the hypervisor has it.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) port: u32,
    pub(crate) pirq: u32,
    /// The virtual processor that is notified.
    pub(crate) vcpu: u32,
}

/// Calls for each event channel of this domain that is bound to a pirq.
pub(crate) fn for_each_bound(mut each: impl FnMut(Bound)) {
    // SAFETY: Only reads what is constant after early boot.
    let limit = unsafe { bindings::xen_evtchn_nr_channels() };
    for port in 1..limit {
        let mut argument = event_channel::Status {
            dom: SELF,
            port,
            ..Default::default()
        };
        // SAFETY: The structure is that of the command, and the hypervisor writes into it during the call only.
        let result = unsafe {
            bindings::xen_core_event_channel_op(
                op::STATUS as i32,
                ptr::from_mut(&mut argument).cast(),
            )
        };
        // Beyond the last port that the hypervisor has made room for.
        if result != 0 {
            return;
        }
        if argument.status == status::PIRQ {
            each(Bound {
                port,
                pirq: argument.detail,
                vcpu: argument.vcpu,
            });
        }
    }
}
