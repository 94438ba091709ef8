// SPDX-License-Identifier: GPL-2.0

//! Which domain this kernel is, and how domains are named.
//!
//! C headers: `include/xen/xen.h`, `include/xen/platform_pci.h`.

use xen_bindings as bindings;

/// Number of a domain as the hypervisor counts them (`domid_t`, below `DOMID_FIRST_RESERVED`,
/// 0x7ff0, for a real one).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct DomId(pub(crate) u16);

impl DomId {
    /// Whatever domain asks: the hypervisor fills in the caller (`DOMID_SELF`).
    pub const SELF: DomId = DomId(0x7ff0);

    /// The domain with this number.
    pub const fn new(id: u16) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Whether the kernel is locked down: not even root may get at what it protects.
pub fn is_locked_down() -> bool {
    // SAFETY: The shim takes nothing and asks the security modules.
    unsafe { bindings::xen_rs_is_locked_down() }
}

/// Whether this is a PV domain: page tables and frame numbers are machine ones.
#[inline]
pub fn is_pv() -> bool {
    // Not by a shim: this is asked several times for each grant that a program maps.
    // SAFETY: Constant after early boot.
    let kind = unsafe { (&raw const bindings::xen_domain_type).read() };
    kind == bindings::xen_domain_type_XEN_PV_DOMAIN
}

macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident => $shim:ident;)*) => {
        $(
            $(#[$doc])*
            pub fn $name() -> bool {
                // SAFETY: The shim takes nothing and only reads variables that are constant after
                // early boot.
                unsafe { bindings::$shim() }
            }
        )*
    };
}

questions! {
    /// Whether the kernel runs on Xen at all.
    is_xen => xen_rs_domain;
    /// Whether this is a hardware-assisted domain, PVH included.
    is_hvm => xen_rs_hvm_domain;
    /// Whether this is a hardware-assisted domain without emulated devices.
    is_pvh => xen_rs_pvh_domain;
    /// Whether this is dom0.
    is_initial => xen_rs_initial_domain;
    /// Whether PV drivers may be used: not if emulated devices were left in place.
    has_pv_devices => xen_rs_has_pv_devices;
    /// Whether PV disks may be used.
    has_pv_disk_devices => xen_rs_has_pv_disk_devices;
    /// Whether PV network interfaces may be used.
    has_pv_nic_devices => xen_rs_has_pv_nic_devices;
    /// Whether PV disks are used beside emulated ones, so that the same disk may show up twice.
    has_pv_and_legacy_disk_devices => xen_rs_has_pv_and_legacy_disk_devices;
}
