// SPDX-License-Identifier: GPL-2.0

//! Who has the node open and what for, in `/sys/kernel/debug/xen_gntalloc_rs/files`: first what all have together
//! and may have, then a line a file. Pages that were given up but are still mapped are in the first line only.

use core::sync::atomic::Ordering::Relaxed;

use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::DebugfsList;

use crate::file::Shared;
use crate::params;

/// The folder; it goes when this is dropped.
pub(crate) type Files = DebugfsList<Shared>;

/// Makes it. May sleep.
pub(crate) fn files(shared: &Arc<Shared>) -> Result<Files> {
    DebugfsList::new(c"xen_gntalloc_rs", shared.clone(), &show)
}

fn show(shared: &Arc<Shared>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (used, limit) = (shared.quota.used(), params::limit());
    writeln!(f, "all pages {used} limit {limit}")?;
    shared.list.each(|file| {
        let pages = file.pages.load(Relaxed);
        writeln!(f, "{} pages {pages}", file.opener)
    })
}
