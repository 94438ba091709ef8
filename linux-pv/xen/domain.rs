// SPDX-License-Identifier: GPL-2.0

//! What kind of domain this kernel runs in (`include/xen/xen.h`).

use xen_bindings as bindings;

/// Whether the kernel runs on Xen at all.
pub fn is_xen() -> bool {
    // SAFETY: The shim only reads variables that are constant after boot.
    unsafe { bindings::xen_rs_domain() }
}
