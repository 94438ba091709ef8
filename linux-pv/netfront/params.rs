// SPDX-License-Identifier: GPL-2.0

//! Module parameters, with the names and defaults of the C driver.

use xen_ring::netif::features::MAX_QUEUES as LIMIT;

/// Most queues unless the user sets another number.
const DEFAULT_QUEUES: u32 = 8;

kernel_ext::module_params! {
    /// See [`max_queues`].
    MAX_QUEUES: u32 = 0, "max_queues", 0o644, "Maximum number of queues per virtual interface";
    /// Whether backends may see whole pages that packets are part of. An interface can say 0 for
    /// itself with `trusted` in its xenstore folder, which the toolstack writes.
    TRUSTED: bool = true, "trusted", 0o644, "Is the backend trusted";
}

/// Most queues of an interface: as many as there are CPUs, but no more than 8 if the user does not
/// say.
pub(crate) fn max_queues() -> u32 {
    match MAX_QUEUES.get() {
        0 => kernel_ext::net::online_queues(DEFAULT_QUEUES).max(1),
        most => most.min(LIMIT),
    }
}

/// Whether the backend of an interface without a node `trusted` is trusted.
pub(crate) fn trusted() -> bool {
    TRUSTED.get()
}
