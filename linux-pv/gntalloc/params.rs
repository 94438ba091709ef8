// SPDX-License-Identifier: GPL-2.0

//! Module parameters, with the names and defaults of the C driver.

kernel_ext::module_params! {
    /// See [`limit`].
    LIMIT: u32 = 1024, "limit", 0o644,
        "Maximum number of grants that may be allocated by the gntalloc device";
}

/// Most pages that all processes together may share.
pub(crate) fn limit() -> u32 {
    LIMIT.get()
}
