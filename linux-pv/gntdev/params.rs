// SPDX-License-Identifier: GPL-2.0

//! Module parameters, with the names and defaults of the C driver.

use kernel::prelude::*;

kernel_ext::module_params! {
    /// See [`limit`].
    LIMIT: u32 = 65536, "limit", 0o644,
        "Maximum number of grants that may be mapped by one mapping request";
}

/// Most grants of one mapping, and most pages of one buffer.
pub(crate) fn limit() -> u32 {
    LIMIT.get()
}

/// Checks a number of grants that a process has passed.
///
/// # Errors
///
/// `EINVAL` if it is zero or exceeds the limit.
pub(crate) fn check(count: u32) -> Result<usize> {
    if count == 0 || count > limit() {
        return Err(EINVAL);
    }
    Ok(count as usize)
}
