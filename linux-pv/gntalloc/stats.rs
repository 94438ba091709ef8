// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows of an open file: `/sys/kernel/debug/xen/gntalloc/files`. The first line has
//! what all files together have, and may have; pages that were given up but are still mapped are in
//! that line only.

use core::fmt;

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// See the module.
pub(crate) struct Stats {
    /// Pages that were made and not given up.
    pub(crate) pages: Atomic<usize>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pages {}", self.pages.load(Relaxed))
    }
}
