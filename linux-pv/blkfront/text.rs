// SPDX-License-Identifier: GPL-2.0

//! Values of crates that are also built for the host, in kernel messages.

use kernel::fmt;

/// Shows what `core` knows how to show.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: core::fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}
