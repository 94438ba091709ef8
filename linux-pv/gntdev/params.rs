// SPDX-License-Identifier: GPL-2.0

//! Module parameters, with the names and defaults of the C driver.

xen::module_params! {
    /// See [`limit`].
    LIMIT: u32 = 65536, "limit", 0o644, "Maximum number of grants that may be mapped by one mapping request";
}

/// Most grants of one mapping.
pub(crate) fn limit() -> u32 {
    LIMIT.get()
}
