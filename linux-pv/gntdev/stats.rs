// SPDX-License-Identifier: GPL-2.0

//! Who has the node open and what for, in `/sys/kernel/debug/xen_gntdev_rs/files`: what a mapping may have, then a
//! line a file. The pages that are in use by all of them show in `/sys/kernel/debug/xen_rs/mapped_pages`, those of
//! exported buffers too, which may be in use after the file was closed; `lent_buffers` beside it counts imported ones.

use core::sync::atomic::Ordering::Relaxed;

use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::{DebugfsList, FileList};

use crate::file::Shown;
use crate::params;

/// The folder; it goes when this is dropped.
pub(crate) type Files = DebugfsList<FileList<Shown>>;

/// Makes it. May sleep.
pub(crate) fn files(list: &Arc<FileList<Shown>>) -> Result<Files> {
    DebugfsList::new(c"xen_gntdev_rs", list.clone(), &show)
}

fn show(list: &Arc<FileList<Shown>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "limit {} grants a mapping or buffer", params::limit())?;
    list.each(|file| {
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
