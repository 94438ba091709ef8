// SPDX-License-Identifier: GPL-2.0

//! Module parameters, with the names and defaults of the C driver.

use kernel::prelude::*;
use xen_abi::io::blkif::MAX_SEGMENTS_PER_REQUEST;
use xen_ring::blkif::features::{
    MAX_INDIRECT_SEGMENTS,
    MAX_RING_PAGE_ORDER, //
};

kernel_ext::module_params! {
    /// See [`max_indirect_segments`].
    MAX_SEGMENTS: u32 = 32, "max_indirect_segments", 0o444,
        "Maximum amount of segments in indirect requests (default is 32)";
    /// See [`max_queues`].
    MAX_QUEUES: u32 = 4, "max_queues", 0o444,
        "Maximum number of hardware queues/rings used per virtual disk";
    /// See [`max_ring_page_order`].
    MAX_RING_ORDER: u32 = 0, "max_ring_page_order", 0o444,
        "Maximum order of pages to be used for the shared ring";
    /// Whether backends may see whole pages that a request's data is part of. A disk can say 0 for
    /// itself with `trusted` in its xenstore folder, which the toolstack writes.
    TRUSTED: bool = true, "trusted", 0o644, "Is the backend trusted";
    /// Whether persistent grants are offered to backends.
    PERSISTENT: bool = true, "feature_persistent", 0o644, "Enables the persistent grants feature";
}

/// Most segments in a request. Those that a direct request can carry are always allowed.
pub(crate) fn max_indirect_segments() -> u32 {
    MAX_SEGMENTS
        .get()
        .clamp(MAX_SEGMENTS_PER_REQUEST as u32, MAX_INDIRECT_SEGMENTS)
}

/// Most rings of a disk: no more than there are CPUs.
pub(crate) fn max_queues() -> u32 {
    kernel_ext::block::online_queues(MAX_QUEUES.get().max(1)).max(1)
}

/// Binary logarithm of the most pages of a ring.
pub(crate) fn max_ring_page_order() -> u32 {
    MAX_RING_ORDER.get().min(MAX_RING_PAGE_ORDER)
}

/// Whether the backend of a disk without a node `trusted` is trusted.
pub(crate) fn trusted() -> bool {
    TRUSTED.get()
}

/// Whether to offer persistent grants.
pub(crate) fn persistent() -> bool {
    PERSISTENT.get()
}

/// Logs which values are out of range, when the module is loaded.
pub(crate) fn check() {
    if MAX_RING_ORDER.get() > MAX_RING_PAGE_ORDER {
        pr_info!(
            "Invalid max_ring_order ({}), will use default max: {}.\n",
            MAX_RING_ORDER.get(),
            MAX_RING_PAGE_ORDER
        );
    }
    if MAX_QUEUES.get() > max_queues() {
        pr_info!(
            "Invalid max_queues ({}), will use default max: {}.\n",
            MAX_QUEUES.get(),
            max_queues()
        );
    }
    if MAX_SEGMENTS.get() > MAX_INDIRECT_SEGMENTS {
        pr_info!(
            "Invalid max_indirect_segments ({}), will use {}.\n",
            MAX_SEGMENTS.get(),
            MAX_INDIRECT_SEGMENTS
        );
    }
}
