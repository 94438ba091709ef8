// SPDX-License-Identifier: GPL-2.0

//! What kind of domain the kernel runs as. Any context, from the first lines of the kernel on: the
//! answers are written by C before anything else asks.

use core::ptr::addr_of;

use core_bindings as bindings;

/// The flag of `xen_start_flags` for dom0 (`SIF_INITDOMAIN`).
const INITIAL: u32 = 1 << 1;

fn domain_type() -> bindings::xen_domain_type {
    // SAFETY: Written once, early at boot.
    unsafe { addr_of!(bindings::xen_domain_type).read() }
}

/// Whether the kernel runs on Xen.
pub fn is_xen() -> bool {
    domain_type() != bindings::xen_domain_type_XEN_NATIVE
}

/// Whether this domain is PV.
pub fn is_pv() -> bool {
    domain_type() == bindings::xen_domain_type_XEN_PV_DOMAIN
}

/// Whether this domain is HVM or PVH.
pub fn is_hvm() -> bool {
    domain_type() == bindings::xen_domain_type_XEN_HVM_DOMAIN
}

/// Whether this domain is dom0.
pub fn is_initial() -> bool {
    // SAFETY: Written once, early at boot.
    is_xen() && unsafe { addr_of!(bindings::xen_start_flags).read() } & INITIAL != 0
}
