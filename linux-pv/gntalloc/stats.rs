// SPDX-License-Identifier: GPL-2.0

//! Who has the node open and what for, in `/sys/kernel/debug/xen_gntalloc_rs/files`: first what all have together
//! and may have, then a line a file. Pages that were given up but are still mapped are in the first line only.

use core::sync::atomic::Ordering::Relaxed;

use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::Arc;

use crate::file::Shared;
use crate::params;

/// The folder; it goes when this is dropped.
pub(crate) struct Files {
    _file: Pin<KBox<File<Arc<Shared>>>>,
    _dir: Dir,
}

/// Makes it. May sleep.
pub(crate) fn files(shared: &Arc<Shared>) -> Result<Files> {
    let dir = Dir::new(c"xen_gntalloc_rs");
    let content = Ok::<_, Error>(shared.clone());
    let file = KBox::pin_init(dir.read_callback_file(c"files", content, &show), GFP_KERNEL)?;
    Ok(Files {
        _file: file,
        _dir: dir,
    })
}

fn show(shared: &Arc<Shared>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (used, limit) = (shared.quota.used(), params::limit());
    writeln!(f, "all pages {used} limit {limit}")?;
    shared.roster.each(|file| {
        let pages = file.pages.load(Relaxed);
        writeln!(f, "{} pages {pages}", file.opener)
    })
}
