// SPDX-License-Identifier: GPL-2.0

//! Module parameters, with the names and defaults of the C driver.

use xen_devfile::buffers::Limits;

kernel_ext::module_params! {
    /// See [`dm_op_limits`].
    DM_OP_MAX_NR_BUFS: u32 = 16, "dm_op_max_nr_bufs", 0o644,
        "Maximum number of buffers per dm_op hypercall";
    /// See [`dm_op_limits`].
    DM_OP_BUF_MAX_SIZE: u32 = 4096, "dm_op_buf_max_size", 0o644,
        "Maximum size of a dm_op hypercall buffer";
    /// See [`max_eventfds`].
    MAX_EVENTFDS: u32 = 1024, "max_eventfds", 0o644,
        "Maximum number of irqfds, and of ioeventfds, of an open file";
    /// See [`unrestricted`].
    UNRESTRICTED: bool = false, "unrestricted", 0,
        "Don't restrict hypercalls to target domain if running in a domU";
}

/// Limits for the buffers of a device model's hypercall.
pub(crate) fn dm_op_limits() -> Limits {
    Limits {
        count: DM_OP_MAX_NR_BUFS.get(),
        size: DM_OP_BUF_MAX_SIZE.get(),
    }
}

/// The number of irqfds that a file may have, and of ioeventfds. (The C driver has no limit.)
pub(crate) fn max_eventfds() -> u32 {
    MAX_EVENTFDS.get()
}

/// Whether the processes of a guest may make any hypercall.
pub(crate) fn unrestricted() -> bool {
    UNRESTRICTED.get()
}
