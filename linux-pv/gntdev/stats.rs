// SPDX-License-Identifier: GPL-2.0

//! Who has the node open and what for, in `/sys/kernel/debug/xen_gntdev_rs/files`: what a mapping may have, then a
//! line a file. The pages that are in use by all of them show in `/sys/kernel/debug/xen_rs/mapped_pages`, those of
//! exported buffers too, which may be in use after the file was closed; `lent_buffers` beside it counts imported ones.

use core::sync::atomic::Ordering::Relaxed;

use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::{Listing, Roster};

use crate::file::Shown;
use crate::params;

/// The folder; it goes when this is dropped.
pub(crate) type Files = Listing<Roster<Shown>>;

/// Makes it. May sleep.
pub(crate) fn files(roster: &Arc<Roster<Shown>>) -> Result<Files> {
    Listing::new(c"xen_gntdev_rs", roster.clone(), &show)
}

fn show(roster: &Arc<Roster<Shown>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "limit {} grants a mapping or buffer", params::limit())?;
    roster.each(|file| {
        let mappings = file.mappings.load(Relaxed);
        let grants = file.grants.load(Relaxed);
        let copied = file.copied.load(Relaxed);
        let (exports, exported) = (file.exports.load(Relaxed), file.exported.load(Relaxed));
        let (imports, imported) = (file.imports.load(Relaxed), file.imported.load(Relaxed));
        writeln!(
            f,
            "{} mappings {mappings} grants {grants} copied {copied} exports {exports} pages {exported} \
             imports {imports} pages {imported}",
            file.opener
        )
    })
}
